"""CatGAN."""

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.mechanics.statistics import hold_statistics, take_statistics


class CatGAN(AdversarialModule):
    """Categorical GAN (Springenberg, 2016, https://arxiv.org/abs/1511.06390).

    The discriminator sorts images into K classes instead of into real and fake. It is to be certain of the class of
    each real image and uncertain of drawn ones, and to use all classes alike; the generator is to draw images of a
    certain class, and of all classes alike. With H for entropy (eq. 7, semi-supervised eq. 9):

        L_D = -H[E p(y|x)] + E H[p(y|x)] - E H[p(y|G(z))] + lambda E CE[y, p(y|x)]
        L_G = -H[E p(y|G(z))] + E H[p(y|G(z))]

    Batches are `(image, label)`; the label is -1 where it is not known. Without any the classes are clusters.

    Noise in the discriminator widens the input of its batch norm. The running statistics that `classify` works with
    are therefore taken from real images without noise.

    Args:
        supervised_weight: lambda of the cross-entropy, which is the mean over a batch's labelled images.
        kwargs: See `AdversarialModule`. The discriminator returns (b, K) logits.
    """

    whole_batch = True
    logits = None  # type: ignore[assignment]  # the discriminator has classes, and none of them is real or fake

    def __init__(self, supervised_weight: float | Schedule = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.supervised_weight = supervised_weight
        hold_statistics(self.discriminator)

    def play(self, batch: Batch) -> None:
        super().play(batch)
        take_statistics(self.discriminator, self.real(batch))

    def discriminator_loss(self, batch: Batch) -> Terms:
        if len(batch) < 2:
            raise ValueError("CatGAN needs batches of (image, label), with -1 for what is not known, got images alone.")
        real, label = self.gather(self.discriminate(self.real(batch), batch)), self.gather(batch[1])
        fake = self.discriminate(self.fake(batch), batch)
        guesses = cross_entropy(real, label, ignore_index=-1, reduction="sum") / (label >= 0).sum().clamp(min=1)
        return {
            "balance": -marginal_entropy(real),
            "certainty": conditional_entropy(real),
            "uncertainty": -conditional_entropy(fake),
            "class": self.now(self.supervised_weight) * guesses,
        }

    def generator_loss(self, batch: Batch) -> Terms:
        fake = self.gather(self.discriminate(self.fake(batch), batch))
        return {"balance": -marginal_entropy(fake), "certainty": conditional_entropy(fake)}

    def classify(self, image: Tensor) -> Tensor:
        """Returns logits of the classes (b, K)."""
        return self.discriminator(image)


def conditional_entropy(logits: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """Returns E H[p(y|x)], in nats: how uncertain the classes of single images are (eq. 3)."""
    return -(logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()


def marginal_entropy(logits: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """Returns H[E p(y|x)], in nats: how evenly a batch uses the classes (eq. 4)."""
    log_p = logits.log_softmax(1).logsumexp(0) - math.log(len(logits))
    return -(log_p.exp() * log_p).sum()
