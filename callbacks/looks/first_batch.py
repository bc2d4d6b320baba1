"""The base of callbacks that look into a trained generator: one batch for all processes, and its latents."""

from typing import Any

from jaxtyping import Float, Int64
from lightning.fabric.utilities.apply_func import move_data_to_device
from torch import Tensor

from lightning_gans.callbacks.drawn import fake_images
from lightning_gans.callbacks.scores.scorer import Scorer
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.randomness import seeded

CHUNK = 50  # images drawn at a time, on whatever number of processes


class FirstBatchScorer(Scorer):
    """Scores a trained variant at a test, and keeps the first batch: its pictures are the same on all processes."""

    stages = ("test",)

    def check(self, pl_module: Any, outputs: Any, batch: Batch) -> None:
        fake_images(type(self).__name__, pl_module, outputs)

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        self._first: Batch | None = None

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        if index == 0:
            self._first = batch

    def first_batch(self, trainer: Any) -> Batch:
        """Returns the first batch, on all processes."""
        return trainer.strategy.batch_to_device(trainer.strategy.broadcast(move_data_to_device(self._first, "cpu")))


def latents(module: Any, size: int, seed: int) -> Float[Tensor, "b z"]:
    """Returns latents as the variant draws them."""
    with module.evaluating(), seeded(seed, module.device):
        return module.latent(size)


def images_of(module: Any, batch: Batch, seed: int, latent: Float[Tensor, "b z"]) -> Float[Tensor, "b c h w"]:
    """Returns the images of latents, with all else of the rows of a batch."""
    return module.draw(batch, seed, latent=latent)["fake"].float()


def styles_of(module: Any, latent: Float[Tensor, "b z"], batch: Batch) -> Float[Tensor, "b n s"]:
    """Returns the styles of latents, with the conditions of a batch, of a variant that has styles."""
    with module.evaluating():
        return module.styles(latent, batch)


def images_of_styles(
    module: Any, styles: Float[Tensor, "b n s"], seed: int, noise: bool | list[bool] = True
) -> Float[Tensor, "b c h w"]:
    """Returns the images of styles, whose noise is that of the seed, in all layers, in none, or in those said."""
    with module.evaluating(), seeded(seed, module.device):
        return module.synthesize(styles, noise).float()


def rows_of(batch: Batch, index: Int64[Tensor, " n"]) -> Batch:
    """Returns rows of a batch, which begins anew at its end."""
    return [item[(index % len(item)).to(item.device)] for item in batch]
