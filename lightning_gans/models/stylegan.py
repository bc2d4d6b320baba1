"""StyleGAN."""

from typing import Any

from lightning_gans.adversarial import Batch, Terms
from lightning_gans.growing import GrowingModule
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.objectives import NonSaturating, Objective
from lightning_gans.penalties import zero_centered_penalty
from lightning_gans.styled import Styled


class StyleGAN(Styled, GrowingModule):
    """A generator of styles, which grows (Karras et al., 2019, https://arxiv.org/abs/1812.04948).

    The non-saturating game with R1, the penalty on the gradient at real images:

        L_D = E[softplus(D(G(z)))] + E[softplus(-D(x))] + gamma / 2 E[|grad D(x)|^2]
        L_G = E[softplus(-D(G(z)))]

    Args:
        gamma: Weight of R1.
        objective: Losses of both players on the logits.
        kwargs: See `AdversarialModule`. The generator is `StyleBased`, and both networks are `Growing`.
    """

    def __init__(self, gamma: float | Schedule = 10.0, objective: Objective = NonSaturating(), **kwargs: Any):
        super().__init__(**kwargs)
        self.gamma, self.objective = gamma, objective

    def discriminator_loss(self, batch: Batch) -> Terms:
        real = self.real(batch).detach().requires_grad_()
        logits, fake_logits = self.discriminate(real, batch), self.discriminate(self.fake(batch), batch)
        return {
            "adversarial": self.objective.discriminator(logits, fake_logits),
            "penalty": self.now(self.gamma) * zero_centered_penalty(logits, real),
        }

    def generator_loss(self, batch: Batch) -> Terms:
        return {"adversarial": self.objective.generator(self.discriminate(self.fake(batch), batch))}
