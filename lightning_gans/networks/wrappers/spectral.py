"""Spectral normalization of a whole network."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from lightning_gans.mechanics.precision import full_precision

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


class SpectrallyNormalized(nn.Module):
    """Divides the weight of each linear and convolutional layer by its largest singular value.

    Source: Miyato et al., 2018, https://arxiv.org/abs/1802.05957.

    A convolution's weight counts as a matrix with one row per output channel (section 2.1), and so does the weight of a
    transposed one. One power iteration per forward pass in training keeps track of the singular vectors, which are
    buffers.

    Args:
        network: The discriminator, without batch norm.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        normalize(network)
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network(*inputs)


class SpectralNorm(_SpectralNorm):
    """Torch's spectral norm, computed in full precision under autocast too.

    Args:
        weight: The weight of a layer.
        rows: The dimension of the output channels.
    """

    def __init__(self, weight: Tensor, rows: int):
        super().__init__(weight, dim=rows, eps=1e-12)

    def forward(self, weight: Tensor) -> Tensor:
        kind = weight.device.type
        with torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext():
            return super().forward(weight)


def normalize(network: nn.Module, skip: Sequence[nn.Module] = ()) -> None:
    """Divides the weight of each linear and convolutional layer by its spectral norm, except in `skip`."""
    for layer in list(network.modules()):
        if isinstance(layer, LAYERS) and not any(layer is other for other in skip):
            register_parametrization(layer, "weight", SpectralNorm(layer.weight, rows_of(layer)))


def rows_of(layer: nn.Module) -> int:
    """Returns the dimension of the output channels in the layer's weight."""
    return int(isinstance(layer, TRANSPOSED))


@torch.no_grad()
def spectral_norms(network: nn.Module) -> dict[str, float]:
    """Returns the largest singular value of each normalized layer's weight as it is used, by the layer's name."""
    return {
        name: torch.linalg.matrix_norm(full_precision(layer.weight).transpose(0, rows_of(layer)).flatten(1), 2).item()
        for name, layer in network.named_modules()
        if isinstance(layer, LAYERS) and is_parametrized(layer, "weight")
    }
