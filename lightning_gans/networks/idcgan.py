"""ID-CGAN's networks (Zhang et al., 2019, https://arxiv.org/abs/1701.05957), as in the authors' code.

They are those of https://github.com/hezhangsprinter/ID-CGAN. The paper of 2019 describes a densely connected generator
and a discriminator of several scales, of which no code is public. Layers in front of batch norm have no biases, and
neither have the others by default, since the authors' training sets all biases to 0 before each step.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images
from lightning_gans.networks.translation import initialize


class IDCGANGenerator(nn.Module):
    """Convolutions of one size from an image to a cleaner one, through a bottleneck of one channel, with two skips.

    Args:
        channels: Image channels.
        width: Channels of most layers, even; 64 in the authors' code.
        bias: True adds biases, as the authors' networks have, which their training keeps at 0.
    """

    def __init__(self, channels: int = 3, width: int = 64, bias: bool = False):
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(f"`width` must be even and at least 2, got {width}.")
        self.channels = channels
        half = width // 2

        def block(before: int, after: int, transposed: bool = False) -> nn.Module:
            kind = nn.ConvTranspose2d if transposed else nn.Conv2d
            return nn.Sequential(kind(before, after, 3, padding=1, bias=bias), nn.BatchNorm2d(after))

        self.first = nn.Conv2d(channels, width, 3, padding=1, bias=bias)
        down = [width, width, width, width, half, 1]
        up = [1, half, width, width, width, width]
        self.down = nn.ModuleList(block(*pair) for pair in zip(down[:-1], down[1:], strict=True))
        self.up = nn.ModuleList(block(*pair, transposed=True) for pair in zip(up[:-1], up[1:], strict=True))
        self.last = nn.ConvTranspose2d(width, channels, 3, padding=1, bias=bias)
        initialize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, source: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        check_images(source, self.channels)
        maps = [self.first(source)]
        for layer in self.down:
            maps.append(layer(leaky_relu(maps[-1], 0.2)))
        x = self.up[0](leaky_relu(maps[-1], 0.2))
        x = self.up[1](relu(x)) + maps[3]
        x = self.up[3](relu(self.up[2](relu(x)))) + maps[1]
        return self.last(relu(self.up[4](relu(x)))).tanh()


class IDCGANDiscriminator(nn.Module):
    """Convolutions from an image and the given one to a map of logits (b, 1, h, w), each of a patch of 70 pixels.

    Channels double from layer to layer, and all but the last two halve the size; leaky ReLU of slope 0.2, batch norm in
    all but the first and the last.

    Args:
        channels: Channels of the judged image.
        source_channels: Channels of the given image.
        width: Channels of the first layer; 48 in the authors' code.
        bias: True adds biases, as the authors' networks have, which their training keeps at 0.
    """

    def __init__(self, channels: int = 3, source_channels: int = 3, width: int = 48, bias: bool = False):
        super().__init__()
        self.channels, self.source_channels = channels, source_channels
        layers: list[nn.Module] = [nn.Conv2d(channels + source_channels, width, 4, 2, 1, bias=bias), nn.LeakyReLU(0.2)]
        for before, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers += [nn.Conv2d(before, 2 * before, 4, stride, 1, bias=bias)]
            layers += [nn.BatchNorm2d(2 * before), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1, bias=bias))
        initialize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"], source: Float[Tensor, "b k h w"]) -> Float[Tensor, "b 1 _ _"]:
        check_images(image, self.channels)
        if source.shape[1] != self.source_channels:
            raise ValueError(
                f"`source_channels` of network and images must agree, got {self.source_channels} and images with "
                f"{source.shape[1]}."
            )
        if min(image.shape[2:]) < 24:
            height, width = image.shape[2:]
            raise ValueError(
                f"`image` must have at least 24 pixels a side, got {height} x {width}: take a larger crop."
            )
        return full_precision(self.layers(torch.cat([source, image], 1)))
