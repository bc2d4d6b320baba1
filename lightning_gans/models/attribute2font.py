"""Attribute2Font."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from lightning_gans.adversarial import Batch, Terms
from lightning_gans.contents import Content, Pixels
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.objectives import LeastSquares, Objective
from lightning_gans.translation import Translation, beside

ITEMS = 7  # of a batch; the images that the discriminator is shown come after them


class Attribute2Font(Translation):
    """Fonts from attributes such as weight and slant (Wang et al., 2020, https://arxiv.org/abs/2005.07865).

    The generator draws a character x_A of font A in another font B. Of B it knows nothing but how its attributes differ
    from those of A, a_B - a_A, and of A it sees some characters s. It also says which character c it was given. The
    discriminator tells the true x_B from what is drawn, beside x_A, and a part C of it reads attributes. As in the
    authors' code (https://github.com/hologerry/Attr2Font), with y = G(x_A, s, a_B - a_A) and L_adv that of LSGAN
    without its 1/2, means over images and pixels,

        L_G = 5 L_adv(D(x_A, y)) + 50 |y - x_B| + 3 CE(c) + 6 CX + 20 (|a_A - C(x_A)|^2 + |a_B - C(y)|^2),
        L_D = L_adv(D(x_A, x_B), D(x_A, y)) + 2 |a_A - C(x_A)|^2 + |a_B - C(x_B)|^2 + |a_B - C(y)|^2.

    CX is the contextual loss, and is given in `contents`. The attributes of unlabelled fonts are learned with the
    generator. Batches are those of `FontPairs`.

    Args:
        generator: Called with x_A, s and the difference, returns images and logits of the characters; it has
            `attributes`, as `Attribute2FontGenerator`.
        discriminator: Called with an image and x_A, returns logits, and the attributes of both.
        adversarial_weight: Of L_adv in L_G.
        pixel_weight: Of |y - x_B|.
        character_weight: Of CE(c).
        attribute_weight: Of both distances of attributes in L_G.
        contents: More terms of L_G, called with y and x_B.
        objective: Losses of both players on the logits. They are doubled here, since `LeastSquares` halves them.
        kwargs: See `AdversarialModule`.
    """

    own_data = "FontSheetsDataModule --data.attributes '{weight: [0, 0.5, 1]}'"

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        adversarial_weight: float | Schedule = 5.0,
        pixel_weight: float = 50.0,
        character_weight: float | Schedule = 3.0,
        attribute_weight: float | Schedule = 20.0,
        contents: Sequence[Content] = (),
        objective: Objective = LeastSquares(),
        **kwargs: Any,
    ):
        super().__init__(generator=generator, discriminator=discriminator, **kwargs)
        self.adversarial_weight, self.character_weight = adversarial_weight, character_weight
        self.attribute_weight = attribute_weight
        self.contents = nn.ModuleList([Pixels(p=1, weight=pixel_weight), *contents])
        self.objective = objective

    def setup(self, stage: str) -> None:
        super().setup(stage)
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        unknown = getattr(data, "num_unlabelled", 0)
        if stage == "fit" and unknown > self.generator.num_unlabelled:
            raise ValueError(
                f"`num_unlabelled` of the generator must be at least {unknown}, the fonts of the data without known "
                f"attributes, got {self.generator.num_unlabelled}."
            )

    def attributes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns a_A and a_B."""
        known, unlabelled = batch[3:5], batch[6].T
        source, target = (self.generator.attributes(*pair) for pair in zip(known, unlabelled, strict=True))
        return source, target

    def translate(self, batch: Batch) -> tuple[Tensor, ...]:
        """Returns characters in the wanted font, and logits of which they are."""
        source, target = self.attributes(batch)
        return self.generator(batch[1], batch[2], target - source)

    def shown(self, batch: Batch) -> tuple[Tensor, ...]:
        return tuple(batch[ITEMS:]) or self.translate(batch)

    def convert(self, image: Tensor, styles: Tensor, difference: Tensor) -> Tensor:
        """Returns characters of a font, some of which show its style, in the font with other attributes."""
        return self.generator(image, styles, difference)[0]

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(image, batch[1])[0]

    def discriminator_loss(self, batch: Batch) -> Terms:
        source, target = self.attributes(batch)
        real_logits, of_real, of_source = self.discriminator(self.real(batch), batch[1])
        fake_logits, of_fake, _ = self.discriminator(self.shown(batch)[0], batch[1])  # reads x_A as before
        distances = 2 * mse_loss(of_source, source) + mse_loss(of_real, target) + mse_loss(of_fake, target)
        adversarial = 2 * self.objective.discriminator(real_logits, fake_logits)
        return {"adversarial": adversarial, "attributes": distances}

    def generator_loss(self, batch: Batch) -> Terms:
        source, target = self.attributes(batch)
        fake, characters = self.drawn(batch)
        logits, of_fake, of_source = self.discriminator(fake, batch[1])
        terms: Terms = {"adversarial": 2 * self.now(self.adversarial_weight) * self.objective.generator(logits)}
        content: Any
        for content in self.contents:  # several may have one name
            terms[content.name] = terms.get(content.name, 0) + content(fake, self.real(batch))
        terms["character"] = self.now(self.character_weight) * cross_entropy(characters, batch[5])
        distances = mse_loss(of_source, source) + mse_loss(of_fake, target)
        return terms | {"attributes": self.now(self.attribute_weight) * distances}

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Returns `fake`, and `comparison`: source, fake and target from left to right."""
        fake = self.fake(batch)
        return {"fake": fake, "comparison": beside(batch[1], fake, self.real(batch))}
