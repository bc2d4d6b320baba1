"""StyleGAN's networks (Karras et al., 2019, https://arxiv.org/abs/1812.04948)."""

import math
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.schedules import Growth, Schedule
from lightning_gans.networks.checks import Labels, class_condition
from lightning_gans.networks.equalized import EqualizedConv2d, EqualizedLinear
from lightning_gans.networks.filters import blurred
from lightning_gans.networks.progan import (
    Growing,
    Images,
    ProGANDiscriminator,
    activated,
    channels_at,
    enlarged,
    sides,
)
from lightning_gans.networks.styles import Mapping, StyleBased, Styles


class StyledLayer(nn.Module):
    """A convolution, noise, a norm of each map, and the scale and shift that the style gives it.

    Args:
        before: Input channels; 0 has a learned constant instead, which is 1 at first.
        after: Output channels.
        style_dim: Size of the style.
        doubles: Whether the map is doubled.
    """

    def __init__(self, before: int, after: int, style_dim: int, doubles: bool):
        super().__init__()
        self.convolution: Any = EqualizedConv2d(before, after, bias=False) if before else None
        self.constant = None if before else nn.Parameter(torch.ones(after, 4, 4))
        self.doubles = doubles
        self.noise_scale, self.bias = nn.Parameter(torch.zeros(after, 1, 1)), nn.Parameter(torch.zeros(after, 1, 1))
        self.style = EqualizedLinear(style_dim, 2 * after, gain=1.0)
        self.norm = nn.InstanceNorm2d(after, eps=1e-8)

    def forward(self, x: Any, style: Float[Tensor, "b s"], noise: bool) -> Float[Tensor, "b d _ _"]:
        if self.constant is not None:
            x = self.constant.expand(len(style), -1, -1, -1)
        elif self.doubles:
            x = blurred(self.convolution(enlarged(x, 2)))
        else:
            x = self.convolution(x)
        if noise:
            plane = torch.randn(len(x), 1, *x.shape[2:], device=x.device, dtype=x.dtype)
            x = x + self.noise_scale * plane
        x = self.norm(nn.functional.leaky_relu(x + self.bias, 0.2))
        scale, shift = self.style(style)[:, :, None, None].chunk(2, 1)
        return x * (scale + 1) + shift


class StyleGANSynthesis(Growing):
    """Draws images from styles: two layers for each size, from 4 x 4 up.

    Args:
        style_dim: Size of a style.
        channels: Image channels.
        size: Image height and width at last, a power of 2 from 4.
        width: Channels of a map at most.
        base: A map of s pixels a side has `2 * base / s` channels, or `width`.
        level: Doublings so far.
    """

    def __init__(self, style_dim: int, channels: int, size: int, width: int, base: int, level: float | Schedule):
        super().__init__(size, level)
        features = [channels_at(side, width, base) for side in sides(size)]
        self.layers = nn.ModuleList(
            [StyledLayer(0, features[0], style_dim, False), StyledLayer(features[0], features[0], style_dim, False)]
        )
        for before, after in pairwise(features):
            self.layers.append(StyledLayer(before, after, style_dim, True))
            self.layers.append(StyledLayer(after, after, style_dim, False))
        self.to_image = nn.ModuleList(EqualizedConv2d(n, channels, 1, gain=1.0) for n in features)

    @property
    def num_layers(self) -> int:
        """The layers that there are by now."""
        return 2 + 2 * self.stage()[0]

    num_noises = num_layers
    """The layers that get noise by now."""

    def forward(self, styles: Styles, noise: bool | list[bool] = True) -> Images:
        """Draws images.

        Args:
            styles: One for each layer that there is by now.
            noise: Whether layers get noise, for all or for each.
        """
        finest, share = self.stage()
        noises = noise if isinstance(noise, list) else [noise] * self.num_layers
        x = before = None
        for layer, style, has_noise in zip(self.layers, styles.unbind(1), noises, strict=False):
            before = x if layer.doubles else before
            x = layer(x, style, has_noise)
        image = self.to_image[finest](x)
        if share < 1:
            image = torch.lerp(enlarged(self.to_image[finest - 1](before), 2), image, share)
        return enlarged(image, 2 ** (self.doublings - finest))


class StyleGANMapping(Mapping):
    """The mapping of StyleGAN's code, where a class has a vector that is scaled together with the latent.

    Args:
        latent_dim: Size of the latent.
        style_dim: Size of a style, and of the class's vector.
        depth: Layers.
        num_classes: Number of classes; 0 has none.
        rate: Factor of the layers' learning rate.
    """

    def __init__(self, latent_dim: int, style_dim: int, depth: int, num_classes: int, rate: float):
        super().__init__(latent_dim, style_dim, depth, num_classes, rate)
        if num_classes:  # N(0, 1) at first
            self.embedding = EqualizedLinear(num_classes, style_dim, gain=math.sqrt(num_classes), bias=None)

    def forward(self, latent: Float[Tensor, "b z"], label: Labels | None = None) -> Float[Tensor, "b s"]:
        parts = [latent]
        for shares in class_condition(label, self.num_classes, latent):
            assert self.embedding is not None
            parts.append(self.embedding(shares))
        return self.layers(self.norm(torch.cat(parts, 1)))


class StyleGANGenerator(StyleBased):
    """Draws images from styles that grow as ProGAN's.

    Args:
        latent_dim: Size of the latent, which is scaled to length sqrt(latent_dim).
        style_dim: Size of a style.
        depth: Layers of the mapping from latents to styles.
        channels: Image channels.
        size: Image height and width at last, a power of 2 from 4.
        width: Channels of a map at most.
        base: A map of s pixels a side has `2 * base / s` channels, or `width`.
        level: Doublings of 4 pixels so far, for a network that grows a `Growth`.
        mixing: Share of the images in training that get the styles of two latents.
        num_classes: Number of classes; 0 has none.
        mapping_rate: Factor of the mapping's learning rate.
    """

    def __init__(
        self,
        latent_dim: int = 512,
        style_dim: int = 512,
        depth: int = 8,
        channels: int = 3,
        size: int = 1024,
        width: int = 512,
        base: int = 8192,
        level: float | Schedule = Growth(600.0, start=1),
        mixing: float = 0.9,
        num_classes: int = 0,
        mapping_rate: float = 0.01,
    ):
        synthesis = StyleGANSynthesis(style_dim, channels, size, width, base, level)
        mapping = StyleGANMapping(latent_dim, style_dim, depth, num_classes, mapping_rate)
        super().__init__(mapping, synthesis, mixing)
        self.to(memory_format=torch.channels_last)  # faster, also on a CPU

    def seen(self, image: Images) -> Images:
        """Returns images with the detail of now."""
        return self.synthesis.seen(image)


class Blur(nn.Module):
    """Smooths maps by [1, 2, 1]."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return blurred(x)


class StyleGANDiscriminator(ProGANDiscriminator):
    """ProGAN's discriminator, which smooths its maps before it halves them; with classes the logit is the class's."""

    @staticmethod
    def outputs(num_classes: int) -> int:
        """Returns the number of logits, one for each class."""
        return max(num_classes, 1)

    def forward(self, image: Images, label: Labels | None = None) -> Float[Tensor, " b"]:
        logits = super().forward(image)
        for shares in class_condition(label, self.num_classes, logits):
            logits = (logits.view(len(image), -1) * shares).sum(1)
        return logits

    @staticmethod
    def block(before: int, after: int) -> nn.Sequential:
        """Returns the layers from maps to those of half the size."""
        first = activated(EqualizedConv2d(before, before))
        return nn.Sequential(first, Blur(), activated(EqualizedConv2d(before, after), nn.AvgPool2d(2)))
