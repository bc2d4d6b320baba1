"""Photographs in classes with captions, as StackGAN and the works before it have them on disk."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from lightning_gans.datamodules.caption_files import read_captions, read_text
from lightning_gans.datamodules.crops import CroppedTexts
from lightning_gans.datamodules.decoding import Decoding, as_array, opened
from lightning_gans.datamodules.pickles import read_pickle
from lightning_gans.datamodules.pixel_cache import (
    FORMAT,
    CachedImages,
    cached_images,
    cached_pixels,
    fingerprint_of,
    fingerprint_of_files,
)
from lightning_gans.datamodules.tensors import TensorImages, TextImages
from lightning_gans.datamodules.text import Described, TextDataModule
from lightning_gans.datamodules.text_encoders import CheckedEncoder, Encoder, HashedWords

FILENAMES, VECTORS, CLASSES = "filenames.pickle", "char-CNN-RNN-embeddings.pickle", "class_info.pickle"
SIDES = (76, 304)  # of the images in StackGAN's pickles
TEXT_FOLDERS = ("text_c10", "text")
TEST_CLASSES = "testclasses.txt"


class Item(NamedTuple):
    """An image, its captions and its class."""

    key: str
    """Its name in StackGAN's pickles: a path without its ending."""
    file: Path
    """The file of the image."""
    text: str
    """The file of its captions, within the folder of texts."""
    name: str
    """Its class."""


class PickledVectors(CheckedEncoder):
    """The encoder of vectors that were read from a file; there is nothing but these vectors.

    Args:
        name: Name of the file.
        first: The first vector, which tells them from others.
    """

    def __init__(self, name: str, first: Float32[Tensor, " k"]):
        super().__init__(name)
        self.first = first

    @property
    def sample(self) -> Float32[Tensor, " k"]:  # type: ignore[override]
        return self.first


@dataclass(frozen=True)
class SquaredDecoding(Decoding):
    """The way from a photograph, or a part of it, to a square, into which it is squeezed, as StackGAN does.

    Args:
        parts: What is cut out of each file, by its path: left, top, right and bottom in pixels, as far as the image
            goes; of other files it is the whole.
    """

    parts: Mapping[Path, tuple[int, int, int, int]] = field(default_factory=dict)

    def read(self, file: Path | bytes) -> UInt8[np.ndarray, "c h w"]:
        image = opened(file, self.channels)
        if isinstance(file, Path) and file in self.parts:
            left, top, right, bottom = self.parts[file]
            image = image.crop((max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height)))
        return as_array(image.resize((self.size, self.size), Image.Resampling.BICUBIC))


class CaptionedClassesDataModule(TextDataModule):
    """Base of the data modules of photographs in classes with captions, evaluated on classes that are never trained on.

    Args:
        folder: The folder that holds the images and the captions.
        size: Height and width in pixels.
        resize: Height and width that images are cropped from; null takes 76/64 of `size`, as StackGAN does.
        flip: Mirrors half of the training images.
        captions: Folder of the captions; null finds `text_c10` or `text` in `folder`.
        pickles: Takes vectors, kinds and split from StackGAN's pickles in `train` and `test`, and encodes no captions.
            If the photographs are not there, their images come from `76images.pickle` or `304images.pickle`. Nothing
            in a pickle is executed.
        encoder: What makes vectors of texts: `HashedWords`, another class with its arguments, or the dotted path of a
            function from a list of n texts to (n, k) floats.
        batch_size: Images per batch and process.
        text: One text or several that `predict` draws images of, instead of one for each evaluation image.
        images_per_text: Images that it draws of each.
        cache: Folder for decoded images and vectors; `default` is `lightning-gans` in the user's folder for caches,
            null makes them anew in each run.
    """

    evaluated_on: str
    """Names the evaluation images, for the protocol of a score."""

    def __init__(
        self,
        folder: str,
        size: int = 64,
        resize: int | None = None,
        flip: bool = True,
        captions: str | None = None,
        pickles: bool = False,
        encoder: Encoder = HashedWords(),
        batch_size: int = 64,
        text: str | list[str] | None = None,
        images_per_text: int = 16,
        cache: str | None = "default",
    ):
        super().__init__(batch_size, encoder, (3, size, size), text, images_per_text, cache)
        if size < 1:
            raise ValueError(f"`size` must be at least 1, got {size}.")
        if resize is not None and resize < size:
            raise ValueError(f"`resize` must be at least the `size` of {size}, got {resize}.")
        if pickles and text is not None:
            raise ValueError(
                f"`text` needs an encoder, and `pickles` gives vectors alone, got {text!r}: use an encoder."
            )
        self.folder = self.origin = folder
        self.reference = f"{self.evaluated_on} at {size}x{size}"
        self.root = Path(folder).resolve()
        self.size = size
        self.resize = round(size * 76 / 64) if resize is None else resize
        self.flip = flip
        self.caption_folder = captions
        self.pickles = pickles

    @abstractmethod
    def items(self) -> list[Item]:
        """Lists all images that there are."""

    @abstractmethod
    def item(self, key: str, number: int) -> Item:
        """Returns the image of a name in a pickle, and of the number of its class there."""

    def decoding(self, items: list[Item]) -> Decoding:
        """Returns the way from the files of images to bytes."""
        return SquaredDecoding(self.resize)

    def load(self) -> tuple[TextImages, TextImages]:
        training, evaluation = self.from_pickles() if self.pickles else super().load()
        return CroppedTexts(training, self.size, self.flip), CroppedTexts(evaluation, self.size, self.flip)

    def described(self) -> tuple[Described, Described]:
        texts, items = self.texts_folder(), self.items()
        parts = self.parted(items)
        names = sorted({item.name for item in parts[0]})
        self.classes = list(names)
        names += sorted({item.name for item in parts[1]} - {*names})
        training, evaluation = (
            Described(self.images(part, names, split), [read_captions(texts / item.text) for item in part])
            for part, split in zip(parts, ("train", "test"), strict=True)
        )
        return training, evaluation

    def texts_folder(self) -> Path:
        """Returns the folder of the captions."""
        folders = [self.root / name for name in TEXT_FOLDERS]
        folders = folders if self.caption_folder is None else [Path(self.caption_folder).resolve()]
        for folder in folders:
            if folder.is_dir():
                return folder
        raise FileNotFoundError(
            f"There is no folder {' or '.join(map(str, folders))} with captions: name it as `captions`."
        )

    def parted(self, items: list[Item]) -> tuple[list[Item], list[Item]]:
        """Parts images into those to train on and those to evaluate on, by StackGAN's pickles or a list of classes."""
        files = [self.root / split / FILENAMES for split in ("train", "test")]
        lists = [self.texts_folder().parent / TEST_CLASSES, self.root / TEST_CLASSES]
        if files[0].is_file() and files[1].is_file():
            keys = [set(read_pickle(file)) for file in files]
            parts = [[item for item in items if item.key in some] for some in keys]
            where = " and ".join(map(str, files))
        elif found := [path for path in lists if path.is_file()]:
            classes = {line.strip() for line in read_text(found[0]).splitlines()}
            parts = [[item for item in items if (item.name in classes) == test] for test in (False, True)]
            where = str(found[0])
        else:
            raise FileNotFoundError(
                f"Nothing says which classes are for testing: put {TEST_CLASSES}, which comes with the captions, into "
                f"{self.root}, or StackGAN's train/{FILENAMES} and test/{FILENAMES}."
            )
        if not (parts[0] and parts[1]):
            raise ValueError(f"{where} must name some classes of {self.root}, and not all, got {len(parts[1])} images.")
        return parts[0], parts[1]

    def images(self, items: list[Item], names: list[str], split: str) -> TensorImages:
        """Returns images with the numbers of their classes, from their files or from StackGAN's pickle of them."""
        label = torch.tensor([names.index(item.name) for item in items])
        missing = [item.file for item in items if not item.file.is_file()]
        if len(missing) == len(items) and (pickled := self.image_pickle(split)) is not None:
            return self.pickled_images(pickled, label, split)
        if missing:
            more = f" and {len(missing) - 1:,} others" if len(missing) > 1 else ""
            raise FileNotFoundError(f"There is no image {missing[0]}{more}: unpack the images again.")
        return cached_images(
            self.cache,
            f"{self.root.name}-{split}-{fingerprint_of(self.root)}",
            fingerprint_of_files(self.root, [str(item.file.relative_to(self.root)) for item in items]),
            lambda: [(str(item.file), item.file) for item in items],
            label,
            self.decoding(items),
        )

    def image_pickle(self, split: str) -> Path | None:
        """Returns StackGAN's pickle of images that are large enough, otherwise of the largest ones, if there is any."""
        files = {side: self.root / split / f"{side}images.pickle" for side in SIDES}
        there = [side for side, path in files.items() if path.is_file()]
        enough = [side for side in there if side >= self.resize] or there[-1:]
        return files[enough[0]] if enough else None

    def pickled_images(self, path: Path, label: Tensor, split: str) -> TensorImages:
        """Returns the images of a pickle in the size that is asked for."""
        fingerprint = fingerprint_of(FORMAT, fingerprint_of_files(path.parent, [path.name]), self.resize)
        name = f"{self.root.name}-{split}-pickled-{fingerprint_of(self.root)}-{self.resize}"
        shape = len(label), 3, self.resize, self.resize
        pixels = cached_pixels(self.cache, name, fingerprint, shape, lambda: squares(path, len(label), self.resize))
        return CachedImages(pixels, label, fingerprint)

    def from_pickles(self) -> tuple[TextImages, TextImages]:
        """Returns images with the vectors of StackGAN's pickles; captions are read if they are there, for pictures."""
        parts: list[list[Item]] = []
        for split in ("train", "test"):
            keys, numbers = (read_pickle(self.root / split / name) for name in (FILENAMES, CLASSES))
            if len(keys) != len(numbers):
                files = f"{self.root / split / FILENAMES} and {CLASSES} beside it"
                raise ValueError(f"{files} must be equally long, got {len(keys)} and {len(numbers)}.")
            parts.append([self.item(key, number) for key, number in zip(keys, numbers, strict=True)])
        names = list(dict.fromkeys(item.name for part in parts for item in sorted(part, key=lambda item: item.name)))
        self.classes = names[: len({item.name for item in parts[0]})]
        training, evaluation = (
            with_vectors(self.images(part, names, split), self.root / split / VECTORS)
            for part, split in zip(parts, ("train", "test"), strict=True)
        )
        self.encoding = PickledVectors(VECTORS, training.embedding[0])
        count = evaluation.caption.shape[1]
        evaluation.caption = evaluation.caption[:, :1]
        self.captions = self.shown(parts[1], count)
        return training, evaluation

    def shown(self, items: list[Item], count: int) -> list[str]:
        """Returns the captions that vectors were made of, if there are as many for each image; otherwise none."""
        try:
            folder = self.texts_folder()
            captions = [read_captions(folder / item.text) for item in items]
        except FileNotFoundError:
            return []
        return [text for some in captions for text in some] if {*map(len, captions)} == {count} else []


def squares(path: Path, count: int, size: int) -> Iterator[UInt8[np.ndarray, "3 {size} {size}"]]:
    """Yields the images of a pickle, resized."""
    images = read_pickle(path)
    if len(images) != count:
        raise ValueError(f"{path} holds {len(images):,} images, and {FILENAMES} beside it names {count:,}.")
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"{path} must hold images (h, w, 3) of bytes, got {image.shape} of {image.dtype}.")
        yield as_array(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def with_vectors(images: TensorImages, path: Path) -> TextImages:
    """Returns images with the vectors of their captions, which a pickle holds."""
    arrays = [np.asarray(each) for each in read_pickle(path)]
    shapes = {array.shape for array in arrays}
    if len(arrays) != len(images) or len(shapes) > 1 or arrays[0].ndim != 2:
        raise ValueError(
            f"{path} must hold numbers (n, captions, k) for the {len(images):,} images of {FILENAMES} beside it, got "
            f"{len(arrays):,} of {' and '.join(map(str, sorted(shapes)[:2]))}."
        )
    vectors = np.array(arrays, np.float32)
    table = torch.from_numpy(vectors).flatten(0, 1)
    caption = torch.arange(len(table)).view(vectors.shape[:2])
    pixels = images.pixels if isinstance(images, CachedImages) else None
    return TextImages(images.image, table, caption, images.label, pixels)
