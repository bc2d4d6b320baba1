"""What pictures of described digits show, measured without their captions: digit, colors, stroke, slant, size, place.

A picture shows what its caption says where both have the same attributes. The digit is read by the classifier that the
package ships, and all else is measured.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import grid_sample

from lightning_gans.metrics.strokes import slant, thickness

COLORS = {
    "red": (214, 39, 40),
    "orange": (255, 140, 26),
    "yellow": (250, 220, 50),
    "green": (44, 150, 60),
    "cyan": (60, 205, 220),
    "blue": (40, 80, 210),
    "purple": (128, 50, 160),
    "pink": (250, 130, 190),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}

ATTRIBUTES = {
    "digit": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "ink": tuple(COLORS),
    "paper": tuple(COLORS),
    "stroke": ("thin", "medium", "thick"),
    "slant": ("left-leaning", "upright", "slanted"),
    "size": ("small", "large"),
    "place": ("top left", "top right", "bottom left", "bottom right", "center"),
}
"""The attributes of a picture in their order, and the words of each."""

COUNTS = tuple(map(len, ATTRIBUTES.values()))
STRIDES = tuple(torch.tensor((*COUNTS[1:], 1)).flip(0).cumprod(0).flip(0).tolist())

SLANT = 0.22  # the mean slant of symmetric digits, which is how people write
MEAN_SLANT = (0.22, 0.25, 0.13, 0.09, 0.07, 0.26, 0.04, 0.04, 0.20, 0.01)  # of each digit, which its shape shifts
STROKE_BORDERS = {  # pixels of 28, as they are found in small and large digits of pictures of this side
    32: ((3.6, 4.2), (2.97, 3.5)),
    64: ((2.55, 3.08), (2.6, 3.12)),
}
SLANT_BORDERS = (-0.07, 0.18)  # pixels to the right per pixel of height
SMALL, LARGE = 28, 44  # sides of the squares that hold a digit, in 64ths of the picture
READ = 1000  # pictures that are read at once


def combination(attribute: Int64[Tensor, "n 7"]) -> Int64[Tensor, " n"]:
    """Returns the number of each combination of attributes, which serves as a label."""
    return (attribute * attribute.new_tensor(STRIDES)).sum(1)


def attributes_of(label: Int64[Tensor, " n"]) -> Int64[Tensor, "n 7"]:
    """Returns the attributes of each combination, in the order of `ATTRIBUTES`."""
    return label[:, None] // label.new_tensor(STRIDES) % label.new_tensor(COUNTS)


def is_unseen(attribute: Int64[Tensor, "n 7"]) -> Bool[Tensor, " n"]:
    """Returns True for what training never shows: one ink in ten for each digit, one paper in ten for each ink."""
    digit, ink, paper = attribute[:, :3].unbind(1)
    return ((3 * digit + 2) % 10 == ink) | ((7 * ink + 3) % 10 == paper)


class Found(NamedTuple):
    """Digits that were found in pictures, as MNIST has them, and what was measured on the way."""

    digit: Float[Tensor, "n 1 28 28"]
    """The digit alone, from -1 for paper to 1 for ink."""
    ink: Int64[Tensor, " n"]
    paper: Int64[Tensor, " n"]
    size: Int64[Tensor, " n"]
    place: Int64[Tensor, " n"]


def read(image: Float[Tensor, "n 3 h h"], classifier: Callable[[Tensor], Tensor]) -> Int64[Tensor, "n 7"]:
    """Measures the attributes of pictures in [-1, 1], in the order of `ATTRIBUTES`.

    Args:
        image: Pictures of 32 or 64 pixels; at 32 the strokes of small digits can hardly be told.
        classifier: Returns logits of the ten digits for images (n, 1, 28, 28) in [-1, 1], such as
            `DigitClassifier.pretrained()`.
    """
    if (side := image.shape[3]) not in STROKE_BORDERS:
        raise ValueError(f"`image` must have 32 or 64 pixels at each side, got {side}.")
    parts = []
    for some in image.float().split(READ):
        found = found_digits(some)
        digit = classifier(found.digit).argmax(1)
        low, high = image.new_tensor(STROKE_BORDERS[side], dtype=torch.float32)[found.size].unbind(1)
        width = thickness(found.digit)
        stroke = (width > low).long() + (width > high).long()
        lean = torch.bucketize(written_slant(found.digit, digit), width.new_tensor(SLANT_BORDERS))
        parts.append(torch.stack([digit, found.ink, found.paper, stroke, lean, found.size, found.place], 1))
    return torch.cat(parts)


def written_slant(image: Float[Tensor, "n 1 h w"], digit: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Measures how far the writing of digits leans to the right, apart from what their shapes add."""
    return slant(image) + SLANT - image.new_tensor(MEAN_SLANT)[digit]


def found_digits(image: Float[Tensor, "n 3 h h"]) -> Found:
    """Finds the digit of each picture: the paper is the color of its border, the ink what differs most from it."""
    side = image.shape[3]
    pixels = (image + 1) * 127.5
    border = torch.cat([pixels[:, :, 0], pixels[:, :, -1], pixels[..., 0], pixels[..., -1]], 2)
    paper = border.median(2).values
    away = (pixels - paper[:, :, None, None]).norm(dim=1).flatten(1)
    strong = away >= 0.9 * away.quantile(0.998, dim=1, keepdim=True)
    ink = pixels.flatten(2).where(strong[:, None], torch.nan).nanmedian(2).values
    change = ink - paper
    alpha = torch.einsum("nchw,nc->nhw", pixels - paper[:, :, None, None], change)
    alpha = (alpha / change.square().sum(1).clamp(min=1)[:, None, None]).clamp(0, 1)
    solid = alpha > 0.3
    extent = torch.stack([length(solid.any(axis)) for axis in (2, 1)]).amax(0)
    large = extent > 26 * side / 64  # 20 of the 28 rows of a digit have ink
    part = torch.where(large, LARGE / 64, SMALL / 64)  # of the side that the digit's square takes
    middle = torch.stack([center((alpha * solid).sum(axis)) for axis in (1, 2)], 1)  # x and y, from -1 to 1
    corner = middle.abs().amax(1) > (1 - part) / 2
    place = torch.where(corner, 2 * (middle[:, 1] > 0).long() + (middle[:, 0] > 0).long(), 4)
    at = (torch.arange(28, device=image.device) + 0.5) / 14 - 1
    grid = torch.stack(torch.meshgrid(at, at, indexing="xy"), 2)
    grid = grid * part[:, None, None, None] + middle[:, None, None]
    digit = grid_sample(2 * alpha[:, None] - 1, grid, padding_mode="border", align_corners=False)
    return Found(digit, color_of(ink), color_of(paper), large.long(), place)


def length(used: Bool[Tensor, "n k"]) -> Int64[Tensor, " n"]:
    """Returns the distance from the first place in use to the last, both included; 0 if none is."""
    place = torch.arange(1, used.shape[1] + 1, device=used.device)
    last = (used * place).amax(1)
    first = torch.where(used, place, used.shape[1] + 1).amin(1)
    return (last - first + 1).clamp(min=0)


def center(weight: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """Returns the mean place of weights along one side of a picture, which goes from -1 to 1."""
    place = (torch.arange(weight.shape[1], device=weight.device) + 0.5) * 2 / weight.shape[1] - 1
    return (weight * place).sum(1) / weight.sum(1).clamp(min=1e-6)


def color_of(value: Float[Tensor, "n 3"]) -> Int64[Tensor, " n"]:
    """Returns the number of the nearest color."""
    return torch.cdist(value, value.new_tensor(list(COLORS.values()))).argmin(1)
