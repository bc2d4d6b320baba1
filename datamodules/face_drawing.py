"""Drawings of random heads, seen from any side, with the part of the face that each pixel shows.

A head is a radius for each direction from its middle: an ellipsoid with a jaw, a neck, ears, a nose, eyes and lips of
random size on it, and with a color and a part for each direction. The rays of the camera are sampled once for all
heads, since a turn about the vertical axis only moves the azimuth: a frame is one gather.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Shaped, UInt8

ROWS, COLUMNS = 160, 400  # directions: elevation from 90 to -90 degrees, azimuth from -180 to 180
ELEVATION, AZIMUTH = np.meshgrid(  # of one side; the other is its mirror image
    np.float32(90 - (np.arange(ROWS) + 0.5) * 180 / ROWS),
    np.float32((np.arange(COLUMNS // 2) + 0.5) * 360 / COLUMNS - 180),
    indexing="ij",
)
SIDE = np.abs(AZIMUTH)
SINE, COSINE = np.sin(np.radians(ELEVATION)), np.cos(np.radians(ELEVATION))
TOWARDS = np.stack([COSINE * np.sin(np.radians(AZIMUTH)), SINE, COSINE * np.cos(np.radians(AZIMUTH))], 2)

SKIN = np.array([(255, 219, 190), (241, 194, 160), (224, 172, 125), (198, 134, 90), (141, 85, 50), (92, 56, 36)]) / 255
HAIR = np.array([(20, 16, 14), (52, 34, 22), (100, 64, 36), (178, 134, 76), (122, 58, 34), (140, 138, 134)]) / 255
IRIS = np.array([(60, 40, 25), (95, 70, 40), (80, 110, 75), (70, 110, 150)]) / 255
PARTS = ("background", "skin", "hair", "brows", "eyes", "nose", "lips")

Map = Float32[np.ndarray, "rows half"]
"""A number for each direction of one side of a head."""

Flags = Bool[np.ndarray, "rows half"]

Number = float | int

Vary = Callable[..., float]
"""Varies a mean by a share of it."""


class Head(NamedTuple):
    """A head, its light and what is behind it."""

    radius: Float32[np.ndarray, "rows columns"]
    surface: Float32[np.ndarray, "rows columns 6"]
    """Normal and color."""
    part: UInt8[np.ndarray, "rows columns"]
    """Number of the part in `PARTS`."""
    light: Float[np.ndarray, " 3"]
    background: Float[np.ndarray, " 3"]


def spot(azimuth: Number, elevation: Number, wide: Number, high: Number, tilt: Number = 0) -> Map:
    """Returns a Gaussian on both sides of the face, of these standard deviations; `tilt` raises its outer end."""
    x = (SIDE - azimuth) / wide
    y = (ELEVATION - elevation - tilt * (SIDE - azimuth)) / high
    return np.exp(-0.5 * (x * x + y * y))


def step(x: Map, width: Number) -> Map:
    """Returns 0 below 0 and 1 above, with a soft edge."""
    return 1 / (1 + np.exp(-np.clip(x / width, -30, 30)))


def either(where: np.ndarray, one: Number, other: Number) -> Map:
    """Returns one number where something holds, and another where it does not."""
    return np.where(where, np.float32(one), np.float32(other))


def inside(distance: Map, edge: Number = 0.12) -> Map:
    """Returns 1 where a distance is below 1."""
    return step(1 - distance, edge)


def varied(random: np.random.Generator) -> Vary:
    """Returns a function that varies a mean by a share of it."""
    return lambda mean, share=0.15: mean * (1 + share * float(np.clip(random.standard_normal(), -2, 2)))


class Features(NamedTuple):
    """Places and sizes of a face; degrees are seen from the middle of the head."""

    gap: float
    """Angle of the eyes from the middle, in degrees."""
    eye: float
    """Size of the eyes."""
    tip: float
    """Angle of the nose, in degrees."""
    mouth: float
    """Angle of the mouth, in degrees."""
    lip: float
    """Thickness of the lips."""
    half: float
    """Half of the mouth, in degrees."""
    style: int
    """The hair: 0 for none, 1 for short, 2 for long."""


def head(random: np.random.Generator) -> Head:
    """Draws a random head."""
    vary = varied(random)
    places = vary(20, 0.05), vary(1, 0.1), vary(-20, 0.07), vary(-34.5, 0.03), vary(1, 0.25), vary(13, 0.1)
    features = Features(*places, int(random.choice(3, p=[0.15, 0.55, 0.3])))
    radius, nose = shaped(vary, features)
    line, hair = haired(random, vary, features.style)
    radius += (0.05, 0.055, 0.085)[features.style] * hair * np.clip(radius, 0, 1.2)
    color, part = painted(random, vary, features, nose, line, hair)
    surface = np.concatenate([normals(radius), color], 2)
    mirrored = surface[:, ::-1] * np.array((-1, 1, 1, 1, 1, 1), np.float32)
    light = np.array([random.uniform(-0.5, 0.5), random.uniform(0.25, 0.6), 1.0])
    return Head(
        np.concatenate([radius, radius[:, ::-1]], 1),
        np.concatenate([surface, mirrored], 1),
        np.concatenate([part, part[:, ::-1]], 1),
        light / np.linalg.norm(light),
        random.uniform(0.0, 0.5) * random.uniform(0.6, 1.0, 3),
    )


def shaped(vary: Vary, features: Features) -> tuple[Map, Flags]:
    """Returns the radius without hair, and where the nose is."""
    gap, eye, tip, mouth, lip, half, style = features
    radius = skull(vary)
    radius += vary(0.035, 0.4) * spot(gap - 2, 11, 11, 4) - vary(0.085, 0.2) * spot(gap - 2, 3, 9, 6)
    radius += 0.05 * spot(gap, 2.5, 6.5 * eye, 4.2 * eye)
    length = np.clip((7 - ELEVATION) / (7 - tip), 0, 1)
    along = step(ELEVATION - tip + 3.6, 0.9) * step(9 - ELEVATION, 2)
    across = np.exp(-0.5 * (AZIMUTH / (3.2 + vary(2.4, 0.2) * length)) ** 2)
    wings = spot(vary(6.3, 0.1), tip - 1.2, 2.6, 2.4)
    radius += vary(0.22, 0.14) * (0.16 + 0.84 * length**1.25) * along * across + vary(0.07, 0.2) * wings
    radius += vary(0.035, 0.4) * spot(38, -7, 13, 9) - 0.03 * spot(34, -28, 9, 9)
    bow = np.exp(-0.5 * ((SIDE / half) ** 2) ** 2)
    radius += 0.03 * spot(0, mouth, 16, 8) - 0.035 * bow * np.exp(-0.5 * ((ELEVATION - mouth) / 0.9) ** 2)
    radius += 0.04 * bow * lip * np.exp(-0.5 * ((ELEVATION - mouth - 2.1) / 1.6) ** 2)
    radius += 0.048 * bow * lip * np.exp(-0.5 * ((ELEVATION - mouth + 2.6) / 1.9) ** 2)
    radius += vary(0.08, 0.3) * spot(0, mouth - 13.5, vary(11, 0.2), 5.5) - 0.02 * bow * spot(0, mouth - 7, 9, 2.5)
    radius += 0.1 * np.exp(-0.5 * ((AZIMUTH / 34) ** 2 + ((ELEVATION + 36) / 15) ** 2))
    if style < 2:  # ears
        radius += vary(0.13, 0.25) * spot(96, -4, 5.5, 10, 0.3) * (1 - 0.45 * spot(93, -4, 2.5, 5))
    radius = np.maximum(radius, np.where(SINE < 0, neck(vary, style == 2), 0))
    return radius.astype(np.float32), (along * across > 0.45) | (wings > 0.5)


def haired(random: np.random.Generator, vary: Vary, style: int) -> tuple[Float32[np.ndarray, " half"], Map]:
    """Returns the line down to which there is hair, from the forehead to the sides and the back, and where hair is."""
    front, back = vary(37, 0.1), (-30, -30, -75)[style]
    above_ear = (-12, -16) if style == 1 else (back, back)
    azimuth = [0, 34, 58, 74, 80, 112, 180]
    line = np.interp(SIDE[0], azimuth, [front, front - 2, front - 14, 8, *above_ear, back]).astype(np.float32)
    wave = 1.5 * np.sin(np.radians(AZIMUTH) * int(random.integers(5, 12)) + random.uniform(0, 6)) * (SIDE < 70)
    return line, step(ELEVATION - line + wave, 1.6) * (style > 0)


def painted(
    random: np.random.Generator, vary: Vary, features: Features, nose: Flags, line: np.ndarray, hair: Map
) -> tuple[Float32[np.ndarray, "rows half 3"], UInt8[np.ndarray, "rows half"]]:
    """Returns colors and parts; each is painted over those before it."""
    gap, eye, tip, mouth, lip, half, style = features
    tan = random.integers(len(SKIN))
    dark = tan >= 3
    skin = np.clip(SKIN[tan] * vary(1, 0.05), 0, 1)
    tone = HAIR[random.choice(len(HAIR), p=[0.25, 0.2, 0.2, 0.15, 0.1, 0.1]) if not dark else random.integers(2)]
    tone, red = tone * vary(1, 0.1), skin * (0.92, 0.62, 0.6)
    color = np.tile(np.float32(skin), (ROWS, COLUMNS // 2, 1))
    part = np.full(color.shape[:2], PARTS.index("skin"), np.uint8)
    part[nose] = PARTS.index("nose")

    def paint(mask: Map, tint: np.ndarray, name: str | None = None) -> None:
        seen = mask > 0.002
        color[seen] += mask[seen, None].astype(np.float32) * (np.float32(tint) - color[seen])
        if name is not None:
            part[mask > 0.4] = PARTS.index(name)

    paint(0.3 * spot(34, -13, 12, 9), red)
    thick = either(ELEVATION > mouth, 3.2, 4.0) * lip * np.clip(1 - (SIDE / (half + 1.5)) ** 2, 0.02, 1)
    lips = inside(np.abs(ELEVATION - mouth) / thick)
    paint(vary(0.75, 0.2) * lips, red)
    part[lips > 0.5] = PARTS.index("lips")
    paint(0.85 * inside(np.abs(ELEVATION - mouth) / 0.75) * inside(SIDE / half), skin * (0.32, 0.2, 0.2))
    paint(0.8 * spot(vary(3.6, 0.1), tip - 4.6, 1.6, 1.0), skin * 0.2)  # nostrils
    u, v = (SIDE - gap) / (8.2 * eye), (ELEVATION - 2.6) / (3.3 * eye)
    lid = v / np.clip(1 - 0.85 * u**2, 0.05, 1)
    opened = inside(np.abs(u) ** 2.5 + lid**2 * either(v > 0, 0.8, 0.9), 0.15)
    paint(opened, np.full(3, 0.8), "eyes")
    look = np.hypot(SIDE - gap, ELEVATION - 2.9)
    paint(opened * inside(look / (3.5 * eye), 0.08), IRIS[random.integers(2 if dark else len(IRIS))])
    paint(opened * inside(look / (1.6 * eye), 0.1), np.zeros(3))
    paint(0.85 * np.exp(-(((v - 1.05 + 0.75 * u**2) / 0.3) ** 2)) * inside(np.abs(u), 0.1), skin * 0.15)  # lashes
    arch = ELEVATION - 11 - vary(0.6, 0.8) * np.cos((SIDE - gap) / 5)
    brows = inside(np.abs((SIDE - gap + 1) / vary(9.5, 0.1)) ** 3 + (arch / vary(1.5, 0.25)) ** 2, 0.35)
    paint(vary(0.8, 0.15) * brows, tone * 0.8, "brows")
    if random.random() < 0.15:
        beard = step(mouth + 12 - ELEVATION + 12 * spot(0, mouth, 20, 30), 2) * step(85 - SIDE, 4)
        paint(0.75 * beard * step(ELEVATION + 66, 3) * (1 - lips), tone, "hair")
    paint(hair, tone, "hair")
    strands = np.repeat(random.standard_normal((ROWS // 16, COLUMNS // 2), np.float32), 16, 0)
    color *= 1 + 0.1 * (hair * strands)[:, :, None]
    if style == 0:
        paint(0.25 * step(ELEVATION - line, 3), tone)
    return np.clip(color, 0, 1), part


def skull(vary: Vary) -> Map:
    """Returns an ellipsoid that is narrower at the jaw and longer behind."""
    wide = vary(0.76, 0.05) * (1 - vary(0.2, 0.35) * step(-ELEVATION - 22, 9))
    deep = either(TOWARDS[..., 2] > 0, vary(0.84, 0.04), vary(0.98, 0.05))
    tall = either(SINE > 0, vary(1.0, 0.03), vary(1.02, 0.05))
    scaled = np.abs(TOWARDS) / np.stack([wide, tall, deep], 2)
    return (scaled**2.25).sum(2) ** (-1 / 2.25)


def neck(vary: Vary, hair: bool) -> Map:
    """Returns a cylinder behind the middle, with or without hair around it."""
    behind = 0.16
    slope = behind * np.cos(np.radians(AZIMUTH))
    radius = (-slope + np.sqrt(slope**2 - behind**2 + vary(0.47, 0.07) ** 2)) / np.maximum(COSINE, 0.12)
    return radius * (1 + vary(0.4, 0.2) * step(SIDE - 92, 5)) if hair else radius


def normals(radius: Map) -> Float32[np.ndarray, "rows half 3"]:
    """Returns the unit normals of one side of a head, from the differences of its points."""
    point = radius[:, :, None] * TOWARDS
    beyond = point[:, [0, -1]] * np.array((-1, 1, 1), np.float32)  # of the other side
    around = np.concatenate([beyond[:, :1], point, beyond[:, 1:]], 1)
    normal = np.cross(np.gradient(point, axis=0), around[:, 2:] - around[:, :-2])
    return normal / (np.linalg.norm(normal, axis=2, keepdims=True) + 1e-9)


class Camera:
    """Draws heads from the front; what is turned is the head.

    Args:
        size: Height and width of frames in pixels.
        reach: Half of the height and width that a frame shows; a head is about 2 high.
    """

    def __init__(self, size: int, reach: float = 1.05):
        self.size = size
        samples = 26  # of a ray
        at = ((np.arange(2 * size) + 0.5) / size - 1) * reach  # two rays for each pixel and axis
        x, y, z = np.meshgrid(at, -0.05 - at, np.linspace(1.32, -0.25, samples), indexing="xy")
        scale = 1 - z / 9  # a little perspective
        x, y = x * scale, y * scale
        distance = np.sqrt(x**2 + y**2 + z**2)
        near = (np.where(y < -0.7, distance - 0.3, distance) < 1.36).any(2)  # other rays meet no head
        self.pixel = np.flatnonzero(near)
        self.distance = distance[near].astype(np.float32)
        self.row = ((90 - np.degrees(np.arcsin(y / distance)[near])) * ROWS / 180 - 0.5).astype(np.float32)
        self.column = ((np.degrees(np.arctan2(x, z)[near]) + 180) * COLUMNS / 360 - 0.5).astype(np.float32)
        # Into a map that stands twice side by side, so that a turn is a sum.
        nearest = np.rint(self.row).clip(0, ROWS - 1) * 2 * COLUMNS + np.rint(self.column) % COLUMNS
        self.index, self.every = nearest.astype(np.int32), np.arange(len(self.pixel))

    def __call__(
        self, head: Head, angle: Number = 0
    ) -> tuple[UInt8[np.ndarray, "3 size size"], UInt8[np.ndarray, "size size"]]:
        """Draws a head that is turned by `angle` radians to the viewer's right, and the parts that it shows."""
        shift = round(-angle / (2 * np.pi) * COLUMNS) % COLUMNS
        ray, row, column = self.meet(np.tile(head.radius, (1, 2)).ravel(), shift)
        place = row * COLUMNS + (column + shift) % COLUMNS
        found = head.surface.reshape(-1, 6).take(place, axis=0)
        sine, cosine = np.sin(angle), np.cos(angle)
        across, facing = cosine * found[:, 0] + sine * found[:, 2], cosine * found[:, 2] - sine * found[:, 0]
        x, y, z = head.light
        shade = 0.3 + 0.8 * np.maximum(0, x * across + y * found[:, 1] + z * facing)
        shine = 0.1 * np.maximum(0, 0.3 * x * across + 0.4 * found[:, 1] + 0.87 * facing) ** 12
        frame = np.tile(np.float32(head.background), (4 * self.size**2, 1))
        frame[self.pixel[ray]] = found[:, 3:] * shade[:, None] + shine[:, None]
        part = np.zeros(4 * self.size**2, np.uint8)
        part[self.pixel[ray]] = head.part.ravel().take(place)
        image = self.summed(frame).transpose(2, 0, 1) / 4
        shares = self.summed((part[:, None] == np.arange(len(PARTS))).astype(np.uint8))
        return np.clip(255 * image, 0, 255).astype(np.uint8), shares.argmax(2).astype(np.uint8)

    def summed(self, rays: Shaped[np.ndarray, "n k"]) -> Shaped[np.ndarray, "size size k"]:
        """Returns the sum of the four rays of each pixel."""
        square = rays.reshape(self.size, 2, self.size, 2, -1)
        return square[:, 0, :, 0] + square[:, 0, :, 1] + square[:, 1, :, 0] + square[:, 1, :, 1]

    def meet(self, radius: Float32[np.ndarray, " n"], shift: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the rays that meet a head, and row and column where they do, which lies between two samples."""
        gap = self.distance - radius.take(self.index + shift)
        within = gap < 0
        first = within.argmax(1)
        ray = np.flatnonzero(within[self.every, first])
        behind = first[ray]
        ends = ray * gap.shape[1] + np.maximum(behind - 1, 0), ray * gap.shape[1] + behind
        outer, inner = (gap.ravel().take(end) for end in ends)

        def between(values: np.ndarray, share: np.ndarray) -> np.ndarray:
            start, end = (values.ravel().take(end) for end in ends)
            return start + share * (end - start)

        def nearest(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            row, column = (np.rint(between(values, share)).astype(np.int32) for values in (self.row, self.column))
            return row.clip(0, ROWS - 1), column % COLUMNS

        # Two steps of the secant method.
        share = np.where(behind > 0, outer / np.maximum(outer - inner, 1e-6), 1)
        row, column = nearest(share)
        middle = between(self.distance, share) - radius.take(row * 2 * COLUMNS + column + shift)
        nearer = share * outer / np.maximum(outer - middle, 1e-6)
        farther = share + (1 - share) * middle / np.maximum(middle - inner, 1e-6)
        return ray, *nearest(np.clip(np.where(middle < 0, nearer, farther), 0, 1))
