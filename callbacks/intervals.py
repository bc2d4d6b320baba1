"""Times to look at a run, which are the same on all processes."""

from typing import Any

from lightning_gans.mechanics.checks import as_batch


def batches_of(kimg: float, batch: Any, trainer: Any) -> int:
    """Returns how many batches hold `kimg` thousand images, at least one; all processes call this.

    Args:
        kimg: Thousands of images, over all processes.
        batch: One of this process's batches.
        trainer: The trainer.
    """
    size = trainer.strategy.broadcast(len(as_batch(batch)[0]))  # batches are of equal size, or are refused later
    return max(1, round(1000 * kimg / (size * trainer.world_size)))


def ends_training(trainer: Any) -> bool:
    """Returns True after the very last batch."""
    is_last_epoch = trainer.current_epoch + 1 == trainer.max_epochs
    return trainer.global_step == trainer.max_steps or (is_last_epoch and trainer.is_last_batch)
