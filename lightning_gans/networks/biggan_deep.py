"""BigGAN-deep's networks (Brock et al., 2019, https://arxiv.org/abs/1809.11096, appendix B, tables 7 to 9)."""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from lightning_gans.networks.checks import Labels, check_images, class_condition
from lightning_gans.networks.resnet import (
    ConditionalBatchNorm,
    FirstMap,
    LastLayers,
    ProjectionHead,
    WithAttention,
    initialize,
    multiples,
)
from lightning_gans.networks.wrappers.spectral import normalize

RATIO = 4  # of the channels between blocks over those inside (appendix B)


class BigGANDeepGenerator(nn.Module):
    """Twice as many blocks as BigGAN's generator, with bottlenecks and fewer parameters.

    The whole latent goes, beside the class embedding, to every block; where channels become fewer, the shortcut drops
    the last ones.

    Args:
        latent_dim: Size of the latent; 128 in the paper.
        num_classes: Number of classes.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: ch of the paper: channels of the last maps; 128 there.
        shared_dim: Size of the class embedding; 128 in the paper.
        attention: Size of the maps after which self-attention comes; 0 has none.
    """

    def __init__(
        self,
        latent_dim: int = 128,
        num_classes: int = 10,
        channels: int = 3,
        size: int = 128,
        width: int = 128,
        shared_dim: int = 128,
        attention: int = 64,
    ):
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"`num_classes` must be at least 1, got {num_classes}.")
        features = [width * multiple for multiple in multiples(size)]
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        condition_dim = latent_dim + shared_dim
        self.embedding = nn.Linear(num_classes, shared_dim, bias=False)
        self.project = FirstMap(condition_dim, size, width)
        blocks: list[nn.Module] = []
        sizes: list[int | None] = []
        for i, (before, after) in enumerate(itertools.pairwise(features)):
            blocks.append(DeepGeneratorBlock(before, before, condition_dim, doubles=False))
            blocks.append(DeepGeneratorBlock(before, after, condition_dim, doubles=True))
            sizes += [None, size // 2 ** (len(features) - 2 - i)]
        self.blocks = WithAttention(blocks, sizes, attention)
        self.last = LastLayers(features[-1], channels)
        initialize(self, nn.init.orthogonal_)
        normalize(self, skip=[self.embedding])
        self.to(memory_format=torch.channels_last)

    def forward(self, latent: Float[Tensor, "b z"], label: Labels | None = None) -> Float[Tensor, "b c h w"]:
        (shares,) = class_condition(label, self.num_classes, latent)
        condition = torch.cat([latent, self.embedding(shares)], 1)
        return self.last(self.blocks(self.project(condition), itertools.repeat([condition])))


class BigGANDeepDiscriminator(nn.Module):
    """Twice as many blocks as BigGAN's discriminator, with bottlenecks and fewer parameters.

    Where channels become more, the shortcut gets the new ones from a 1 x 1 convolution.

    Args:
        num_classes: Number of classes.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: ch of the paper: channels of the first maps; 128 there.
        attention: Size of the maps after which self-attention comes; 0 has none.
    """

    def __init__(
        self, num_classes: int = 10, channels: int = 3, size: int = 128, width: int = 128, attention: int = 64
    ):
        super().__init__()
        self.num_classes, self.channels, self.size = num_classes, channels, size
        features = [width * multiple for multiple in multiples(size)][::-1]
        self.first = nn.Conv2d(channels, features[0], 3, padding=1)
        blocks: list[nn.Module] = []
        sizes: list[int | None] = []
        for i, (before, after) in enumerate(itertools.pairwise(features)):
            blocks.append(DeepDiscriminatorBlock(before, after, halve=True))
            blocks.append(DeepDiscriminatorBlock(after, after, halve=False))
            sizes += [None, size // 2 ** (i + 1)]
        self.blocks = WithAttention(blocks, sizes, attention)
        self.head = ProjectionHead(features[-1], num_classes)
        initialize(self, nn.init.orthogonal_)
        normalize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"], label: Labels | None = None) -> Float[Tensor, " b"]:
        check_images(image, self.channels, self.size)
        return self.head(self.blocks(self.first(image)), label)


class DeepGeneratorBlock(nn.Module):
    """Four times batch norm, ReLU and convolution: 1 x 1 to fewer channels, twice 3 x 3, 1 x 1 back.

    Args:
        before: Channels in.
        after: Channels out, at most as many.
        condition_dim: Size of the condition.
        doubles: Whether the size is doubled.
    """

    def __init__(self, before: int, after: int, condition_dim: int, doubles: bool):
        super().__init__()
        inside = max(1, before // RATIO)
        self.features, self.doubles = after, doubles
        self.norms = nn.ModuleList(ConditionalBatchNorm(k, condition_dim) for k in (before, inside, inside, inside))
        self.convolutions = nn.ModuleList(bottleneck(before, inside, after))

    def forward(self, x: Float[Tensor, "b k h w"], condition: Float[Tensor, "b t"]) -> Float[Tensor, "b l ..."]:
        y = x
        for i, (norm, convolution) in enumerate(zip(self.norms, self.convolutions, strict=True)):
            y = relu(norm(y, condition))
            if self.doubles and i == 1:
                y = interpolate(y, scale_factor=2.0)
            y = convolution(y)
        x = x[:, : self.features]
        return y + (interpolate(x, scale_factor=2.0) if self.doubles else x)


class DeepDiscriminatorBlock(nn.Module):
    """Four times ReLU and convolution: 1 x 1 to fewer channels, twice 3 x 3, 1 x 1 back.

    Args:
        before: Channels in.
        after: Channels out, at least as many.
        halve: Whether the size is halved.
    """

    def __init__(self, before: int, after: int, halve: bool):
        super().__init__()
        self.features, self.halve = after, halve
        self.convolutions = nn.ModuleList(bottleneck(before, max(1, after // RATIO), after))
        self.new = nn.Conv2d(before, after - before, 1) if after > before else None

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b l ..."]:
        y = x
        for i, convolution in enumerate(self.convolutions):
            y = relu(y)
            if self.halve and i == 3:
                y = avg_pool2d(y, 2)
            y = convolution(y)
        x = avg_pool2d(x, 2) if self.halve else x
        return y + (x if self.new is None else torch.cat([x, self.new(x)], 1))


def bottleneck(before: int, inside: int, after: int) -> list[nn.Module]:
    """Returns the convolutions of a block."""
    return [
        nn.Conv2d(before, inside, 1),
        nn.Conv2d(inside, inside, 3, padding=1),
        nn.Conv2d(inside, inside, 3, padding=1),
        nn.Conv2d(inside, after, 1),
    ]
