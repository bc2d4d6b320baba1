"""OpenMoji: the coloured emoji that the package ships."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from lightning_gans.datamodules.tensors import TensorDataModule, TensorImages

EMBEDDED = Path(__file__).parent / "embedded" / "openmoji_64.npz"


class OpenMojiDataModule(TensorDataModule):
    """Emoji in colour on white, in 10 groups (OpenMoji 17, HfG Schwaebisch Gmuend, https://openmoji.org).

    The 2,186 drawings come with the package, and nothing is downloaded. All of them are both what is trained on and
    what is evaluated against. The label is the group, numbered by the sorted names: activities, animals-nature,
    extras-openmoji, extras-unicode, food-drink, objects, people-body, smileys-emotion, symbols, travel-places.

    Args:
        size: Height and width in pixels; 16 and 32 are means of blocks of the 64 pixels of the original.
        batch_size: Images per batch and process.
    """

    def __init__(self, size: Literal[16, 32, 64] = 64, batch_size: int = 64):
        super().__init__(batch_size)
        if size not in (16, 32, 64):
            raise ValueError(f"`size` must be 16, 32 or 64, got {size}.")
        self.size = size
        self.reference = f"embedded OpenMoji 17, 2,186 drawings at {size}x{size}"

    def load(self) -> tuple[TensorImages, TensorImages]:
        with np.load(EMBEDDED) as arrays:
            image, label = torch.from_numpy(arrays["color"]), torch.from_numpy(arrays["group"]).long()
        drawings = TensorImages(shrunk(image.permute(0, 3, 1, 2), self.size), label)
        return drawings, drawings


def shrunk(image: UInt8[Tensor, "n c h w"], size: int) -> UInt8[Tensor, "n c {size} {size}"]:
    """Means of square blocks, rounded to the nearest."""
    block = image.shape[-1] // size
    blocks = image.unflatten(3, (size, block)).unflatten(2, (size, block))
    return blocks.float().mean((3, 5)).round().byte()
