"""Images that are decoded or drawn once for all processes and runs, and anew when their files change."""

import hashlib
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from jaxtyping import Int64, UInt8
from torch import Tensor

from lightning_gans.datamodules.decoding import Decoding, Source, decoded
from lightning_gans.datamodules.pixel_file import kept_fingerprint, mapped, write
from lightning_gans.datamodules.tensors import TensorImages
from lightning_gans.mechanics.files import UNFINISHED, cache_folder, hash_of

FORMAT = 1  # counts changes to how images are decoded or kept


class CachedImages(TensorImages):
    """Labelled images in a mapped file, with a fingerprint that does not need all of them to be read.

    Args:
        image: The images, 0 for black to 255 for white.
        label: Their classes.
        pixels: The fingerprint of the images.
    """

    def __init__(self, image: UInt8[Tensor, "n c h w"], label: Int64[Tensor, " n *k"], pixels: str):
        super().__init__(image, label)
        self.pixels = pixels

    @property
    def fingerprint(self) -> str:
        return hash_of({f"label of {self.pixels}": self.label})


def cached_images(
    cache: str | None,
    name: str,
    fingerprint: str,
    sources: Callable[[], Iterable[Source]],
    label: Int64[Tensor, " n *k"],
    decoding: Decoding,
) -> TensorImages:
    """Returns labelled images that are decoded once, however many processes and runs read them.

    Args:
        cache: Folder of the file; `default` is `lightning-gans` in the user's folder for caches, None decodes into the
            memory of this process instead.
        name: Name of the file, the same for all states of the same images.
        fingerprint: Names the state of the images; a file with another fingerprint is made anew.
        sources: Lists the images; not called if they are decoded already.
        label: Their labels.
        decoding: Size, channels and crop.
    """
    fingerprint = fingerprint_of(FORMAT, fingerprint, decoding)
    count, size, channels = len(label), decoding.size, decoding.channels
    shape, name = (count, channels, size, size), f"{name}-{size}x{size}x{channels}"
    image = cached_pixels(cache, name, fingerprint, shape, lambda: decoded(sources(), count, decoding))
    return TensorImages(image, label) if cache is None else CachedImages(image, label, fingerprint)


def cached_pixels(
    cache: str | None,
    name: str,
    fingerprint: str,
    shape: tuple[int, ...],
    images: Callable[[], Iterable[np.ndarray]],
) -> UInt8[Tensor, "..."]:
    """Returns bytes that are made once, however many processes and runs read them.

    Args:
        cache: Folder of the file, as `cached_images` has it.
        name: Name of the file, without its ending.
        fingerprint: Names the state of the bytes; a file with another fingerprint is made anew.
        shape: Their shape.
        images: Yields them, piece by piece; not called if the file is there already.
    """
    folder = cache_folder(cache)
    if folder is None:
        pixels, start = torch.empty(math.prod(shape), dtype=torch.uint8), 0
        for image in images():
            pixels.numpy()[start : start + image.size] = image.ravel()
            start += image.size
        return pixels.view(shape)
    path = folder / f"{name}.pixels"
    if kept_fingerprint(path) != fingerprint:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
            with FileLock(f"{path}.lock"):  # whoever comes second waits, and finds the file
                if kept_fingerprint(path) != fingerprint:
                    write(path, fingerprint, shape, images())
        except OSError as error:
            raise OSError(f"{folder} cannot hold the decoded images ({error}): choose another `cache`.") from None
    return mapped(path, fingerprint)


def fingerprint_of(*facts: object) -> str:
    """Returns the start of the SHA-256 of facts, as they are printed."""
    return hashlib.sha256("\n".join(map(str, facts)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def fingerprint_of_files(folder: Path, names: Iterable[str]) -> str:
    """Returns a fingerprint of the names of files in a folder, their sizes and times of change."""
    stats = ((name, os.stat(f"{folder}/{name}")) for name in names)
    return fingerprint_of(*(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats))


def remove_leftovers(folder: Path) -> None:
    """Removes unfinished files of processes that were killed."""
    for leftover in folder.glob(f"*.pixels{UNFINISHED}"):
        try:
            with FileLock(f"{leftover.with_suffix('')}.lock", timeout=0):
                leftover.unlink(missing_ok=True)
        except Timeout:  # another process is writing it
            continue
