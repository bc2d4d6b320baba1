"""What watches training and sampling: bars, pictures and scores."""

from lightning_gans.callbacks.metrics import GenerativeMetrics as GenerativeMetrics
from lightning_gans.callbacks.newest_checkpoint import NewestCheckpoint as NewestCheckpoint
from lightning_gans.callbacks.progress_bar import ProgressBar as ProgressBar
from lightning_gans.callbacks.sample_grid import SampleGrid as SampleGrid
from lightning_gans.callbacks.sample_writer import SampleWriter as SampleWriter
