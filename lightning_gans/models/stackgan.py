"""StackGAN."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gans.adversarial import Batch, Terms
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.objectives import NonSaturating, Objective
from lightning_gans.text import TextToImage


class StackGAN(TextToImage):
    """A stage of StackGAN (Zhang et al., 2017, https://arxiv.org/abs/1612.03242).

    The first stage draws a small image from a text, the second one a large image from that image and the text; each is
    a run of its own, and the first one's network is frozen in the second. The generator draws its condition from a
    normal distribution around the text, which is held near to the standard one:

        L_D = l(x, t -> 1) + mean of l(G(z, c), t -> 0) and l(x, t' -> 0), with t' a wrong text     (eqs. 3, 5)
        L_G = l(G(z, c), t -> 1) + lambda KL(N(mean(t), variance(t)) || N(0, 1))     (eqs. 4, 6)

    A discriminator with a logit of the image alone, as of the second stage in the authors' code for PyTorch
    (https://github.com/hanzhanggit/StackGAN-Pytorch), adds real images and samples as such: L_D has the mean of both
    logits of a real image, and the mean of the three kinds of negatives, L_G the sum over both logits.

    Args:
        kl_weight: lambda, with KL as the mean over the numbers of a condition, as in the authors' codes, where it is 2.
            With the usual sum, over 128 numbers, that is 2 / 128; the paper's 1 is 128 here.
        objective: Losses of both players on the logits: l.
        kwargs: See `TextToImage` and `AdversarialModule`. The generator has an `augmentation`, such as
            `StackGANGenerator` and `StackGANStage2Generator`.
    """

    def __init__(self, kl_weight: float | Schedule = 2.0, objective: Objective = NonSaturating(), **kwargs: Any):
        super().__init__(**kwargs)
        self.kl_weight, self.objective = kl_weight, objective

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        real, fake = super().logits(batch)
        return (real, fake) if real.ndim == 1 else (real[:, 0], fake[:, 0])

    def discriminator_loss(self, batch: Batch) -> Terms:
        texts = torch.stack([*self.condition(batch), self.wrong(batch)], 1)
        real = self.discriminator(self.real(batch), texts)
        fake = self.discriminate(self.fake(batch), batch)
        positive = torch.cat([real[:, :1], real[:, 2:]], 1)  # with its text, and alone
        negative = torch.cat([fake.flatten(), real[:, 1]])
        return {"adversarial": self.objective.discriminator(positive, negative)}

    def generator_loss(self, batch: Batch) -> Terms:
        fake = self.discriminate(self.fake(batch), batch)
        alone = {} if fake.ndim == 1 else {"unconditional": self.objective.generator(fake[:, 1])}
        distribution = self.generator.augmentation.distribution(*self.condition(batch))
        return {
            "adversarial": self.objective.generator(fake if fake.ndim == 1 else fake[:, 0]),
            **alone,
            "kl": self.now(self.kl_weight) * divergence(*distribution),
        }


def divergence(mean: Float[Tensor, "b k"], log_variance: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """Returns KL(N(mean, variance) || N(0, 1)), the mean over numbers and rows."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2
