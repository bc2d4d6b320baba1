"""R3GAN's networks (Huang et al., 2024, https://arxiv.org/abs/2501.05441, section 4)."""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.checks import Labels, check_images, class_condition
from lightning_gans.networks.filters import doubled, halved
from lightning_gans.networks.progan import Images, sides

Maps = Float[Tensor, "b c h w"]


def pointwise(before: int, after: int) -> nn.Conv2d:
    """Returns a convolution of 1 x 1 without bias, with weights of variance 1 / inputs."""
    layer = nn.Conv2d(before, after, 1, bias=False)
    nn.init.normal_(layer.weight, std=before**-0.5)
    return layer


def dense(before: int, after: int) -> nn.Linear:
    """Returns a dense layer without bias, with weights of variance 1 / inputs."""
    layer = nn.Linear(before, after, bias=False)
    nn.init.normal_(layer.weight, std=before**-0.5)
    return layer


class BiasedReLU(nn.Module):
    """A bias, then a leaky ReLU.

    Args:
        features: Channels.
    """

    def __init__(self, features: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(features, 1, 1))

    def forward(self, x: Maps) -> Maps:
        return nn.functional.leaky_relu(x + self.bias, 0.2)


class InvertedBlock(nn.Module):
    """A bottleneck that is wider in its middle, without norms; it is the identity at first, as in Fixup.

    Args:
        features: Channels.
        group: Channels in a group of the middle convolution.
        blocks: Blocks of the whole network, by which the first weights are scaled.
    """

    def __init__(self, features: int, group: int, blocks: int):
        super().__init__()
        wide = 2 * features
        middle = nn.Conv2d(wide, wide, 3, padding=1, groups=max(wide // group, 1), bias=False)
        first, last = pointwise(features, wide), nn.Conv2d(wide, features, 1, bias=False)
        for layer in (first, middle):
            gain = math.sqrt(2 / 1.04) * blocks**-0.25
            nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(first, BiasedReLU(wide), middle, BiasedReLU(wide), last)

    def forward(self, x: Maps) -> Maps:
        return x + self.layers(x)


def widths(size: int, width: int, base: int) -> list[int]:
    """Returns the channels of the maps of each size, from 4 x 4 up."""
    return [min(base // side, width) for side in sides(size)]


def stages(features: list[int], group: int, blocks: int) -> nn.ModuleList:
    """Returns the blocks of each size."""
    count = blocks * len(features)
    return nn.ModuleList(nn.Sequential(*(InvertedBlock(n, group, count) for _ in range(blocks))) for n in features)


def changes(features: list[int]) -> nn.ModuleList:
    """Returns what changes the number of channels between sizes."""
    pairs = pairwise(features)
    return nn.ModuleList(pointwise(one, two) if one != two else nn.Identity() for one, two in pairs)


class R3GANGenerator(nn.Module):
    """Residual blocks without norms, from a learned map that the latent scales by channel.

    Args:
        latent_dim: Size of the latent.
        num_classes: Number of classes, embedded in as many numbers as the latent has; 0 has none.
        channels: Image channels.
        size: Image height and width, a power of 2 from 4.
        width: Channels of a map at most.
        base: A map of s pixels a side has `base / s` channels, or `width`.
        group: Channels in a group of the convolutions of 3 x 3.
        blocks: Blocks of each size.
    """

    def __init__(
        self,
        latent_dim: int = 64,
        num_classes: int = 0,
        channels: int = 3,
        size: int = 32,
        width: int = 768,
        base: int = 24576,
        group: int = 16,
        blocks: int = 2,
    ):
        super().__init__()
        features = widths(size, width, base)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.embedding = dense(num_classes, latent_dim) if num_classes else None
        self.first = dense(latent_dim * (2 if num_classes else 1), features[0])
        self.basis = nn.Parameter(torch.randn(features[0], 4, 4))
        self.changes, self.stages = changes(features), stages(features, group, blocks)
        self.to_image = pointwise(features[-1], channels)

    def forward(self, latent: Float[Tensor, "b z"], label: Labels | None = None) -> Images:
        if self.embedding is not None:
            (shares,) = class_condition(label, self.num_classes, latent)
            latent = torch.cat([latent, self.embedding(shares)], 1)
        x = self.stages[0](self.basis * self.first(latent)[:, :, None, None])
        for change, stage in zip(self.changes, self.stages[1:], strict=True):
            x = stage(doubled(change(x)))
        return self.to_image(x)


class R3GANDiscriminator(nn.Module):
    """Mirrors the generator; with classes the logit is a product with the class's vector.

    Args:
        num_classes: Number of classes; 0 has none.
        channels: Image channels.
        size: Image height and width, a power of 2 from 4.
        width: Channels of a map at most.
        base: A map of s pixels a side has `base / s` channels, or `width`.
        group: Channels in a group of the convolutions of 3 x 3.
        blocks: Blocks of each size.
    """

    def __init__(
        self,
        num_classes: int = 0,
        channels: int = 3,
        size: int = 32,
        width: int = 768,
        base: int = 24576,
        group: int = 16,
        blocks: int = 2,
    ):
        super().__init__()
        self.num_classes, self.channels, self.size = num_classes, channels, size
        features = widths(size, width, base)[::-1]
        self.from_image = pointwise(channels, features[0])
        self.stages, self.changes = stages(features, group, blocks), changes(features)
        last = features[-1]
        self.last = nn.Conv2d(last, last, 4, groups=last, bias=False)
        nn.init.normal_(self.last.weight, std=0.25)
        self.to_logit = dense(last, last if num_classes else 1)
        self.embedding = nn.Linear(num_classes, last, bias=False) if num_classes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=(num_classes * last) ** -0.5)

    def forward(self, image: Images, label: Labels | None = None) -> Float[Tensor, " b"]:
        check_images(image, self.channels, self.size)
        x = self.stages[0](self.from_image(image))
        for change, stage in zip(self.changes, self.stages[1:], strict=True):
            x = stage(change(halved(x)))
        logits = self.to_logit(self.last(x).flatten(1))
        if self.embedding is not None:
            (shares,) = class_condition(label, self.num_classes, logits)
            logits = (logits * self.embedding(shares)).sum(1, keepdim=True)
        return logits.squeeze(1)
