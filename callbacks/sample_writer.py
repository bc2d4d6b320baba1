"""Samples as files, for other programs to score."""

from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from lightning_gans.callbacks.image_writer import ImageWriter
from lightning_gans.callbacks.pictures import can_be_shown, captioned, near_square_grid, side_by_side, to_uint8
from lightning_gans.callbacks.run_folder import results_folder
from lightning_gans.datamodules import TensorDataModule
from lightning_gans.mechanics.files import atomic_write
from lightning_gans.mechanics.processes import gather_on_first

Arrays = dict[str, np.ndarray]

SHOWN = 100  # images in a picture


class SampleWriter(Callback):
    """Writes what `predict` draws: all of it as `samples.npz`, and the first hundred images as `samples.png`.

    In the first, `image` is uint8 (n, h, w, c), and for a condition that is a class `label` is int64 (n,). For one that
    is a text, `caption` has the texts, and they stand below the images in the second. Other images that the variant
    draws have arrays and pictures of their own names, sequences are (n, t, h, w, c) and their frames stand side by
    side, and all that is no image is kept as it is, without a picture. The order is the one of a single process,
    however many there are. Beside an `ImageWriter` it writes nothing.

    Args:
        folder: Where to write; null is the run folder.
    """

    def __init__(self, folder: str | None = None):
        self.folder = folder

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._writes = not any(isinstance(callback, ImageWriter) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        if not self._writes:
            return
        run_folder = results_folder(trainer)
        self._path = Path(self.folder or run_folder) / "samples.npz"
        if self._path.exists():
            raise FileExistsError(f"`{self._path}` exists already: delete it, or give another `folder`.")
        self._batches: list[Arrays] = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._writes:
            self._batches.append({_key(name): _array(tensor) for name, tensor in outputs.items()})

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._writes:
            return
        ranks = gather_on_first(self._batches, trainer)
        if not trainer.is_global_zero:
            return
        batches = in_order(ranks)
        arrays = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        captions = self._captions(trainer, len(next(iter(arrays.values()))))
        for name, array in arrays.items():
            if array.dtype == np.uint8 and array.ndim > 3:
                images = side_by_side(torch.from_numpy(array[:SHOWN]).movedim(-1, -3))
                suffix = "" if name == "image" else f"_{name}"
                shown = captioned(images, captions[:SHOWN]) if captions else to_pil_image(near_square_grid(images))
                shown.save(self._path.with_name(f"samples{suffix}.png"))
        if captions:
            arrays["caption"] = np.array(captions)
        with atomic_write(self._path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        pl_module.print(f"{len(next(iter(arrays.values())))} samples are in {self._path}")

    def _captions(self, trainer: Any, count: int) -> list[str]:
        """Returns the captions of the first images that are evaluated on; none where they have no captions."""
        data = trainer.datamodule
        return data.captions_of(torch.arange(count)) if isinstance(data, TensorDataModule) else []


def in_order(ranks: list[list[Arrays]]) -> list[Arrays]:
    """Returns the batches as one process has them: batch j was dealt to process j % len(ranks)."""
    return [batch for batch in chain.from_iterable(zip_longest(*ranks)) if batch is not None]


def _key(name: str) -> str:
    return "image" if name == "fake" else name


def _array(tensor: Tensor) -> np.ndarray:
    """Returns images as bytes, their channels last, and all else as it is."""
    if can_be_shown(tensor):
        return to_uint8(tensor).movedim(-3, -1).numpy()
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()  # numpy has no bfloat16
