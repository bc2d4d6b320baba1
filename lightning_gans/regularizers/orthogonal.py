"""Orthogonal regularization."""

from collections.abc import Sequence
from typing import Any

from torch.nn.modules.conv import _ConvTransposeNd

from lightning_gans.adversarial import AdversarialModule
from lightning_gans.mechanics.players import Batch, Terms
from lightning_gans.regularizer import Regularizer


class OrthogonalRegularization(Regularizer):
    """Draws the generator's filters apart (Brock et al., 2019, https://arxiv.org/abs/1809.11096, eq. 3).

        weight sum over layers of |W^T W (1 - I)|_F^2

    with the filters of a layer as columns of W. It makes a generator fit for truncated latents. Under spectral norm it
    acts on the weights before that.

    Args:
        weight: beta.
        skip: Names of parts of the generator that are left out, as look-up tables of classes.
    """

    def __init__(self, weight: float = 1e-4, skip: Sequence[str] = ("embedding",)):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"`weight` must be positive, got {weight}.")
        self.weight = weight
        self.skip = list(skip)

    def terms(self, player: str, module: AdversarialModule, batch: Batch, terms: Terms) -> Terms:
        if player != "generator":
            return terms
        layers = [layer for layer in module.generator.modules() if isinstance(layer, _ConvTransposeNd)]
        transposed = {id(weight) for layer in layers for weight in layer.parameters()}  # inputs come first there
        total: Any = 0
        for name, weight in module.generator.named_parameters():
            if weight.ndim < 2 or any(name.startswith(part) for part in self.skip):
                continue
            filters = (weight.transpose(0, 1) if id(weight) in transposed else weight).flatten(1)
            total = total + (filters @ filters.T).square().sum() - filters.square().sum(1).square().sum()
        return terms | {"orthogonality": self.weight * total}
