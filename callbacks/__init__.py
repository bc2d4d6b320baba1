"""Callbacks that watch training and sampling: bars, pictures, scores, health and pages."""

from lightning_gans.callbacks.health.training_health import TrainingHealth as TrainingHealth
from lightning_gans.callbacks.image_writer import ImageWriter as ImageWriter
from lightning_gans.callbacks.looks.landscape import Landscape as Landscape
from lightning_gans.callbacks.looks.latent_arithmetic import LatentArithmetic as LatentArithmetic
from lightning_gans.callbacks.looks.latent_interpolation import LatentInterpolation as LatentInterpolation
from lightning_gans.callbacks.looks.nearest_neighbors import NearestNeighbours as NearestNeighbours
from lightning_gans.callbacks.looks.projector import Projector as Projector
from lightning_gans.callbacks.looks.seeded_samples import SeededSamples as SeededSamples
from lightning_gans.callbacks.looks.style_mixing import StyleMixing as StyleMixing
from lightning_gans.callbacks.newest_checkpoint import NewestCheckpoint as NewestCheckpoint
from lightning_gans.callbacks.pages.report import Report as Report
from lightning_gans.callbacks.progress_bar import ProgressBar as ProgressBar
from lightning_gans.callbacks.sample_grid import SampleGrid as SampleGrid
from lightning_gans.callbacks.sample_writer import SampleWriter as SampleWriter
from lightning_gans.callbacks.scores.caption_accuracy import CaptionAccuracy as CaptionAccuracy
from lightning_gans.callbacks.scores.class_accuracy import ClassAccuracy as ClassAccuracy
from lightning_gans.callbacks.scores.code_distance import CodeDistance as CodeDistance
from lightning_gans.callbacks.scores.generative_metrics import GenerativeMetrics as GenerativeMetrics
from lightning_gans.callbacks.scores.linear_probe import LinearProbe as LinearProbe
from lightning_gans.callbacks.scores.nearest_neighbor_accuracy import NearestNeighborAccuracy as NearestNeighborAccuracy
from lightning_gans.callbacks.scores.restoration_scores import RestorationScores as RestorationScores
from lightning_gans.callbacks.scores.standing_statistics import StandingStatistics as StandingStatistics
from lightning_gans.callbacks.scores.translation_scores import TranslationScores as TranslationScores
from lightning_gans.callbacks.scores.truncation_sweep import TruncationSweep as TruncationSweep
from lightning_gans.callbacks.start_from import StartFrom as StartFrom
