"""InfoGAN's discriminator for digits; its generator is DCGAN's with a hidden layer."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images
from lightning_gans.networks.dcgan import initialize


class InfoGANDiscriminator(nn.Module):
    """Convolutions and a linear layer, shared by a head for the logit and one that predicts the code.

    Source: Chen et al., 2016, appendix C.1, https://arxiv.org/abs/1606.03657.

    Args:
        channels: Image channels.
        size: Image height and width, a multiple of 4.
        width: Channels of the first convolution; 64 in the paper.
        hidden: Units of the linear layer; 1024 in the paper.
        code_outputs: What the head Q returns: a logit per category and a mean per factor.
    """

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64, hidden: int = 1024, code_outputs: int = 12):
        super().__init__()
        if size % 4:
            raise ValueError(f"`size` must be a multiple of 4, got {size}.")
        self.channels, self.size = channels, size
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(2 * width * (size // 4) ** 2, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(0.1),
        )
        self.judge = nn.Linear(hidden, 1)
        self.posterior = nn.Sequential(
            nn.Linear(hidden, 128, bias=False), nn.BatchNorm1d(128), nn.LeakyReLU(0.1), nn.Linear(128, code_outputs)
        )
        initialize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        check_images(image, self.channels, self.size)
        features = self.trunk(image)
        return full_precision(torch.cat([self.judge(features), self.posterior(features)], dim=1))
