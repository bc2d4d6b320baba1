"""Files that are whole at every moment, the folder for caches, and names of what tensors hold."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

UNFINISHED = ".part"
"""Ends the name of a file that is being written."""


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a file that takes the place of `path` once it is written and on the disk.

    Until then the file that was there before stands, also after a kill or an error. The folder is made if it is
    missing. Only one process may write to a path at a time: take a lock where there are several. The file can be read
    as well, from its start after `seek(0)`.

        with atomic_write(folder / "scores.json") as file:
            file.write(text.encode())
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + UNFINISHED)
    try:
        with beside.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def cache_folder(name: str | None) -> Path | None:
    """Returns the folder of that name: `default` is `lightning-gans` in the user's folder for caches, None is none."""
    if name == "default":
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightning-gans"
    return None if name is None else Path(name)


def hash_of(tensors: dict[str, Tensor]) -> str:
    """Returns the start of the SHA-256 of names, shapes and bytes."""
    sha256 = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        sha256.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        sha256.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return sha256.hexdigest()[:16]
