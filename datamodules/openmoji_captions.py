"""OpenMoji with captions: its names and keywords, and the colors that are measured in each drawing."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8

from lightning_gans.datamodules.openmoji import EMBEDDED, shrunk
from lightning_gans.datamodules.tensors import TensorImages, held_out
from lightning_gans.datamodules.text import Described, TextDataModule
from lightning_gans.datamodules.text_encoders import Encoder, HashedWords

COLORS = (  # of OpenMoji's palette; outlines are black, and their soft edges grey, which both go without a name
    ("red", (234, 90, 71)),
    ("red", (210, 47, 39)),
    ("red", (120, 30, 50)),
    ("orange", (241, 179, 28)),
    ("orange", (226, 120, 30)),
    ("yellow", (252, 234, 43)),
    ("green", (92, 158, 49)),
    ("light green", (177, 204, 51)),
    ("blue", (30, 80, 170)),
    ("light blue", (146, 211, 245)),
    ("light blue", (97, 178, 228)),
    ("purple", (170, 102, 190)),
    ("pink", (255, 167, 192)),
    ("pink", (230, 122, 148)),
    ("brown", (165, 105, 57)),
    ("brown", (106, 70, 47)),
    ("light brown", (222, 187, 144)),
    ("grey", (208, 207, 206)),
    ("", (155, 155, 154)),
    ("", (63, 63, 63)),
    ("", (10, 10, 10)),
)
TONES = np.array([tone for _, tone in COLORS], np.float32)
GROUPS = {
    "activities": "an activity",
    "animals-nature": "an animal or plant",
    "extras-openmoji": "a sign",
    "extras-unicode": "a sign",
    "food-drink": "food or drink",
    "objects": "an object",
    "people-body": "a person or a part of the body",
    "smileys-emotion": "a face or a feeling",
    "symbols": "a symbol",
    "travel-places": "a place or a vehicle",
}
PAPER = 235  # what is brighter in all channels is the white paper
LEAST = 0.2  # share of the colored pixels that a color needs to be named


class OpenMojiCaptionsDataModule(TextDataModule):
    """Emoji in color on white, each with five captions (OpenMoji 17, HfG Schwaebisch Gmuend, https://openmoji.org).

    The captions hold a drawing's name, and its keywords, group or main colors, such as `red apple, mostly red and
    green`. The 2,186 drawings come with the package. Most names stand for one drawing alone, so that what can be said
    of a drawing that was never trained on is little beside its colors and its group.

    Batches are `(image, text, label)`: images (b, 3, size, size) in [-1, 1], the vectors (b, 5, k) of their captions,
    and the number of the first code point, which all skin tones, hair styles and genders of a drawing share. What is
    held out shares no code point with what is trained on. Evaluation has the first caption alone, the name.

    Args:
        size: Height and width in pixels; 16 and 32 are means of blocks of the 64 pixels of the original.
        held_out: Share of the drawings that are evaluated on and not trained on, at most 0.5, always the same ones; 0
            trains and evaluates on all.
        encoder: What makes vectors of texts: `HashedWords`, another class with its arguments, or the dotted path of a
            function from a list of n texts to (n, k) floats.
        batch_size: Images per batch and process.
        text: One text or several that `predict` draws images of, instead of one for each evaluation image.
        images_per_text: Images that it draws of each.
        cache: Folder for vectors; `default` is `lightning-gans` in the user's folder for caches, null makes them anew
            in each run.
    """

    origin = "the package"

    def __init__(
        self,
        size: Literal[16, 32, 64] = 64,
        held_out: float = 0.125,
        encoder: Encoder = HashedWords(),
        batch_size: int = 64,
        text: str | list[str] | None = None,
        images_per_text: int = 16,
        cache: str | None = "default",
    ):
        super().__init__(batch_size, encoder, (3, size, size), text, images_per_text, cache)
        if size not in (16, 32, 64):
            raise ValueError(f"`size` must be 16, 32 or 64, got {size}.")
        if not 0 <= held_out <= 0.5:
            raise ValueError(f"`held_out` must be from 0 to 0.5, got {held_out}.")
        self.size = size
        self.held_out = held_out
        drawings = f"{held_out:.1%} held out" if held_out else "2,186 drawings"
        self.reference = f"embedded OpenMoji 17 with names, {drawings} at {size}x{size}"

    def described(self) -> tuple[Described, Described]:
        with np.load(EMBEDDED) as arrays:
            color, hexcode = arrays["color"], arrays["hexcode"].tolist()
            groups = arrays["group_names"][arrays["group"]].tolist()
            rows = zip(color, arrays["caption"].tolist(), arrays["tags"].tolist(), groups, strict=True)
            texts = [captions(*row, np.random.default_rng(number)) for number, row in enumerate(rows)]
        image = shrunk(torch.from_numpy(color).permute(0, 3, 1, 2), self.size)
        _, concept = np.unique([code.split("-")[0] for code in hexcode], return_inverse=True)
        label = torch.from_numpy(concept)
        parts = held_out(label, self.held_out) if self.held_out else [torch.arange(len(label))] * 2
        training, evaluation = (
            Described(TensorImages(image[part], label[part]), [texts[row] for row in part.tolist()]) for part in parts
        )
        return training, evaluation


def captions(
    drawing: UInt8[np.ndarray, "h w 3"], name: str, tags: str, group: str, random: np.random.Generator
) -> list[str]:
    """Writes five captions of a drawing, of which the first is its name.

    Args:
        drawing: The drawing.
        name: Its name.
        tags: Its keywords, between commas.
        group: Its group.
        random: Chooses among the keywords.
    """
    words = [word for word in map(str.strip, tags.split(",")) if word and word not in name]
    random.shuffle(words)
    colors = " and ".join(main_colors(drawing)) or "white"
    return [
        name,
        f"{name}, mostly {colors}",
        f"{name}: {', '.join(words[:3])}" if words else f"a drawing of {name}",
        f"{GROUPS[group]} in {colors}: {name}",
        f"an emoji of {name}, {words[-1]}" if words else f"an emoji of {name}",
    ]


def main_colors(drawing: UInt8[np.ndarray, "h w 3"]) -> list[str]:
    """Names the one or two colors that fill most of a drawing, apart from its paper and its outline."""
    pixels = drawing.reshape(-1, 3)
    pixels = pixels[pixels.min(1) < PAPER].astype(np.float32)
    nearest = (2 * pixels @ TONES.T - np.square(TONES).sum(1)).argmax(1)  # the least squared distance
    numbers = dict.fromkeys([name for name, _ in COLORS], 0)
    for (name, _), number in zip(COLORS, np.bincount(nearest, minlength=len(COLORS)), strict=True):
        numbers[name] += int(number)
    dark = numbers.pop("")
    colored = sum(numbers.values())
    if colored < LEAST * (colored + dark):
        return ["black"]
    return [
        name for name in sorted(numbers, key=numbers.__getitem__, reverse=True)[:2] if numbers[name] > LEAST * colored
    ]
