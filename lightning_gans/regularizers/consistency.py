"""Consistency regularization."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_gans.adversarial import AdversarialModule
from lightning_gans.mechanics.players import Batch, Terms
from lightning_gans.networks.wrappers.diff_augment import augment, checked
from lightning_gans.regularizer import Regularizer


class ConsistencyRegularization(Regularizer):
    """Consistency regularization, CR (Zhang et al., 2020, https://arxiv.org/abs/1910.12027), and bCR.

    The discriminator is to say the same of an image and of its augmentation T(x) (eq. 2 of CR), and in bCR (Zhao et
    al., 2021, https://arxiv.org/abs/2002.04724) of samples too:

        real_weight E|D(x) - D(T(x))|^2 + fake_weight E|D(G(z)) - D(T(G(z)))|^2

    It evaluates the discriminator twice more for each of the two, and draws samples of its own.

    Args:
        real_weight: lambda for real images; 10 in both papers.
        fake_weight: lambda for samples; 0 is CR, and 10 is bCR.
        policy: T, see `DiffAugment`; both papers shift and flip.
    """

    needs = ("discriminate",)

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
        total = torch.zeros((), device=module.device)
        if self.real_weight:
            total = total + self.real_weight * self.change(module, module.real(batch), batch)
        if self.fake_weight:
            with torch.no_grad():
                fake = module.fake(batch)
            total = total + self.fake_weight * self.change(module, fake, batch)
        return terms | {"consistency": total}

    def change(self, module: AdversarialModule, image: Tensor, batch: Batch) -> Tensor:
        """Returns E|D(x) - D(T(x))|^2."""
        if image.ndim != 4:
            raise ValueError(
                f"`ConsistencyRegularization` needs images (b, c, h, w), and {type(module).__name__} has "
                f"{tuple(image.shape)}: leave it out."
            )
        changed = module.discriminate(augment(image, self.policy), batch)
        return (module.discriminate(image, batch) - changed).square().mean()
