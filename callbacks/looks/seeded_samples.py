"""Images by their seeds."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from lightning import Callback, Trainer
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from lightning_gans.callbacks.looks.first_batch import images_of, latents
from lightning_gans.callbacks.pictures import mosaic, to_uint8
from lightning_gans.callbacks.run_folder import results_folder, writes
from lightning_gans.mechanics.checks import as_batch
from lightning_gans.mechanics.given import Given
from lightning_gans.mechanics.players import Batch

COLUMNS = 8


class SeededSamples(Callback):
    """Writes the images of seeds when samples are drawn by `predict`, as the authors' StyleGAN programs name them.

    The latent of a seed is `numpy.random.RandomState(seed).randn(1, latent_dim)`, and the noise maps are the seed's
    too, so that an image does not depend on the others. The condition, where there is one, is that of the first image
    of the data. The files are `seeds/seed0000.png` in the run's folder, and all of them are in `samples/seeds.png`.

    Args:
        seeds: Numbers and ranges of them, both ends included, such as `0-31` or `85,100-103`.
        psi: Share of the distance of styles from their mean that is left; 0 draws the mean style.
        folder: Where to write the files; null is `seeds` in the run's folder.
    """

    def __init__(self, seeds: str | int = "0-31", psi: float = 1.0, folder: str | None = None):
        if psi < 0:
            raise ValueError(f"`psi` must be at least 0, got {psi}.")
        self.seeds = numbers(str(seeds))
        self.psi = psi
        self.folder = folder

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        pl_module.require("SeededSamples", "synthesize")

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        folder = results_folder(trainer)  # a broadcast
        self._picture = folder / "samples" / "seeds.png"
        self._folder = folder / "seeds" if self.folder is None else Path(self.folder)
        if taken := [path for path in map(self.path, self.seeds) if path.exists()]:
            raise FileExistsError(f"`{taken[0]}` exists already: move it away, or give another `folder`.")

    def on_predict_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx or dataloader_idx or isinstance(batch, Given) or not writes(trainer):
            return
        first = [item[:1] for item in as_batch(batch)]
        images = [image_of_seed(pl_module, first, seed, self.psi) for seed in self.seeds]
        for folder in (self._folder, self._picture.parent):
            folder.mkdir(parents=True, exist_ok=True)
        for seed, image in zip(self.seeds, images, strict=True):
            to_pil_image(to_uint8(image)[0]).save(self.path(seed))
        mosaic(torch.cat(images), min(COLUMNS, len(images))).save(self._picture)
        pl_module.print(f"{len(images)} images of seeds are in {self._folder}")

    def path(self, seed: int) -> Path:
        """Returns the file for the image of a seed."""
        return self._folder / f"seed{seed:04d}.png"


def image_of_seed(module: Any, batch: Batch, seed: int, psi: float = 1.0) -> Float[Tensor, "1 c h w"]:
    """Returns the image of a seed, with the condition of a batch of one, by a variant that has styles."""
    size = latents(module, 1, seed).shape[1]
    latent = torch.from_numpy(np.random.RandomState(seed).randn(1, size)).to(module.device, module.dtype)
    with module.truncated(psi):
        return images_of(module, batch, seed, latent)


def numbers(text: str) -> list[int]:
    """Returns the numbers of a text such as `1,4-6`."""
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise ValueError(f"`seeds` must be numbers and ranges of them, such as 0-31 or 85,100-103, got {text!r}.")
    ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
    found = [number for part in ends for number in range(part[0], part[-1] + 1)]
    if any(part[0] > part[-1] for part in ends) or len(set(found)) != len(found):
        raise ValueError(f"`seeds` must be different numbers and rising ranges, got {text!r}.")
    return found
