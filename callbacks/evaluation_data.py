"""The images that are evaluated on."""

from typing import Any


def evaluation_source(trainer: Any) -> Any:
    """Returns Lightning's source of the loaders that are evaluated on now, or in the validations of a fit."""
    loops = {"validate": trainer.validate_loop, "test": trainer.test_loop}
    return loops.get(trainer.state.fn, trainer.fit_loop.epoch_loop.val_loop)._data_source


def own_data(trainer: Any) -> Any:
    """Returns the data module, or None where loaders that were handed in by themselves are evaluated on."""
    return trainer.datamodule if evaluation_source(trainer).instance is trainer.datamodule else None


def reference_of(trainer: Any, stage: str) -> str:
    """Returns the name of a score's real images."""
    return getattr(own_data(trainer), "reference", f"{stage} dataloader")
