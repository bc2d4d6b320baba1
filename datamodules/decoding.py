"""From files of any kind of image to bytes."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps
from tqdm import tqdm

Source = tuple[str, Path | bytes]
"""The name of an image, for messages, and its file or its bytes."""

ORIENTATION = 0x0112  # the tag of EXIF data that says how the camera was held
HELD = 2**28  # bytes of decoded images that wait to be written
NAMED = 5  # unreadable images that a message names


class Decoder(ABC):
    """A way from an image to bytes; its fields, as they are printed, tell it from others."""

    @property
    def at_once(self) -> int:
        """Images whose decoding is under way at once."""
        return 1024

    @abstractmethod
    def read(self, file: Path | bytes) -> UInt8[np.ndarray, "c h w"]:
        """Decodes one image."""

    def tried(self, source: Source) -> UInt8[np.ndarray, "c h w"] | tuple[str, str]:
        """Returns the image, or its name and what is wrong with it."""
        name, file = source
        try:
            if not (len(file) if isinstance(file, bytes) else file.stat().st_size):
                return name, "it is empty"
            return self.read(file)
        except Exception as error:  # Decoders raise errors of any kind.
            return name, str(error)


@dataclass(frozen=True)
class Decoding(Decoder):
    """The way from an image to square bytes.

    Args:
        size: Height and width in pixels.
        channels: 3 for colour, 1 for grey.
        crop: Side of the square that is cut from the centre first; None takes the largest square.
    """

    size: int
    channels: int = 3
    crop: int | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"`size` must be at least 1, got {self.size}.")
        if self.channels not in (1, 3):
            raise ValueError(f"`channels` must be 1 or 3, got {self.channels}.")

    @property
    def at_once(self) -> int:
        return min(max(HELD // (self.size**2 * self.channels), 16), 1024)

    def read(self, file: Path | bytes) -> UInt8[np.ndarray, "c h w"]:
        """Decodes, turns upright, crops and resizes one image."""
        pixels = ImageOps.fit(self.part(opened(file, self.channels)), (self.size, self.size), Image.Resampling.LANCZOS)
        return as_array(pixels)

    def part(self, image: Image.Image) -> Image.Image:
        """Cuts out what is resized."""
        return image if self.crop is None else cropped(image, self.crop)


@dataclass(frozen=True)
class HalfDecoding(Decoding):
    """The way from one half of an image, which holds two of equal size side by side, to square bytes."""

    half: Literal["left", "right"] = "left"

    def part(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        if width % 2:
            raise ValueError(f"it is {width} pixels wide, an odd number, and has no two halves")
        start = width // 2 if self.half == "right" else 0
        return image.crop((start, 0, start + width // 2, height))


@dataclass(frozen=True)
class WholeDecoding(Decoder):
    """The way from a photograph to its bytes in full size, in colour.

    Args:
        multiple: What height and width are a multiple of; the rest is cut off at the right and at the bottom.
    """

    multiple: int = 1

    @property
    def at_once(self) -> int:
        return 32  # of some megabytes each

    def read(self, file: Path | bytes) -> UInt8[np.ndarray, "c h w"]:
        image = opened(file, 3)
        return as_array(image.crop((0, 0, *self.cut(image.size))))

    def cut(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the width and height that are left of an image."""
        return size[0] - size[0] % self.multiple, size[1] - size[1] % self.multiple


def opened(file: Path | bytes, channels: int) -> Image.Image:
    """Decodes an image in 8 bits of colour (3 channels) or grey (1), upright and on white."""
    with Image.open(BytesIO(file) if isinstance(file, bytes) else file) as image:
        of_16_bits = image.mode.startswith("I;16") or image.mode == "I" and image.format in ("PNG", "PPM")
        upright = ImageOps.exif_transpose(image)
    if of_16_bits:
        upright = Image.fromarray((np.asarray(upright, np.float32) / 257).round().clip(0, 255).astype(np.uint8))
    elif upright.mode in ("I", "F"):
        raise ValueError("32 bits per pixel, whose range it does not say")
    return on_white(upright).convert("RGB" if channels == 3 else "L")


def as_array(image: Image.Image) -> UInt8[np.ndarray, "c h w"]:
    """Returns the bytes of an image, channel by channel."""
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1))


def sizes_of(sources: Iterable[tuple[str, Path]]) -> list[tuple[int, int]]:
    """Returns the width and height of images once they are upright, from the start of each file.

    Raises:
        ValueError: Some are not readable, and it names the first of them.
    """
    sizes, bad = [], []
    for name, file in sources:
        try:
            with Image.open(file) as image:
                lies = image.getexif().get(ORIENTATION, 1) >= 5
                sizes.append((image.height, image.width) if lies else image.size)
        except Exception as error:  # Decoders raise errors of any kind.
            bad.append((name, str(error)))
    if bad:
        raise ValueError(unreadable(bad, len(sizes) + len(bad)))
    return sizes


def on_white(image: Image.Image) -> Image.Image:
    """Puts what is transparent on white."""
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
        return image
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white


def cropped(image: Image.Image, side: int) -> Image.Image:
    """Cuts out the square in the centre; an odd pixel is left at the right and at the bottom."""
    width, height = image.size
    if side > min(width, height):
        raise ValueError(f"{width}x{height} pixels, smaller than the crop of {side}")
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def decoded(sources: Iterable[Source], count: int, decoder: Decoder) -> Iterator[UInt8[np.ndarray, "c h w"]]:
    """Yields all images in order, decoded by as many threads as there are cores.

    Raises:
        ValueError: Some are not readable, and it names the first of them, or there are not `count` images.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    threads = len(affinity(0)) if affinity else os.cpu_count()
    bad: list[tuple[str, str]] = []
    waiting, done = iter(sources), 0
    bar = tqdm(total=count, desc="Decoding images", disable=None, leave=False)
    with ThreadPoolExecutor(threads) as pool, bar:
        while chunk := list(islice(waiting, decoder.at_once)):
            for result in pool.map(decoder.tried, chunk):
                if isinstance(result, tuple):
                    bad.append(result)
                elif not bad:  # goes on to name all that are bad
                    yield result
            done += len(chunk)
            bar.update(len(chunk))
    if bad:
        raise ValueError(unreadable(bad, count))
    if done != count:
        raise ValueError(f"There are {done} images where {count} were expected: something else changes them now.")


def unreadable(bad: list[tuple[str, str]], count: int) -> str:
    """Returns one sentence about images that are not readable."""
    if len(bad) == 1:
        return f"{bad[0][0]} is not a readable image ({bad[0][1]}): repair or remove it."
    names = ", ".join(name for name, _ in bad[:NAMED]) + (" and others" if len(bad) > NAMED else "")
    return f"{len(bad)} of {count} are not readable images, {names} ({bad[0][1]}): repair or remove them."
