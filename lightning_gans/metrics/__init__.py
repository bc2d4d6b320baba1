"""Scores of generators, as functions of features and as a metric of torchmetrics."""

from lightning_gans.metrics.digits import DigitClassifier as DigitClassifier
from lightning_gans.metrics.faces import FaceParser as FaceParser
from lightning_gans.metrics.feature_scores import FeatureScores as FeatureScores
from lightning_gans.metrics.features import Inception as Inception
from lightning_gans.metrics.frechet import frechet_distance as frechet_distance
from lightning_gans.metrics.frechet import frechet_distance_of_moments as frechet_distance_of_moments
from lightning_gans.metrics.modes import class_modes as class_modes
from lightning_gans.metrics.modes import gaussian_modes as gaussian_modes
from lightning_gans.metrics.modes import stacked_digits as stacked_digits
from lightning_gans.metrics.neighbors import copied_share as copied_share
from lightning_gans.metrics.neighbors import density_coverage as density_coverage
from lightning_gans.metrics.neighbors import nearest as nearest
from lightning_gans.metrics.neighbors import precision_recall as precision_recall
from lightning_gans.metrics.neighbors import two_sample_accuracy as two_sample_accuracy
from lightning_gans.metrics.perceptual import LPIPS as LPIPS
from lightning_gans.metrics.perceptual import FeatureDistance as FeatureDistance
from lightning_gans.metrics.perceptual import PairwiseDiversity as PairwiseDiversity
from lightning_gans.metrics.scores import SCORES as SCORES
from lightning_gans.metrics.scores import Features as Features
from lightning_gans.metrics.scores import compute_scores as compute_scores
from lightning_gans.metrics.vgg import VGGFeatures as VGGFeatures
