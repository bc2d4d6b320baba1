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


def refuse_taken(paths: list[Path]) -> None:
    """Refuses files to write, if one of them is there already."""
    if taken := [path for path in paths if path.exists()]:
        more = f", and so do {len(taken) - 1} others" if len(taken) > 1 else ""
        raise FileExistsError(f"`{taken[0]}` exists already{more}: move it away, or give another `folder`.")
