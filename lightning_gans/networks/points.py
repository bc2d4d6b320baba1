"""Networks for points of the plane."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision


class PointGenerator(nn.Module):
    """Two hidden layers of tanh from a latent to a point (Metz et al., 2017, https://arxiv.org/abs/1611.02163).

    As in the authors' code (github.com/poolio/unrolled_gan): orthogonal weights, zero biases, a linear output.

    Args:
        latent_dim: Size of the latent.
        point_dim: Coordinates of a point.
        width: Units of each of the two hidden layers.
        gain: Gain of the orthogonal weights: all their singular values.
    """

    def __init__(self, latent_dim: int = 256, point_dim: int = 2, width: int = 128, gain: float = 1.4):
        super().__init__()
        self.latent_dim = latent_dim
        self.layers = perceptron(latent_dim, point_dim, width, gain)

    def forward(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "b k"]:
        return full_precision(self.layers(latent))


class PointDiscriminator(nn.Module):
    """Two hidden layers of tanh from a point to a logit (Metz et al., 2017, https://arxiv.org/abs/1611.02163).

    Args:
        point_dim: Coordinates of a point.
        width: Units of each of the two hidden layers.
        gain: Gain of the orthogonal weights: all their singular values.
    """

    def __init__(self, point_dim: int = 2, width: int = 128, gain: float = 1.4):
        super().__init__()
        self.layers = perceptron(point_dim, 1, width, gain)

    def forward(self, point: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
        return full_precision(self.layers(point).flatten())


def perceptron(inputs: int, outputs: int, width: int, gain: float) -> nn.Sequential:
    """Returns two hidden layers of tanh and a linear one, with orthogonal weights."""
    sizes: Any = ((inputs, width), (width, width), (width, outputs))
    linear = [nn.Linear(*size) for size in sizes]
    for layer in linear:
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(linear[0], nn.Tanh(), linear[1], nn.Tanh(), linear[2])
