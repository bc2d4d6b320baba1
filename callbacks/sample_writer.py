"""Samples as files, for other programs to score."""

from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, distributed
from torchvision.transforms.functional import to_pil_image

from lightning_gans.callbacks.sample_grid import near_square_grid, to_uint8
from lightning_gans.mechanics.files import atomic_write

Arrays = dict[str, np.ndarray]


class SampleWriter(Callback):
    """Writes what `predict` draws: all of it as `samples.npz`, and the first hundred images as `samples.png`.

    In the first `image` is uint8 (n, h, w, c), and where the model is told classes `label` is int64 (n,). What other
    images the model draws have arrays and pictures of their own names. The order is that of one process, however many
    there are.

    Args:
        folder: Where to write; null is the run folder.
    """

    def __init__(self, folder: str | None = None):
        self.folder = folder

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        run_folder = trainer.log_dir or trainer.default_root_dir  # a broadcast: on every process
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
        self._batches.append({_key(name): _array(name, tensor) for name, tensor in outputs.items()})

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        ranks = _gather(self._batches) if trainer.world_size > 1 else [self._batches]
        if not trainer.is_global_zero:
            return
        batches = in_order(ranks)
        arrays = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            if name != "label":
                images = torch.from_numpy(array[:100]).permute(0, 3, 1, 2)
                suffix = "" if name == "image" else f"_{name}"
                to_pil_image(near_square_grid(images)).save(self._path.with_name(f"samples{suffix}.png"))
        with atomic_write(self._path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        pl_module.print(f"{len(next(iter(arrays.values())))} samples are in {self._path}")


def in_order(ranks: list[list[Arrays]]) -> list[Arrays]:
    """The batches as one process has them: batch j was dealt to process j % len(ranks)."""
    return [batch for batch in chain.from_iterable(zip_longest(*ranks)) if batch is not None]


def _gather(batches: list[Arrays]) -> list[list[Arrays]]:
    """The batches of every process, on process 0; nothing on the others."""
    ranks: list[Any] | None = [None] * distributed.get_world_size() if distributed.get_rank() == 0 else None
    distributed.gather_object(batches, ranks)
    return ranks or []


def _key(name: str) -> str:
    return "image" if name == "fake" else name


def _array(name: str, tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy() if name == "label" else to_uint8(tensor).permute(0, 2, 3, 1).numpy()
