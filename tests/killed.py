"""Run by a process of its own: trains every recipe until it is killed, and resumes it, each in a fork."""

import io
import os
import signal
import traceback
from pathlib import Path

import torch
from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_gans.__main__ import main
from tests.conftest import RECIPES, reduced

GROWTH = {  # in fives of batches: the checkpoint of step 8 is in a fade, which ends at step 10
    f"model.{network}.init_args.level.init_args.kimg": 0.04 for network in ("generator", "discriminator")
}


class KillAt(Callback):
    """Ends the process at once when a batch begins, as a power failure would.

    Args:
        step: Batches taken before.
    """

    def __init__(self, step: int):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def fit(recipe: str, folder: Path, kill_at: int = -1, **options: object) -> int:
    """Trains three epochs of 6 batches in a fork, with a checkpoint every 4 steps; returns how it ended."""
    folder.mkdir(parents=True, exist_ok=True)
    saver = {"dirpath": str(folder), "filename": "{step}", "every_n_train_steps": 4, "save_top_k": -1}
    callbacks = [
        {"class_path": f"{ModelCheckpoint.__module__}.ModelCheckpoint", "init_args": {**saver, "save_last": True}},
        {"class_path": "tests.killed.KillAt", "init_args": {"step": kill_at}},
    ]
    changes = {"callbacks": callbacks, "enable_checkpointing": True, "max_epochs": 3, "max_steps": -1}
    path = reduced(recipe, folder, limit_train_batches=6, **changes)
    pid = os.fork()
    if pid == 0:
        try:
            main(["fit", "--config", path, *(f"--{name}={value}" for name, value in options.items())])
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_in_second_write() -> None:
    """From now on this process ends in the middle of writing its second `last.ckpt`."""
    save, written = torch.save, []

    def half(checkpoint, file):
        written.append(file.name.endswith("last.ckpt.part"))
        if sum(written) == 2:
            save(checkpoint, whole := io.BytesIO())
            file.write(whole.getvalue()[: whole.tell() // 2])
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(checkpoint, file)

    torch.save = half


def walk(folder: Path) -> None:
    main(["fit", "--config", reduced(RECIPES[0], folder, fast_dev_run=True)])  # so that no fork has to import again
    for name in [*RECIPES, "growing"]:
        recipe, options = ("progan_mnist", GROWTH) if name == "growing" else (name, {})
        assert fit(recipe, folder / name / "killed", kill_at=13, **options) == -signal.SIGKILL
        options = {**options, "ckpt_path": folder / name / "killed" / "step=8.ckpt"}
        assert fit(recipe, folder / name / "resumed", kill_at=13, **options) == -signal.SIGKILL
    die_in_second_write()
    assert fit(RECIPES[0], folder / "torn") == -signal.SIGKILL
