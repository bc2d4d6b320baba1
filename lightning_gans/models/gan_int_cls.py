"""GAN-INT-CLS."""

from typing import Any

import torch

from lightning_gans.adversarial import Batch, Terms
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.objectives import NonSaturating, Objective
from lightning_gans.text import TextToImage


class GANINTCLS(TextToImage):
    """Text to image with a discriminator that matches, and with texts between texts (Reed et al., 2016, https://arxiv.org/abs/1605.05396).

    The discriminator tells a real image with its text from a sample with its text, and from a real image with a wrong
    text (CLS, algorithm 1). The generator also draws from texts halfway between two of them (INT, eq. 5), which have no
    image, and which the discriminator never sees beside one:

        L_D = l(x, t -> 1) + (1 - cls) l(G(z, t), t -> 0) + cls l(x, t' -> 0)
        L_G = l(G(z, t), t -> 1) summed over B texts, and weighted over B / 2 between them, over 1.5 B in all

    As in the authors' code (https://github.com/reedscot/icml2016) samples and wrong texts weigh a half each, and one
    mean is taken over all that the generator draws. The code puts a wrong image beside a text instead of a wrong text
    beside an image, and averages texts i and i + B / 2; here it is each text and the next one.

    Args:
        wrong_weight: cls, from 0, which has no wrong texts, to 1, which has no samples.
        interpolation_weight: Weight of a text between others; 0 draws none, and 1 counts it as any other.
        objective: Losses of both players on the logits: l.
        kwargs: See `TextToImage` and `AdversarialModule`.
    """

    def __init__(
        self,
        wrong_weight: float | Schedule = 0.5,
        interpolation_weight: float | Schedule = 1.0,
        objective: Objective = NonSaturating(),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if isinstance(wrong_weight, int | float) and not 0 <= wrong_weight <= 1:
            raise ValueError(f"`wrong_weight` must be from 0 to 1, got {wrong_weight}.")
        self.wrong_weight, self.interpolation_weight = wrong_weight, interpolation_weight
        self.objective = objective

    def discriminator_loss(self, batch: Batch) -> Terms:
        weight = self.now(self.wrong_weight)
        fake = self.discriminate(self.fake(batch), batch)
        if not weight:
            return {"adversarial": self.objective.discriminator(self.discriminate(self.real(batch), batch), fake)}
        texts = torch.stack([*self.condition(batch), self.wrong(batch)], 1)
        real, wrong = self.discriminator(self.real(batch), texts).unbind(1)
        return {
            "adversarial": (1 - weight) * self.objective.discriminator(real, fake),
            "wrong": weight * self.objective.discriminator(real, wrong),
        }

    def generator_loss(self, batch: Batch) -> Terms:
        (text,), latent = self.condition(batch), self.latent(len(batch[0]))
        weight, count = self.now(self.interpolation_weight), len(text)
        pairs = count // 2 if weight else 0
        between = (text[0 : 2 * pairs : 2] + text[1 : 2 * pairs : 2]) / 2
        drawn = [batch[0], torch.cat([text, between])]
        latent = torch.cat([latent, self.latent(count)[0 : 2 * pairs : 2]])
        logits = self.discriminate(self.generate(latent, drawn), drawn)
        terms = {"adversarial": count / len(logits) * self.objective.generator(logits[:count])}
        if pairs:
            terms["interpolated"] = weight * pairs / len(logits) * self.objective.generator(logits[count:])
        return terms
