"""Networks for points of the plane."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision


class PointGenerator(nn.Module):
    """Hidden layers of tanh from a latent to a point, two by default (Metz et al., 2017, https://arxiv.org/abs/1611.02163).

    As in the authors' code (github.com/poolio/unrolled_gan): orthogonal weights, zero biases, a linear output; with
    `leaky` the units bend at other places than at zero once biases are drawn.

    Args:
        latent_dim: Size of the latent.
        point_dim: Coordinates of a point.
        width: Units of each hidden layer.
        gain: Gain of the orthogonal weights: all their singular values.
        depth: Hidden layers.
        leaky: Whether units are leaky ReLUs of slope 0.2 instead of tanh.
        bias_std: Standard deviation of the first biases; 0 begins with biases of 0.
    """

    def __init__(
        self,
        latent_dim: int = 256,
        point_dim: int = 2,
        width: int = 128,
        gain: float = 1.4,
        depth: int = 2,
        leaky: bool = False,
        bias_std: float = 0.0,
    ):
        super().__init__()
        self.latent_dim = latent_dim
        self.layers = perceptron([latent_dim, *[width] * depth, point_dim], gain, leaky, bias_std)

    def forward(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "b k"]:
        return full_precision(self.layers(latent))


class PointDiscriminator(nn.Module):
    """Hidden layers of tanh from a point to a logit, two by default (Metz et al., 2017, https://arxiv.org/abs/1611.02163).

    Args:
        point_dim: Coordinates of a point.
        width: Units of each hidden layer.
        gain: Gain of the orthogonal weights: all their singular values.
        depth: Hidden layers.
        leaky: Whether units are leaky ReLUs of slope 0.2 instead of tanh.
        bias_std: Standard deviation of the first biases; 0 begins with biases of 0.
    """

    def __init__(
        self,
        point_dim: int = 2,
        width: int = 128,
        gain: float = 1.4,
        depth: int = 2,
        leaky: bool = False,
        bias_std: float = 0.0,
    ):
        super().__init__()
        self.layers = perceptron([point_dim, *[width] * depth, 1], gain, leaky, bias_std)

    def forward(self, point: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
        return full_precision(self.layers(point).flatten())


def perceptron(sizes: list[int], gain: float, leaky: bool, bias_std: float) -> nn.Sequential:
    """Returns linear layers with orthogonal weights, and a unit between any two of them."""
    linear = [nn.Linear(*pair) for pair in pairwise(sizes)]
    for layer in linear:
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.normal_(layer.bias, std=bias_std) if bias_std else nn.init.zeros_(layer.bias)
    unit = nn.LeakyReLU(0.2) if leaky else nn.Tanh()
    return nn.Sequential(*(part for layer in linear[:-1] for part in (layer, unit)), linear[-1])
