"""Measures of characters, dark on white, that tell how a font is drawn."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "b c h w"]
Values = Float[Tensor, " b"]


def ink_of(image: Images) -> Float[Tensor, "b h w"]:
    """Returns the ink at each pixel, 0 for white and 1 for black."""
    return ((1 - image.float().mean(1)) / 2).clamp(0, 1)


def height_and_foot(ink: Float[Tensor, "b h w"]) -> tuple[Values, Values]:
    """Returns how high characters are, and the row on which they stand, in pixels from the top; ink counts by half."""
    row = ink.amax(2)
    place = torch.arange(row.shape[1], device=row.device)
    solid = row > 0.5
    first = torch.where(solid, place, row.shape[1]).amin(1).clamp(max=row.shape[1] - 1)
    last = torch.where(solid, place, 0).amax(1)
    padded = torch.nn.functional.pad(row, (1, 1))  # the first row is now at 1
    top = first + 1 - sum(padded.gather(1, first[:, None] + step)[:, 0] for step in (0, 1))
    foot = last + sum(padded.gather(1, last[:, None] + step)[:, 0] for step in (1, 2))
    return (foot - top).clamp(min=1), foot


def band(rows: Float[Tensor, "b h"], low: Values, high: Values) -> Values:
    """Returns the mean over the rows from `low` to `high`, of which the first and the last count in part."""
    top = torch.arange(rows.shape[1], device=rows.device)
    share = (torch.minimum(top + 1, high[:, None]) - torch.maximum(top, low[:, None])).clamp(min=0)
    return (rows * share).sum(1) / share.sum(1).clamp(min=1e-6)


def parts(rows: Float[Tensor, "b h"], ink: Float[Tensor, "b h w"], *spans: tuple[float, float]) -> list[Values]:
    """Returns means of rows over parts of the height, from 0 for the foot to 1 for the top."""
    height, foot = height_and_foot(ink)
    return [band(rows, foot - high * height, foot - low * height) for low, high in spans]


def stem(image: Images) -> Values:
    """Measures the width of the stems of H over the height of the image: half of the ink across them, below the bar."""
    ink = ink_of(image)
    (waist,) = parts(ink.sum(2), ink, (0.2, 0.36))
    return waist / 2 / ink.shape[2]


def lean(image: Images) -> Values:
    """Measures how far H leans to the right, in pixels per pixel: its ink above the bar against that below."""
    ink = ink_of(image)
    spans = (0.15, 0.4), (0.6, 0.85)
    moment = parts((ink * torch.arange(ink.shape[2], device=ink.device)).sum(2), ink, *spans)
    below, above = (m / n.clamp(min=1e-6) for m, n in zip(moment, parts(ink.sum(2), ink, *spans), strict=True))
    height, _ = height_and_foot(ink)
    return (above - below) / (0.45 * height)


def feet(image: Images) -> Values:
    """Measures the ink at the foot of H over that across its stems: 1 has no serifs."""
    ink = ink_of(image)
    foot, waist = parts(ink.sum(2), ink, (0.0, 0.05), (0.2, 0.36))
    return foot / waist.clamp(min=1e-6)


def breadth(image: Images) -> Values:
    """Measures how wide a character is over its height."""
    ink = ink_of(image)
    return ink.amax(1).sum(1) / ink.amax(2).sum(1).clamp(min=1e-6)


MEASURES: dict[str, tuple[str, Callable[[Images], Values]]] = {
    "weight": ("H", stem),
    "slant": ("H", lean),
    "serif": ("H", feet),
    "width": ("neo", breadth),
}
"""Attributes that are read from pixels: the characters that show them, and the measure."""
