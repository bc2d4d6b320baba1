"""Sheets of characters with asked attributes, for a trained variant to draw."""

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from lightning import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch.utils.data import DataLoader, IterableDataset

from lightning_gans.datamodules.data_module import as_it_is, silence_workers
from lightning_gans.datamodules.font_pairs import FontPairsDataModule
from lightning_gans.datamodules.fonts import FontsDataModule
from lightning_gans.datamodules.own_images import OwnImagesDataModule
from lightning_gans.datamodules.tensors import spread_evenly
from lightning_gans.mechanics.given import Given, Place
from lightning_gans.mechanics.messages import nearest

LONGEST = 40  # characters in a row at most


class FontSheetsDataModule(OwnImagesDataModule):
    """The characters of a font, for `predict` to draw with other attributes, in one picture; see `ImageWriter`.

    Args:
        attributes: What to change, from 0 to 1 by name, such as `{weight: 0.9, slant: 0.5}`; the rest stays as the font
            has it. With lists of equal length, such as `{weight: [0, 0.5, 1]}`, the characters are drawn once for each
            of the values, one below the other.
        font: The name of the font, or its end; null takes the first one that is held out.
        text: The characters to draw; null draws all.
        fonts: The data with the fonts; null takes those of the package, at the size of the network.
    """

    def __init__(
        self,
        attributes: dict[str, float | list[float]],
        font: str | None = None,
        text: str | None = None,
        fonts: FontPairsDataModule | None = None,
    ):
        LightningDataModule.__init__(self)
        self.allow_zero_length_dataloader_with_multiple_devices = True  # one process draws the sheet
        self.sweep = {name: value if isinstance(value, list) else [value] for name, value in attributes.items()}
        lengths = {len(values) for values in self.sweep.values()}
        if len(lengths - {1}) > 1 or 0 in lengths:
            raise ValueError(f"`attributes` must be numbers, and lists of one length, got {attributes}.")
        if not all(0 <= value <= 1 for values in self.sweep.values() for value in values):
            raise ValueError(f"`attributes` must be from 0 to 1, got {attributes}.")
        self.alphabets = max(lengths, default=1)
        self.attributes, self.font, self.text, self.fonts = attributes, font, text, fonts
        self.names: list[str] = []

    def setup(self, stage: str) -> None:
        if stage != "predict":
            raise ValueError("`FontSheetsDataModule` has nothing to train on or to score: give it to `predict` alone.")
        module: Any = self.trainer.lightning_module  # type: ignore[union-attr]
        module.require("FontSheetsDataModule", "convert")
        if "difference" not in inspect.signature(module.convert).parameters:
            raise ValueError(
                f"`FontSheetsDataModule` needs a variant that draws fonts, such as Attribute2Font, got "
                f"{type(module).__name__}: give it other data."
            )
        network = module.generator
        if self.fonts is None:
            self.fonts = FontsDataModule(network.size, channels=network.channels, num_styles=network.num_styles)
        self.fonts.setup("fit")
        self.sheet = self.drawn_from(self.fonts)
        self.names = [self.sheet.name]
        font = self.fonts.font_names[self.sheet.font]
        self.summary = f"FontSheetsDataModule has {font} drawn with {self.attributes or 'its own attributes'}."
        rank_zero_info(self.summary)

    def drawn_from(self, fonts: FontPairsDataModule) -> "Sheet":
        """Returns the sheet of a font."""
        if unknown := [name for name in self.sweep if name not in fonts.attribute_names]:
            raise ValueError(f"`attributes` must be of {', '.join(fonts.attribute_names)}, got {', '.join(unknown)}.")
        text = fonts.characters if self.text is None else self.text
        if not text or (missing := "".join(sorted({*text} - {*fonts.characters}))):
            raise ValueError(f"`text` must be of the characters {fonts.characters}, got {missing if text else 'none'}.")
        ends = [place for place, name in enumerate(fonts.font_names) if name.endswith(self.font or "")]
        if self.font is not None and len(ends) != 1:
            some = ", ".join(fonts.font_names[place] for place in ends[:5])
            among = f" ends the names of {some}" if ends else f" is none{nearest(self.font, fonts.font_names)}"
            raise ValueError(f"`font` must be the name of one font of {type(fonts).__name__}, and {self.font}{among}.")
        font = int(fonts.evaluation.targets[0]) if self.font is None else ends[0]
        if fonts.training.unlabelled[font] >= 0:
            raise ValueError(f"`font` must have known attributes, and those of {fonts.font_names[font]} are not used.")
        own = fonts.training.attribute[font].expand(self.alphabets, -1)
        asked = own.clone()
        for name, values in self.sweep.items():
            asked[:, fonts.attribute_names.index(name)] = torch.tensor(values, dtype=asked.dtype)
        words = [fonts.font_names[font].replace("/", "_")]
        words += [f"{name}_{'_'.join(f'{value:g}' for value in values)}" for name, values in self.sweep.items()]
        return Sheet("_".join(words) + ".png", fonts, font, [fonts.characters.index(c) for c in text], asked - own)

    def predict_dataloader(self) -> DataLoader:
        silence_workers()
        warnings.filterwarnings("ignore", "Your `IterableDataset` has `__len__` defined")
        draws = self.trainer is None or self.trainer.global_rank == 0
        return DataLoader(self.sheet if draws else Nothing(), batch_size=None, collate_fn=as_it_is)


class Sheet(IterableDataset):
    """A batch of all characters for each difference of attributes; the pieces of one picture.

    Args:
        name: Of the picture.
        fonts: The fonts.
        font: The place of the font to change.
        characters: The places of the characters to draw.
        differences: Of the attributes, a row for each time that the characters are drawn.
    """

    def __init__(
        self, name: str, fonts: FontPairsDataModule, font: int, characters: list[int], differences: torch.Tensor
    ):
        self.name, self.fonts, self.font = name, fonts, font
        self.characters, self.differences = torch.tensor(characters), differences

    def __len__(self) -> int:
        return len(self.differences)

    def __iter__(self) -> Iterator[Given]:
        pairs, count, size = self.fonts.training, len(self.characters), self.fonts.size
        columns = max(width for width in range(1, LONGEST + 1) if count % width == 0)  # so that no place stays empty
        rows = count // columns
        font = torch.full_like(self.characters, self.font)
        styles = spread_evenly(pairs.num_styles, len(self.fonts.characters)).expand(count, -1)
        given = pairs.drawn(font, self.characters), pairs.drawn(font[:, None], styles)
        whole = rows * len(self.differences) * size, columns * size
        for place, difference in enumerate(self.differences):
            corners = [((place * rows + i // columns) * size, i % columns * size) for i in range(count)]
            places = [Place(self.name, whole, (y, x), (y, y + size), (x, x + size)) for y, x in corners]
            yield Given(given[0], places, {"styles": given[1], "difference": difference.expand(count, -1)})


class Nothing(IterableDataset):
    """An empty data set, for processes that have no sheet to draw."""

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Given]:
        return iter(())
