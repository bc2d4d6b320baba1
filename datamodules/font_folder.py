"""Fonts in the layout of Attribute2Font's authors."""

import string
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor

from lightning_gans.datamodules.decoding import Decoding
from lightning_gans.datamodules.folders import read_folder
from lightning_gans.datamodules.font_pairs import FontPairs, FontPairsDataModule

FIRST = 10  # the number of A


class AttributeFontFolderDataModule(FontPairsDataModule):
    """Fonts with attributes from a folder, as the authors of Attribute2Font lay them out (https://github.com/hologerry/Attr2Font).

    `image/FONT/NN.png` is a character, 10 for A to 35 for Z and 36 for a to 61 for z. `attributes.txt` has the names of
    the attributes in its first line, and then a line `FONT/NN.png v1 v2 ...` for each picture, with values from 0 to
    100; the lines of a font stand together. The first fonts are trained on, those after them held out, and of the rest
    the attributes are not used: a network learns them. There the order is 120, 28 and 968. Batches are those of
    `FontPairs`.

    Args:
        folder: The folder with `image` and `attributes.txt`, such as `data/explor_all`.
        size: Height and width in pixels.
        num_training: Labelled fonts to train on, the first.
        num_evaluation: Labelled fonts to evaluate on, which come after them.
        num_unlabelled: Fonts after these to train on without their labels; null takes all.
        num_images: Characters in an epoch, evenly spread over the fonts; null takes all.
        num_evaluation_images: Characters to evaluate on; null takes all.
        num_styles: Characters of the source's font that show its style.
        channels: 3 for color, as in the authors' code, or 1 for gray; the pictures are gray.
        batch_size: Images per batch and process.
        cache: Folder for the decoded images; `default` is `lightning-gans` in the user's folder for caches, null keeps
            them in the memory of each process, and decodes them anew in each run.
    """

    def __init__(
        self,
        folder: str,
        size: int = 64,
        num_training: int = 120,
        num_evaluation: int = 28,
        num_unlabelled: int | None = None,
        num_images: int | None = None,
        num_evaluation_images: int | None = None,
        num_styles: int = 4,
        channels: Literal[1, 3] = 3,
        batch_size: int = 64,
        cache: str | None = "default",
    ):
        super().__init__(size, num_styles, channels, num_images, num_evaluation_images, batch_size)
        for name, value in (("num_training", num_training), ("num_evaluation", num_evaluation)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if num_unlabelled is not None and num_unlabelled < 0:
            raise ValueError(f"`num_unlabelled` must be at least 0, or null for all others, got {num_unlabelled}.")
        self.folder, self.cache = folder, cache
        self.num_training, self.num_evaluation, self.wanted = num_training, num_evaluation, num_unlabelled
        self.origin = folder
        self.reference = f"fonts {num_training + 1} to {num_training + num_evaluation} of {folder}, {size}x{size}"

    def load(self) -> tuple[FontPairs, FontPairs]:
        root = Path(self.folder)
        if not (root / "image").is_dir():
            raise FileNotFoundError(f"`folder` must hold a folder `image` and a file attributes.txt, got {root}.")
        self.attribute_names, names, attribute = read_attributes(root / "attributes.txt")
        first = [name.rpartition("/")[0] for name in names]
        self.font_names = [*dict.fromkeys(first)]
        count = len(names) // len(self.font_names)
        check_fonts(root / "attributes.txt", names, count)
        letters = string.ascii_uppercase + string.ascii_lowercase
        self.characters = "".join(letters[number_of(name) - FIRST] for name in names[:count])
        labelled = self.num_training + self.num_evaluation
        rest = len(self.font_names) - labelled
        if rest < (self.wanted or 0):
            raise ValueError(
                f"{root} must hold {labelled} labelled fonts and {self.wanted or 0} others, got "
                f"{len(self.font_names)}: lower `num_training`, `num_evaluation` or `num_unlabelled`."
            )
        hidden = torch.arange(labelled, labelled + (rest if self.wanted is None else self.wanted))
        if missing := [name for name in names if not (root / "image" / name).is_file()]:
            more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
            raise FileNotFoundError(f"{root / 'attributes.txt'} names image/{missing[0]}{more}, which is not there.")
        images = read_folder(root / "image", names, Decoding(self.size, 1), self.cache)
        image = images.image.unflatten(0, (-1, count))[:, :, 0]
        training = torch.cat([torch.arange(self.num_training), hidden])
        evaluation = torch.arange(self.num_training, labelled)
        return self.pairs(image, attribute[::count], training, evaluation, hidden)


def read_attributes(file: Path) -> tuple[list[str], list[str], Float32[Tensor, "n k"]]:
    """Returns the names of the attributes, the names of all pictures, and the attributes of each, from 0 to 1."""
    if not file.is_file():
        raise FileNotFoundError(f"There is no {file}: it must name the attributes, and give those of each picture.")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{file} must be text in UTF-8, and is not.") from None
    header, rows = lines[0].split() if lines else [], [*enumerate(map(str.split, lines[1:]), 2)]
    rows = [(number, words) for number, words in rows if words]
    if not header or not rows:
        raise ValueError(
            f"{file} must have the names of the attributes in its first line, and a line for each picture."
        )
    values = []
    for number, (name, *words) in rows:
        if len(words) != len(header):
            raise ValueError(f"{file} must have {len(header)} values after {name} in line {number}, got {len(words)}.")
        try:
            values.append([float(word) for word in words])
        except ValueError:
            raise ValueError(f"{file} must have numbers after {name} in line {number}, got {words}.") from None
        if not all(0 <= value <= 100 for value in values[-1]):
            raise ValueError(f"{file} must have values from 0 to 100 after {name} in line {number}, got {words}.")
    return header, [words[0] for _, words in rows], torch.tensor(values) / 100


def number_of(name: str) -> int:
    """Returns the number of a picture FONT/NN.png, 10 for A to 61 for z, and -1 for any other name."""
    font, _, file = name.rpartition("/")
    digits = file.removesuffix(".png")
    right = bool(font) and file.endswith(".png") and digits.isdecimal() and FIRST <= int(digits) < FIRST + 52
    return int(digits) if right else -1


def check_fonts(file: Path, names: list[str], count: int) -> None:
    """Refuses pictures that are not called after a character, and fonts that do not have the same ones in one order."""
    if wrong := [name for name in names if number_of(name) < 0]:
        raise ValueError(f"{file} must name pictures FONT/NN.png with NN from 10 for A to 61 for z, got {wrong[0]}.")
    wanted = [number_of(name) for name in names[:count]]
    if len({*wanted}) < len(wanted):
        raise ValueError(f"{file} must name each picture once, with equally many for each font; see {names[0]}.")
    for start in range(0, len(names), count):
        font = names[start].rpartition("/")[0]
        expected = [f"{font}/{number}.png" for number in wanted]
        if names[start : start + count] != expected:
            raise ValueError(
                f"{file} must name the same characters of each font in one order, its lines together: {font} differs."
            )
