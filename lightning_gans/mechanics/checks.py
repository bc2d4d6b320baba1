"""Mistakes that a user can make, refused in a sentence before the first step."""

from collections.abc import Iterable
from typing import Any

from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from lightning_gans.mechanics.players import Batch, check_clip
from lightning_gans.mechanics.schedules import at

REQUIREMENTS = {
    "convert": "makes images of other images",
    "generate": "draws images from latents",
    "discriminate": "has a discriminator of images",
    "logits": "has logits of real against fake",
    "extrapolate": "goes on with sequences",
    "synthesize": "has styles between latents and images",
}
"""Methods of the contract in words, as the end of "needs a variant that"."""


def as_batch(batch: Any) -> Batch:
    """Returns a batch of images alone as a batch of one item, and any other tuple as it is."""
    if isinstance(batch, Tensor):
        return (batch,)
    if not isinstance(batch, (tuple, list)):
        raise ValueError(
            f"A batch must be images, or a tuple that starts with them, got {type(batch).__name__}: return tuples from "
            "your data set, or from the `collate_fn` of your DataLoader."
        )
    return batch


def check_arguments(module: Any, regularizers: Iterable[Any]) -> None:
    """Refuses impossible arguments of the loop, and regularizers that ask for more than the variant has."""
    for name, value in (("n_critic", module.n_critic), ("micro_batches", module.micro_batches)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}.")
    if at(module.ema_halflife, 0) < 0:
        raise ValueError(
            f"`ema_halflife` must be 0 (no average) or more thousands of images, got {module.ema_halflife}."
        )
    check_clip("generator", module.generator_clip)
    check_clip("discriminator", module.discriminator_clip)
    whole = [part for part in (module, *regularizers) if part.whole_batch]
    if whole and module.micro_batches > 1:
        raise ValueError(
            f"`micro_batches` must be 1 for {type(whole[0]).__name__}, whose loss is one of the whole batch, "
            f"got {module.micro_batches}."
        )
    for regularizer in regularizers:
        module.require(type(regularizer).__name__, *regularizer.needs)


def check_trainer(module: Any, trainer: Any) -> None:
    """Refuses a strategy that reduces gradients by itself, and an average in half precision, which loses updates."""
    if trainer.world_size > 1 and not isinstance(trainer.strategy, DDPStrategy):
        raise ValueError(f"`strategy` must be ddp on several processes, got {type(trainer.strategy).__name__}.")
    precision = str(trainer.precision)
    averages = module.generator_ema is not None or len(module.regularizers)
    if precision in ("bf16-true", "16-true") and averages:
        raise ValueError(
            f"`precision` must not be {precision} with a moving average or regularizers, whose means would lose small "
            f"updates: use {precision.replace('true', 'mixed')}, or set `ema_halflife` to 0 and take the others out."
        )
