"""Virtual batch normalization."""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_gans.mechanics.checkpoints import make_buffers
from lightning_gans.mechanics.processes import first_process


class VirtualBatchNorm(nn.Module):
    """Virtual batch normalization (Salimans et al., 2016, https://arxiv.org/abs/1606.03498, section 3.4).

    Each example is normalised by the statistics of one reference batch and of itself, so its output does not depend
    on the rest of its batch. The network in here gets a normalisation of this kind in place of every batch norm, and
    runs twice: on the reference and on what it is given.

    The reference of a generator is drawn from `seed`; that of a discriminator is the first batch it is shown, of which
    every process takes that of the first one. Both are buffers: a resumed run has the same. Nothing is learnt but
    scales and shifts, so there are no running statistics, and evaluation is like training.

    Args:
        network: A network with batch norm; of a generator, one that is given nothing but the latent.
        reference_size: Examples in the reference batch; a discriminator's first batch may have fewer.
        seed: Of a generator's reference.
    """

    def __init__(self, network: nn.Module, reference_size: int = 64, seed: int = 0):
        super().__init__()
        if reference_size < 2:
            raise ValueError(f"`reference_size` must be at least 2, got {reference_size}.")
        norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
        if not norms or any(norm.weight is None for norm in norms):
            raise ValueError(
                "`network` must have batch norm to be replaced, with scales and shifts of its own, got "
                f"{type(network).__name__} without."
            )
        if getattr(network, "num_classes", 0) and hasattr(network, "latent_dim"):
            raise ValueError(
                "`network` must be given latents alone, since the reference has no labels, got "
                f"{type(network).__name__}."
            )
        self.network = copy.deepcopy(network)
        for parent in list(self.network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, _BatchNorm):
                    setattr(parent, name, ReferenceNorm(child))
        self.reference_size = reference_size
        if hasattr(network, "latent_dim"):
            self.latent_dim = network.latent_dim
            generator = torch.Generator().manual_seed(seed)
            self.register_buffer("reference_0", torch.randn(reference_size, network.latent_dim, generator=generator))  # type: ignore[call-overload]

    def forward(self, *args: Tensor) -> Tensor:
        if "reference_0" not in self._buffers:
            for index, arg in enumerate(args):
                self.register_buffer(f"reference_{index}", first_process(arg.detach()[: self.reference_size].clone()))
        layers = [layer for layer in self.network.modules() if isinstance(layer, ReferenceNorm)]
        for layer in layers:
            layer.statistics = None
        self.network(*(self.get_buffer(f"reference_{index}") for index in range(len(args))))
        result = self.network(*args)
        for layer in layers:
            layer.statistics = None  # frees the graph of the reference
        return result

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        make_buffers(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


class ReferenceNorm(nn.Module):
    """Normalises the first batch it sees by that batch, and the next one by that batch and each example itself.

    Args:
        norm: The batch norm whose scale, shift and eps it takes over.
    """

    def __init__(self, norm: Any):
        super().__init__()
        self.weight = nn.Parameter(norm.weight.detach().clone())
        self.bias = nn.Parameter(norm.bias.detach().clone())
        self.eps = norm.eps
        self.statistics: tuple[Tensor, Tensor, int] | None = None

    def forward(self, x: Float[Tensor, "b c ..."]) -> Float[Tensor, "b c ..."]:
        space = list(range(2, x.ndim))
        own, own_square = (y.mean(space, keepdim=True) if space else y for y in (x, x.square()))
        if self.statistics is None:
            mean, square = own.mean(0, keepdim=True), own_square.mean(0, keepdim=True)
            self.statistics = mean, square, len(x)
        else:
            reference, reference_square, size = self.statistics
            mean = (own + size * reference) / (size + 1)
            square = (own_square + size * reference_square) / (size + 1)
        scale, shift = (parameter.view(-1, *[1] * len(space)) for parameter in (self.weight, self.bias))
        return (x - mean) * (square - mean.square() + self.eps).rsqrt() * scale + shift
