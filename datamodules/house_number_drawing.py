"""Drawings of house numbers: digits of free fonts on walls and plates, in any light, seen from anywhere in front."""

import colorsys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

EMBEDDED = Path(__file__).parent / "embedded" / "house_number_digits.npz"
SIZE = 32
HUES = (0.03, 0.07, 0.1, 0.13, 0.33, 0.58, 0.62)  # of bricks, wood, sand, paint and plates
LIGHTNESS = (0.299, 0.587, 0.114)

Face = list[Float[np.ndarray, "64 _"]]
"""The ten digits of a font, as ink from 0 to 1, cut to the width of each."""

Sampler = Callable[..., Float[np.ndarray, "32 32 1"]]
"""Returns how much ink there is at each pixel of the picture, optionally as seen from a shifted place."""


def faces(held_out: bool) -> list[Face]:
    """Reads the fonts to train with, or those held out."""
    with np.load(EMBEDDED) as arrays:
        glyphs = arrays["image"][arrays["test"] == held_out]
    ink = 1 - glyphs.astype(np.float32) / 255
    return [[cut(digit) for digit in face] for face in ink]


def cut(ink: Float[np.ndarray, "64 64"]) -> Float[np.ndarray, "64 _"]:
    """Cuts a digit to the columns that hold ink."""
    used = np.flatnonzero(ink.max(0) > 0.1)
    return ink[:, used[0] : used[-1] + 1]


def house_number(random: np.random.Generator, fonts: list[Face], digit: int) -> UInt8[np.ndarray, "3 32 32"]:
    """Draws one picture with a digit in its middle."""
    sampled, zoom = seen(random, fonts[random.integers(len(fonts))], digit)
    wall_paint, ink_paint = paints(random)
    picture = wall(random, wall_paint)
    if random.random() < 0.35:  # raised digits throw a shadow
        shadow = sampled(*random.uniform(-4, 4, 2) * zoom)
        picture *= 1 - random.uniform(0.2, 0.6) * shadow
    tone = ink_paint + random.gamma(1.0, 0.02) * smooth(random, 4)
    picture += random.uniform(0.8, 1) * sampled() * (tone - picture)
    picture = photographed(random, lit(random, picture))
    return np.clip(255 * picture, 0, 255).astype(np.uint8).transpose(2, 0, 1)


def seen(random: np.random.Generator, face: Face, digit: int) -> tuple[Sampler, float]:
    """Places a number in front of the eye; returns what is seen of it, and the size of a pixel on it."""
    strip, middle = number(random, face, digit)
    rows = np.flatnonzero(face[digit].max(1) > 0.1)
    tall, center = len(rows), (rows[0] + rows[-1] + 1) / 2
    zoom = tall / random.uniform(36, 56)
    turn, shear, wide = random.normal(0, 0.07), random.normal(0, 0.1), np.exp(random.normal(0, 0.12))
    at = np.arange(2 * SIZE) - (SIZE - 0.5)  # two points for each pixel and axis
    y, x = np.meshgrid(at - random.normal(0, 1.5), at - random.normal(0, 1.5), indexing="ij")
    along_y = zoom * (y * np.cos(turn) + x * np.sin(turn))
    along_x = zoom / wide * (x * np.cos(turn) - y * np.sin(turn) + shear * y)

    def sampled(dy: float = 0.0, dx: float = 0.0) -> Float[np.ndarray, "32 32 1"]:
        v = np.clip(along_y + center + dy, 0, strip.shape[0] - 1.001)
        u = np.clip(along_x + middle + dx, 0, strip.shape[1] - 1.001)
        i, j = v.astype(int), u.astype(int)
        v, u = v - i, u - j
        above = (1 - u) * strip[i, j] + u * strip[i, j + 1]
        below = (1 - u) * strip[i + 1, j] + u * strip[i + 1, j + 1]
        ink = (1 - v) * above + v * below
        return ink.reshape(SIZE, 2, SIZE, 2).mean((1, 3))[:, :, None]

    return sampled, zoom


def number(random: np.random.Generator, face: Face, digit: int) -> tuple[Float[np.ndarray, "66 _"], float]:
    """Sets digits in a row with one of them given; returns their ink, and the column of the middle of that one."""
    before, after = random.choice(3, p=[0.45, 0.4, 0.15]), random.choice(3, p=[0.45, 0.4, 0.15])
    row = [*random.integers(0, 10, before), digit, *random.integers(0, 10, after)]
    gap = np.zeros((64, random.integers(3, 9)), np.float32)
    parts = [part for one in row for part in (face[one], gap)][:-1]
    start = sum(part.shape[1] for part in parts[: 2 * before])
    return np.pad(np.concatenate(parts, 1), 1), start + face[digit].shape[1] / 2


def paints(random: np.random.Generator) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Draws the colours of the wall or plate and of the digits, apart in lightness."""
    while True:
        hue = random.choice([*HUES, random.random()]) + random.normal(0, 0.02)
        wall = colorsys.hsv_to_rgb(hue, min(1, random.gamma(1.5, 0.2)), random.uniform(0.12, 0.97))
        saturation = random.choice([0, random.random() * 0.35, random.random()], p=[0.4, 0.35, 0.25])
        value = random.choice([random.uniform(0, 0.3), random.uniform(0.6, 1)])
        ink = colorsys.hsv_to_rgb(random.random(), saturation, value)
        if abs(np.dot(np.subtract(wall, ink), LIGHTNESS)) > random.uniform(0.2, 0.5):
            return np.array(wall), np.array(ink)


def wall(random: np.random.Generator, paint: Float[np.ndarray, "3"]) -> Float[np.ndarray, "32 32 3"]:
    """Draws a wall: stains, and sometimes boards or courses of bricks, or the edge of a plate."""
    picture = paint + random.gamma(1.0, 0.035) * smooth(random, int(random.choice([3, 5, 9, 17])))
    at = np.arange(SIZE)
    if random.random() < 0.15:
        lines = (at + random.integers(8)) % random.integers(6, 13) < 1.5
        across = lines[:, None, None] if random.random() < 0.7 else lines[None, :, None]
        picture -= random.uniform(0.05, 0.2) * across
    if random.random() < 0.3:
        other, edge = paints(random)[0], random.integers(1, 5)
        beyond = at[:, None] < edge + 0.12 * at * random.normal(0, 0.5)
        picture = np.where(np.rot90(beyond, random.choice(4))[:, :, None], other, picture)
    return picture


def lit(random: np.random.Generator, picture: Float[np.ndarray, "32 32 3"]) -> Float[np.ndarray, "32 32 3"]:
    """Adds a slope of light, and sometimes the edge of a shadow or of a reflection."""
    at = np.arange(SIZE) - SIZE // 2
    if random.random() < 0.3:
        slope = at[:, None] * random.normal() + at * random.normal() - random.normal(0, 8)
        picture = picture * (1 + random.uniform(-0.45, 0.35) / (1 + np.exp(-np.clip(slope, -20, 20)))[:, :, None])
    ramp = np.linspace(-1, 1, SIZE)
    light = 1 + 0.15 * (random.normal() * ramp[:, None] + random.normal() * ramp)
    return picture * light[:, :, None] * random.uniform(0.65, 1.1)


def photographed(random: np.random.Generator, picture: Float[np.ndarray, "32 32 3"]) -> Float[np.ndarray, "32 32 3"]:
    """Blurs a picture, lowers its contrast, tints it, and adds noise."""
    kernel = blur(random.gamma(2.0, 0.33))
    picture = np.einsum("ij,jkc,lk->ilc", kernel, picture, kernel, optimize=True)
    mean = picture.mean((0, 1))
    picture = mean + random.uniform(0.6, 1.0) * (picture - mean) + random.normal(0, 0.03, 3)
    return picture + random.gamma(1.0, 0.012) * random.standard_normal((SIZE, SIZE, 3))


def smooth(random: np.random.Generator, cells: int) -> Float[np.ndarray, "32 32 1"]:
    """Draws noise about 0, interpolated from `cells` x `cells` values."""
    at = (np.arange(SIZE) + 0.5) * (cells - 1) / SIZE
    spread = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(cells)))
    return (spread @ random.standard_normal((cells, cells)) @ spread.T)[:, :, None]


def blur(sigma: float) -> Float[np.ndarray, "32 32"]:
    """Returns the matrix that blurs the columns of a picture by a Gaussian."""
    at = np.arange(SIZE)
    kernel = np.exp(-0.5 * ((at[:, None] - at) / max(sigma, 0.05)) ** 2)
    return kernel / kernel.sum(1, keepdims=True)
