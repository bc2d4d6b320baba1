"""LeCam regularization."""

import torch
from torch import Tensor

from lightning_gans.adversarial import AdversarialModule
from lightning_gans.mechanics.players import Batch, Terms
from lightning_gans.regularizer import Regularizer


class LeCam(Regularizer):
    """Holds the discriminator to its own past (Tseng et al., 2021, https://arxiv.org/abs/2104.03310).

        weight (E|D(x) - alpha_F|^2 + E|D(G(z)) - alpha_R|^2)     (eq. 7)

    alpha_R and alpha_F are moving averages of its logits for data and for samples, which move once in each of the
    discriminator's moves and begin with those of the first batch. The discriminator is evaluated once more, on samples
    of its own. The authors' code (github.com/google/lecam-gan) also cuts both differences off below 0 and begins after
    some thousand steps; here the equation holds from the start.

    Args:
        weight: lambda; 0.3 in the authors' code for CIFAR-10.
        decay: Of the averages, by each move; 0.99 in the paper.
    """

    needs = ("logits",)
    whole_batch = True
    real_mean: Tensor
    fake_mean: Tensor
    moves: Tensor

    def __init__(self, weight: float = 0.3, decay: float = 0.99):
        super().__init__()
        if weight <= 0 or not 0 <= decay < 1:
            raise ValueError(f"`weight` must be above 0 and `decay` from 0 to below 1, got {weight} and {decay}.")
        self.weight = weight
        self.decay = decay
        self.register_buffer("real_mean", torch.zeros(()))
        self.register_buffer("fake_mean", torch.zeros(()))
        self.register_buffer("moves", torch.zeros((), dtype=torch.long))

    def terms(self, player: str, module: AdversarialModule, batch: Batch, terms: Terms) -> Terms:
        if player != "discriminator":
            return terms
        real, fake = module.logits(batch)
        for mean, logits in ((self.real_mean, real), (self.fake_mean, fake)):
            latest = module.gather(logits.detach().mean()[None]).mean().to(mean)
            mean.lerp_(latest, torch.where(self.moves > 0, 1 - self.decay, 1.0).to(mean))
        self.moves += 1
        held = (real - self.fake_mean).square().mean() + (fake - self.real_mean).square().mean()
        return terms | {"lecam": self.weight * held}
