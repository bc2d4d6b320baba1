"""GAN and conditional GAN."""

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.objectives import NonSaturating, Objective


class GAN(AdversarialModule):
    """Generative adversarial network (Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661), algorithm 1.

    The discriminator tells data from samples, the generator makes samples that pass for data:

        V = E[log D(x)] + E[log(1 - D(G(z)))]     (eq. 1)

    With `conditional` it is the conditional GAN (Mirza & Osindero, 2014, https://arxiv.org/abs/1411.1784): batches are
    `(image, label)`, and both networks are also called with the label y, as in D(x | y) and G(z | y). With other
    networks or another objective it is also DCGAN, LSGAN or BigGAN: see their recipes.

    Args:
        objective: Losses of both players on the logits.
        kwargs: See `AdversarialModule`. `n_critic` is the paper's k.
    """

    def __init__(self, objective: Objective = NonSaturating(), **kwargs):
        super().__init__(**kwargs)
        self.objective = objective

    def discriminator_loss(self, batch: Batch) -> Terms:
        return {"adversarial": self.objective.discriminator(*self.logits(batch))}

    def generator_loss(self, batch: Batch) -> Terms:
        return {"adversarial": self.objective.generator(self.discriminate(self.fake(batch), batch))}
