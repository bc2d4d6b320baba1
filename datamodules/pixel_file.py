"""Decoded images in a file of bytes, which is mapped into the memory of all processes that read it."""

import json
import shutil
import struct
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lightning_gans.mechanics.files import atomic_write

HEADER = 4096  # bytes before the pixels: one page, so that they begin at the next
PIECE, PIECES = 2**16, 64  # bytes, number: the parts of a large file that a checksum reads


def write(path: Path, fingerprint: str, shape: tuple[int, ...], images: Iterable[np.ndarray]) -> None:
    """Writes images to a file in the form of safetensors, once the disk is known to have room for them."""
    size, free = HEADER + int(np.prod(shape)), shutil.disk_usage(path.parent).free
    if size > free:
        raise OSError(f"it takes {size / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free")
    with atomic_write(path) as file:
        file.write(header(fingerprint, shape, 0))
        for image in images:
            file.write(image.data)
        file.flush()
        crc32 = checksum(np.memmap(file, np.uint8, "r", HEADER))
        file.seek(0)
        file.write(header(fingerprint, shape, crc32))


def header(fingerprint: str, shape: tuple[int, ...], crc32: int) -> bytes:
    """Returns the page before the pixels, which says their shape, fingerprint and checksum."""
    facts = {
        "__metadata__": {"fingerprint": fingerprint, "checksum": str(crc32)},
        "image": {"dtype": "U8", "shape": shape, "data_offsets": [0, int(np.prod(shape))]},
    }
    return struct.pack("<Q", HEADER - 8) + json.dumps(facts).encode().ljust(HEADER - 8)


def checksum(pixels: UInt8[np.ndarray, " k"]) -> int:
    """Returns the CRC-32 of all bytes of a small file, or of evenly spaced pieces of a large one, with its end."""
    crc32 = zlib.crc32(pixels[-PIECE:].data)
    for start in range(0, len(pixels), max(PIECE, len(pixels) // PIECES)):
        crc32 = zlib.crc32(pixels[start : start + PIECE].data, crc32)
    return crc32


def opened(path: Path) -> tuple[dict[str, str], list[int]]:
    """Returns the facts in the header of a file, and the shape of its images."""
    try:
        with safe_open(path, "np") as file:  # compares the size of the file with the shape
            return file.metadata(), file.get_slice("image").get_shape()
    except SafetensorError:
        raise damaged(path) from None


def damaged(path: Path) -> ValueError:
    """Makes the error for a file that cannot be used."""
    return ValueError(f"The decoded images {path} are damaged and are not used: delete the file, and it is made anew.")


def kept_fingerprint(path: Path) -> str | None:
    """Returns the fingerprint of the images in a file; None if there is no file."""
    return opened(path)[0].get("fingerprint") if path.exists() else None


def mapped(path: Path, fingerprint: str) -> UInt8[Tensor, "..."]:
    """Maps the images of a file into memory; only what is indexed is read, and nothing may be written to them."""
    facts, shape = opened(path)
    if facts.get("fingerprint") != fingerprint:
        raise ValueError(f"The images of {path} have changed since they were listed: start again.")
    pixels = np.memmap(path, np.uint8, "r", HEADER)
    if str(checksum(pixels)) != facts.get("checksum"):
        raise damaged(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(pixels).view(shape)
