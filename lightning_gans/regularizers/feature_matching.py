"""Feature matching."""

import torch
from torch import Tensor

from lightning_gans.adversarial import AdversarialModule
from lightning_gans.mechanics.hooks import outputs
from lightning_gans.mechanics.players import Batch, Terms
from lightning_gans.regularizer import Regularizer


class FeatureMatching(Regularizer):
    """Feature matching (Salimans et al., 2016, https://arxiv.org/abs/1606.03498, section 3.1).

    The generator matches the mean of a layer of the discriminator on data, instead of fooling it:

        |E f(x) - E f(G(z))|^2

    It draws samples of its own, and means are those of all processes.

    Args:
        layer: Name of the layer in the discriminator whose output is f, such as `layers.3`.
        replaces: The term of the generator's loss that goes.
    """

    needs = ("discriminate",)
    whole_batch = True

    def __init__(self, layer: str, replaces: str = "adversarial"):
        super().__init__()
        self.layer = layer
        self.replaces = replaces

    def terms(self, player: str, module: AdversarialModule, batch: Batch, terms: Terms) -> Terms:
        if player != "generator":
            return terms
        if self.layer not in dict(module.discriminator.named_modules()):
            raise ValueError(f"`layer` must be a layer of the discriminator, got {self.layer}.")
        if self.replaces not in terms:
            raise ValueError(f"`replaces` must be one of the terms {', '.join(terms)}, got {self.replaces}.")
        fake = self.mean_features(module, module.fake(batch), batch)
        with torch.no_grad():
            real = self.mean_features(module, module.real(batch), batch)
        rest = {name: term for name, term in terms.items() if name != self.replaces}
        return {"feature_matching": (real - fake).square().sum()} | rest

    def mean_features(self, module: AdversarialModule, image: Tensor, batch: Batch) -> Tensor:
        """Returns E f over the images of all processes."""
        with outputs(module.discriminator.get_submodule(self.layer)) as features:
            module.discriminate(image, batch)
        if not features:
            raise ValueError(f"`layer` must be one that the discriminator calls, not compiled, got {self.layer}.")
        return module.gather(features[-1].mean(0, keepdim=True)).mean(0)
