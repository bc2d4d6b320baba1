"""The augmentations of StyleGAN2-ADA (Karras et al., 2020, https://arxiv.org/abs/2006.06676, appendix B)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import affine_grid, conv2d, grid_sample, pad

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.mechanics.schedules import Schedule, Timed, at

Images = Float[Tensor, "b c h w"]
Coins = Float[Tensor, " b"]
LOWPASS = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)  # of the wavelet sym2
POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # of natural images, in the bands of `filtered`
KINDS = ("blit", "geometry", "color", "filter", "noise", "cutout")


class Augment(Timed, nn.Module):
    """A discriminator of images that are augmented with a probability, real and fake alike.

    Each of up to 18 transforms tosses a coin for each image, so that the generator does not learn them as long as p is
    below about 0.8. Gradients pass through, of any order. Geometry is one map and colors are one map, without the
    authors' filters against aliasing, which small images do not need. In evaluation nothing is changed.

    Args:
        discriminator: Called with an image and its condition.
        p: Probability of each transform at first; `AdaptiveAugmentation` moves it, and a schedule moves it by itself.
        kinds: `blit` (mirror images, quarter turns, whole pixels), `geometry` (scales, turns, shifts), `color`,
            `filter` (4 frequency bands), `noise` and `cutout`; the authors choose the first three. With a number for
            each kind its probability is that share of p.
    """

    same_on_all_processes = True  # p
    p: Tensor
    next_p: Tensor
    """p from the next batch on: within a batch it does not change."""

    def __init__(
        self,
        discriminator: nn.Module,
        p: float | Schedule = 0.0,
        kinds: Sequence[str] | dict[str, float] = ("blit", "geometry", "color"),
    ):
        super().__init__()
        if not kinds or any(kind not in KINDS for kind in kinds):
            raise ValueError(f"`kinds` must name some of {', '.join(KINDS)}, got {list(kinds)}.")
        self.discriminator = discriminator
        self.kinds = kinds if isinstance(kinds, dict) else dict.fromkeys(kinds, 1.0)
        self.schedule = p if isinstance(p, Schedule) else None
        self.register_buffer("p", torch.tensor(float(at(p, 0))))
        self.register_buffer("next_p", self.p.clone())
        self._batch = -1  # by its images so far

    def forward(self, image: Images, *condition: Tensor) -> Tensor:
        if self.training:
            if self._batch != self.images_seen:
                self._batch = self.images_seen
                self.p.copy_(self.next_p)
            if self.schedule is not None:
                self.p.fill_(self.schedule(self.images_seen))
            with torch.autocast(image.device.type, enabled=False):
                image = augmented(full_precision(image), self.p, self.kinds)
        return self.discriminator(image, *condition)


def augmented(image: Images, p: Float[Tensor, ""], kinds: dict[str, float]) -> Images:
    """Returns images, each with each transform of these kinds with probability p times the kind's share."""
    draws = {kind: Draws(image, share * p) for kind, share in kinds.items()}
    if "blit" in draws or "geometry" in draws:
        place = Draws(image, p).identity(3)
        if "blit" in draws:
            place = blit(draws["blit"], place)
        if "geometry" in draws:
            place = geometry(draws["geometry"], place)
        image = placed(image, place)
    if "color" in draws:
        image = colored(draws["color"], image)
    if "filter" in draws:
        image = filtered(draws["filter"], image)
    if "noise" in draws:
        draw = draws["noise"]
        image = image + draw.normal(*image.shape[1:]) * draw.coin(draw.normal().abs() * 0.1)[:, None, None, None]
    return cut_out(draws["cutout"], image) if "cutout" in draws else image


class Draws:
    """Random numbers for each image of a batch, in its precision and on its device.

    Args:
        image: The batch.
        p: Probability that a coin shows heads.
    """

    def __init__(self, image: Images, p: Float[Tensor, ""]):
        self.size, self.p = len(image), p
        self.width, self.height = image.shape[3], image.shape[2]
        self.options: dict[str, Any] = {"device": image.device, "dtype": image.dtype}

    def uniform(self, *size: int) -> Tensor:
        """Draws from [0, 1)."""
        return torch.rand(self.size, *size, **self.options)

    def normal(self, *size: int) -> Tensor:
        """Draws from the standard normal distribution."""
        return torch.randn(self.size, *size, **self.options)

    def coin(self, heads: Tensor, tails: float = 0.0, p: Tensor | None = None) -> Tensor:
        """Returns `heads` of those images whose coin shows it, and `tails` of the others."""
        shows = self.uniform() < (self.p if p is None else p)
        return torch.where(shows.view(-1, *[1] * (heads.ndim - 1)), heads, tails)

    def identity(self, side: int) -> Tensor:
        """Returns a unit matrix for each image."""
        return torch.eye(side, **self.options).expand(self.size, -1, -1)


def matrix(*rows: Sequence[Any]) -> Float[Tensor, "b n n"]:
    """Returns matrices of numbers, of which some are one for each image."""
    like = next(entry for row in rows for entry in row if isinstance(entry, Tensor))
    return torch.stack([torch.stack([like.new_zeros(len(like)) + entry for entry in row], 1) for row in rows], 1)


def scaled(x: Coins, y: Coins) -> Float[Tensor, "b 3 3"]:
    """Returns maps of places that are scaled."""
    return matrix((x, 0, 0), (0, y, 0), (0, 0, 1))


def turned(angle: Coins) -> Float[Tensor, "b 3 3"]:
    """Returns maps of places that are turned."""
    return matrix((angle.cos(), -angle.sin(), 0), (angle.sin(), angle.cos(), 0), (0, 0, 1))


def shifted(x: Coins, y: Coins) -> Float[Tensor, "b 3 3"]:
    """Returns maps of places that are shifted."""
    return matrix((1, 0, x), (0, 1, y), (0, 0, 1))


def blit(draw: Draws, place: Float[Tensor, "b 3 3"]) -> Float[Tensor, "b 3 3"]:
    """Mirrors, turns by quarters, and shifts by up to an eighth in whole pixels."""
    mirror = draw.coin((draw.uniform() * 2).floor())
    place = place @ scaled(1 - 2 * mirror, torch.ones_like(mirror))
    place = place @ turned(draw.coin((draw.uniform() * 4).floor()) * (math.pi / 2))
    sides = torch.tensor([draw.width, draw.height], **draw.options)
    return place @ shifted(*draw.coin(((draw.uniform(2) * 2 - 1) * 0.125 * sides).round()).unbind(1))


def geometry(draw: Draws, place: Float[Tensor, "b 3 3"]) -> Float[Tensor, "b 3 3"]:
    """Scales, turns before and after stretching, and shifts."""
    scale = draw.coin((draw.normal() * 0.2).exp2(), 1.0)
    place = place @ scaled(scale, scale)
    turn = 1 - (1 - draw.p).clamp(0, 1).sqrt()  # of each of two, so that p is that of any
    place = place @ turned(draw.coin((draw.uniform() * 2 - 1) * math.pi, p=turn))
    stretch = draw.coin((draw.normal() * 0.2).exp2(), 1.0)
    place = place @ scaled(stretch, 1 / stretch)
    place = place @ turned(draw.coin((draw.uniform() * 2 - 1) * math.pi, p=turn))
    sides = torch.tensor([draw.width, draw.height], **draw.options)
    return place @ shifted(*draw.coin(draw.normal(2) * 0.125 * sides).unbind(1))


def placed(image: Images, place: Float[Tensor, "b 3 3"]) -> Images:
    """Takes each pixel from its place in pixels from the middle; beyond the border the image is mirrored."""
    half = torch.tensor([image.shape[3] / 2, image.shape[2] / 2, 1], device=image.device, dtype=image.dtype)
    grid = affine_grid((place * half / half[:, None])[:, :2], list(image.shape), align_corners=False)
    return Sample.apply(image, grid)


class Sample(torch.autograd.Function):
    """`grid_sample` whose gradient can be differentiated, which torch has from version 2.13 only."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(image, grid)
        return grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        image, grid = ctx.saved_tensors
        return SampleGradient.apply(gradient, image, grid), None


class SampleGradient(torch.autograd.Function):
    """The gradient of `Sample` at its image; it is linear, and does not depend on the image."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, image: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        bilinear, reflection = 0, 2
        arguments = (gradient, image, grid, bilinear, reflection, False, (True, False))
        return torch.ops.aten.grid_sampler_2d_backward(*arguments)[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return Sample.apply(gradient, grid), None, None


def colored(draw: Draws, image: Images) -> Images:
    """Changes brightness, contrast, light and dark, hue and saturation; gray images have the first three."""
    gray = torch.full((3, 3), 1 / 3, **draw.options)
    unit = torch.eye(3, **draw.options)
    linear, offset = draw.identity(3), draw.coin(draw.normal() * 0.2)
    contrast = draw.coin((draw.normal() * 0.5).exp2(), 1.0)
    linear, offset = linear * contrast[:, None, None], offset * contrast
    flip = draw.coin((draw.uniform() * 2).floor())
    linear, offset = (unit - 2 * gray * flip[:, None, None]) @ linear, offset * (1 - 2 * flip)
    if image.shape[1] == 1:
        return image * (linear.sum((1, 2)) / 3)[:, None, None, None] + offset[:, None, None, None]
    angle = draw.coin((draw.uniform() * 2 - 1) * math.pi)[:, None, None]
    cross = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], **draw.options) / math.sqrt(3)
    linear = (gray + (unit - gray) * angle.cos() + cross * angle.sin()) @ linear
    saturation = draw.coin(draw.normal().exp2(), 1.0)[:, None, None]
    linear = (gray + (unit - gray) * saturation) @ linear
    return torch.einsum("bij,bjhw->bihw", linear, image) + offset[:, None, None, None]


def filtered(draw: Draws, image: Images) -> Images:
    """Makes each of four frequency bands stronger or weaker, at the same power in all."""
    power, gains = torch.tensor(POWER, **draw.options), torch.ones(draw.size, 4, **draw.options)
    for band in range(4):
        gain = torch.ones_like(gains)
        gain[:, band] = draw.coin(draw.normal().exp2(), 1.0)
        gains = gains * gain / (power * gain.square()).sum(1, keepdim=True).sqrt()
    taps = gains @ bands().to(gains)
    b, c, h, w = image.shape
    reach = taps.shape[1] // 2
    kernels = taps[:, None].expand(-1, c, -1).reshape(b * c, 1, 1, -1)
    x = image.reshape(1, b * c, h, w)
    x = conv2d(padded(x, (reach, reach, 0, 0)), kernels, groups=b * c)
    x = conv2d(padded(x, (0, 0, reach, reach)), kernels.transpose(2, 3), groups=b * c)
    return x.reshape(b, c, h, w)


def padded(x: Tensor, sides: tuple[int, int, int, int]) -> Tensor:
    """Mirrors maps beyond their borders, also further than their size."""
    while max(sides) > 0:
        now = tuple(min(side, x.shape[3 - i // 2] - 1) for i, side in enumerate(sides))
        x = pad(x, now, mode="reflect")
        sides = tuple(side - part for side, part in zip(sides, now, strict=True))  # type: ignore[assignment]
    return x


def bands() -> Float[Tensor, "4 n"]:
    """Returns filters of four frequency bands, from low to high, whose sum leaves an image as it is."""
    low = torch.tensor(LOWPASS, dtype=torch.float64)
    high = low * torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    half_low, half_high = (convolved(taps[None], taps.flip(0))[0] / 2 for taps in (low, high))
    bank = torch.eye(4, 1, dtype=torch.float64)
    for band in range(1, 4):
        wide = torch.stack([bank, torch.zeros_like(bank)], 2).flatten(1)[:, :-1]
        bank = convolved(wide, half_low)
        start = (bank.shape[1] - len(half_high)) // 2
        bank[band, start : start + len(half_high)] += half_high
    return bank


def convolved(rows: Float[Tensor, "n m"], taps: Float[Tensor, " k"]) -> Float[Tensor, "n _"]:
    """Returns the full convolution of each row."""
    return conv2d(rows[:, None, None], taps.flip(0)[None, None, None], padding=(0, len(taps) - 1))[:, 0, 0]


def cut_out(draw: Draws, image: Images) -> Images:
    """Sets a box of half of each side to 0."""
    size, center = draw.coin(torch.full((draw.size,), 0.5, **draw.options)), draw.uniform(2)
    outside = []
    for axis in (0, 1):
        side = image.shape[3 - axis]
        place = (torch.arange(side, **draw.options) + 0.5) / side
        outside.append((place - center[:, axis, None]).abs() >= size[:, None] / 2)
    across, down = outside
    return image * (across[:, None, None, :] | down[:, None, :, None])
