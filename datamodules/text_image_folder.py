"""A folder of images with captions."""

from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from lightning_gans.datamodules.caption_files import listed_captions, read_captions
from lightning_gans.datamodules.crops import CroppedTexts
from lightning_gans.datamodules.decoding import Decoding
from lightning_gans.datamodules.labels import class_names, folder_classes, image_names, numbered
from lightning_gans.datamodules.pixel_cache import cached_images, fingerprint_of, fingerprint_of_files
from lightning_gans.datamodules.tensors import TextImages, held_out
from lightning_gans.datamodules.text import Described, TextDataModule
from lightning_gans.datamodules.text_encoders import Encoder, HashedWords


class TextImageFolderDataModule(TextDataModule):
    """The images of a folder and its sub-folders, each with one caption or several.

    The captions of `birds/a.jpg` are the lines of `birds/a.txt`, or all lines of a CSV file that name it. Texts are in
    UTF-8. Each image is turned upright as its EXIF data say, resized so that its shorter side has `resize` pixels, and
    cropped to the square in its centre; what is transparent becomes white.

    Batches are `(image, text, label)`: images (b, c, size, size) in [-1, 1], and the vectors (b, n, k) of their
    captions, n as many as the image with most captions has; the others have some of theirs several times. Wrong texts
    are those of images with another label: images of equal captions have the same label, or those of one sub-folder.
    Evaluation has the first caption of each image, in the order of the files.

    Args:
        folder: The folder.
        captions: A CSV file with the columns `file`, a path within the folder, and `caption`, in which an image has one
            line or several; null reads the text files beside the images.
        size: Height and width in pixels.
        resize: Height and width that images are cropped from, elsewhere in each epoch; null takes `size`, and always
            the same pixels.
        flip: Mirrors half of the training images; leave it out where captions tell left from right.
        classes: Takes the sub-folders as classes, of which images have no wrong texts of their own.
        held_out: Share of the images that are evaluated on and not trained on, at most 0.5, always the same ones, and
            images of one label together; 0 trains and evaluates on all.
        channels: 3 for colour, 1 for grey.
        encoder: What makes vectors of texts: `HashedWords`, another class with its arguments, or the dotted path of a
            function from a list of n texts to (n, k) floats.
        batch_size: Images per batch and process.
        text: One text or several that `predict` draws images of, instead of one for each evaluation image.
        images_per_text: Images that it draws of each.
        cache: Folder for decoded images and vectors; `default` is `lightning-gans` in the user's folder for caches,
            null makes them anew in each run.
    """

    def __init__(
        self,
        folder: str,
        captions: str | None = None,
        size: int = 64,
        resize: int | None = None,
        flip: bool = False,
        classes: bool = False,
        held_out: float = 0.0,
        channels: Literal[1, 3] = 3,
        encoder: Encoder = HashedWords(),
        batch_size: int = 64,
        text: str | list[str] | None = None,
        images_per_text: int = 16,
        cache: str | None = "default",
    ):
        super().__init__(batch_size, encoder, (channels, size, size), text, images_per_text, cache)
        if text is None and not Path(folder).is_dir():
            raise FileNotFoundError(f"`folder` must be an existing folder of images, got {folder}.")
        if resize is not None and resize < size:
            raise ValueError(f"`resize` must be at least the `size` of {size}, got {resize}.")
        if not 0 <= held_out <= 0.5:
            raise ValueError(f"`held_out` must be from 0 to 0.5, got {held_out}.")
        self.folder = self.origin = folder
        self.root = Path(folder).resolve()
        self.caption_file = captions
        self.size = size
        self.flip = flip
        self.by_folder = classes
        self.held_out = held_out
        self.decoding = Decoding(size if resize is None else resize, channels)
        share = f"{held_out:.0%} held out of" if held_out else "all"
        self.reference = f"{share} images of {self.root.name} at {size}x{size}"

    def load(self) -> tuple[TextImages, TextImages]:
        training, evaluation = super().load()
        return CroppedTexts(training, self.size, self.flip), CroppedTexts(evaluation, self.size, self.flip)

    def described(self) -> tuple[Described, Described]:
        names = image_names(self.root)
        captions = self.read_captions(names)
        label = self.labels(names, captions)
        if not self.held_out:
            whole = self.read("all", names, captions, label)
            return whole, whole
        training, evaluation = (
            self.read(part, [names[row] for row in rows], [captions[row] for row in rows], label[rows])
            for part, rows in zip(("training", "evaluation"), held_out(label, self.held_out), strict=True)
        )
        return training, evaluation

    def read(self, part: str, names: list[str], captions: list[list[str]], label: Int64[Tensor, " n"]) -> Described:
        """Returns images with their captions, decoded into a file that is called after `part`."""
        images = cached_images(
            self.cache,
            f"{self.root.name}-{fingerprint_of(self.root)}-captioned-{part}",
            fingerprint_of_files(self.root, names),
            lambda: [(str(self.root / name), self.root / name) for name in names],
            label,
            self.decoding,
        )
        return Described(images, captions)

    def read_captions(self, names: list[str]) -> list[list[str]]:
        """Reads the captions of all images."""
        if self.caption_file is not None:
            return listed_captions(self.root, names, Path(self.caption_file))
        return [read_captions((self.root / name).with_suffix(".txt")) for name in names]

    def labels(self, names: list[str], captions: list[list[str]]) -> Int64[Tensor, " n"]:
        """Returns equal labels for images that have no wrong texts of each other."""
        if self.by_folder:
            classes = folder_classes(self.root, names)
            if classes[0] == "":
                raise ValueError(f"`classes` needs sub-folders, and {self.root} has none: leave it out.")
            self.classes = class_names(classes)
            return torch.tensor(numbered(classes, self.classes, self.root))
        known: dict[tuple[str, ...], int] = {}
        return torch.tensor([known.setdefault(tuple(sorted(some)), len(known)) for some in captions])
