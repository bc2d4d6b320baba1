"""pix2pix."""

from collections.abc import Sequence
from typing import Any

from lightning_gans.adversarial import Batch, Terms
from lightning_gans.contents import Content, Pixels
from lightning_gans.restoration import Restoration


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
