"""WGAN-GP."""

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.penalties import between, one_centered_penalty


class WGANGP(AdversarialModule):
    """Wasserstein GAN with gradient penalty (Gulrajani et al., 2017, https://arxiv.org/abs/1704.00028), algorithm 1.

    The critic estimates the Wasserstein distance between data and samples; a penalty on its gradient on the
    lines between the two keeps it 1-Lipschitz. The critic must not have batch norm (section 4).

        L_D = E[D(G(z))] - E[D(x)] + lambda E[(|grad D(x^)| - 1)^2]     (eq. 3)
        L_G = -E[D(G(z))]

    Args:
        penalty_weight: lambda.
        n_critic: Critic steps per generator step.
        kwargs: See `AdversarialModule`.
    """

    def __init__(self, penalty_weight: float | Schedule = 10.0, n_critic: int = 5, **kwargs):
        super().__init__(n_critic=n_critic, **kwargs)
        self.penalty_weight = penalty_weight

    def discriminator_loss(self, batch: Batch) -> Terms:
        real, fake = self.real(batch), self.fake(batch)
        points = between(real, fake)
        return {
            "wasserstein": self.discriminate(fake, batch).mean() - self.discriminate(real, batch).mean(),
            "penalty": self.now(self.penalty_weight) * one_centered_penalty(self.discriminate(points, batch), points),
        }

    def generator_loss(self, batch: Batch) -> Terms:
        return {"wasserstein": -self.discriminate(self.fake(batch), batch).mean()}
