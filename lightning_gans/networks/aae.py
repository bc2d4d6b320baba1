"""The adversarial autoencoder's networks; its decoder is `MLPGenerator`."""

from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.precision import full_precision


class AAEEncoder(nn.Module):
    """Two rectified linear layers and a linear one from an image to a code (Makhzani et al., 2016, https://arxiv.org/abs/1511.05644).

    Args:
        latent_dim: Size of the code.
        channels: Image channels.
        size: Image height and width.
        width: Units of each hidden layer.
    """

    def __init__(self, latent_dim: int = 2, channels: int = 1, size: int = 28, width: int = 1000):
        super().__init__()
        self.latent_dim = latent_dim
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * size * size, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, latent_dim),
        )

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z"]:
        return full_precision(self.layers(image))


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
