"""The base of variants that draw a target from its source by contents and an adversary; SRGAN and ID-CGAN as it is."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lightning_gans.adversarial import Batch, Terms
from lightning_gans.contents import Content
from lightning_gans.mechanics.players import Player
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.objectives import NonSaturating, Objective
from lightning_gans.translation import Translation, beside


class Restoration(Translation):
    """Draws a target from its source, such as a sharp photograph from a small one; batches are `(target, source)`.

    The generator minimizes what separates its image from the target, and what gives it away to the discriminator:

        L_G = sum of contents(G(s), t) + lambda * adversarial

    By its contents and networks this is SRGAN (Ledig et al., 2017, https://arxiv.org/abs/1609.04802), ID-CGAN (Zhang et
    al., 2019, https://arxiv.org/abs/1701.05957), or, without a discriminator, a network that is trained on its contents
    alone. With `conditional` the discriminator is also called with the source.

    Args:
        generator: Maps sources to targets.
        contents: Terms of the generator's loss, called with its image and the target.
        discriminator: Judges images, with `conditional` beside their sources; None has contents alone.
        adversarial_weight: lambda. While it is 0, the discriminator rests, as in a warm-up.
        objective: Losses of both players on the logits.
        kwargs: See `AdversarialModule`.
    """

    def __init__(
        self,
        generator: nn.Module,
        contents: Sequence[Content],
        discriminator: nn.Module | None = None,
        adversarial_weight: float | Schedule = 1.0,
        objective: Objective = NonSaturating(),
        **kwargs: Any,
    ):
        super().__init__(generator=generator, discriminator=discriminator or nn.Module(), **kwargs)
        if discriminator is None:
            if adversarial_weight != 0:
                raise ValueError("`adversarial_weight` must be 0 without a `discriminator`: set it to 0, or give one.")
            self.discriminate = self.logits = None  # type: ignore[assignment, method-assign]
        self.contents = nn.ModuleList(contents)
        self.adversarial_weight = adversarial_weight
        self.objective = objective

    def players(self) -> dict[str, Player]:
        players = super().players()
        if self.discriminate is None:
            del players["discriminator"]
        return players

    def play(self, batch: Batch) -> None:
        if self.now(self.adversarial_weight) == 0:
            self.descend("generator", batch)
            self._drawn.clear()
        else:
            super().play(batch)

    def translate(self, batch: Batch) -> tuple[Tensor, ...]:
        return (self.generator(batch[1]),)

    def convert(self, image: Tensor) -> Tensor:
        """Returns targets of these sources."""
        return self.generator(image)

    def discriminator_loss(self, batch: Batch) -> Terms:
        (fake,) = self.shown(batch)
        real_logits, fake_logits = self.discriminate(self.real(batch), batch), self.discriminate(fake, batch)
        return {"adversarial": self.objective.discriminator(real_logits, fake_logits)}

    def generator_loss(self, batch: Batch) -> Terms:
        (fake,) = self.drawn(batch)
        terms: Terms = {}
        content: Any
        for content in self.contents:  # several may have one name
            terms[content.name] = terms.get(content.name, 0) + content(fake, self.real(batch))
        if weight := self.now(self.adversarial_weight):
            terms["adversarial"] = weight * self.objective.generator(self.discriminate(fake, batch))
        return terms

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Returns `fake`, and `comparison`: source, fake and target from left to right."""
        fake = self.fake(batch)
        return {"fake": fake, "comparison": beside(batch[1], fake, self.real(batch))}
