"""Spectral normalisation of a whole network."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized


class SpectrallyNormalized(nn.Module):
    """Divides the weight of each linear and convolutional layer by its largest singular value.

    Source: Miyato et al., 2018, https://arxiv.org/abs/1802.05957.

    A convolution's weight counts as a matrix with one row per output channel (section 2.1). One power iteration per
    forward pass in training keeps track of the singular vectors, which are buffers.

    Args:
        network: The discriminator, without batch norm.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                spectral_norm(module)
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network(*inputs)


@torch.no_grad()
def spectral_norms(network: nn.Module) -> dict[str, float]:
    """The largest singular value of the weight of each normalised layer as it is used, by the layer's name."""
    return {
        name: torch.linalg.matrix_norm(module.weight.flatten(1), 2).item()
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and is_parametrized(module, "weight")
    }
