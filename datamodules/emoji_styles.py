"""Emoji in two styles: OpenMoji and Twemoji, unpaired to train on and paired to evaluate on."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.openmoji import EMBEDDED as OPENMOJI
from lightning_gans.datamodules.openmoji import shrunk
from lightning_gans.datamodules.tensors import Unpaired

EMBEDDED = Path(__file__).parent / "embedded" / "twemoji_64.npz"


class EmojiStylesDataModule(TensorDataModule):
    """Emoji in colour on white, in the styles of OpenMoji 17 (https://openmoji.org) and Twemoji 15.

    Twemoji (https://github.com/jdecked/twemoji) has flat shapes, OpenMoji outlines in black. Batches are `(x, y)`, both
    (b, 3, size, size) in [-1, 1]. The 648 drawings of OpenMoji and the 687 of Twemoji that are trained on show other
    things, so that no pair can be learned. The 279 pairs held out show the same things, and things that begin with the
    same code point, such as cooks of all kinds, are in one part. So the evaluation batch is of true pairs: `y` is how
    the other artist drew `x`. The lines differ, so compare colour and style instead of pixels.

    Args:
        x: The style of `x`; the other one is that of `y`.
        size: Height and width in pixels; 16 and 32 are means of blocks of the 64 pixels of the original.
        batch_size: Images of each style per batch and process.
    """

    origin = "the package"

    def __init__(
        self,
        x: Literal["openmoji", "twemoji"] = "openmoji",
        size: Literal[16, 32, 64] = 64,
        batch_size: int = 64,
    ):
        super().__init__(batch_size)
        if x not in ("openmoji", "twemoji"):
            raise ValueError(f"`x` must be openmoji or twemoji, got {x}.")
        if size not in (16, 32, 64):
            raise ValueError(f"`size` must be 16, 32 or 64, got {size}.")
        self.x = x
        self.size = size
        self.reference = f"279 pairs of OpenMoji 17 and Twemoji 15 held out, from {x}, at {size}x{size}"

    def load(self) -> tuple[Unpaired, Unpaired]:
        with np.load(OPENMOJI) as openmoji, np.load(EMBEDDED) as twemoji:
            color = openmoji["color"]
            training = color[twemoji["train_a_row"]], twemoji["train_b"]
            pairs = color[twemoji["test_row"]], twemoji["test_b"]
        return self.both(*training), self.both(*pairs)

    def both(self, openmoji: np.ndarray, twemoji: np.ndarray) -> Unpaired:
        """Returns the drawings of both styles, those of `x` first."""
        images = [shrunk(torch.from_numpy(style).permute(0, 3, 1, 2), self.size) for style in (openmoji, twemoji)]
        return Unpaired(*(images if self.x == "openmoji" else images[::-1]))
