"""The folder of a run, and what is written there."""

from pathlib import Path
from typing import Any

from PIL import Image


def results_folder(trainer: Any) -> Path:
    """Returns the run's folder, and for a test the one that its checkpoint came from; all processes call this."""
    folder = Path(trainer.log_dir or trainer.default_root_dir)  # a broadcast
    if trainer.state.fn in ("test", "validate") and trainer.ckpt_path:
        folder = Path(trainer.ckpt_path).parent
        folder = folder.parent if folder.name == "checkpoints" else folder
    return folder


def writes(trainer: Any) -> bool:
    """Returns True on the one process that writes files, and on none in a trial run."""
    return trainer.is_global_zero and not trainer.fast_dev_run


def save_picture(picture: Image.Image, name: str, trainer: Any) -> None:
    """Writes `samples/<name>.png` into the run's folder; all processes call this."""
    folder = results_folder(trainer) / "samples"
    if writes(trainer):
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{name}.png")
