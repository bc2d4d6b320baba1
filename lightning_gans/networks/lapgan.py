"""LAPGAN's networks for one level of the pyramid."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images


class LAPGANGenerator(nn.Module):
    """Convolutions from an enlarged image and a plane of noise to the detail it lacks (Denton et al., 2015, https://arxiv.org/abs/1506.05751).

    The noise is one more color channel. There are three layers as in the authors' code for CIFAR10, with ReLU between
    them and none at the end, since detail has either sign. No layer changes the size, so a network takes images of any
    size.

    Args:
        channels: Image channels.
        width: Channels of the two hidden layers; 128 in the authors' code.
        kernel_size: Height and width of the hidden layers' kernels, odd; 7 in the authors' code. The last has 5.
    """

    def __init__(self, channels: int = 3, width: int = 128, kernel_size: int = 7):
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"`kernel_size` must be odd, got {kernel_size}.")
        self.channels = channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels + 1, width, kernel_size, padding="same"),
            nn.ReLU(),
            nn.Conv2d(width, width, kernel_size, padding="same"),
            nn.ReLU(),
            nn.Conv2d(width, channels, 5, padding="same"),
        ).to(memory_format=torch.channels_last)

    def forward(self, low: Float[Tensor, "b c h w"], noise: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c h w"]:
        check_images(low, self.channels)
        return self.layers(torch.cat([low, noise], 1))


class LAPGANDiscriminator(nn.Module):
    """Convolutions from an enlarged image and its detail to a logit (Denton et al., 2015, https://arxiv.org/abs/1506.05751).

    The two are added before the first layer (section 3.2), whose input is the image they make. There are two
    convolutions and a linear layer as in the authors' code for CIFAR10, with ReLU and dropout.

    Args:
        channels: Image channels.
        size: Image height and width, at least 9.
        width: Channels of the two hidden layers; 128 in the authors' code.
        dropout: Share of units dropped before the last layer; 0 drops none.
    """

    def __init__(self, channels: int = 3, size: int = 32, width: int = 128, dropout: float = 0.5):
        super().__init__()
        if size < 9:
            raise ValueError(f"`size` must be at least 9, got {size}.")
        self.channels, self.size = channels, size
        smallest = (size - 7) // 2  # after two 5 x 5 kernels without padding, the second of stride 2
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 5),
            nn.ReLU(),
            nn.Conv2d(width, width, 5, 2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(width * smallest * smallest, 1),
            nn.Flatten(0),
        ).to(memory_format=torch.channels_last)

    def forward(self, band: Float[Tensor, "b c h w"], low: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        check_images(band, self.channels, self.size)
        return full_precision(self.layers(band + low))
