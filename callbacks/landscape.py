"""Points of the plane: which modes are covered, and what the discriminator makes of the plane."""

from typing import Any

import torch
from jaxtyping import Float, UInt8
from lightning import Trainer
from PIL import Image
from torch import Tensor

from lightning_gans.callbacks.score_card import results_folder
from lightning_gans.callbacks.scorer import Scored, Scorer
from lightning_gans.mechanics.randomness import mix
from lightning_gans.metrics.modes import gaussian_modes

DATA, SAMPLES = (0, 0, 0), (0, 130, 30)  # colours of points: black, green
LOW, MIDDLE, HIGH = (70, 110, 220), (245, 245, 245), (225, 90, 70)  # of logits: blue is fake, red is real
ROWS = 64  # of the picture that the discriminator sees at a time


class Landscape(Scorer):
    """Counts the modes that samples cover, and draws data, samples and the discriminator's landscape.

    For points of a data module that knows its `centers` and `std`. A sample is of high quality if it lies within three
    standard deviations of a mode, and a mode is covered if at least `min_count` samples lie as near to it. Logs
    `modes_covered` and `high_quality_share`, and appends them with their protocol to `metrics.json` in the run's
    folder. The pictures are `samples/landscape_<kimg>kimg.png`: the logits from blue (lowest) to red (highest), with
    white in the middle of their range, data in black, samples in green on top. A discriminator that compares the
    points of a batch is shown the pixels in stripes.

    As many samples are drawn as there are evaluation points, by the averaged generator if there is one, and always
    from the same latents. Every process draws all of them.

    Args:
        every_kimg: Thousands of training points between two scores; there is also one at the end.
        min_count: Samples that a covered mode has at least.
        size: Height and width of the picture in pixels; 0 draws none.
        seed: Seed of the latents.
    """

    stages = ("test",)  # in training it keeps its own time

    def __init__(self, every_kimg: float = 512.0, min_count: int = 20, size: int = 320, seed: int = 0):
        if every_kimg <= 0:
            raise ValueError(f"`every_kimg` must be positive, got {every_kimg}.")
        if min_count < 1:
            raise ValueError(f"`min_count` must be at least 1, got {min_count}.")
        if size < 0:
            raise ValueError(f"`size` must be 0 (no picture) or more pixels, got {size}.")
        self.every_kimg = every_kimg
        self.min_count = min_count
        self.size = size
        self.seed = seed

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if not hasattr(trainer.datamodule, "centers"):
            name = type(trainer.datamodule).__name__
            raise ValueError(
                f"`Landscape` needs a data module with `centers`, as GaussianMixtureDataModule, got {name}."
            )

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._images = pl_module.images_seen

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        before, self._images = self._images, pl_module.images_seen
        period = 1000 * self.every_kimg
        if self._images // period > before // period or trainer.global_step == trainer.max_steps:
            self.record("validation", trainer, pl_module)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        data = trainer.datamodule
        real = data.evaluation.point.to(pl_module.device, pl_module.dtype)
        fake = pl_module.draw(real, mix(self.seed))["fake"]
        scores = gaussian_modes(fake, data.centers.to(fake), data.std, self.min_count)
        folder = results_folder(trainer) / "samples"  # a broadcast: on every process
        if self.size and trainer.is_global_zero and not trainer.fast_dev_run:
            folder.mkdir(parents=True, exist_ok=True)
            picture = draw_landscape(pl_module.discriminator, real, fake, self.size)
            path = folder / f"landscape_{pl_module.images_seen / 1000:09.3f}kimg.png"
            Image.fromarray(picture.numpy()).save(path, optimize=True)
        return scores, {
            "reference": data.reference,
            "num_fake": len(fake),
            "min_count": self.min_count,
            "sample_seed": self.seed,
        }


@torch.no_grad()
def draw_landscape(
    discriminator: Any, real: Float[Tensor, "n 2"], fake: Float[Tensor, "m 2"], size: int
) -> UInt8[Tensor, "{size} {size} 3"]:
    """A square picture of the plane as far as 1.5 times the furthest data."""
    reach = 1.5 * real.abs().max()
    axis = torch.linspace(-1, 1, size).to(real) * reach
    pixels = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), 2).flip(0)  # y grows upwards
    training = discriminator.training
    discriminator.eval()
    logits = torch.cat([discriminator(part.reshape(-1, 2)) for part in pixels.split(ROWS)]).view(size, size)
    discriminator.train(training)
    height = ((logits - logits.min()) / (logits.max() - logits.min()).clamp_min(1e-12)).float().cpu()[..., None]
    low, middle, high = (torch.tensor(colour).float() for colour in (LOW, MIDDLE, HIGH))
    below, above = (1 - 2 * height).clamp_min(0), (2 * height - 1).clamp_min(0)
    picture = (middle + below * (low - middle) + above * (high - middle)).round().byte()
    for points, colour in ((real, DATA), (fake, SAMPLES)):
        column, row = ((points * torch.tensor([1, -1]).to(points) / reach + 1) / 2 * (size - 1)).round().long().T.cpu()
        inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
        picture[row[inside], column[inside]] = torch.tensor(colour, dtype=torch.uint8)
    return picture
