"""GAN."""

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.objectives import NonSaturating, Objective


class GAN(AdversarialModule):
    """Generative adversarial network (Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661), algorithm 1.

    The discriminator tells data from samples, the generator makes samples that pass for data. With other
    networks or another objective this is also DCGAN and LSGAN: see their recipes.

    Args:
        objective: What the players make of the logits.
        kwargs: See `AdversarialModule`. `n_critic` is the paper's k.
    """

    def __init__(self, objective: Objective = NonSaturating(), **kwargs):
        super().__init__(**kwargs)
        self.objective = objective

    def discriminator_loss(self, batch: Batch) -> Terms:
        real = batch[0]
        fake = self.generator(self.latent(len(real)))
        return {"adversarial": self.objective.discriminator(self.discriminator(real), self.discriminator(fake))}

    def generator_loss(self, batch: Batch) -> Terms:
        fake = self.generator(self.latent(len(batch[0])))
        return {"adversarial": self.objective.generator(self.discriminator(fake))}
