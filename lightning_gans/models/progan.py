"""ProGAN."""

from typing import Any

from lightning_gans.adversarial import Batch, Terms
from lightning_gans.growing import GrowingModule
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.penalties import between, one_centered_penalty


class ProGAN(GrowingModule):
    """Progressive growing of GANs (Karras et al., 2018, https://arxiv.org/abs/1710.10196).

    Both networks begin with small images, and finer layers fade in one after the other. The losses are those of WGAN-GP
    with a term that keeps the critic's values from drifting away (appendix A.1):

        L_D = E[D(G(z))] - E[D(x)] + lambda E[(|grad D(x^)| - 1)^2] + epsilon E[D(x)^2]
        L_G = -E[D(G(z))]

    Args:
        penalty_weight: lambda.
        drift_weight: epsilon.
        kwargs: See `AdversarialModule`. The networks are `Growing`, with the same levels.
    """

    def __init__(self, penalty_weight: float | Schedule = 10.0, drift_weight: float | Schedule = 1e-3, **kwargs: Any):
        super().__init__(**kwargs)
        self.penalty_weight, self.drift_weight = penalty_weight, drift_weight

    def discriminator_loss(self, batch: Batch) -> Terms:
        real, fake = self.real(batch), self.fake(batch)
        points, logits = between(real, fake), self.discriminate(real, batch)
        return {
            "wasserstein": self.discriminate(fake, batch).mean() - logits.mean(),
            "penalty": self.now(self.penalty_weight) * one_centered_penalty(self.discriminate(points, batch), points),
            "drift": self.now(self.drift_weight) * logits.square().mean(),
        }

    def generator_loss(self, batch: Batch) -> Terms:
        return {"wasserstein": -self.discriminate(self.fake(batch), batch).mean()}
