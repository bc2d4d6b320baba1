"""A person's own images, whole or in pieces, for a trained variant to make others of."""

import inspect
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from lightning import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch.utils.data import DataLoader, IterableDataset

from lightning_gans.datamodules.data_module import as_it_is, silence_workers
from lightning_gans.datamodules.decoding import as_array, opened, sizes_of, unreadable
from lightning_gans.datamodules.labels import image_names
from lightning_gans.datamodules.tensors import floats
from lightning_gans.mechanics.given import Given, Place


class OwnImagesDataModule(LightningDataModule):
    """The images of a folder and its sub-folders, of any size, for `predict` to make others of; see `ImageWriter`.

    Each image is turned upright as its EXIF data say, and what is transparent becomes white. An image is given whole
    unless `tile` cuts it into overlapping squares, of which each makes its centre, so that memory does not grow with
    the image. Squares and whole images make the same where `overlap` is at least what the network sees around a
    pixel. A network with instance norm normalizes each square by itself, and needs whole images or large squares.

    Args:
        folder: The folder, with the images in it or in its sub-folders; files that are no images are passed over.
        to: What the images are to become, where a variant asks for it: for CycleGAN the domain `y` or `x`, for StarGAN
            the number of a domain, or a list of 0 and 1 for each attribute.
        masks: Folder with a mask for each image, of the same name but for its ending, and of the same size; what is
            white in it is to be filled.
        tile: Height and width of the squares; null gives whole images. Smaller images are padded to it, which
            networks of one size need.
        overlap: Pixels that neighboring squares share at least, a multiple of `multiple`.
        multiple: What height and width that a network is given are a multiple of. Images are padded to it by their
            reflection, and what becomes of the padding is cut off.
        channels: 3 for colour, 1 for grey.
        num_tiles: Squares that are given to the network at once.
    """

    def __init__(
        self,
        folder: str,
        to: int | list[int] | str | None = None,
        masks: str | None = None,
        tile: int | None = None,
        overlap: int = 32,
        multiple: int = 8,
        channels: Literal[1, 3] = 3,
        num_tiles: int = 1,
    ):
        super().__init__()
        # Images are dealt whole, so that a process may have none.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        for name, value in (("folder", folder), ("masks", masks)):
            if value is not None and not Path(value).is_dir():
                raise FileNotFoundError(f"`{name}` must be an existing folder of images, got {value}.")
        for name, number in (("multiple", multiple), ("num_tiles", num_tiles)):
            if number < 1:
                raise ValueError(f"`{name}` must be at least 1, got {number}.")
        if overlap < 0 or overlap % multiple:
            raise ValueError(f"`overlap` must be a multiple of `multiple`, {multiple}, or 0, got {overlap}.")
        if tile is not None and (tile % multiple or tile < max(2 * overlap, 2 * multiple)):
            raise ValueError(
                f"`tile` must be a multiple of {multiple}, and at least {max(2 * overlap, 2 * multiple)}, twice "
                f"`overlap` and twice `multiple`, got {tile}."
            )
        if channels not in (1, 3):
            raise ValueError(f"`channels` must be 1 or 3, got {channels}.")
        self.folder, self.to, self.masks = folder, to, masks
        self.tile, self.overlap, self.multiple = tile, overlap, multiple
        self.channels, self.num_tiles = channels, num_tiles
        self.names: list[str] = []
        """The paths of the images within the folder, from `setup` on."""

    def setup(self, stage: str) -> None:
        if stage != "predict":
            raise ValueError("`OwnImagesDataModule` has nothing to train on or to score: give it to `predict` alone.")
        if self.trainer is not None:
            check_options(self.trainer.lightning_module, given={"to": self.to, "mask": self.masks})
        root = Path(self.folder)
        self.names = image_names(root)
        check_stems(self.names)
        sizes = sizes_of((str(root / name), root / name) for name in self.names)
        files = self.with_masks(root, sizes)
        count, rank = (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)
        own = slice(rank, None, count)
        self.pieces = Pieces(self, self.names[own], files[own], sizes[own])
        others = sum(path.is_file() for path in root.rglob("*")) - len(self.names)
        rest = f", and passes over {counted(others, 'other file')}" if others > 0 else ""
        self.summary = f"OwnImagesDataModule holds {counted(len(self.names), 'image')} from {self.folder}{rest}."
        rank_zero_info(self.summary)

    def with_masks(self, root: Path, sizes: list[tuple[int, int]]) -> list[tuple[Path, Path | None]]:
        """Returns the file of each image, and of its mask where there are masks."""
        if self.masks is None:
            return [(root / name, None) for name in self.names]
        folder = Path(self.masks)
        masks = image_names(folder)
        check_stems(masks)
        by_stem = {Path(name).with_suffix(""): folder / name for name in masks}
        files = [(root / name, by_stem.get(Path(name).with_suffix(""))) for name in self.names]
        if missing := [name for name, (_, mask) in zip(self.names, files, strict=True) if mask is None]:
            more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
            raise ValueError(f"{folder} holds no mask for {missing[0]}{more}: add a file of this name, of any ending.")
        of_masks = sizes_of((str(mask), mask) for _, mask in files if mask is not None)
        for (image, mask), (width, height), other in zip(files, sizes, of_masks, strict=True):
            if other != (width, height):
                raise ValueError(f"{mask} must be {width}x{height} as {image}, is {other[0]}x{other[1]}: resize it.")
        return files

    def predict_dataloader(self) -> DataLoader:
        silence_workers()
        warnings.filterwarnings("ignore", "Your `IterableDataset` has `__len__` defined")
        return DataLoader(self.pieces, batch_size=None, collate_fn=as_it_is, generator=torch.Generator())


class Pieces(IterableDataset):
    """Batches of images, or of pieces of one image, in the order of their names; one image is in memory at a time.

    Args:
        data: Says how images are cut.
        names: Names of the images.
        files: The file of each image, and of its mask if it has one.
        sizes: Width and height of each image.
    """

    def __init__(
        self,
        data: OwnImagesDataModule,
        names: list[str],
        files: list[tuple[Path, Path | None]],
        sizes: list[tuple[int, int]],
    ):
        self.data, self.names, self.files = data, names, files
        self.places = [
            cut(name, (height, width), data.tile, data.overlap, data.multiple)
            for name, (width, height) in zip(names, sizes, strict=True)
        ]

    def __len__(self) -> int:
        return sum(-(-len(places) // self.data.num_tiles) for places in self.places)

    def __iter__(self) -> Iterator[Given]:
        for (file, mask), places in zip(self.files, self.places, strict=True):
            image = self.padded(file, self.data.channels)
            hole = None if mask is None else self.padded(mask, 1)
            for start in range(0, len(places), self.data.num_tiles):
                some = places[start : start + self.data.num_tiles]
                options: dict[str, Any] = {} if self.data.to is None else {"to": self.data.to}
                if hole is not None:
                    options["mask"] = (self.taken(hole, some) >= 128).float()
                yield Given(floats(self.taken(image, some)), some, options)

    def taken(self, image: UInt8[np.ndarray, "c h w"], places: list[Place]) -> UInt8[torch.Tensor, "b c _ _"]:
        """Returns the pieces of an image that begin at these places."""
        height, width = (self.data.tile or side for side in image.shape[1:])
        corners = [place.corner for place in places]
        return torch.stack([torch.from_numpy(image[:, y : y + height, x : x + width].copy()) for y, x in corners])

    def padded(self, file: Path, channels: int) -> UInt8[np.ndarray, "c h w"]:
        """Reads an image, and reflects it at the right and at the bottom."""
        try:
            image = as_array(opened(file, channels))
        except Exception as error:  # Decoders raise errors of any kind.
            raise ValueError(unreadable([(str(file), str(error))], 1)) from None
        sides = [(0, padded_length(side, self.data.tile, self.data.multiple) - side) for side in image.shape[1:]]
        return np.pad(image, ((0, 0), *sides), "reflect")


def padded_length(length: int, tile: int | None, multiple: int) -> int:
    """Returns the next multiple of a length that is one tile at least."""
    return max(-(-length // multiple) * multiple, tile or 0)


def cut(name: str, size: tuple[int, int], tile: int | None, overlap: int, multiple: int) -> list[Place]:
    """Returns the pieces of an image of this height and width, row by row; their centres cover it, each pixel once."""
    rows, columns = (spans(length, tile, overlap, multiple) for length in size)
    return [
        Place(name, size, (y, x), (top, bottom), (left, right)) for y, top, bottom in rows for x, left, right in columns
    ]


def spans(length: int, tile: int | None, overlap: int, multiple: int) -> list[tuple[int, int, int]]:
    """Returns where each tile starts along one side, and from where to where it is taken.

    Tiles are spread evenly and start at multiples, so that strided networks see the same grid in each. Neighbors meet
    in the middle of what they share.
    """
    whole = padded_length(length, tile, multiple)
    if tile is None or tile == whole:
        return [(0, 0, length)]
    steps = -(-(whole - tile) // (tile - overlap))
    starts = [step * (whole - tile) // (steps * multiple) * multiple for step in range(steps + 1)]
    middles = [(one + tile + other) // 2 for one, other in zip(starts[:-1], starts[1:], strict=True)]
    return list(zip(starts, [0, *middles], [*middles, length], strict=True))


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def check_stems(names: list[str]) -> None:
    """Refuses images whose names differ in nothing but their ending."""
    known: dict[Path, str] = {}
    for name in names:
        if (other := known.setdefault(Path(name).with_suffix(""), name)) != name:
            raise ValueError(f"{other} and {name} differ in nothing but their ending: rename one, or move it away.")


def check_options(module: Any, given: dict[str, Any]) -> None:
    """Refuses a variant that makes nothing of given images, or is given what it does not ask for, or too little."""
    module.require("OwnImagesDataModule", "convert")
    parameters = list(inspect.signature(module.convert).parameters.values())[1:]
    words = {"to": "to", "mask": "masks"}
    if others := [p.name for p in parameters if p.default is p.empty and p.name not in given]:
        raise ValueError(
            f"`OwnImagesDataModule` has no {' and '.join(others)}, which {type(module).__name__} asks for: give it "
            "other data."
        )
    for option, value in given.items():
        parameter = next((parameter for parameter in parameters if parameter.name == option), None)
        if parameter is None and value is not None:
            raise ValueError(f"`{words[option]}` is of no use to {type(module).__name__}: leave it out.")
        if parameter is not None and parameter.default is parameter.empty and value is None:
            raise ValueError(f"`{words[option]}` is missing, which {type(module).__name__} asks for: give it.")
