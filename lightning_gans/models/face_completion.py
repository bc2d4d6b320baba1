"""Generative face completion."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss

from lightning_gans.adversarial import Batch, Terms
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.networks.wrappers.frozen import Frozen
from lightning_gans.objectives import NonSaturating, Objective
from lightning_gans.translation import Translation, beside

Image = Float[Tensor, "b c h w"]
Mask = Float[Tensor, "b 1 h w"]


class FaceCompletion(Translation):
    """Generative face completion (Li et al., 2017, https://arxiv.org/abs/1704.05838).

    An image has a hole, where the mask is 1, that is filled with uniform noise. The generator draws the whole image,
    and what it drew is put into the hole: outside of it, an image is kept bit for bit. A local discriminator sees what
    is around the hole, a global one sees the whole image, and a frozen network that names the parts of a face must find
    them where it finds them in the true image:

        L = L_r + lambda_1 L_a1 + lambda_2 L_a2 + lambda_3 L_p

    As in the authors' code (https://github.com/Yijunmaverick/GenerativeFaceCompletion), L_r is the distance |t - G| of
    the whole drawn image, and the discriminators' losses are halved; the paper, not checked, has squares in L_r. In the
    code L_r and L_p are sums over the 3 x 128 x 128 values or the pixels of an image, and lambda is 300, 300 and 0.05;
    here they are means, so that lambda is 300 / 49152 = 0.0061 twice, and 0.05 * 16384 / 49152 = 0.0167. For other
    sizes, the first two are 100 over the number of pixels. In the paper training has three phases, with the
    reconstruction alone, then with the local discriminator, then with the global one and the parser: give `Steps` that
    begin with 0. Batches are `(target, mask)`.

    Args:
        generator: Draws an image from an image with noise in its hole.
        local_discriminator: Judges squares of its `size`, around the middle of the hole.
        global_discriminator: Judges whole images.
        parser: Returns logits of the parts (b, classes, h, w) of images; it is frozen, and no part of a checkpoint.
            None has no such term.
        objective: Losses of both players on the logits of one discriminator.
        local_weight: lambda_1. While it is 0, the local discriminator rests.
        global_weight: lambda_2, likewise.
        parsing_weight: lambda_3.
        kwargs: See `AdversarialModule`; both discriminators step together.
    """

    def __init__(
        self,
        generator: nn.Module,
        local_discriminator: nn.Module,
        global_discriminator: nn.Module,
        parser: nn.Module | None = None,
        objective: Objective = NonSaturating(),
        local_weight: float | Schedule = 300 / 49152,
        global_weight: float | Schedule = 300 / 49152,
        parsing_weight: float | Schedule = 0.05 / 3,
        **kwargs: Any,
    ):
        judges = nn.ModuleDict({"local": local_discriminator, "global": global_discriminator})
        super().__init__(generator=generator, discriminator=judges, **kwargs)
        self.parser = None if parser is None else Frozen(parser)
        self.objective = objective
        self.local_weight, self.global_weight, self.parsing_weight = local_weight, global_weight, parsing_weight

    def play(self, batch: Batch) -> None:
        if self.weights():
            super().play(batch)
        else:
            self.descend("generator", batch)
            self._drawn.clear()

    def weights(self) -> dict[str, float]:
        """Returns the weights of the discriminators that do not rest."""
        weights = {"local": self.now(self.local_weight), "global": self.now(self.global_weight)}
        return {name: weight for name, weight in weights.items() if weight}

    def complete(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Returns images with what was drawn in their holes, and all that was drawn."""
        if mask.shape != (len(image), 1, *image.shape[2:]):
            raise ValueError(
                f"A mask must be (b, 1, h, w) for images (b, c, h, w), got {tuple(mask.shape)} for "
                f"{tuple(image.shape)}: give data whose `degradation` is mask."
            )
        hole = mask > 0
        drawn = self.generator(torch.where(hole, self.uniform(*image.shape), image))
        return torch.where(hole, drawn, image), drawn

    def translate(self, batch: Batch) -> tuple[Tensor, ...]:
        return self.complete(*batch[:2])

    def convert(self, image: Tensor, mask: Tensor) -> Tensor:
        """Returns images whose holes, where `mask` is 1, are filled."""
        return self.complete(image, mask)[0]

    def judge(self, name: str, image: Image, mask: Mask) -> Tensor:
        """Returns the logits of the local or the global discriminator."""
        judge = self.discriminator[name]
        return judge(around(image, mask, judge.size) if name == "local" else image)

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        """Returns the logits of both discriminators."""
        return torch.cat([self.judge(name, image, batch[1]) for name in self.discriminator])

    def discriminator_loss(self, batch: Batch) -> Terms:
        (target, mask), (fake, _) = batch[:2], self.shown(batch)
        return {
            name: self.objective.discriminator(self.judge(name, target, mask), self.judge(name, fake, mask)) / 2
            for name in self.weights()
        }

    def generator_loss(self, batch: Batch) -> Terms:
        (target, mask), (fake, drawn) = batch[:2], self.drawn(batch)
        terms = {"reconstruction": l1_loss(drawn, target)}
        for name, weight in self.weights().items():
            terms[name] = weight * self.objective.generator(self.judge(name, fake, mask))
        if self.parser is not None and (weight := self.now(self.parsing_weight)):
            with torch.no_grad():
                parts = self.parser(target).argmax(1)
            terms["parsing"] = weight * cross_entropy(self.parser(fake), parts)
        return terms

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Returns `fake`, and `comparison`: the image with its hole in gray, fake and target from left to right."""
        target, mask = batch[:2]
        fake = self.fake(batch)
        return {"fake": fake, "comparison": beside(torch.where(mask > 0, 0, target), fake, target)}


def around(image: Image, mask: Mask, size: int) -> Float[Tensor, "b c {size} {size}"]:
    """Returns the square of this size around the middle of each hole, moved into the image where it would leave it."""
    for axis, across in ((2, 3), (3, 2)):
        length = image.shape[axis]
        if length < size:
            raise ValueError(
                f"`image` must be at least {size} pixels a side for the local discriminator, got {length}."
            )
        line = mask.amax((1, across))  # 1 for each row, or column, of the hole
        first, last = line.argmax(1), length - 1 - line.flip(1).argmax(1)
        start = ((first + last + 1 - size) // 2).clamp(0, length - size)
        place = start[:, None] + torch.arange(size, device=image.device)
        shape = [*image.shape]
        shape[axis] = size
        image = image.gather(axis, place.unsqueeze(1).unsqueeze(across).expand(shape))
    return image
