"""Images restored or drawn from their pairs or from the frames before them; pix2pix and PGN are among them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.adversarial import Batch, Terms
from lightning_gans.contents import Content, Pixels
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


class Pix2Pix(Restoration):
    """Image-to-image translation with a conditional GAN (Isola et al., 2017, https://arxiv.org/abs/1611.07004).

    The discriminator judges an image beside its source, and L1 holds the generator to the target:

        G* = arg min_G max_D E[log D(s, t)] + E[log(1 - D(s, G(s)))] + lambda E[|t - G(s)|]     (eq. 4)

    The generator's noise is its dropout, also at test time (section 3). The discriminator's loss is halved
    (section 3.3).

    Args:
        pixel_weight: lambda, for L1; 0 leaves it out.
        contents: Terms of the generator's loss beside L1.
        conditional: Whether the discriminator sees the source, too.
        kwargs: See `Restoration` and `AdversarialModule`.
    """

    def __init__(
        self,
        pixel_weight: float = 100.0,
        contents: Sequence[Content] = (),
        conditional: bool = True,
        **kwargs: Any,
    ):
        pixels = [Pixels(p=1, weight=pixel_weight)] if pixel_weight else []
        super().__init__(contents=[*pixels, *contents], conditional=conditional, **kwargs)

    def discriminator_loss(self, batch: Batch) -> Terms:
        return {name: term / 2 for name, term in super().discriminator_loss(batch).items()}


class PGN(Restoration):
    """Predictive generative networks (Lotter et al., 2016, https://arxiv.org/abs/1511.06380).

    They draw the next frame of a sequence. The squared error alone blurs what is uncertain. The discriminator judges a
    frame behind those before it, and has the generator draw one of the possible ones:

        L_G = E|t - G(s)|^2 + lambda E[-log D(G(s), s)],    with frames in [0, 1]

    In the authors' code (https://github.com/coxlab/predictive-rnn-experiments) lambda is 0.0002, and the generator
    starts from weights that were trained on the squared error alone: give `Steps` that begin with 0. Batches are
    `(next, previous)`, the second of them (b, t, c, h, w).

    Args:
        generator: Maps sequences to the frame behind them.
        discriminator: Called with frames and the sequences before them; None has the squared error alone.
        pixel_weight: Of the squared error of frames in [0, 1], a quarter of that in [-1, 1].
        adversarial_weight: lambda. While it is 0, the discriminator rests.
        contents: Terms of the generator's loss beside the squared error.
        kwargs: See `Restoration` and `AdversarialModule`.
    """

    convert = None  # type: ignore[assignment]  # of single images nothing is made

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None = None,
        pixel_weight: float = 1.0,
        adversarial_weight: float | Schedule = 2e-4,
        contents: Sequence[Content] = (),
        **kwargs: Any,
    ):
        super().__init__(
            generator=generator,
            discriminator=discriminator,
            contents=[Pixels(p=2, weight=pixel_weight / 4), *contents],
            adversarial_weight=adversarial_weight,
            conditional=True,
            **kwargs,
        )

    def extrapolate(self, previous: Tensor, frames: int) -> Tensor:
        """Returns the next `frames` of sequences, each drawn from as many frames before it as are given."""
        sequence = previous
        for _ in range(frames):
            drawn = self.generator(sequence[:, -previous.shape[1] :])
            sequence = torch.cat([sequence, drawn.unsqueeze(1)], 1)
        return sequence[:, previous.shape[1] :]

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Returns `fake`, and `comparison`: the frames before it, the true one, and fake, from left to right."""
        fake = self.fake(batch)
        return {"fake": fake, "comparison": torch.cat([batch[1], beside(self.real(batch), fake)], 1)}
