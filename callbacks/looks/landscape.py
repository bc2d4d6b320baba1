"""Points of the plane: the modes that are covered, and the discriminator's logits all over the plane."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float, UInt8
from lightning import Trainer
from PIL import Image
from torch import Tensor

from lightning_gans.callbacks.intervals import batches_of, ends_training
from lightning_gans.callbacks.run_folder import save_picture
from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.callbacks.scores.training_images import Encode
from lightning_gans.mechanics.randomness import mix
from lightning_gans.metrics.modes import gaussian_modes

DATA, SAMPLES = (0, 0, 0), (0, 130, 30)  # colors of points: black, green
LOW, MIDDLE, HIGH = (70, 110, 220), (245, 245, 245), (225, 90, 70)  # of logits: blue is fake, red is real
ROWS = 64  # of the picture that the discriminator sees at a time


class Landscape(Scorer):
    """Counts the modes that samples cover, and draws data, samples and the discriminator's landscape.

    For points of a data module that knows its `centers` and `std`. A sample is of high quality if it lies within three
    standard deviations of a mode, and a mode is covered if at least `min_count` samples lie as near to it. Logs
    `modes_covered` and `high_quality_share`, and appends them with their protocol to `metrics.json` in the run's
    folder. The pictures are `samples/landscape_<kimg>kimg.png`: the logits from blue (lowest) to red (highest), with
    white in the middle of their range, data in black, samples in green on top. A discriminator that compares the
    points of a batch is shown the pixels in stripes. It judges points alone: a conditional variant is refused.

    As many samples are drawn as there are evaluation points, by the averaged generator if there is one, and always
    from the same latents. Every process draws all of them.

    Args:
        every_kimg: Thousands of training points between two scores, rounded to whole batches; there is also one at the
            end.
        min_count: Samples that a covered mode has at least.
        size: Height and width of the picture in pixels; 0 draws none.
        seed: Seed of the latents.
    """

    stages = ("test",)  # in training it keeps its own time
    needs = ("discriminate",)

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
        super().setup(trainer, pl_module, stage)
        data, variant = trainer.datamodule, type(pl_module).__name__
        if not hasattr(data, "centers"):
            raise ValueError(
                f"`Landscape` needs a data module with `centers`, as GaussianMixtureDataModule, got "
                f"{type(data).__name__}."
            )
        if pl_module.conditional:
            raise ValueError(f"`Landscape` needs a variant that judges points alone, got a conditional {variant}.")
        points = data.evaluation[torch.arange(2)][0].to(pl_module.device, pl_module.dtype)
        if (shape := tuple(logits_of(pl_module, points).shape)) != (2,):
            raise ValueError(f"`Landscape` needs one logit (b,) of each point, and {variant} has {shape[1:]}.")
        self._interval: int | None = None  # in batches

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._interval is None:
            self._interval = batches_of(self.every_kimg, batch, trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.due(self._interval) or ends_training(trainer):
            self.record("validation", trainer, pl_module)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        data = trainer.datamodule
        real = data.evaluation.point.to(pl_module.device, pl_module.dtype)
        fake = pl_module.draw(real, mix(self.seed))["fake"]
        scores = gaussian_modes(fake, data.centers.to(fake), data.std, self.min_count)
        if self.size:
            picture = draw_landscape(partial(logits_of, pl_module), real, fake, self.size)
            name = f"landscape_{pl_module.images_seen / 1000:09.3f}kimg"
            save_picture(Image.fromarray(picture.numpy()), name, trainer)
        return scores, {
            "reference": data.reference,
            "num_fake": len(fake),
            "min_count": self.min_count,
            "sample_seed": self.seed,
        }


def logits_of(module: Any, points: Float[Tensor, "n 2"]) -> Tensor:
    """Returns the discriminator's logits of points, in evaluation mode."""
    with module.evaluating():
        return module.discriminate(points, (points,))


def draw_landscape(
    logits_of: Encode, real: Float[Tensor, "n 2"], fake: Float[Tensor, "m 2"], size: int
) -> UInt8[Tensor, "{size} {size} 3"]:
    """Returns a square picture of the plane as far as 1.5 times the furthest data.

    Args:
        logits_of: Maps points (b, 2) to logits (b,).
        real: Points that are drawn in black.
        fake: Points that are drawn in green.
        size: Height and width in pixels.
    """
    reach = 1.5 * real.abs().max()
    axis = torch.linspace(-1, 1, size).to(real) * reach
    pixels = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), 2).flip(0)  # y grows upwards
    logits = torch.cat([logits_of(part.reshape(-1, 2)) for part in pixels.split(ROWS)]).view(size, size)
    height = ((logits - logits.min()) / (logits.max() - logits.min()).clamp_min(1e-12)).float().cpu()[..., None]
    low, middle, high = (torch.tensor(color).float() for color in (LOW, MIDDLE, HIGH))
    below, above = (1 - 2 * height).clamp_min(0), (2 * height - 1).clamp_min(0)
    picture = (middle + below * (low - middle) + above * (high - middle)).round().byte()
    for points, color in ((real, DATA), (fake, SAMPLES)):
        column, row = ((points * torch.tensor([1, -1]).to(points) / reach + 1) / 2 * (size - 1)).round().long().T.cpu()
        inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
        picture[row[inside], column[inside]] = torch.tensor(color, dtype=torch.uint8)
    return picture
