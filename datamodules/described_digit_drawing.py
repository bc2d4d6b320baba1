"""Drawings of digits with captions that are true: any digit in any ink on any paper, small or large, at any place."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch.nn.functional import interpolate

from lightning_gans.datamodules.tensors import TensorImages
from lightning_gans.metrics.described_digits import ATTRIBUTES, COLORS, LARGE, SMALL, is_unseen, written_slant
from lightning_gans.metrics.strokes import thickness

Part = Literal["unseen", "seen"]
"""Combinations of digit and ink, and of ink and paper, that training never shows, or those that it does."""

PAPERS = np.array(list(COLORS.values()), float)
STROKES = (0.0, 2.25), (2.5, 2.85), (3.1, np.inf)  # pixels; digits in between have no word
SLANTS = (-np.inf, -0.12), (-0.04, 0.12), (0.24, np.inf)  # pixels to the right per pixel of height
CONTRAST = 140  # distance in colors, of 255 each, that ink and paper have at least
CORNERS = (0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)
STARTS = "this is", "here is", "a picture of", "you see"


class Plan(NamedTuple):
    """What pictures are to show."""

    source: Int64[np.ndarray, " n"]
    """The digits that they show, as numbers of images."""
    attribute: Int64[np.ndarray, "n 7"]
    """Their attributes, in the order of `ATTRIBUTES`."""


def plan(digits: TensorImages, count: int, part: Part, seed: tuple[int, ...]) -> Plan:
    """Draws what pictures show: each look of each digit equally often, and all that is allowed.

    Args:
        digits: Handwritten digits of 28 pixels.
        count: Pictures.
        part: What combinations they show.
        seed: Seed of the draw.
    """
    random = np.random.default_rng(seed)
    image, label = digits.image.float() / 127.5 - 1, digits.label
    stroke, lean = word(thickness(image), STROKES), word(written_slant(image, label), SLANTS)
    usable = np.flatnonzero((stroke >= 0) & (lean >= 0))
    group = (label.numpy() * 9 + stroke * 3 + lean)[usable]
    share = 1 / np.bincount(group)[group]
    found, total = [], 0
    while total < count:
        pick = random.choice(usable, 2 * count, p=share / share.sum())
        ink, paper = random.integers(0, len(COLORS), (2, len(pick)))
        size, place = (random.integers(0, len(ATTRIBUTES[name]), len(pick)) for name in ("size", "place"))
        attribute = np.stack([label.numpy()[pick], ink, paper, stroke[pick], lean[pick], size, place], 1)
        clear = np.linalg.norm(PAPERS[ink] - PAPERS[paper], axis=1) > CONTRAST
        hidden = is_unseen(torch.from_numpy(attribute)).numpy()
        keep = clear & (hidden == (part == "unseen"))
        found.append((pick[keep], attribute[keep]))
        total += int(keep.sum())
    source, attribute = (np.concatenate(parts)[:count] for parts in zip(*found, strict=True))
    return Plan(source, attribute)


def word(value: Float[torch.Tensor, " n"], ranges: tuple[tuple[float, float], ...]) -> Int64[np.ndarray, " n"]:
    """Returns the number of the range that holds each value; -1 between two of them."""
    return np.select([(value.numpy() > low) & (value.numpy() < high) for low, high in ranges], range(len(ranges)), -1)


def picture(
    digit: UInt8[np.ndarray, "28 28"], attribute: Int64[np.ndarray, " 7"], side: int, random: np.random.Generator
) -> UInt8[np.ndarray, "3 {side} {side}"]:
    """Draws one picture of a digit, with a little chance in its place, its colors and each pixel."""
    _, ink_number, paper_number, _, _, size, place = attribute
    length = side * (SMALL, LARGE)[size] // 64
    free = side - length
    moved = np.array(CORNERS[place]) * free + random.integers(-(side // 32), side // 32 + 1, 2)
    top, left = moved.clip(0, free).astype(int)
    ink, paper = (PAPERS[number] + random.normal(0, 9, 3) for number in (ink_number, paper_number))
    ink, paper = ink.clip(0, 255), paper.clip(0, 255)
    canvas = np.tile(paper[:, None, None], (1, side, side))
    canvas[:, top : top + length, left : left + length] += resized(digit, length) * (ink - paper)[:, None, None]
    return (canvas + random.normal(0, 2, canvas.shape)).clip(0, 255).astype(np.uint8)


def resized(digit: UInt8[np.ndarray, "28 28"], length: int) -> Float[np.ndarray, "{length} {length}"]:
    """Returns how much ink there is at each pixel of a digit in another size, from 0 to 1."""
    ink = torch.from_numpy(digit)[None, None] / 255
    return interpolate(ink, (length, length), mode="bilinear", antialias=True)[0, 0].numpy()


def captions(attribute: Int64[np.ndarray, " 7"], random: np.random.Generator) -> list[str]:
    """Writes four captions of a picture; the first names all of its attributes."""
    names = {key: words[number] for (key, words), number in zip(ATTRIBUTES.items(), attribute, strict=True)}
    digit, color, ground = names["digit"], names["ink"], names["paper"]
    look = [names["size"], *(names["stroke"] for _ in range(names["stroke"] != "medium")), names["slant"]]
    where = f"in the {names['place']}"
    choose: Callable[..., str] = random.choice
    said = choose([digit, str(attribute[0])])
    return [
        f"{article(' '.join(look))} {color} {digit} on {article(ground)} background, {where}",
        f"the digit {digit} in {color} on {ground}",
        f"{article(choose(look))} {color} {said} {where} of {article(ground)} picture",
        f"{choose(STARTS)} {article(color)} {digit}, {choose(look)}, on {ground}",
    ]


def article(words: str) -> str:
    """Returns words with `a` or `an` before them."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
