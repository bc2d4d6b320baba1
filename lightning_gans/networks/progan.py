"""ProGAN's networks (Karras et al., 2018, https://arxiv.org/abs/1710.10196, appendix A)."""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from lightning_gans.mechanics.schedules import Growth, Schedule, Timed, at
from lightning_gans.networks.checks import Labels, check_images, class_condition
from lightning_gans.networks.equalized import EqualizedConv2d, EqualizedLinear, MinibatchDeviation, PixelNorm

Images = Float[Tensor, "b c h w"]


class Growing(Timed, nn.Module):
    """A network whose resolution grows with the training images; all of its parameters are there from the start.

    Args:
        size: Image height and width at last, a power of 2 from 4.
        level: Doublings of 4 pixels so far; between two whole numbers the finer resolution fades in.
    """

    def __init__(self, size: int, level: float | Schedule):
        super().__init__()
        self.size, self.level, self.doublings = size, level, len(sides(size)) - 1

    def stage(self, images: int | None = None) -> tuple[int, float]:
        """Returns the doublings of the finest maps that there are by now, and their share of the image.

        Args:
            images: Training images so far; None takes those of now.
        """
        level = min(float(at(self.level, self.images_seen if images is None else images)), self.doublings)
        finest = math.ceil(level)
        return finest, 1.0 - (finest - level)

    def seen(self, image: Images) -> Images:
        """Returns images with the detail of now, at their size: of them the generator's are to be told."""
        finest, share = self.stage()
        small = avg_pool2d(image, 2 ** (self.doublings - finest))
        if share < 1:
            small = torch.lerp(enlarged(avg_pool2d(small, 2), 2), small, share)
        return enlarged(small, 2 ** (self.doublings - finest))


def enlarged(image: Images, factor: int) -> Float[Tensor, "b c _ _"]:
    """Returns images with each pixel repeated."""
    return image if factor == 1 else interpolate(image, scale_factor=factor, mode="nearest")


def channels_at(size: int, width: int, base: int) -> int:
    """Returns the channels of the maps of a size."""
    return min(2 * base // size, width)


def sides(size: int) -> list[int]:
    """Returns the heights of all maps, from 4 up to `size`."""
    if size < 4 or math.log2(size) % 1:
        raise ValueError(f"`size` must be a power of 2 from 4, got {size}.")
    return [2**power for power in range(2, int(math.log2(size)) + 1)]


class FirstMap(nn.Module):
    """Makes the first map of latents, 4 x 4, with a bias for each channel.

    Args:
        latent_dim: Size of the latent.
        features: Channels of the map.
    """

    def __init__(self, latent_dim: int, features: int):
        super().__init__()
        self.dense = EqualizedLinear(latent_dim, 16 * features, gain=math.sqrt(2) / 4, bias=None)
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "b c 4 4"]:
        return self.dense(latent).unflatten(1, (-1, 4, 4)) + self.bias[:, None, None]


def activated(*layers: nn.Module) -> nn.Sequential:
    """Returns the layers with a leaky ReLU behind them."""
    return nn.Sequential(*layers, nn.LeakyReLU(0.2))


def halving(before: int, after: int) -> nn.Sequential:
    """Returns the layers of a discriminator's block."""
    return nn.Sequential(
        activated(EqualizedConv2d(before, before)), activated(EqualizedConv2d(before, after)), nn.AvgPool2d(2)
    )


def last_layers(features: int, hidden: int, group: int, outputs: int) -> nn.Sequential:
    """Returns the layers from the last map to the logits, (b,) if there is one output."""
    return nn.Sequential(
        *[MinibatchDeviation(group)] * bool(group),
        activated(EqualizedConv2d(features + bool(group), features)),
        nn.Flatten(),
        activated(EqualizedLinear(16 * features, hidden)),
        EqualizedLinear(hidden, outputs, gain=1.0),
        *[nn.Flatten(0)] * (outputs == 1),
    )


class ProGANGenerator(Growing):
    """Grows from small images to large ones: each doubling adds two convolutions, which fade in.

    Images have their full size at all times, with each pixel repeated while the network is small.

    Args:
        latent_dim: Size of the latent, which is scaled to length sqrt(latent_dim).
        channels: Image channels.
        size: Image height and width at last, a power of 2 from 4.
        width: Channels of a map at most.
        base: A map of s pixels a side has `2 * base / s` channels, or `width`.
        level: Doublings of 4 pixels so far, for a network that grows a `Growth`.
        num_classes: Number of classes, whose shares lengthen the latent; 0 has none.
    """

    def __init__(
        self,
        latent_dim: int = 512,
        channels: int = 3,
        size: int = 1024,
        width: int = 512,
        base: int = 8192,
        level: float | Schedule = Growth(600.0),
        num_classes: int = 0,
    ):
        super().__init__(size, level)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        features = [channels_at(side, width, base) for side in sides(size)]
        first = activated(FirstMap(latent_dim + num_classes, features[0]))
        self.first = nn.Sequential(PixelNorm(), first, PixelNorm(), *normed(features[0], features[0]))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), *normed(before, after), *normed(after, after))
            for before, after in pairwise(features)
        )
        self.to_image = nn.ModuleList(EqualizedConv2d(n, channels, 1, gain=1.0) for n in features)
        self.to(memory_format=torch.channels_last)  # faster, also on a CPU

    def forward(self, latent: Float[Tensor, "b z"], label: Labels | None = None) -> Images:
        finest, share = self.stage()
        x = self.first(torch.cat([latent, *class_condition(label, self.num_classes, latent)], 1))
        for index in range(finest):
            before, x = x, self.blocks[index](x)
        image = self.to_image[finest](x)
        if share < 1:
            image = torch.lerp(enlarged(self.to_image[finest - 1](before), 2), image, share)
        return enlarged(image, 2 ** (self.doublings - finest))


def normed(before: int, after: int) -> tuple[nn.Module, nn.Module]:
    """Returns a convolution of a generator, and the norm behind it."""
    return activated(EqualizedConv2d(before, after)), PixelNorm()


class ProGANDiscriminator(Growing):
    """Mirrors the generator; at the end it sees how much the images of a group differ.

    Args:
        channels: Image channels.
        size: Image height and width at last, a power of 2 from 4.
        width: Channels of a map at most.
        base: A map of s pixels a side has `2 * base / s` channels, or `width`.
        level: Doublings so far, as the generator's.
        group: Images in a group of the minibatch standard deviation at most; 0 leaves it out.
        num_classes: Number of classes, for each of which there is a logit behind that of real against fake; 0 has none.
    """

    def __init__(
        self,
        channels: int = 3,
        size: int = 1024,
        width: int = 512,
        base: int = 8192,
        level: float | Schedule = Growth(600.0),
        group: int = 4,
        num_classes: int = 0,
    ):
        super().__init__(size, level)
        self.channels, self.num_classes = channels, num_classes
        features = [channels_at(side, width, base) for side in sides(size)]
        self.from_image = nn.ModuleList(activated(EqualizedConv2d(channels, n, 1)) for n in features)
        self.blocks = nn.ModuleList(self.block(before, after) for after, before in pairwise(features))
        self.last = last_layers(features[0], channels_at(2, width, base), group, self.outputs(num_classes))
        self.to(memory_format=torch.channels_last)

    block = staticmethod(halving)

    @staticmethod
    def outputs(num_classes: int) -> int:
        """Returns the number of logits."""
        return 1 + num_classes

    def forward(self, image: Images) -> Float[Tensor, "b ..."]:
        check_images(image, self.channels, self.size)
        finest, share = self.stage()
        image = avg_pool2d(image, 2 ** (self.doublings - finest))
        x = self.from_image[finest](image)
        for index in reversed(range(finest)):
            x = self.blocks[index](x)
            if share < 1:
                x, share = torch.lerp(self.from_image[finest - 1](avg_pool2d(image, 2)), x, share), 1.0
        return self.last(x)
