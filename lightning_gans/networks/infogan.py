"""InfoGAN's networks for digits."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.dcgan import initialize
from lightning_gans.precision import full_precision


class InfoGANGenerator(nn.Module):
    """Two linear layers, then two transposed convolutions (Chen et al., 2016, appendix C.1, https://arxiv.org/abs/1606.03657).

    Args:
        latent_dim: Size of the latent, codes and noise together.
        channels: Image channels.
        size: Image height and width, a multiple of 4.
        width: Channels of the last hidden layer; 64 in the paper, whose other layers have multiples of it.
    """

    def __init__(self, latent_dim: int = 74, channels: int = 1, size: int = 28, width: int = 64):
        super().__init__()
        if size % 4:
            raise ValueError(f"`size` must be a multiple of 4, got {size}.")
        self.latent_dim = latent_dim
        start = size // 4
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, 16 * width, bias=False),
            nn.BatchNorm1d(16 * width),
            nn.ReLU(),
            nn.Linear(16 * width, start * start * 2 * width, bias=False),
            nn.BatchNorm1d(start * start * 2 * width),
            nn.ReLU(),
            nn.Unflatten(1, (2 * width, start, start)),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, channels, 4, 2, 1),
            nn.Tanh(),
        )
        initialize(self)

    def forward(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "b c h w"]:
        return self.layers(latent)


class InfoGANDiscriminator(nn.Module):
    """Convolutions and a linear layer, shared by a head that judges and one that reads the code (Chen et al., 2016, appendix C.1, https://arxiv.org/abs/1606.03657).

    Args:
        channels: Image channels.
        size: Image height and width, a multiple of 4.
        width: Channels of the first hidden layer; 64 in the paper, whose other layers have multiples of it.
        code_outputs: What the head Q returns: a logit per category and a mean per factor.
    """

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64, code_outputs: int = 12):
        super().__init__()
        if size % 4:
            raise ValueError(f"`size` must be a multiple of 4, got {size}.")
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(2 * width * (size // 4) ** 2, 16 * width, bias=False),
            nn.BatchNorm1d(16 * width),
            nn.LeakyReLU(0.1),
        )
        self.judge = nn.Linear(16 * width, 1)
        self.posterior = nn.Sequential(
            nn.Linear(16 * width, 128, bias=False), nn.BatchNorm1d(128), nn.LeakyReLU(0.1), nn.Linear(128, code_outputs)
        )
        initialize(self)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        features = self.trunk(image)
        return full_precision(torch.cat([self.judge(features), self.posterior(features)], dim=1))
