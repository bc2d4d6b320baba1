"""Adversarial objectives: the losses of the two players, as functions of the discriminator's logits."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu, softplus

Logits = Float[Tensor, "_ ..."]
Scalar = Float[Tensor, ""]


class Objective(ABC):
    """A pair of losses on logits of shape (b,), or (b, 1, h, w) from a patch discriminator."""

    @abstractmethod
    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        """Returns the discriminator's loss; low when `real` is high and `fake` is low."""

    @abstractmethod
    def generator(self, fake: Logits) -> Scalar:
        """Returns the generator's loss; low when `fake` is high."""


class NonSaturating(Objective):
    """Cross-entropy, with a generator that maximizes log D(G(z)) (Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661).

    Args:
        real_label: Label of data; below 1, such as 0.9, it is one-sided label smoothing (Salimans et al., 2016,
            https://arxiv.org/abs/1606.03498, section 3.4).
    """

    def __init__(self, real_label: float = 1.0):
        self.real_label = checked_label(real_label)

    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        return cross_entropy(real, fake, self.real_label)

    def generator(self, fake: Logits) -> Scalar:
        return softplus(-fake).mean()


class Minimax(Objective):
    """Cross-entropy, with a generator that minimizes log(1 - D(G(z))) (Goodfellow et al., 2014, eq. 1, https://arxiv.org/abs/1406.2661).

    Both players have the same value, but the generator's gradient vanishes while the discriminator wins.

    Args:
        real_label: Label of data; see `NonSaturating`.
    """

    def __init__(self, real_label: float = 1.0):
        self.real_label = checked_label(real_label)

    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        return cross_entropy(real, fake, self.real_label)

    def generator(self, fake: Logits) -> Scalar:
        return -softplus(fake).mean()


class LeastSquares(Objective):
    """Least squares to labels 1 and 0, each loss halved (Mao et al., 2017, eq. 9, https://arxiv.org/abs/1611.04076)."""

    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        return ((real - 1).square().mean() + fake.square().mean()) / 2

    def generator(self, fake: Logits) -> Scalar:
        return (fake - 1).square().mean() / 2


class Hinge(Objective):
    """Hinge loss (Lim & Ye, 2017, https://arxiv.org/abs/1705.02894)."""

    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def generator(self, fake: Logits) -> Scalar:
        return -fake.mean()


class Wasserstein(Objective):
    """Difference of means, for a critic that is kept Lipschitz by other means (Arjovsky et al., 2017, https://arxiv.org/abs/1701.07875)."""

    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        return fake.mean() - real.mean()

    def generator(self, fake: Logits) -> Scalar:
        return -fake.mean()


def cross_entropy(real: Logits, fake: Logits, real_label: float) -> Scalar:
    """Returns the discriminator's cross-entropy, with `real_label` as the label of data and 0 for samples."""
    loss = softplus(-real).mean() + softplus(fake).mean()
    return loss if real_label == 1 else loss + (1 - real_label) * real.mean()


def checked_label(real_label: float) -> float:
    """Returns the label, which must be a probability above 0."""
    if not 0 < real_label <= 1:
        raise ValueError(f"`real_label` must be above 0 and at most 1, got {real_label}.")
    return real_label
