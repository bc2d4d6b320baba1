"""SNGAN's residual networks (Miyato et al., 2018, https://arxiv.org/abs/1802.05957, table 4).

Initial weights are those of the authors' code, https://github.com/pfnet-research/sngan_projection: uniform after
Glorot & Bengio (2010), with gain sqrt(2) in the convolutions of residual branches; scale 1 and shift 0 for each class.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.checks import Labels, check_images, class_condition
from lightning_gans.networks.resnet import (
    ConditionalBatchNorm,
    DiscriminatorBlock,
    FirstMap,
    GeneratorBlock,
    LastLayers,
    ProjectionHead,
    discriminator_blocks,
    generator_blocks,
    initialize,
    zero_class_tables,
)
from lightning_gans.networks.wrappers.spectral import normalize


class SNGANGenerator(nn.Module):
    """Residual blocks, each of which doubles the size, from a latent to an image.

    With classes, each has a scale and a shift of its own in every batch norm but the last (Miyato & Koyama, 2018,
    https://arxiv.org/abs/1802.05637).

    Args:
        latent_dim: Size of the latent.
        num_classes: Number of classes; 0 has none.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: Channels of the last maps, or a quarter of all maps at 32 px; 64 in the paper.
    """

    def __init__(self, latent_dim: int = 128, num_classes: int = 0, channels: int = 3, size: int = 32, width: int = 64):
        super().__init__()
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d
        if num_classes:
            norm = partial(ConditionalBatchNorm, condition_dim=num_classes)
        self.project = FirstMap(latent_dim, size, width)
        self.blocks = nn.ModuleList(blocks := generator_blocks(size, width, norm))
        self.last = LastLayers(blocks[-1].features, channels)
        initialize(self, nn.init.xavier_uniform_)
        enlarge_residual_weights(self)
        zero_class_tables(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, latent: Float[Tensor, "b z"], label: Labels | None = None) -> Float[Tensor, "b c h w"]:
        shares = class_condition(label, self.num_classes, latent)
        x = self.project(latent)
        for block in self.blocks:
            x = block(x, *shares)
        return self.last(x)


class SNGANDiscriminator(nn.Module):
    """Residual blocks that halve the size, to logits; all weights are divided by their spectral norm.

    With classes it is a projection discriminator. As in the authors' code for 32 pixels, the linear layer has no bias.
    Where channels become more, the first convolution of a block makes them; in the authors' code it is the second.

    Args:
        num_classes: Number of classes; 0 has none.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: Channels of the first maps, or a quarter of all maps at 32 px; 32 there in the paper.
    """

    def __init__(self, num_classes: int = 0, channels: int = 3, size: int = 32, width: int = 32):
        super().__init__()
        self.num_classes, self.channels, self.size = num_classes, channels, size
        self.blocks = nn.Sequential(*(blocks := discriminator_blocks(channels, size, width)))
        self.head = ProjectionHead(blocks[-1].features, num_classes, bias=False)
        initialize(self, nn.init.xavier_uniform_)
        enlarge_residual_weights(self)
        normalize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"], label: Labels | None = None) -> Float[Tensor, " b"]:
        check_images(image, self.channels, self.size)
        return self.head(self.blocks(image), label)


@torch.no_grad()
def enlarge_residual_weights(network: nn.Module) -> None:
    """Gives the convolutions of residual branches the gain sqrt(2)."""
    for block in network.modules():
        if isinstance(block, GeneratorBlock | DiscriminatorBlock):
            block.conv1.weight.mul_(math.sqrt(2))
            block.conv2.weight.mul_(math.sqrt(2))
