"""The checkpoint to go on from."""

from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_gans.callbacks.intervals import ends_training


class NewestCheckpoint(ModelCheckpoint):
    """Keeps the newest state of a run as `last.ckpt`, written every so many steps and after the very last one.

    Args:
        every_n_train_steps: Training batches between two writes.
    """

    def __init__(self, every_n_train_steps: int = 500):
        super().__init__(filename="last", every_n_train_steps=every_n_train_steps, enable_version_counter=False)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        super().on_train_batch_end(trainer, pl_module, *args)
        if ends_training(trainer):
            self.best_model_path = str(Path(str(self.dirpath)) / "last.ckpt")
            trainer.save_checkpoint(self.best_model_path)
