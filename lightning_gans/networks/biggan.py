"""BigGAN's networks (Brock et al., 2019, https://arxiv.org/abs/1809.11096, appendix B)."""

import itertools
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.checks import Labels, check_images, class_condition
from lightning_gans.networks.resnet import (
    ConditionalBatchNorm,
    FirstMap,
    LastLayers,
    ProjectionHead,
    attended_discriminator_blocks,
    attended_generator_blocks,
    class_tables,
    initialize,
    multiples,
)
from lightning_gans.networks.wrappers.spectral import normalize


class BigGANGenerator(nn.Module):
    """Residual blocks whose batch norm depends on the class and on a part of the latent.

    All blocks share a class embedding, and each gets its own part of the latent. Weights are orthogonal at first and
    divided by their spectral norm.

    Args:
        latent_dim: Size of the latent; with `hierarchical` a multiple of the number of blocks plus one.
        num_classes: Number of classes.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: ch of the paper: channels of the last maps, or a quarter of all maps at 32 px.
        shared_dim: Size of the shared class embedding; 0 has a scale and a shift per class and layer instead.
        hierarchical: Whether each block gets its own part of the latent; otherwise the first map gets all of it.
        attention: Size of the maps after which self-attention comes; 0 has none.
    """

    def __init__(
        self,
        latent_dim: int = 120,
        num_classes: int = 10,
        channels: int = 3,
        size: int = 128,
        width: int = 96,
        shared_dim: int = 128,
        hierarchical: bool = True,
        attention: int = 64,
    ):
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"`num_classes` must be at least 1, got {num_classes}.")
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.parts = len(multiples(size)) if hierarchical else 1
        if latent_dim % self.parts or hierarchical and not shared_dim:
            raise ValueError(
                f"`latent_dim` must be a multiple of {self.parts} and `shared_dim` above 0 for a hierarchical latent "
                f"at {size} px, got {latent_dim} and {shared_dim}."
            )
        part = latent_dim // self.parts
        condition_dim = (shared_dim or num_classes) + (part if hierarchical else 0)
        self.embedding = nn.Linear(num_classes, shared_dim, bias=False) if shared_dim else nn.Identity()
        self.project = FirstMap(part, size, width)
        norm = partial(ConditionalBatchNorm, condition_dim=condition_dim)
        self.blocks = attended_generator_blocks(size, width, norm, attention)
        self.last = LastLayers(self.blocks.features, channels)
        initialize(self, nn.init.orthogonal_)
        normalize(self, skip=[self.embedding] if shared_dim else class_tables(self))  # of layers, not of look-up tables
        self.to(memory_format=torch.channels_last)

    def forward(self, latent: Float[Tensor, "b z"], label: Labels | None = None) -> Float[Tensor, "b c h w"]:
        first, *parts = latent.chunk(self.parts, dim=1)
        (shares,) = class_condition(label, self.num_classes, latent)
        shared = self.embedding(shares)
        conditions = [[torch.cat([shared, part], 1)] for part in parts] or itertools.repeat([shared])
        return self.last(self.blocks(self.project(first), conditions))


class BigGANDiscriminator(nn.Module):
    """Residual blocks that halve the size, and a projection of the class; weights are orthogonal at first.

    Args:
        num_classes: Number of classes.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: ch of the paper: channels of the first maps, or a quarter of all maps at 32 px.
        attention: Size of the maps after which self-attention comes; 0 has none.
    """

    def __init__(self, num_classes: int = 10, channels: int = 3, size: int = 128, width: int = 96, attention: int = 64):
        super().__init__()
        self.num_classes, self.channels, self.size = num_classes, channels, size
        self.blocks = attended_discriminator_blocks(channels, size, width, attention)
        self.head = ProjectionHead(self.blocks.features, num_classes)
        initialize(self, nn.init.orthogonal_)
        normalize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"], label: Labels | None = None) -> Float[Tensor, " b"]:
        check_images(image, self.channels, self.size)
        return self.head(self.blocks(image), label)
