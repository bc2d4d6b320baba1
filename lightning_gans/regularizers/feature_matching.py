"""Feature matching."""

import torch
from torch import Tensor

from lightning_gans.adversarial import AdversarialModule, Batch, Regularizer, Terms
from lightning_gans.mechanics.hooks import inputs, outputs


class FeatureMatching(Regularizer):
    """Feature matching (Salimans et al., 2016, https://arxiv.org/abs/1606.03498, section 3.1).

    The generator matches the mean of a layer of the discriminator on data, in place of the term that fools it:

        |E f(x) - E f(G(z))|^2

    To see what the discriminator is shown, labels and all, the generator's loss is evaluated once more.

    Args:
        layer: Name of the layer in the discriminator whose output is f, such as `layers.3`.
        replaces: The term of the generator's loss that goes.
    """

    def __init__(self, layer: str, replaces: str = "adversarial"):
        super().__init__()
        self.layer = layer
        self.replaces = replaces

    def terms(self, player: str, module: AdversarialModule, batch: Batch, terms: Terms) -> Terms:
        if player != "generator":
            return terms
        discriminator = module.discriminator
        if self.layer not in dict(discriminator.named_modules()):
            raise ValueError(f"`layer` must be a layer of the discriminator, got {self.layer}.")
        if self.replaces not in terms:
            raise ValueError(f"`replaces` must be one of the terms {', '.join(terms)}, got {self.replaces}.")
        with outputs(discriminator.get_submodule(self.layer)) as features, inputs(discriminator) as calls:
            module.generator_loss(batch)
            # The discriminator is frozen, so only samples have a gradient; a relativistic loss shows it data as well.
            samples = [index for index, call in enumerate(calls) if call[0].requires_grad]
            of_images = samples and calls[samples[0]][0].shape[1:] == batch[0].shape[1:]
            conditions = [other for call in calls for other in call[1:] if isinstance(other, Tensor)]
            if not of_images or any(other.requires_grad for other in conditions):
                raise ValueError(
                    "`FeatureMatching` needs a discriminator of images by themselves or with labels, which that of "
                    f"{type(module).__name__} is not: leave it out."
                )
            fake = features[samples[0]]
            with torch.no_grad():
                discriminator(batch[0], *calls[samples[0]][1:])
            real = features[-1]
        rest = {name: term for name, term in terms.items() if name != self.replaces}
        return {"feature_matching": (real.mean(0) - fake.mean(0)).square().sum()} | rest
