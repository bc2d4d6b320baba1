"""SRGAN's networks (Ledig et al., 2017, https://arxiv.org/abs/1609.04802, figure 4).

Initial weights are torch's. Trunks have no biases before batch norm, as in https://github.com/Lornatang/SRGAN-PyTorch.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images
from lightning_gans.networks.translation import Repeat, Residual

NORMS = ("none", "batch")


class SRGANGenerator(nn.Module):
    """Residual blocks on a small image, then doublings to the large one; with a content loss alone it is SRResNet.

    The last layer is linear, so values may lie somewhat outside of [-1, 1]. The image may have any size.

    Args:
        factor: By how much height and width grow: 2, 4 or 8; 4 in the paper.
        channels: Image channels.
        width: Channels of all maps; 64 in the paper.
        blocks: Residual blocks; 16 in the paper.
        norm: `batch` as in the paper, whose samples can have dots where statistics of training do not fit; or `none`.
        upsample: `shuffle` turns channels into pixels as in the paper, or `resize`, which repeats pixels before a
            convolution, against checkerboards.
    """

    def __init__(
        self,
        factor: int = 4,
        channels: int = 3,
        width: int = 64,
        blocks: int = 16,
        norm: str = "none",
        upsample: str = "shuffle",
    ):
        super().__init__()
        if factor not in (2, 4, 8):
            raise ValueError(f"`factor` must be 2, 4 or 8, got {factor}.")
        if norm not in NORMS:
            raise ValueError(f"`norm` must be one of {', '.join(NORMS)}, got {norm!r}.")
        if upsample not in ("shuffle", "resize"):
            raise ValueError(f"`upsample` must be one of shuffle, resize, got {upsample!r}.")
        self.factor, self.channels = factor, channels

        def convolution() -> list[nn.Module]:
            layer = nn.Conv2d(width, width, 3, padding=1, bias=norm == "none")
            return [layer] if norm == "none" else [layer, nn.BatchNorm2d(width)]

        trunk = [Residual(*convolution(), nn.PReLU(), *convolution()) for _ in range(blocks)]
        self.first = nn.Sequential(nn.Conv2d(channels, width, 9, padding=4), nn.PReLU())
        self.trunk = Residual(*trunk, *convolution())
        layers: list[nn.Module] = []
        for _ in range(factor.bit_length() - 1):
            if upsample == "shuffle":
                layers += [nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.PReLU()]
            else:
                layers += [Repeat(), nn.Conv2d(width, width, 3, padding=1), nn.PReLU()]
        self.last = nn.Sequential(*layers, nn.Conv2d(width, channels, 9, padding=4))
        self.to(memory_format=torch.channels_last)

    def forward(self, low: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _ _"]:
        check_images(low, self.channels)
        return self.last(self.trunk(self.first(low)))


class SRGANDiscriminator(nn.Module):
    """Eight convolutions, every second of which halves the size, and two linear layers, from an image to a logit.

    Channels are 1, 2, 4 and 8 times `width`, two layers each; leaky ReLU of slope 0.2, batch norm in all but the first.

    Args:
        channels: Image channels.
        size: Image height and width, a multiple of 16; 96 in the paper. 0 takes any size, since the linear layers then
            get the mean of the last map.
        width: Channels of the first layer; 64 in the paper.
        hidden: Units of the first linear layer; 1024 in the paper.
        batch_norm: False leaves it out, as gradient penalties need.
    """

    def __init__(self, channels: int = 3, size: int = 96, width: int = 64, hidden: int = 1024, batch_norm: bool = True):
        super().__init__()
        if size < 0 or size % 16:
            raise ValueError(f"`size` must be a multiple of 16, or 0 for any, got {size}.")
        self.channels, self.size = channels, size
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
        before = width
        for number in range(1, 8):
            after = width * 2 ** (number // 2)
            layers += [nn.Conv2d(before, after, 3, 1 + number % 2, 1, bias=not batch_norm)]
            layers += [nn.BatchNorm2d(after)] if batch_norm else []
            layers += [nn.LeakyReLU(0.2)]
            before = after
        self.layers = nn.Sequential(*layers)
        places = (size // 16) ** 2 or 1
        self.judge = nn.Sequential(nn.Linear(before * places, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        check_images(image, self.channels, self.size or None)
        features = self.layers(image)
        features = features.flatten(1) if self.size else features.mean((2, 3))
        return full_precision(self.judge(features).flatten())
