"""Adaptive discriminator augmentation."""

import torch
from torch import Tensor

from lightning_gans.adversarial import AdversarialModule
from lightning_gans.mechanics.players import Batch, Terms
from lightning_gans.networks.wrappers.augment import Augment
from lightning_gans.regularizer import Regularizer


class AdaptiveAugmentation(Regularizer):
    """Augments as much as keeps the discriminator from knowing its training images by heart (Karras et al., 2020, https://arxiv.org/abs/2006.06676).

    The share of real images that it takes for real is watched by

        r_t = E[sign D(x)]     (eq. 1)

    and the probability p of an `Augment` around the discriminator grows while r_t is above its target, and shrinks
    below it. The authors' p has no bound; above 0.8 augmentations begin to show in the images that are drawn. It adds
    no term to a loss.

    Args:
        target: Of r_t.
        kimg: Thousands of images in which p moves by 1; 500 in the paper.
        every: Batches for each in which r_t is measured, by a pass of the discriminator of its own.
        highest: Bound of p.
    """

    needs = ("discriminate",)
    signs: Tensor
    measured: Tensor

    def __init__(self, target: float = 0.6, kimg: float = 500.0, every: int = 4, highest: float = 0.8):
        super().__init__()
        if kimg <= 0 or every < 1 or not 0 < highest <= 1:
            raise ValueError(
                "`kimg` must be above 0, `every` at least 1 and `highest` above 0 and at most 1, got "
                f"{kimg}, {every} and {highest}."
            )
        self.target, self.kimg, self.every, self.highest = target, kimg, every, highest
        self.register_buffer("signs", torch.zeros(()))
        self.register_buffer("measured", torch.zeros((), dtype=torch.long))
        self._batch = -1  # that was measured last, by its images so far

    def terms(self, player: str, module: AdversarialModule, batch: Batch, terms: Terms) -> Terms:
        if player != "discriminator":
            return terms
        parts = [part for part in module.discriminator.modules() if isinstance(part, Augment)]
        if len(parts) != 1:
            raise ValueError(
                f"`AdaptiveAugmentation` needs one `Augment` around the discriminator, and found {len(parts)}: add it."
            )
        if self._batch != module.images_seen:  # and so all parts of the batch before were measured
            self._batch = module.images_seen
            self.move(parts[0].next_p)
        if module.due(self.every):
            with torch.no_grad():
                logits = module.discriminate(module.real(batch), batch)
            signs = module.gather(logits.sign().reshape(len(logits), -1).mean(1))
            self.signs += signs.sum()
            self.measured += len(signs)
        return terms

    def move(self, p: Tensor) -> None:
        """Moves the next p by what was measured, and forgets that."""
        above = (self.signs - self.target * self.measured).sign()
        p.add_(above * self.measured * self.every / (1000 * self.kimg)).clamp_(0, self.highest)
        self.signs.zero_()
        self.measured.zero_()
