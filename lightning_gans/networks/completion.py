"""Networks of generative face completion (Li et al., 2017, https://arxiv.org/abs/1704.05838), as in the authors' code.

They are those of https://github.com/Yijunmaverick/GenerativeFaceCompletion, without batch norm. Initial weights are
theirs too: normal after He et al. (2015) with the mean of both fans in the generator, N(0, 0.001) in its last layer,
and N(0, 0.02) in discriminators; biases are 0.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images
from lightning_gans.networks.translation import Repeat, initialize

Maps = Float[Tensor, "b c h w"]


class CompletionGenerator(nn.Module):
    """Convolutions and linear layers from an image with a hole to a whole image.

    Four poolings lead to two linear layers on the whole map, and four unpoolings back: each puts a value where the
    pooling of its size found its maximum, and zeros beside it. There are no other skips, so the image outside of the
    hole is kept by putting it back. The last layer is linear.

    Args:
        channels: Image channels.
        size: Image height and width, a multiple of 16; 128 in the paper.
        width: Channels of the first layer; 32 in the authors' code.
        hidden: Units between both linear layers; 4096 in the authors' code.
    """

    def __init__(self, channels: int = 3, size: int = 128, width: int = 32, hidden: int = 4096):
        super().__init__()
        if size < 16 or size % 16:
            raise ValueError(f"`size` must be a multiple of 16, got {size}.")
        self.channels, self.size = channels, size
        one, two, four, eight = width, 2 * width, 4 * width, 8 * width
        self.smallest = (eight, size // 16, size // 16)
        self.down = nn.ModuleList(
            [
                convolutions(channels, one, one),
                convolutions(one, two, two),
                convolutions(two, four, four),
                convolutions(four, eight, eight, eight, eight),
            ]
        )
        units = math.prod(self.smallest)
        self.middle = nn.Sequential(nn.Linear(units, hidden), nn.ReLU(), nn.Linear(hidden, units), nn.ReLU())
        self.up = nn.ModuleList(
            [
                convolutions(eight, two, two, two, four),
                convolutions(four, two, two),
                convolutions(two, two, one),
                convolutions(one, one, one),
            ]
        )
        self.last = nn.Conv2d(one, channels, 3, padding=1)
        self.unpool = Repeat()
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_normal_(module.weight, math.sqrt(2))  # He's with the mean of both fans
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.last.weight, 0.0, 0.001)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        check_images(image, self.channels, self.size)
        x, masks = image, []
        for layer in self.down:
            x, mask = pooled(layer(x))
            masks.append(mask)
        x = self.middle(x.flatten(1)).unflatten(1, self.smallest)
        for layer in self.up:
            x = layer(self.unpool(x) * masks.pop())
        return self.last(x)


class CompletionDiscriminator(nn.Module):
    """Convolutions from an image to a logit; each second one halves the size, and channels double after it.

    A local one of half the size judges what fills the hole, and a global one the completed image.

    Args:
        channels: Image channels.
        size: Image height and width, 4 doubled at least once; 64 in the authors' local network and 128 in the global.
        width: Channels of the first layers; 64 in the authors' local network and 32 in the global.
    """

    def __init__(self, channels: int = 3, size: int = 64, width: int = 64):
        super().__init__()
        if size < 8 or size & (size - 1):
            raise ValueError(f"`size` must be 4 doubled at least once, got {size}.")
        self.channels, self.size = channels, size
        layers: list[nn.Module] = []
        before = channels
        for level in range(size.bit_length() - 3):
            after = width * 2**level
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(after, after, 4, 2, 1), nn.LeakyReLU(0.2)]
            before = after
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 1, 4))
        initialize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        check_images(image, self.channels, self.size)
        return full_precision(self.layers(image).flatten())


def convolutions(*features: int) -> nn.Sequential:
    """Returns 3 x 3 convolutions between these numbers of channels, each with ReLU."""
    layers: list[nn.Module] = []
    for before, after in zip(features[:-1], features[1:], strict=True):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def pooled(x: Maps) -> tuple[Float[Tensor, "b c _ _"], Maps]:
    """Returns the maximum of each 2 x 2 pixels, and a mask that is 1 where it was found."""
    values, places = max_pool2d(x, 2, return_indices=True)
    mask = torch.zeros_like(x).flatten(2).scatter(2, places.flatten(2), 1.0)
    return values, mask.reshape(x.shape)
