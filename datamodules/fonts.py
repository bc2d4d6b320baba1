"""The fonts that the package ships."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from lightning_gans.datamodules.font_pairs import FontPairs, FontPairsDataModule, checked_size, smaller
from lightning_gans.datamodules.tensors import spread_evenly

EMBEDDED = Path(__file__).parent / "embedded" / "fonts_64.npz"


class FontsDataModule(FontPairsDataModule):
    """280 free fonts of 62 characters with 12 measured attributes, which come with the package.

    Batches are those of `FontPairs`. The characters are A to Z, a to z and 0 to 9, gray on white, at one size of type,
    on one line and with their ink in the middle. Attributes are from 0 to 1, and were measured on the fonts at 240
    pixels: `weight` is the width of the stem of H over the em (0.02 to 0.2), `width` the mean advance over the height
    of x (0.8 to 1.5), `slant` the lean of H (0 to 0.3), `serif` the ink at the foot of H over that at its waist (1.05
    to 1.9), `contrast` that of o's strokes (0 to 0.8), `x_height` over that of capitals (0.6 to 0.8), `cap_height` over
    the em (0.58 to 0.76), `roundness` what is missing at the corners of L, E, F and H, and `o_width` the width of o
    over the height of x (0.7 to 1.2). `monospace`, `a_two_storey` and `g_two_storey` are 0 or 1.

    244 fonts are trained on. The 36 others are held out, whole families at once: they are evaluated on, each drawn from
    a font that is trained on.

    Args:
        size: Height and width in pixels; 32 is means of blocks of the 64 pixels of the original.
        num_images: Characters in an epoch, at most 15,128, evenly spread over the fonts; null takes all.
        num_evaluation_images: Characters to evaluate on, at most 2,232; null takes all.
        num_styles: Characters of the source's font that show its style.
        channels: 1 for gray, 3 for three equal channels.
        unlabelled: Share of the fonts to train on whose attributes are hidden, evenly spread, at most 0.9; a network
            has to learn them.
        batch_size: Images per batch and process.
    """

    origin = "the package"

    def __init__(
        self,
        size: Literal[32, 64] = 64,
        num_images: int | None = None,
        num_evaluation_images: int | None = None,
        num_styles: int = 4,
        channels: Literal[1, 3] = 1,
        unlabelled: float = 0.0,
        batch_size: int = 64,
    ):
        super().__init__(checked_size(size), num_styles, channels, num_images, num_evaluation_images, batch_size)
        if not 0 <= unlabelled <= 0.9:
            raise ValueError(f"`unlabelled` must be from 0 to 0.9, got {unlabelled}.")
        self.unlabelled = unlabelled
        self.reference = f"embedded fonts, 36 held out at {size}x{size}, drawn from the others"

    def load(self) -> tuple[FontPairs, FontPairs]:
        with np.load(EMBEDDED) as arrays:
            image, attribute, test = (torch.from_numpy(arrays[name]) for name in ("image", "attribute", "test"))
            self.attribute_names, self.font_names = arrays["attribute_name"].tolist(), arrays["name"].tolist()
            self.characters = str(arrays["glyphs"])
        training, evaluation = (~test).nonzero().flatten(), test.nonzero().flatten()
        hidden = training[spread_evenly(round(self.unlabelled * len(training)), len(training))]
        return self.pairs(smaller(image, self.size), attribute.float() / 255, training, evaluation, hidden)
