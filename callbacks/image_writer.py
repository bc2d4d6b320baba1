"""Files of the images that `predict` makes of a person's own, under the same names."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from lightning import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from lightning_gans.callbacks.pictures import can_be_shown, to_uint8
from lightning_gans.callbacks.run_folder import refuse_taken, results_folder
from lightning_gans.datamodules.own_images import OwnImagesDataModule
from lightning_gans.mechanics.files import atomic_write
from lightning_gans.mechanics.given import Given, Place


class ImageWriter(Callback):
    """Writes what `predict` makes of the images of `OwnImagesDataModule`, each as `<name>.png` in its sub-folder.

    A file is written as soon as its image is complete, and one image is in memory at a time. Nothing is overwritten: a
    file that is there already is refused before the first image is drawn. `SampleWriter` then writes nothing. Several
    processes take the images in turn.

    Args:
        folder: Where to write; null is `images` in the run folder.
    """

    def __init__(self, folder: str | None = None):
        self.folder = folder

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "predict":
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, OwnImagesDataModule):
            raise ValueError(
                "`ImageWriter` needs images to name its files after: give OwnImagesDataModule, or leave it out."
            )
        run_folder = results_folder(trainer)  # a broadcast
        self._folder = run_folder / "images" if self.folder is None else Path(self.folder)
        self._unfinished: dict[str, tuple[UInt8[np.ndarray, "h w c"], int]] = {}  # and the pixels that are missing
        refuse_taken([*map(self.path, data.names)])
        plural = "image goes" if len(data.names) == 1 else "images go"
        pl_module.print(f"{len(data.names):,} {plural} to {self._folder}")

    def path(self, name: str) -> Path:
        """Returns the file for what becomes of an image."""
        return self._folder / Path(name).with_suffix(".png")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Given,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        made = outputs["fake"]
        factor = made.shape[-1] // batch.image.shape[-1]
        same = made.shape[2:] == tuple(factor * side for side in batch.image.shape[2:])
        if not (can_be_shown(made) and factor and same):
            raise ValueError(
                "`ImageWriter` needs images in grey or colour, and a whole number of times as large as the given ones, "
                f"got {tuple(made.shape)} of {tuple(batch.image.shape)}."
            )
        for place, piece in zip(batch.places, to_uint8(made), strict=True):
            self.take(place, piece, factor, not trainer.fast_dev_run)  # type: ignore[attr-defined]

    def take(self, place: Place, piece: UInt8[Tensor, "c h w"], factor: int, writes: bool) -> None:
        """Puts a piece into its image, and writes the image once it is complete."""
        height, width = place.size
        if place.name not in self._unfinished:
            empty = np.zeros((factor * height, factor * width, len(piece)), np.uint8)
            self._unfinished[place.name] = empty, height * width
        image, missing = self._unfinished[place.name]
        (top, bottom), (left, right), (y, x) = place.rows, place.columns, place.corner
        rows, columns = slice(factor * top, factor * bottom), slice(factor * left, factor * right)
        centre = piece[:, factor * (top - y) : factor * (bottom - y), factor * (left - x) : factor * (right - x)]
        image[rows, columns] = centre.permute(1, 2, 0).numpy()
        missing -= (bottom - top) * (right - left)
        self._unfinished[place.name] = image, missing
        if not missing:
            del self._unfinished[place.name]
            if writes:
                with atomic_write(self.path(place.name)) as file:
                    Image.fromarray(image if image.shape[2] == 3 else image[..., 0]).save(file, "PNG")
