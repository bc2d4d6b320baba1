"""The adversarial autoencoder's networks; its decoder is `MLPGenerator`."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images


class AAEEncoder(nn.Module):
    """Two rectified linear layers and a linear one from an image to a code (Makhzani et al., 2016, https://arxiv.org/abs/1511.05644).

    With noise this is the Gaussian posterior of section 2 with a fixed standard deviation. In training, codes are drawn
    from it; in evaluation they are its means. Noise limits how much a code can say, so that it leaves out what the
    decoder already knows from a label.

    Args:
        latent_dim: Size of the code.
        channels: Image channels.
        size: Image height and width.
        width: Units of each hidden layer.
        noise: Standard deviation of the posterior, less than the prior's 1; 0 makes the encoder deterministic.
    """

    def __init__(self, latent_dim: int = 2, channels: int = 1, size: int = 28, width: int = 1000, noise: float = 0.0):
        super().__init__()
        if not 0 <= noise < 1:
            raise ValueError(f"`noise` must be at least 0 and less than the prior's 1, got {noise}.")
        self.latent_dim = latent_dim
        self.channels, self.size = channels, size
        self.noise = noise
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * size * size, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, latent_dim),
        )

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z"]:
        check_images(image, self.channels, self.size)
        code = full_precision(self.layers(image))
        if not self.training or self.noise == 0:
            return code
        return code + self.noise * torch.randn(*code.shape, device=code.device, dtype=code.dtype)


class AAEDiscriminator(nn.Module):
    """Two rectified linear layers from a latent or code to a logit (Makhzani et al., 2016, https://arxiv.org/abs/1511.05644).

    Args:
        latent_dim: Size of the latent.
        width: Units of each hidden layer.
    """

    def __init__(self, latent_dim: int = 2, width: int = 1000):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 1),
            nn.Flatten(0),
        )

    def forward(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, " b"]:
        return full_precision(self.layers(latent))
