"""SAGAN's networks (Zhang et al., 2019, https://arxiv.org/abs/1805.08318)."""

import itertools
from collections.abc import Callable
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
    zero_class_tables,
)
from lightning_gans.networks.wrappers.spectral import normalize


class SAGANGenerator(nn.Module):
    """SNGAN's generator with self-attention, its weights divided by their spectral norm too (sections 3 and 4.1).

    Args:
        latent_dim: Size of the latent.
        num_classes: Number of classes; 0 has none.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: Channels of the last maps, or a quarter of all maps at 32 px; 64 in the authors' code.
        attention: Size of the maps after which self-attention comes; 0 has none.
    """

    def __init__(
        self,
        latent_dim: int = 128,
        num_classes: int = 0,
        channels: int = 3,
        size: int = 128,
        width: int = 64,
        attention: int = 32,
    ):
        super().__init__()
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d
        if num_classes:
            norm = partial(ConditionalBatchNorm, condition_dim=num_classes)
        self.project = FirstMap(latent_dim, size, width)
        self.blocks = attended_generator_blocks(size, width, norm, attention)
        self.last = LastLayers(self.blocks.features, channels)
        initialize(self, nn.init.xavier_uniform_)
        zero_class_tables(self)
        normalize(self, skip=class_tables(self))
        self.to(memory_format=torch.channels_last)

    def forward(self, latent: Float[Tensor, "b z"], label: Labels | None = None) -> Float[Tensor, "b c h w"]:
        shares = class_condition(label, self.num_classes, latent)
        return self.last(self.blocks(self.project(latent), itertools.repeat(shares)))


class SAGANDiscriminator(nn.Module):
    """SNGAN's discriminator with self-attention (section 3).

    Args:
        num_classes: Number of classes; 0 has none.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: Channels of the first maps, or a quarter of all maps at 32 px; 64 in the authors' code.
        attention: Size of the maps after which self-attention comes; 0 has none.
    """

    def __init__(self, num_classes: int = 0, channels: int = 3, size: int = 128, width: int = 64, attention: int = 32):
        super().__init__()
        self.num_classes, self.channels, self.size = num_classes, channels, size
        self.blocks = attended_discriminator_blocks(channels, size, width, attention)
        self.head = ProjectionHead(self.blocks.features, num_classes)
        initialize(self, nn.init.xavier_uniform_)
        normalize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"], label: Labels | None = None) -> Float[Tensor, " b"]:
        check_images(image, self.channels, self.size)
        return self.head(self.blocks(image), label)
