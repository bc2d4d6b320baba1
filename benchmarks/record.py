"""Writes what a benchmark measured: a record in `benchmarks/results`, and pictures in `docs/images`.

Every record has the same form:

    name      of the file: a recipe, with the seed behind it, or a benchmark
    seed      of what is random, or null
    command   repeats the measurement
    machine   processor, threads and versions, or null where nobody noted them
    seconds   on the clock, or null where nobody noted them
    values    the measured numbers by name
    protocol  what else is needed to get the same numbers
"""

import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from lightning_gans.callbacks.pictures import to_uint8

RESULTS = Path(__file__).parent / "results"
PICTURES = Path(__file__).parents[1] / "docs" / "images"
STARTED = time.monotonic()


def write_record(
    name: str,
    values: dict[str, Any],
    protocol: Any,
    seed: int | None = None,
    seconds: float | None = None,
    command: str | None = None,
    folder: Path = RESULTS,
) -> Path:
    """Writes `<name>.json`.

    Args:
        name: The name of the record's file.
        values: The measured numbers by name.
        protocol: What else is needed to get the same numbers.
        seed: The seed of what is random; None if nothing is.
        seconds: How long the measurement took; None takes the time since this module was loaded.
        command: The command that repeats the measurement; None takes the one of this process.
        folder: The folder of the file.
    """
    record = {
        "name": name,
        "seed": seed,
        "command": command or own_command(),
        "machine": machine(),
        "seconds": round(time.monotonic() - STARTED if seconds is None else seconds),
        "values": values,
        "protocol": protocol,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path


def own_command() -> str:
    """Returns the command that started this process, as a user types it."""
    module: Any = sys.modules["__main__"]
    return shlex.join(["python", "-m", module.__spec__.name, *sys.argv[1:]])


def machine() -> dict[str, Any]:
    """Returns the processor, the threads and the versions of this process."""
    return {
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def save_grid(images: Tensor, columns: int, path: Path, padding: int = 2) -> None:
    """Writes a picture of images in [-1, 1], row by row on white; gray ones stay gray."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = make_grid(to_uint8(images), nrow=columns, padding=padding, pad_value=255)
    to_pil_image(pixels[: images.shape[1]]).save(path, optimize=True)
