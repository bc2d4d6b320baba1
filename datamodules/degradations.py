"""Degradations of images that are to be restored, as functions of the images and their indices."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn.functional import interpolate

from lightning_gans.datamodules.pixel_cache import fingerprint_of
from lightning_gans.datamodules.tensors import InMemory
from lightning_gans.mechanics.randomness import mix


@dataclass(frozen=True)
class Degradation:
    """A way to the source of an image, from which it is to be restored.

    Args:
        kind: `down` makes it smaller, `rain` lets it rain, `mask` says where a hole is, `none` leaves it as it is.
        factor: Times that a smaller image is smaller.
        hole: Where the hole is, at a place drawn by the index or in the centre.
        hole_size: Height and width of the hole in pixels; None takes half of the height of the image.
    """

    kind: Literal["down", "rain", "mask", "none"]
    factor: int = 4
    hole: Literal["random", "center"] = "random"
    hole_size: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("down", "rain", "mask", "none"):
            raise ValueError(f"`degradation` must be down, rain, mask or none, got {self.kind}.")
        if self.hole not in ("random", "center"):
            raise ValueError(f"`hole` must be random or center, got {self.hole}.")

    def check(self, size: int) -> None:
        """Refuses images of a size that does not suit."""
        if self.kind == "down" and (self.factor < 1 or size % self.factor):
            raise ValueError(f"The size of images must be a multiple of `factor`, got {size} and {self.factor}.")
        if self.kind == "mask" and self.hole_size is not None and not 1 <= self.hole_size <= size:
            raise ValueError(f"`hole_size` must be from 1 to the size of images, {size}, got {self.hole_size}.")

    def __call__(self, image: Float32[Tensor, "b c h w"], index: list[int]) -> Float32[Tensor, "b k i j"]:
        size = (image.shape[2], image.shape[3])
        if self.kind == "down":
            return smaller(image, self.factor)
        if self.kind == "rain":
            return rained(image, torch.stack([rain(size, number) for number in index]))
        if self.kind == "mask":
            keys = [number if self.hole == "random" else None for number in index]
            hole_size = size[0] // 2 if self.hole_size is None else self.hole_size
            return torch.stack([mask(size, hole_size, key) for key in keys])
        return image


class Degraded(InMemory):
    """Pairs of images and what is left of them, `(target, source)`.

    A batch is a function of its indices. Sets whose indices stand for one view each have the same sources in each
    epoch, so `Views` is put around them.

    Args:
        images: The images, the first part of its batches.
        degradation: The way to the source of an image, which also knows its index.
    """

    def __init__(self, images: InMemory, degradation: Degradation):
        self.images = images
        self.degradation = degradation
        self.noun = images.noun

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.images.fingerprint, self.degradation)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b c h w"], Float32[Tensor, "b k i j"]]:
        target = self.images[index][0]
        return target, self.degradation(target, index.tolist())

    def order(self, seed: int, epoch: int) -> Int64[Tensor, " n"]:
        return self.images.order(seed, epoch)


def smaller(image: Float32[Tensor, "b c h w"], factor: int) -> Float32[Tensor, "b c i j"]:
    """Returns images made smaller by bicubic interpolation with antialiasing, in the 256 steps of a file."""
    size = [length // factor for length in image.shape[2:]]
    small = interpolate(image, size, mode="bicubic", antialias=True)
    return ((small + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1


def rained(image: Float32[Tensor, "b c h w"], layer: Float32[Tensor, "b 1 h w"]) -> Float32[Tensor, "b c h w"]:
    """Adds rain, 0 for none to 1 for white, to images; what would be brighter than white is white."""
    return (image + 2 * layer).clamp(max=1)


def rain(size: tuple[int, int], index: int) -> Float32[Tensor, "1 {size[0]} {size[1]}"]:
    """Draws a layer of rain, from 0 for none to 1 for white, that depends on the index alone.

    The streaks are 9 to 25 pixels high and cover about 5 to 30 % of the image. They fall up to 30 degrees away from the
    vertical, all in about one direction.
    """
    generator = torch.Generator().manual_seed(mix(index, 3))
    share, slant, length, gain = torch.rand(4, generator=generator).tolist()
    share, slant, length, gain = 0.05 + 0.15 * share, 60 * slant - 30, round(9 + 16 * length), 0.4 + 0.5 * gain
    layer = torch.zeros(size)
    for _ in range(3):  # directions, which differ by about 5 degrees
        angle = min(max(slant + 5 * torch.randn((), generator=generator).item(), -45), 45)
        places = torch.rand(size[0] + length, size[1] + 2 * length + 2, generator=generator)
        layer += fallen((places < share / 3 / length).float(), length, math.tan(math.radians(angle)))
    return gain * layer.clamp(max=1)[None]


def fallen(drops: Float32[Tensor, "k l"], length: int, slope: float) -> Float32[Tensor, "h w"]:
    """Draws each drop out to a streak, row by row; the margins, from which drops fall in, are cut off."""
    height, width = drops.shape[0] - length, drops.shape[1] - 2 * length - 2
    layer = torch.zeros(height, width)
    for row in range(length):
        whole, part = divmod(row * slope, 1)
        left = length + int(whole)
        rows = drops[row : row + height]
        layer += (1 - part) * rows[:, left : left + width] + part * rows[:, left + 1 : left + 1 + width]
    return layer


def mask(size: tuple[int, int], hole: int, index: int | None) -> Float32[Tensor, "1 {size[0]} {size[1]}"]:
    """Returns 1 in a square hole and 0 around it; None as the index puts it in the centre."""
    rows, columns = (length - hole for length in size)
    top, left = (
        (rows // 2, columns // 2) if index is None else (mix(index, 4) % (rows + 1), mix(index, 5) % (columns + 1))
    )
    layer = torch.zeros(1, *size)
    layer[:, top : top + hole, left : left + hole] = 1
    return layer
