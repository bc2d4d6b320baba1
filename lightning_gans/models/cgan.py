"""CGAN."""

from torch import Tensor

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.objectives import NonSaturating, Objective


class CGAN(AdversarialModule):
    """Conditional GAN (Mirza & Osindero, 2014, https://arxiv.org/abs/1411.1784).

    Both players are told the class y: the generator draws an image of it, the discriminator judges whether image
    and class belong together.

        V = E[log D(x | y)] + E[log(1 - D(G(z | y)))]     (eq. 2)

    Batches are `(image, label)`; the generator is called with (latent, label), the discriminator with (image, label).

    Args:
        objective: What the players make of the logits.
        kwargs: See `AdversarialModule`.
    """

    def __init__(self, objective: Objective = NonSaturating(), **kwargs):
        super().__init__(**kwargs)
        self.objective = objective

    def discriminator_loss(self, batch: Batch) -> Terms:
        real, label = batch
        fake = self.generator(self.latent(len(real)), label)
        real_logits, fake_logits = self.discriminator(real, label), self.discriminator(fake, label)
        return {"adversarial": self.objective.discriminator(real_logits, fake_logits)}

    def generator_loss(self, batch: Batch) -> Terms:
        real, label = batch
        fake = self.generator(self.latent(len(real)), label)
        return {"adversarial": self.objective.generator(self.discriminator(fake, label))}

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        label = batch[1]
        return {"fake": self.generator(self.latent(len(label)), label), "label": label}
