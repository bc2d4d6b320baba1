"""Virtual batch normalization."""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_gans.mechanics.checkpoints import make_buffers
from lightning_gans.mechanics.precision import full_precision
from lightning_gans.mechanics.processes import first_process


class VirtualBatchNorm(nn.Module):
    """Virtual batch normalization (Salimans et al., 2016, https://arxiv.org/abs/1606.03498, section 3.4).

    Each example is normalized by the statistics of a fixed reference batch and of itself, so its output does not
    depend on the rest of its batch. A copy of the network gets this normalization in place of every batch norm, and
    runs twice: on the reference and on its input.

    A generator's reference is drawn from `seed`. A discriminator's is its first batch in training; every process takes
    the batch of the first process. References are buffers, so a resumed run has the same. There are no running
    statistics, and evaluation is like training; before any training a batch is its own reference.

    Args:
        network: A network with batch norm; a generator must take nothing but the latent.
        reference_size: Examples in the reference batch; a discriminator's first batch may have fewer.
        seed: Seed of a generator's reference.
    """

    same_on_all_processes = True  # the reference comes from the seed or from the first process

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
        if self.training and "reference_0" not in self._buffers:
            for index, arg in enumerate(args):
                self.register_buffer(f"reference_{index}", first_process(arg.detach()[: self.reference_size].clone()))
        reference = [value for name, value in self.named_buffers(recurse=False) if name.startswith("reference_")]
        layers = [layer for layer in self.network.modules() if isinstance(layer, ReferenceNorm)]
        for layer in layers:
            layer.statistics = None
        self.network(*(reference or args))
        result = self.network(*args)
        for layer in layers:
            layer.statistics = None  # frees the graph of the reference
        return result

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        make_buffers(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


class ReferenceNorm(nn.Module):
    """Normalizes the first batch by itself, and the next one by the first batch and each example itself.

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
        values = full_precision(x).reshape(*x.shape[:2], -1)  # b c n
        if self.statistics is None:
            variance, mean = torch.var_mean(values, (0, 2), correction=0, keepdim=True)
            self.statistics = mean, variance, len(x)
        else:
            reference, spread, size = self.statistics
            own_spread, own = torch.var_mean(values, 2, correction=0, keepdim=True)
            mean = (own + size * reference) / (size + 1)
            # Squares around the common mean: a difference of mean squares would cancel where the mean is large.
            squares = own_spread + (own - mean).square() + size * (spread + (reference - mean).square())
            variance = squares / (size + 1)
        normal = (values - mean) * (variance + self.eps).rsqrt()
        return (normal * self.weight[:, None] + self.bias[:, None]).reshape(x.shape).to(x.dtype)
