"""Multilayer perceptrons."""

from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images


class MLPGenerator(nn.Module):
    """Rectified linear layers from a latent to an image (Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661).

    The last activation is tanh, a sigmoid onto [-1, 1].

    Args:
        latent_dim: Size of the latent.
        channels: Image channels.
        size: Image height and width.
        width: Units of each of the two hidden layers.
    """

    def __init__(self, latent_dim: int = 100, channels: int = 1, size: int = 28, width: int = 1200):
        super().__init__()
        self.latent_dim = latent_dim
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, channels * size * size),
            nn.Tanh(),
            nn.Unflatten(1, (channels, size, size)),
        )

    def forward(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "b c h w"]:
        return self.layers(latent)


class MLPDiscriminator(nn.Module):
    """Maxout layers with dropout from an image to a logit (Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661).

    Args:
        channels: Image channels.
        size: Image height and width.
        width: Units of each of the two hidden layers.
        pieces: Number of linear functions of which a maxout unit takes the largest.
        dropout: Share of units dropped behind each hidden layer; 0 drops none.
    """

    def __init__(self, channels: int = 1, size: int = 28, width: int = 240, pieces: int = 5, dropout: float = 0.5):
        super().__init__()
        self.channels, self.size = channels, size
        self.layers = nn.Sequential(
            nn.Flatten(),
            Maxout(channels * size * size, width, pieces),
            nn.Dropout(dropout),
            Maxout(width, width, pieces),
            nn.Dropout(dropout),
            nn.Linear(width, 1),
            nn.Flatten(0),
        )

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        check_images(image, self.channels, self.size)
        return full_precision(self.layers(image))


class Maxout(nn.Module):
    """The largest of several linear functions (Goodfellow et al., 2013, https://arxiv.org/abs/1302.4389).

    Args:
        inputs: Units in.
        outputs: Units out.
        pieces: Linear functions per unit.
    """

    def __init__(self, inputs: int, outputs: int, pieces: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs * pieces)
        self.pieces = pieces

    def forward(self, x: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)
