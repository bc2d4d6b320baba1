"""BiGAN's networks for digits: perceptrons, which make no use of the order of pixels."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images

# The authors' code, https://github.com/jeffdonahue/bigan: `deconvnet_mnist_mlp` and `mnist_mlp` in net.py with the
# options of train_mnist.sh. No layer has a bias, batch norm no gain, and pixels lie in [0, 1] inside.


class BiGANDecoder(nn.Module):
    """Two rectified linear layers with batch norm from a latent to an image.

    Source: Donahue et al., 2017, https://arxiv.org/abs/1605.09782.

    As in the authors' code, the latent enters both hidden layers. The last activation is a sigmoid, stretched to
    [-1, 1].

    Args:
        latent_dim: Size of the latent.
        channels: Image channels.
        size: Image height and width.
        width: Units of each hidden layer.
    """

    def __init__(self, latent_dim: int = 50, channels: int = 1, size: int = 28, width: int = 1024):
        super().__init__()
        self.latent_dim = latent_dim
        self.first = nn.Sequential(
            nn.Linear(latent_dim, width, bias=False), nn.BatchNorm1d(width, affine=False), nn.ReLU()
        )
        self.second = nn.Linear(width, width, bias=False)
        self.latent = nn.Linear(latent_dim, width, bias=False)
        self.last = nn.Sequential(
            nn.BatchNorm1d(width, affine=False),
            nn.ReLU(),
            nn.Linear(width, channels * size * size, bias=False),
            nn.Sigmoid(),
            nn.Unflatten(1, (channels, size, size)),
        )
        initialize(self)

    def forward(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "b c h w"]:
        return 2 * self.last(self.second(self.first(latent)) + self.latent(latent)) - 1


class BiGANEncoder(nn.Module):
    """Two leaky rectified linear layers from an image to a code (Donahue et al., 2017, https://arxiv.org/abs/1605.09782).

    The second layer has batch norm. The last layer is linear; a sigmoid, stretched to [-1, 1], gives the code the range
    of the latent.

    Args:
        latent_dim: Size of the code.
        channels: Image channels.
        size: Image height and width.
        width: Units of each hidden layer.
    """

    def __init__(self, latent_dim: int = 50, channels: int = 1, size: int = 28, width: int = 1024):
        super().__init__()
        self.latent_dim = latent_dim
        self.channels, self.size = channels, size
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * size * size, width, bias=False),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width, affine=False),
            nn.LeakyReLU(0.2),
        )
        self.last = nn.Linear(width, latent_dim, bias=False)
        initialize(self)

    def features(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """Returns the last hidden layer."""
        check_images(image, self.channels, self.size)
        return self.layers((image + 1) / 2)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z"]:
        return 2 * torch.sigmoid(full_precision(self.last(self.features(image)))) - 1


class BiGANDiscriminator(nn.Module):
    """Two leaky rectified linear layers from an image and a latent to a logit (Donahue et al., 2017, https://arxiv.org/abs/1605.09782).

    As in the authors' code, the latent enters the second layer, before its batch norm, and all logits are 0 at first.

    Args:
        latent_dim: Size of the latent.
        channels: Image channels.
        size: Image height and width.
        width: Units of each hidden layer.
    """

    def __init__(self, latent_dim: int = 50, channels: int = 1, size: int = 28, width: int = 1024):
        super().__init__()
        self.channels, self.size = channels, size
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * size * size, width, bias=False),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width, bias=False),
        )
        self.latent = nn.Linear(latent_dim, width, bias=False)
        self.last = nn.Sequential(
            nn.BatchNorm1d(width, affine=False), nn.LeakyReLU(0.2), nn.Linear(width, 1, bias=False), nn.Flatten(0)
        )
        initialize(self)
        nn.init.zeros_(self.last[2].weight)  # type: ignore[arg-type]

    def forward(self, image: Float[Tensor, "b c h w"], latent: Float[Tensor, "b z"]) -> Float[Tensor, " b"]:
        check_images(image, self.channels, self.size)
        return full_precision(self.last(self.layers((image + 1) / 2) + self.latent(latent)))


def initialize(network: nn.Module) -> None:
    """Draws weights from N(0, 0.02)."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
