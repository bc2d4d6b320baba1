"""What watches training and sampling: bars, pictures and scores."""

from lightning_gans.callbacks.class_accuracy import ClassAccuracy as ClassAccuracy
from lightning_gans.callbacks.code_distance import CodeDistance as CodeDistance
from lightning_gans.callbacks.landscape import Landscape as Landscape
from lightning_gans.callbacks.latent_arithmetic import LatentArithmetic as LatentArithmetic
from lightning_gans.callbacks.latent_interpolation import LatentInterpolation as LatentInterpolation
from lightning_gans.callbacks.linear_probe import LinearProbe as LinearProbe
from lightning_gans.callbacks.metrics import GenerativeMetrics as GenerativeMetrics
from lightning_gans.callbacks.nearest_neighbor_accuracy import NearestNeighborAccuracy as NearestNeighborAccuracy
from lightning_gans.callbacks.nearest_neighbours import NearestNeighbours as NearestNeighbours
from lightning_gans.callbacks.newest_checkpoint import NewestCheckpoint as NewestCheckpoint
from lightning_gans.callbacks.progress_bar import ProgressBar as ProgressBar
from lightning_gans.callbacks.report import Report as Report
from lightning_gans.callbacks.sample_grid import SampleGrid as SampleGrid
from lightning_gans.callbacks.sample_writer import SampleWriter as SampleWriter
from lightning_gans.callbacks.standing_statistics import StandingStatistics as StandingStatistics
from lightning_gans.callbacks.training_health import TrainingHealth as TrainingHealth
from lightning_gans.callbacks.truncation_sweep import TruncationSweep as TruncationSweep
