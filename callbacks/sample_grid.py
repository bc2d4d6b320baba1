"""Pictures of what the generator draws as it learns."""

import math
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from lightning import Callback, Trainer
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from lightning_gans.adversarial import as_batch
from lightning_gans.datamodules import TensorDataModule


def to_uint8(images: Float[Tensor, "b c h w"]) -> UInt8[Tensor, "b c h w"]:
    """Images in [-1, 1] as bytes on the CPU, rounded to the nearest."""
    return images.float().clamp(-1, 1).add(1).mul(127.5).round().byte().cpu()


def near_square_grid(images: UInt8[Tensor, "b c h w"]) -> UInt8[Tensor, "3 height width"]:
    """All images in one picture, row by row, about as wide as it is high."""
    count, _, height, width = images.shape
    return make_grid(images, nrow=math.ceil(math.sqrt(count * height / width)), padding=2, pad_value=255)


class SampleGrid(Callback):
    """Writes grids of samples as training goes, always of the same latents.

    The files are `samples/<name>_<kimg>kimg.png` in the run folder, one for each kind of image that the model
    draws, and `samples/real.png` beside them. Any logger that takes images gets them too. Labels and source images
    are spread evenly over the evaluation images of a data module of the package, since those of a folder stand class
    by class. With other data they come from the start of the validation data, or without any from the first training
    batch; then a resumed run has others.

    Args:
        every_kimg: Thousands of training images between two grids; there is also one at the start and one at the end.
        num_images: Images in a grid; less data gives a smaller grid.
        seed: Seed of the latents, the same for every grid.
    """

    def __init__(self, every_kimg: float = 20.0, num_images: int = 64, seed: int = 0):
        if every_kimg <= 0:
            raise ValueError(f"`every_kimg` must be positive, got {every_kimg}.")
        if num_images < 1:
            raise ValueError(f"`num_images` must be at least 1, got {num_images}.")
        self.every_kimg = every_kimg
        self.num_images = num_images
        self.seed = seed
        self._batch: tuple[Tensor, ...] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._folder = Path(trainer.log_dir or trainer.default_root_dir) / "samples"  # a broadcast: on every process
        self._batch = self._validation_images(trainer)
        self._started = False

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._started or not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._started = True
        self._images = self._drawn_at = pl_module.images_seen
        if self._batch is None:
            self._batch = tuple(item[: self.num_images] for item in as_batch(batch))
        self._write(trainer, "real", "real.png", self._batch[0])
        if self._images == 0:
            self._draw(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if not self._started:
            return
        before, self._images = self._images, pl_module.images_seen
        period = 1000 * self.every_kimg
        if self._images // period > before // period:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self._started and self._drawn_at != self._images:
            self._draw(trainer, pl_module)

    def _validation_images(self, trainer: Any) -> tuple[Tensor, ...] | None:
        """`num_images` images to evaluate against, None without validation data."""
        data = trainer.datamodule
        if isinstance(data, TensorDataModule) and trainer.enable_validation and not trainer.overfit_batches:
            count = len(data.evaluation)
            spread = torch.linspace(0, count - 1, min(count, self.num_images)).long()
            return tuple(as_batch(trainer.strategy.batch_to_device(data.evaluation[spread])))
        if trainer.enable_validation and trainer.val_dataloaders is None:  # no sanity check came before, as on resuming
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.setup_data()
            trainer.training = True
        loaders = CombinedLoader(trainer.val_dataloaders or [], "sequential").flattened[:1]
        batches: list[Any] = []
        with isolate_rng():
            for batch in chain.from_iterable(loaders):
                batches.append(as_batch(trainer.strategy.batch_to_device(batch)))
                if sum(len(images) for images, *_ in batches) >= self.num_images:
                    break
        return tuple(torch.cat(parts)[: self.num_images] for parts in zip(*batches, strict=True)) or None

    def _draw(self, trainer: Trainer, pl_module: Any) -> None:
        self._drawn_at = self._images
        for name, images in pl_module.draw(self._batch, self.seed).items():
            if images.ndim == 4:  # not the labels
                self._write(trainer, name, f"{name}_{self._images / 1000:09.3f}kimg.png", images)

    def _write(self, trainer: Trainer, name: str, file: str, images: Float[Tensor, "b c h w"]) -> None:
        grid = near_square_grid(to_uint8(images))
        picture = to_pil_image(grid)
        self._folder.mkdir(parents=True, exist_ok=True)
        picture.save(self._folder / file)
        logger: Any
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):  # as of Weights & Biases
                logger.log_image(key=f"samples/{name}", images=[picture], step=trainer.global_step)
            elif hasattr(getattr(logger, "experiment", None), "add_image"):  # as of TensorBoard
                logger.experiment.add_image(f"samples/{name}", grid, trainer.global_step)
