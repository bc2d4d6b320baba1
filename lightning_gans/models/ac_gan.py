"""AC-GAN."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.objectives import NonSaturating, Objective


class ACGAN(AdversarialModule):
    """Auxiliary classifier GAN (Odena et al., 2017, https://arxiv.org/abs/1610.09585).

    The generator is told the class c, the discriminator guesses it, of real and of drawn images, and both players
    want the guess to be right:

        L_S = E[log P(real | x)] + E[log P(fake | G(c, z))]     (eq. 2)
        L_C = E[log P(c | x)] + E[log P(c | G(c, z))]           (eq. 3)

    The discriminator maximises L_S + L_C, the generator L_C - L_S, here with the non-saturating form of L_S.
    Batches are `(image, label)`.

    Args:
        class_weight: Weight of L_C; 1 in the paper.
        objective: What the players make of the logits: L_S.
        kwargs: See `AdversarialModule`. The generator is called with (latent, label); the discriminator returns
            (b, 1 + classes) logits, the first of them real against fake.
    """

    def __init__(self, class_weight: float = 1.0, objective: Objective = NonSaturating(), **kwargs):
        super().__init__(**kwargs)
        self.class_weight = class_weight
        self.objective = objective

    def discriminator_loss(self, batch: Batch) -> Terms:
        real, label = batch
        fake = self.generator(self.latent(len(real)), label)
        real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
        guesses = cross_entropy(real_logits[:, 1:], label) + cross_entropy(fake_logits[:, 1:], label)
        return {
            "adversarial": self.objective.discriminator(real_logits[:, 0], fake_logits[:, 0]),
            "class": self.class_weight * guesses,
        }

    def generator_loss(self, batch: Batch) -> Terms:
        real, label = batch
        logits = self.discriminator(self.generator(self.latent(len(real)), label))
        return {
            "adversarial": self.objective.generator(logits[:, 0]),
            "class": self.class_weight * cross_entropy(logits[:, 1:], label),
        }

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        label = batch[1]
        return {"fake": self.generator(self.latent(len(label)), label), "label": label}
