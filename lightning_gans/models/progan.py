"""ProGAN."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

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

    With classes the discriminator also guesses the class, and both players want the guess to be right, as in the
    authors' code:

        L_D + w (E[-log P(c | x)] + E[-log P(c | G(z, c))]),    L_G + w E[-log P(c | G(z, c))]

    Args:
        penalty_weight: lambda.
        drift_weight: epsilon.
        class_weight: w, of networks with classes and `conditional`; 1 in the authors' code.
        kwargs: See `AdversarialModule`. The networks are `Growing`, with the same levels; with classes the generator is
            called with (latent, label), and the discriminator returns (b, 1 + classes) logits, the critic's first.
    """

    def __init__(
        self,
        penalty_weight: float | Schedule = 10.0,
        drift_weight: float | Schedule = 1e-3,
        class_weight: float | Schedule = 1.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.penalty_weight, self.drift_weight, self.class_weight = penalty_weight, drift_weight, class_weight

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(image)  # which is not told the class

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        real, fake = super().logits(batch)
        return critic(real), critic(fake)

    def guesses(self, batch: Batch, *outputs: Tensor) -> Terms:
        """Returns the term of the guessed classes; there is none without classes."""
        errors = [cross_entropy(output[:, 1:], label) for output in outputs for label in self.condition(batch)]
        return {"class": self.now(self.class_weight) * torch.stack(errors).sum()} if errors else {}

    def discriminator_loss(self, batch: Batch) -> Terms:
        real, fake = self.real(batch), self.fake(batch)
        points = between(real, fake)
        outputs, fake_outputs = self.discriminate(real, batch), self.discriminate(fake, batch)
        logits, slope = critic(outputs), critic(self.discriminate(points, batch))
        return {
            "wasserstein": critic(fake_outputs).mean() - logits.mean(),
            "penalty": self.now(self.penalty_weight) * one_centered_penalty(slope, points),
            "drift": self.now(self.drift_weight) * logits.square().mean(),
        } | self.guesses(batch, outputs, fake_outputs)

    def generator_loss(self, batch: Batch) -> Terms:
        outputs = self.discriminate(self.fake(batch), batch)
        return {"wasserstein": -critic(outputs).mean()} | self.guesses(batch, outputs)


def critic(outputs: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
    """Returns the critic's value of each image, the first where classes are guessed, too."""
    return outputs[:, 0] if outputs.ndim > 1 else outputs
