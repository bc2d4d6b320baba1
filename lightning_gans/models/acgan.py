"""AC-GAN."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.objectives import NonSaturating, Objective


class ACGAN(AdversarialModule):
    """Auxiliary classifier GAN (Odena et al., 2017, https://arxiv.org/abs/1610.09585).

    The generator draws an image of class c, the discriminator guesses the class of real and of drawn images, and both
    players want the guess to be right:

        L_S = E[log P(real | x)] + E[log P(fake | G(c, z))]     (eq. 2)
        L_C = E[log P(c | x)] + E[log P(c | G(c, z))]           (eq. 3)

    The discriminator maximises L_S + L_C, the generator L_C - L_S, here with the non-saturating form of L_S.
    Batches are `(image, label)`.

    Args:
        class_weight: Weight of L_C; 1 in the paper.
        objective: Losses of both players on the logits: L_S.
        kwargs: See `AdversarialModule`. The generator is called with (latent, label); the discriminator returns
            (b, 1 + classes) logits, the first of them real against fake.
    """

    def __init__(self, class_weight: float | Schedule = 1.0, objective: Objective = NonSaturating(), **kwargs):
        super().__init__(conditional=True, **kwargs)
        self.class_weight = class_weight
        self.objective = objective

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(image)

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        real, fake = super().logits(batch)
        return real[:, 0], fake[:, 0]

    def discriminator_loss(self, batch: Batch) -> Terms:
        (label,) = self.condition(batch)
        real, fake = super().logits(batch)
        guesses = cross_entropy(real[:, 1:], label) + cross_entropy(fake[:, 1:], label)
        return {
            "adversarial": self.objective.discriminator(real[:, 0], fake[:, 0]),
            "class": self.now(self.class_weight) * guesses,
        }

    def generator_loss(self, batch: Batch) -> Terms:
        (label,) = self.condition(batch)
        fake = self.discriminate(self.fake(batch), batch)
        return {
            "adversarial": self.objective.generator(fake[:, 0]),
            "class": self.now(self.class_weight) * cross_entropy(fake[:, 1:], label),
        }
