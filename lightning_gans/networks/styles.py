"""Generators of StyleGAN and StyleGAN2: latents are mapped to styles, one for each layer."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.checks import Labels, class_condition
from lightning_gans.networks.equalized import EqualizedLinear, PixelNorm

Styles = Float[Tensor, "b n s"]
CENTER_OF = 4096  # latents


class Mapping(nn.Module):
    """Maps latents, and classes if there are any, to styles w (Karras et al., 2019, https://arxiv.org/abs/1812.04948).

    Args:
        latent_dim: Size of the latent; 0 maps classes alone.
        style_dim: Size of a style.
        depth: Layers; 0 has the latent itself, scaled to length sqrt(latent_dim).
        num_classes: Number of classes; 0 has none.
        rate: Factor of the layers' learning rate.
    """

    def __init__(self, latent_dim: int, style_dim: int, depth: int = 8, num_classes: int = 0, rate: float = 0.01):
        super().__init__()
        inputs = latent_dim + style_dim * bool(num_classes)
        if depth == 0 and inputs != style_dim:
            raise ValueError(f"`style_dim` must be {inputs} as the input's, where no layer maps it, got {style_dim}.")
        self.latent_dim, self.style_dim, self.num_classes = latent_dim, style_dim, num_classes
        self.norm = PixelNorm()
        self.embedding = EqualizedLinear(num_classes, style_dim, gain=1.0) if num_classes else None
        self.layers = nn.Sequential()
        for number in range(depth):
            self.layers.append(EqualizedLinear(style_dim if number else inputs, style_dim, rate=rate))
            self.layers.append(nn.LeakyReLU(0.2))

    def forward(self, latent: Float[Tensor, "b z"], label: Labels | None = None) -> Float[Tensor, "b s"]:
        parts = [self.norm(latent)] if latent.shape[1] else []
        if self.embedding is not None:
            (shares,) = class_condition(label, self.num_classes, latent)
            parts.append(self.norm(self.embedding(shares)))
        return self.layers(torch.cat(parts, 1))


class StyleBased(nn.Module):
    """A generator that maps latents to styles, and draws an image from one style for each of its layers.

    In training the layers behind a random one get the style of another latent for some images. In evaluation the styles
    can be drawn to their mean, which leaves `psi` of the distance (section B of Karras et al., 2019,
    https://arxiv.org/abs/1812.04948).

    Args:
        mapping: Maps latents to styles.
        synthesis: Draws images from styles (b, n, w), of which it takes `num_layers`; called with whether there is
            noise, too.
        mixing: Share of the images in training that get two styles.
    """

    psi: float = 1.0
    """Distance from the mean style that is left in evaluation; 0 leaves the mean alone."""
    psi_layers: int | None = None
    """Layers, from the coarsest, whose styles are drawn to the mean; None has all."""

    def __init__(self, mapping: Mapping, synthesis: Any, mixing: float):
        super().__init__()
        if not 0 <= mixing <= 1:
            raise ValueError(f"`mixing` must be between 0 and 1, got {mixing}.")
        self.mapping, self.synthesis, self.mixing = mapping, synthesis, mixing
        self.latent_dim, self.num_classes = mapping.latent_dim, mapping.num_classes

    def forward(self, latent: Float[Tensor, "b z"], label: Labels | None = None) -> Float[Tensor, "b c h w"]:
        return self.synthesis(self.styles(latent, label))

    def styles(self, latent: Float[Tensor, "b z"], label: Labels | None = None) -> Styles:
        """Returns a style for each layer."""
        count = self.synthesis.num_layers
        styles = self.mapping(latent, label)[:, None].expand(-1, count, -1)
        if self.training and self.mixing and count > 1:
            draws = torch.rand(len(latent), 2, device=latent.device)
            first = 1 + (draws[:, 1] * (count - 1)).floor()  # of the layers that get the other style
            behind = torch.arange(count, device=latent.device) >= first[:, None]
            mixed = behind & (draws[:, :1] < self.mixing)
            second = torch.randn(*latent.shape, device=latent.device, dtype=latent.dtype)
            other = self.mapping(second, label)[:, None]
            styles = torch.where(mixed[..., None], other, styles)
        if not self.training and self.psi != 1:
            truncated = torch.lerp(self.center(), styles, self.psi)
            end = count if self.psi_layers is None else self.psi_layers
            styles = torch.cat([truncated[:, :end], styles[:, end:]], 1)
        return styles

    @torch.no_grad()
    def center(self) -> Float[Tensor, " s"]:
        """Returns the mean style of latents of any class."""
        generator = torch.Generator().manual_seed(0)
        like = next(self.mapping.parameters(), torch.zeros(()))
        latent = torch.randn(CENTER_OF, self.latent_dim, generator=generator).to(like)
        classes = max(self.num_classes, 1)
        label = torch.arange(CENTER_OF, device=like.device) % classes if self.num_classes else None
        return self.mapping(latent, label).mean(0)
