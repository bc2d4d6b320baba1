"""A person's own sequences of frames, for a trained variant to go on with."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from lightning import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from PIL import Image, ImageOps, ImageSequence
from torch.utils.data import DataLoader, IterableDataset
from torchvision.datasets.folder import IMG_EXTENSIONS

from lightning_gans.datamodules.data_module import as_it_is, silence_workers
from lightning_gans.datamodules.decoding import as_array, on_white, opened
from lightning_gans.datamodules.own_images import counted
from lightning_gans.datamodules.tensors import floats
from lightning_gans.mechanics.given import Given, Place

FILMS = (".gif", ".npy")


class OwnSequencesDataModule(LightningDataModule):
    """Sequences of frames for `predict` to draw what comes next; see `SequenceWriter`.

    A sequence is a folder of images in the order of the numbers in their names, an animated GIF, or a numpy file of
    bytes (t, h, w), (t, h, w, c) or (t, c, h, w). A frame is turned upright, cropped to a square and resized to the
    size of the generator, in gray if the generator is.

    Args:
        path: A sequence, or a folder of sequences.
        frames: Frames to draw behind each.
        previous: Frames that are given to the generator, the last ones of each sequence; null gives all. Best are as
            many as it was trained with.
    """

    def __init__(self, path: str, frames: int = 10, previous: int | None = None):
        super().__init__()
        # Sequences are dealt whole, so that a process may have none.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        if not Path(path).exists():
            raise FileNotFoundError(f"`path` must be a sequence or a folder of sequences, and there is no {path}.")
        if frames < 1:
            raise ValueError(f"`frames` must be at least 1, got {frames}.")
        if previous is not None and previous < 1:
            raise ValueError(f"`previous` must be at least 1, or null for all, got {previous}.")
        self.path, self.frames, self.previous = path, frames, previous
        self.names: list[str] = []
        """The names of the sequences, from `setup` on."""

    def setup(self, stage: str) -> None:
        if stage != "predict":
            raise ValueError(
                "`OwnSequencesDataModule` has nothing to train on or to score: give it to `predict` alone."
            )
        module: Any = self.trainer.lightning_module  # type: ignore[union-attr]
        module.require("OwnSequencesDataModule", "extrapolate")
        if missing := [name for name in ("size", "channels") if not hasattr(module.generator, name)]:
            raise ValueError(
                f"`OwnSequencesDataModule` needs a generator that knows its `{missing[0]}`, which "
                f"{type(module.generator).__name__} does not: give it this attribute."
            )
        self.films = films_of(Path(self.path))
        self.names = [*self.films]
        rank_zero_info(f"OwnSequencesDataModule holds {counted(len(self.names), 'sequence')} from {self.path}.")

    def predict_dataloader(self) -> DataLoader:
        trainer: Any = self.trainer
        silence_workers()
        generator = trainer.lightning_module.generator
        own = self.names[trainer.global_rank :: trainer.world_size]
        films = Films(self, {name: self.films[name] for name in own}, generator.size, generator.channels)
        return DataLoader(films, batch_size=None, collate_fn=as_it_is, generator=torch.Generator())


class Films(IterableDataset):
    """Batches of one sequence each, in the order of their names; one is in memory at a time.

    Args:
        data: Says what is asked for.
        films: The files of each sequence by its name.
        size: Height and width of frames.
        channels: 3 for color, 1 for gray.
    """

    def __init__(self, data: OwnSequencesDataModule, films: dict[str, list[Path]], size: int, channels: int):
        self.data, self.films, self.size, self.channels = data, films, size, channels

    def __iter__(self) -> Iterator[Given]:
        for name, files in self.films.items():
            pixels = [self.fitted(image) for image in images_of(files, self.channels)]
            frames = floats(torch.from_numpy(np.stack(pixels[-(self.data.previous or 0) :])))
            place = Place(name, (self.size, self.size), (0, 0), (0, self.size), (0, self.size))
            yield Given(frames[None], [place], {"frames": self.data.frames})

    def fitted(self, image: Image.Image) -> UInt8[np.ndarray, "c h w"]:
        """Returns the bytes of a frame in the generator's size and color."""
        image = image.convert("RGB" if self.channels == 3 else "L")
        return as_array(ImageOps.fit(image, (self.size, self.size), Image.Resampling.LANCZOS))


def films_of(path: Path) -> dict[str, list[Path]]:
    """Returns the files of each sequence by its name: one film, or the images of a folder in their order."""
    if path.is_file():
        if path.suffix.lower() not in FILMS:
            raise ValueError(f"`path` must be a folder or end in {' or '.join(FILMS)}, got {path}.")
        return {path.stem: [path]}
    films = {path.resolve().name: images_in(path)}
    for inside in sorted(path.iterdir(), key=by_numbers):
        name = inside.stem if inside.is_file() else inside.name
        files = images_in(inside) if inside.is_dir() else [inside] * (inside.suffix.lower() in FILMS)
        if files and films.get(name):
            raise ValueError(f"{path} holds two sequences that are called {name}: rename one, or move it away.")
        films[name] = films.get(name) or files
    films = {name: files for name, files in films.items() if files}
    if not films:
        raise ValueError(
            f"{path} holds no sequence: expected images, folders of images, or files that end in {' or '.join(FILMS)}."
        )
    return films


def images_in(folder: Path) -> list[Path]:
    """Returns the images that lie in a folder itself, in the order of the numbers in their names."""
    images = (path for path in folder.iterdir() if path.suffix.lower() in IMG_EXTENSIONS)
    return sorted((path for path in images if not path.name.startswith(".")), key=by_numbers)


def by_numbers(path: Path) -> list[tuple[int, str]]:
    """Returns a key that sorts names by the numbers in them, so that 9 comes before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split("([0-9]+)", path.name)]


def images_of(files: list[Path], channels: int) -> Iterator[Image.Image]:
    """Yields the frames of a sequence.

    Raises:
        ValueError: A file is not readable, or holds no frames.
    """
    for file in files:
        try:
            if file.suffix.lower() == ".npy":
                yield from (Image.fromarray(frame) for frame in arrays_of(file))
            elif file.suffix.lower() == ".gif":
                with Image.open(file) as film:
                    yield from (on_white(frame.convert("RGBA")) for frame in ImageSequence.Iterator(film))
            else:
                yield opened(file, channels)
        except Exception as error:  # Decoders raise errors of any kind.
            raise ValueError(f"{file} is not readable as frames ({error}): repair or remove it.") from None


def arrays_of(file: Path) -> UInt8[np.ndarray, "t h w *c"]:
    """Returns the frames of a numpy file, gray or with their colors last."""
    array = np.load(file, allow_pickle=False)
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    colors = array.shape[3:] in ((), (3,))
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or not colors or not array.size:
        raise ValueError(f"bytes (t, h, w), (t, h, w, c) or (t, c, h, w) are expected, got {array.dtype} {array.shape}")
    return np.ascontiguousarray(array)
