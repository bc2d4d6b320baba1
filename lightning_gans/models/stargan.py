"""StarGAN."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, l1_loss

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.penalties import between, one_centered_penalty
from lightning_gans.translation import beside

Labels = Tensor  # (b,) classes, or (b, k) attributes that are 0 or 1


class StarGAN(AdversarialModule):
    """Image-to-image translation between several domains (Choi et al., 2018, https://arxiv.org/abs/1711.09020).

    One generator draws an image x of the labels c once more, with other labels c'. The discriminator tells real from
    drawn images and reads their labels, and what goes to c' and back must come back as it was:

        L_D = L_adv + lambda_cls E[-log D_cls(c | x)]                                                (eq. 5)
        L_G = -L_adv + lambda_cls E[-log D_cls(c' | G(x, c'))] + lambda_rec E[|x - G(G(x, c'), c)|]  (eq. 6)

    L_adv is that of WGAN-GP (eq. 8). c' are the labels of the whole batch in another order, the same for both players.
    Labels are classes (b,), of which each is a domain, or attributes (b, k) that are 0 or 1; attributes count by the
    sum of their cross-entropies. Batches are `(image, label)`.

    Args:
        class_weight: lambda_cls.
        cycle_weight: lambda_rec.
        penalty_weight: lambda_gp.
        n_critic: Discriminator steps per generator step.
        kwargs: See `AdversarialModule`. The generator has `num_classes` and is called with an image and labels; the
            discriminator returns logits of real against fake, one or several for each image, and those of the labels.
    """

    generate = None  # type: ignore[assignment]  # draws from no latent
    gathers = True  # labels

    def __init__(
        self,
        class_weight: float | Schedule = 1.0,
        cycle_weight: float | Schedule = 10.0,
        penalty_weight: float | Schedule = 10.0,
        n_critic: int = 5,
        **kwargs: Any,
    ):
        super().__init__(n_critic=n_critic, conditional=True, **kwargs)
        self.class_weight, self.cycle_weight, self.penalty_weight = class_weight, cycle_weight, penalty_weight

    def play(self, batch: Batch) -> None:
        super().play([*batch, self.targets(batch[1])])

    def targets(self, label: Labels) -> Labels:
        """Returns this process's rows of the labels of all processes in another order."""
        everyones = self.gather(label)
        order = torch.randperm(len(everyones), generator=self.shared_generator()).to(label.device)
        return self.own(everyones[order])

    def target(self, batch: Batch) -> Labels:
        """Returns c': the labels behind the batch's own, otherwise those of the row before each."""
        return batch[2] if len(batch) > 2 else batch[1].roll(1, 0)

    def fake(self, batch: Batch) -> Tensor:
        return self.edited(batch[0], self.target(batch))

    def edited(self, image: Tensor, label: Labels) -> Tensor:
        """Returns images with these labels instead of theirs."""
        return self.generator(image, label if label.ndim == 1 else label.to(image.dtype))

    def convert(self, image: Tensor, to: object) -> Tensor:
        """Returns images of a domain, given by its number, or with attributes, given as a list of 0 and 1."""
        count = self.generator.num_classes
        if isinstance(to, list):
            if len(to) != count or not set(to) <= {0, 1}:
                raise ValueError(f"`to` must give 0 or 1 for each of the {count} attributes, got {to}.")
            return self.edited(image, torch.tensor(to, device=image.device).expand(len(image), -1))
        if not isinstance(to, int) or not 0 <= to < count:
            raise ValueError(
                f"`to` must be the number of a domain, 0 to {count - 1}, or a list of attributes, got {to}."
            )
        return self.edited(image, torch.full((len(image),), to, device=image.device))

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        """Returns the logits of real against fake."""
        return self.discriminator(image)[0]

    def discriminator_loss(self, batch: Batch) -> Terms:
        image, label = batch[:2]
        fake = self.fake(batch)
        points = between(image, fake)
        real_logits, guess = self.discriminator(image)
        return {
            "wasserstein": self.discriminate(fake, batch).mean() - real_logits.mean(),
            "penalty": self.now(self.penalty_weight) * one_centered_penalty(self.discriminate(points, batch), points),
            "class": self.now(self.class_weight) * label_loss(guess, label),
        }

    def generator_loss(self, batch: Batch) -> Terms:
        image, label, target = *batch[:2], self.target(batch)
        fake = self.edited(image, target)
        logits, guess = self.discriminator(fake)
        terms = {"wasserstein": -logits.mean()}
        if weight := self.now(self.class_weight):
            terms["class"] = weight * label_loss(guess, target)
        if weight := self.now(self.cycle_weight):
            terms["cycle"] = weight * l1_loss(self.edited(fake, label), image)
        return terms

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Returns `fake`, and `edits`: the image, then with each domain or with each attribute changed."""
        image, label = batch[:2]
        count = self.generator.num_classes
        if label.ndim == 1:
            wanted = [torch.full_like(label, domain) for domain in range(count)]
        else:
            flips = torch.eye(count, dtype=label.dtype, device=label.device)
            wanted = [(label - flip).abs() for flip in flips]
        edits = [self.edited(image, other) for other in wanted]
        return {"fake": self.fake(batch), "edits": beside(image, *edits)}


def label_loss(logits: Float[Tensor, "b k"], label: Labels) -> Float[Tensor, ""]:
    """Returns the mean over images of the cross-entropy of classes, or of the sum of those of attributes."""
    if label.ndim == 1:
        return cross_entropy(logits, label)
    return binary_cross_entropy_with_logits(logits, label.to(logits.dtype), reduction="sum") / len(logits)
