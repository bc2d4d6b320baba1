"""Consistency regularization."""

from collections.abc import Sequence
from typing import Any

import torch

from lightning_gans.adversarial import AdversarialModule, Batch, Regularizer, Terms
from lightning_gans.mechanics.hooks import inputs
from lightning_gans.networks.wrappers.diff_augment import augment, checked


class ConsistencyRegularization(Regularizer):
    """Consistency regularisation, CR (Zhang et al., 2020, https://arxiv.org/abs/1910.12027), and bCR.

    The discriminator is to say the same of an image and of its augmentation T(x) (eq. 2 of CR), and in bCR (Zhao et
    al., 2021, https://arxiv.org/abs/2002.04724) of samples too:

        real_weight E|D(x) - D(T(x))|^2 + fake_weight E|D(G(z)) - D(T(G(z)))|^2

    To see what the discriminator is shown, labels and all, its loss is evaluated once more, without gradients.

    Args:
        real_weight: lambda for real images; 10 in both papers.
        fake_weight: lambda for samples; 0 is CR, and 10 is bCR.
        policy: What T is, see `DiffAugment`; both papers shift and flip.
    """

    def __init__(
        self, real_weight: float = 10.0, fake_weight: float = 0.0, policy: Sequence[str] = ("flip", "translation")
    ):
        super().__init__()
        if min(real_weight, fake_weight) < 0 or real_weight == fake_weight == 0:
            raise ValueError(
                f"`real_weight` and `fake_weight` must be at least 0, one of them above, got {real_weight} and "
                f"{fake_weight}."
            )
        self.real_weight = real_weight
        self.fake_weight = fake_weight
        self.policy = checked(policy)

    def terms(self, player: str, module: AdversarialModule, batch: Batch, terms: Terms) -> Terms:
        if player != "discriminator":
            return terms
        with inputs(module.discriminator) as calls, torch.no_grad():
            module.discriminator_loss(batch)
        total: Any = 0
        for image, *others in calls:
            weight = self.real_weight if image is batch[0] else self.fake_weight
            if weight:
                changed = module.discriminator(augment(image, self.policy), *others)
                total = total + weight * (module.discriminator(image, *others) - changed).square().mean()
        return terms | {"consistency": total}
