"""R3GAN."""

from typing import Any

from torch.nn.functional import softplus

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.objectives import Logits, Scalar
from lightning_gans.penalties import zero_centered_penalty


class R3GAN(AdversarialModule):
    """A relativistic game of pairs with two gradient penalties, R1 and R2 (Huang et al., 2024, https://arxiv.org/abs/2501.05441).

    Each real image is compared with one drawn image, and the gradient is penalized at both:

        L_D = E[softplus(D(G(z)) - D(x))] + gamma / 2 (E[|grad D(x)|^2] + E[|grad D(G(z))|^2])
        L_G = E[softplus(D(x) - D(G(z)))]     (eq. 2)

    Both players see the same real images of a batch; the authors draw others for each.

    Args:
        gamma: Weight of both penalties.
        relativistic: Whether images are compared in pairs; otherwise the game is the non-saturating one of GAN.
        fake_penalty: Whether there is R2, the penalty at drawn images.
        kwargs: See `AdversarialModule`.
    """

    def __init__(
        self, gamma: float | Schedule = 1.0, relativistic: bool = True, fake_penalty: bool = True, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.gamma, self.relativistic, self.fake_penalty = gamma, relativistic, fake_penalty

    def discriminator_loss(self, batch: Batch) -> Terms:
        real, fake = (image.detach().requires_grad_() for image in (self.real(batch), self.fake(batch)))
        real_logits, fake_logits = self.discriminate(real, batch), self.discriminate(fake, batch)
        gamma = self.now(self.gamma)
        terms = {
            "adversarial": self.adversarial(real_logits, fake_logits),
            "r1": gamma * zero_centered_penalty(real_logits, real),
        }
        if self.fake_penalty:
            terms["r2"] = gamma * zero_centered_penalty(fake_logits, fake)
        return terms

    def generator_loss(self, batch: Batch) -> Terms:
        real_logits, fake_logits = self.logits(batch)
        if self.relativistic:
            return {"adversarial": self.adversarial(fake_logits, real_logits)}
        return {"adversarial": softplus(-fake_logits).mean()}

    def adversarial(self, real: Logits, fake: Logits) -> Scalar:
        """Returns the loss of a player that wants high logits of `real` and low ones of `fake`."""
        if self.relativistic:
            return softplus(fake - real).mean()
        return softplus(fake).mean() + softplus(-real).mean()
