"""Pictures of samples as training goes."""

from itertools import chain
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from lightning_gans.callbacks.evaluation_data import evaluation_source
from lightning_gans.callbacks.pictures import can_be_shown, captioned, near_square_grid, side_by_side, to_uint8
from lightning_gans.callbacks.run_folder import results_folder, writes
from lightning_gans.datamodules import TensorDataModule
from lightning_gans.datamodules.tensors import spread_evenly
from lightning_gans.mechanics.checks import as_batch
from lightning_gans.mechanics.players import Batch


class SampleGrid(Callback):
    """Writes grids of samples as training goes, always of the same latents.

    The files are `samples/<name>_<kimg>kimg.png` in the run folder, one for each kind of image that the variant
    draws, and `samples/real.png` beside them. The frames of a sequence stand side by side, and captions below their
    images. Any logger that takes images gets them too. Labels and source images are spread evenly over the evaluation
    images of a data module of the package, since those of a folder stand class by class. With other data they come from
    the start of the validation data, or without any from the first training batch; then a resumed run has others.

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
        self._batch: Batch | None = None
        self._captions: list[str] = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._folder = results_folder(trainer) / "samples"
        self._batch = self._validation_images(trainer)
        self._started = False

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._started or not writes(trainer):
            return
        self._started = True
        self._images = self._drawn_at = pl_module.images_seen
        if self._batch is None:
            self._batch = [item[: self.num_images] for item in as_batch(batch)]
        if can_be_shown(real := pl_module.real(self._batch)):
            self._write(trainer, "real", "real.png", real)
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

    def _validation_images(self, trainer: Any) -> Batch | None:
        """Returns `num_images` images to evaluate against, None without validation data."""
        data, to_device = trainer.datamodule, trainer.strategy.batch_to_device
        if not trainer.enable_validation:
            return None
        if isinstance(data, TensorDataModule) and not trainer.overfit_batches:
            size = len(data.evaluation)
            index = spread_evenly(min(size, self.num_images), size)
            self._captions = data.captions_of(index)
            return as_batch(to_device(data.evaluation[index]))
        # A loader of its own: the trainer's are not there before the first validation, as on resuming.
        loaders = CombinedLoader(evaluation_source(trainer).dataloader(), "sequential").flattened[:1]
        batches: list[Batch] = []
        with isolate_rng():
            for batch in chain.from_iterable(loaders):
                batches.append(as_batch(to_device(batch)))
                if sum(len(images) for images, *_ in batches) >= self.num_images:
                    break
        return [torch.cat(parts)[: self.num_images] for parts in zip(*batches, strict=True)] or None

    def _draw(self, trainer: Trainer, pl_module: Any) -> None:
        self._drawn_at = self._images
        drawn = pl_module.draw(self._batch, self.seed)
        shown = {name: images for name, images in drawn.items() if can_be_shown(images)}
        if not shown:
            shapes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in drawn.items())
            raise ValueError(
                "`SampleGrid` needs images (b, c, h, w) or sequences of them (b, t, c, h, w), grey or in color, and "
                f"{type(pl_module).__name__} draws {shapes or 'nothing'}: leave it out."
            )
        for name, images in shown.items():
            self._write(trainer, name, f"{name}_{self._images / 1000:09.3f}kimg.png", images)

    def _write(self, trainer: Trainer, name: str, file: str, images: Tensor) -> None:
        pixels = side_by_side(to_uint8(images))
        if len(pixels) == len(self._captions):
            picture = captioned(pixels, self._captions)
        else:
            picture = to_pil_image(near_square_grid(pixels))
        self._folder.mkdir(parents=True, exist_ok=True)
        picture.save(self._folder / file)
        logger: Any
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):  # as of Weights & Biases
                logger.log_image(key=f"samples/{name}", images=[picture], step=trainer.global_step)
            elif hasattr(getattr(logger, "experiment", None), "add_image"):  # as of TensorBoard
                logger.experiment.add_image(f"samples/{name}", pil_to_tensor(picture), trainer.global_step)
