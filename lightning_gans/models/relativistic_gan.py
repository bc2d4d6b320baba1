"""Relativistic average GAN."""

from torch import Tensor

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.objectives import NonSaturating, Objective


class RelativisticGAN(AdversarialModule):
    """Relativistic average GAN (Jolicoeur-Martineau, 2018, https://arxiv.org/abs/1807.00734).

    The discriminator says how much more real an image is than images of the other kind are on average, and the
    generator plays the same game with the kinds exchanged, so that its gradient comes from data as well. With C for
    the logit:

        D(x, y) = C(x) - E C(y)
        L_D = objective of D(real, fake) against D(fake, real)
        L_G = objective of D(fake, real) against D(real, fake)

    With `NonSaturating` this is the paper's RaSGAN, with `Hinge` its RaHingeGAN.

    Args:
        objective: The discriminator's half of it, for both players; not one whose labels are 0 and 1, as
            `LeastSquares` has, since RaLSGAN has 1 and -1.
        kwargs: See `AdversarialModule`.
    """

    whole_batch = True

    def __init__(self, objective: Objective = NonSaturating(), **kwargs):
        super().__init__(**kwargs)
        self.objective = objective

    def discriminator_loss(self, batch: Batch) -> Terms:
        return {"adversarial": self.objective.discriminator(*self.relative_logits(batch))}

    def generator_loss(self, batch: Batch) -> Terms:
        real, fake = self.relative_logits(batch)
        return {"adversarial": self.objective.discriminator(fake, real)}

    def relative_logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """D(real, fake) and D(fake, real)."""
        real, fake = self.discriminator(batch[0]), self.discriminator(self.generator(self.latent(len(batch[0]))))
        return real - self.everyone(fake).mean(), fake - self.everyone(real).mean()
