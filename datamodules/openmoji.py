"""OpenMoji: the coloured emoji that the package ships."""

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.tensors import ImagePairs, InMemory, TensorImages, held_out

EMBEDDED = Path(__file__).parent / "embedded" / "openmoji_64.npz"


class OpenMojiDataModule(TensorDataModule):
    """Emoji in colour on white, in 10 groups (OpenMoji 17, HfG Schwaebisch Gmuend, https://openmoji.org).

    The 2,186 drawings come with the package, and nothing is downloaded. All of them are both what is trained on and
    what is evaluated against, unless some are held out. The label is the group, numbered by the sorted names:
    activities, animals-nature, extras-openmoji, extras-unicode, food-drink, objects, people-body, smileys-emotion,
    symbols, travel-places.

    Args:
        size: Height and width in pixels; 16 and 32 are means of blocks of the 64 pixels of the original.
        batch_size: Images per batch and process.
        target: The second part of a batch, beside the drawings. `group` is the label. `caption` is the number of the
            drawing; `captions` has a text for each. `line` is the same drawing in black lines, (b, 1, h, w) in [-1, 1],
            the source from which the coloured drawing is to be drawn; `color` is the other way round, the lines first.
        held_out: Share of the drawings that are evaluated on and not trained on, at most 0.5; 0 holds out none. They
            are always the same, whatever the seed of the run, and drawings that begin with the same code point, such as
            cooks of all kinds, are in one part.
    """

    origin = "the package"

    def __init__(
        self,
        size: Literal[16, 32, 64] = 64,
        batch_size: int = 64,
        target: Literal["group", "caption", "line", "color"] = "group",
        held_out: float = 0.0,
    ):
        super().__init__(batch_size)
        if size not in (16, 32, 64):
            raise ValueError(f"`size` must be 16, 32 or 64, got {size}.")
        if target not in ("group", "caption", "line", "color"):
            raise ValueError(f"`target` must be group, caption, line or color, got {target}.")
        if not 0 <= held_out <= 0.5:
            raise ValueError(f"`held_out` must be from 0 to 0.5, got {held_out}.")
        self.size = size
        self.target = target
        self.held_out = held_out
        drawings = f"{held_out:.0%} held out" if held_out else "2,186 drawings"
        self.reference = f"embedded OpenMoji 17, {drawings} at {size}x{size}"

    @cached_property
    def captions(self) -> list[str]:
        """Texts of the drawings, such as `grinning face with sweat`."""
        with np.load(EMBEDDED) as arrays:
            return arrays["caption"].tolist()

    def load(self) -> tuple[InMemory, InMemory]:
        with np.load(EMBEDDED) as arrays:
            color, line, group = (torch.from_numpy(arrays[name]) for name in ("color", "line", "group"))
            names, hexcode = arrays["group_names"].tolist(), arrays["hexcode"].tolist()
        image = shrunk(color.permute(0, 3, 1, 2), self.size)
        beside: Tensor
        if self.target in ("line", "color"):
            beside = shrunk(line[:, None], self.size)
        elif self.target == "group":
            beside, self.classes = group.long(), names
        else:
            beside = torch.arange(len(image))
        if not self.held_out:
            drawings = self.drawings(image, beside)
            return drawings, drawings
        _, concept = np.unique([code.split("-")[0] for code in hexcode], return_inverse=True)
        parts = held_out(torch.from_numpy(concept), self.held_out)
        training, evaluation = (self.drawings(image[part], beside[part]) for part in parts)
        return training, evaluation

    def drawings(self, image: UInt8[Tensor, "n 3 h w"], beside: Tensor) -> InMemory:
        """Returns drawings with what is beside them."""
        if self.target == "line":
            return ImagePairs(image, beside)
        return ImagePairs(beside, image) if self.target == "color" else TensorImages(image, beside)


def shrunk(image: UInt8[Tensor, "n c h w"], size: int) -> UInt8[Tensor, "n c {size} {size}"]:
    """Returns means of square blocks, rounded to the nearest."""
    block = image.shape[-1] // size
    if block == 1:
        return image
    blocks = image.unflatten(3, (size, block)).unflatten(2, (size, block))
    return blocks.float().mean((3, 5)).round().byte()
