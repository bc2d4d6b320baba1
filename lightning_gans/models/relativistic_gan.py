"""Relativistic average GAN."""

from torch import Tensor

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.objectives import LeastSquares, NonSaturating, Objective


class RelativisticGAN(AdversarialModule):
    """Relativistic average GAN (Jolicoeur-Martineau, 2018, https://arxiv.org/abs/1807.00734).

    The discriminator says by how much an image is more real than images of the other kind are on average, and the
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
        if isinstance(objective, LeastSquares):
            raise ValueError("`objective` must not be LeastSquares, whose labels are 1 and 0: RaLSGAN has 1 and -1.")
        self.objective = objective

    def discriminator_loss(self, batch: Batch) -> Terms:
        return {"adversarial": self.objective.discriminator(*self.logits(batch))}

    def generator_loss(self, batch: Batch) -> Terms:
        real, fake = self.logits(batch)
        return {"adversarial": self.objective.discriminator(fake, real)}

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns D(real, fake) and D(fake, real)."""
        real, fake = super().logits(batch)
        return real - self.gather(fake).mean(), fake - self.gather(real).mean()
