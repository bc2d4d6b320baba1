"""OpenMoji: the coloured emoji that the package ships."""

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.tensors import ImagePairs, InMemory, TensorImages

EMBEDDED = Path(__file__).parent / "embedded" / "openmoji_64.npz"


class OpenMojiDataModule(TensorDataModule):
    """Emoji in colour on white, in 10 groups (OpenMoji 17, HfG Schwaebisch Gmuend, https://openmoji.org).

    The 2,186 drawings come with the package, and nothing is downloaded. All of them are both what is trained on and
    what is evaluated against. The label is the group, numbered by the sorted names: activities, animals-nature,
    extras-openmoji, extras-unicode, food-drink, objects, people-body, smileys-emotion, symbols, travel-places.

    Args:
        size: Height and width in pixels; 16 and 32 are means of blocks of the 64 pixels of the original.
        batch_size: Images per batch and process.
        target: The second part of a batch, beside the drawings. `group` is the label. `caption` is the number of the
            drawing; `captions` has a text for each. `line` is the same drawing in black lines, (b, 1, h, w) in [-1, 1],
            the source from which the coloured drawing is to be drawn.
    """

    origin = "the package"

    def __init__(
        self,
        size: Literal[16, 32, 64] = 64,
        batch_size: int = 64,
        target: Literal["group", "caption", "line"] = "group",
    ):
        super().__init__(batch_size)
        if size not in (16, 32, 64):
            raise ValueError(f"`size` must be 16, 32 or 64, got {size}.")
        if target not in ("group", "caption", "line"):
            raise ValueError(f"`target` must be group, caption or line, got {target}.")
        self.size = size
        self.target = target
        self.reference = f"embedded OpenMoji 17, 2,186 drawings at {size}x{size}"

    @cached_property
    def captions(self) -> list[str]:
        """Texts of the drawings, such as `grinning face with sweat`."""
        with np.load(EMBEDDED) as arrays:
            return arrays["caption"].tolist()

    def load(self) -> tuple[InMemory, InMemory]:
        with np.load(EMBEDDED) as arrays:
            color, line, group = (torch.from_numpy(arrays[name]) for name in ("color", "line", "group"))
            names = arrays["group_names"].tolist()
        image = shrunk(color.permute(0, 3, 1, 2), self.size)
        drawings: InMemory
        if self.target == "line":
            drawings = ImagePairs(image, shrunk(line[:, None], self.size))
        elif self.target == "group":
            drawings, self.classes = TensorImages(image, group.long()), names
        else:
            drawings = TensorImages(image, torch.arange(len(image)))
        return drawings, drawings


def shrunk(image: UInt8[Tensor, "n c h w"], size: int) -> UInt8[Tensor, "n c {size} {size}"]:
    """Returns means of square blocks, rounded to the nearest."""
    block = image.shape[-1] // size
    blocks = image.unflatten(3, (size, block)).unflatten(2, (size, block))
    return blocks.float().mean((3, 5)).round().byte()
