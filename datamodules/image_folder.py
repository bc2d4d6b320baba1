"""Any folder of images."""

import zipfile
from pathlib import Path
from typing import Literal

import torch

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.decoding import Decoding
from lightning_gans.datamodules.image_files import ImageFiles
from lightning_gans.datamodules.labels import LIST, class_names, csv_classes, folder_classes, listed_classes, numbered
from lightning_gans.datamodules.pixel_cache import cached_images, fingerprint_of
from lightning_gans.datamodules.tensors import InMemory, Mirrored, TensorImages


class ImageFolderDataModule(TensorDataModule):
    """All images of a folder, decoded once into a file that every process and every later run maps into its memory.

    Each image is turned upright as its EXIF data say, resized so that its shorter side has `size` pixels, and cropped
    to the square in its centre; what is transparent becomes white. Sub-folders are classes, numbered by their sorted
    names; without any, every label is 0. Without an evaluation folder the same images are trained on and evaluated
    against. The decoded images take `size` x `size` x `channels` bytes each, and are decoded anew whenever the names,
    sizes or times of the files change.

    A folder or zip file that NVlabs' dataset_tool wrote is read as it is: where there is a `dataset.json`, the classes
    are its numbers, or none if its labels are null, and sub-folders mean nothing. A zip file need not be unpacked.

    Args:
        folder: The folder or zip file, with the images in it or in its sub-folders; files that are no images are passed
            over.
        size: Height and width in pixels.
        channels: 3 for colour, 1 for grey.
        batch_size: Images per batch and process.
        labels: A CSV file whose columns `file`, a path within the folder, and `label` take the place of sub-folders.
            Labels that are whole numbers are sorted by value, all others by name.
        evaluation_folder: Images to evaluate against, with no other classes than `folder` has.
        evaluation_labels: The CSV file of `evaluation_folder`.
        mirror: Adds each image mirrored left to right, so that there are twice as many, also to evaluate against if
            they are the same.
        cache: Folder for the decoded images; `default` is `lightning-gans` in the user's folder for caches, null keeps
            them in the memory of each process, and decodes them anew in each run.
    """

    def __init__(
        self,
        folder: str,
        size: int = 64,
        channels: Literal[1, 3] = 3,
        batch_size: int = 64,
        labels: str | None = None,
        evaluation_folder: str | None = None,
        evaluation_labels: str | None = None,
        mirror: bool = False,
        cache: str | None = "default",
    ):
        super().__init__(batch_size)
        for name, value in (("folder", folder), ("evaluation_folder", evaluation_folder)):
            if value is not None and not (Path(value).is_dir() or zipfile.is_zipfile(value)):
                raise FileNotFoundError(f"`{name}` must be an existing folder or zip file of images, got {value}.")
        if (labels is None) != (evaluation_labels is None) and evaluation_folder is not None:
            raise ValueError("`labels` and `evaluation_labels` must be given both or neither.")
        if evaluation_labels is not None and evaluation_folder is None:
            raise ValueError(f"`evaluation_labels` needs an `evaluation_folder`, got {evaluation_labels} alone.")
        self.folder = self.origin = folder
        self.decoding = Decoding(size, channels)
        self.labels = labels
        self.evaluation_folder = evaluation_folder
        self.evaluation_labels = evaluation_labels
        self.mirror = mirror
        self.cache = cache
        evaluated = Path(evaluation_folder or folder).resolve().name
        mirrored = ", and mirrored" if mirror and evaluation_folder is None else ""
        self.reference = f"all images of {evaluated} at {size}x{size}{mirrored}"

    def load(self) -> tuple[InMemory, InMemory]:
        images, classes = self.read(self.folder, self.labels)
        training = Mirrored(images) if self.mirror else images
        self.classes = [] if classes == [""] else classes
        if self.evaluation_folder is None:
            return training, training
        return training, self.read(self.evaluation_folder, self.evaluation_labels, classes)[0]

    def read(self, folder: str, labels: str | None, known: list[str] | None = None) -> tuple[TensorImages, list[str]]:
        """Returns the images of a folder, and the names of the classes, which are those of `known` if it is given."""
        files = ImageFiles(folder)
        text = files.text(LIST) if labels is None else None
        listed = None if text is None else listed_classes(text, files.names, files.path)
        if listed is not None:
            classes, names = list(map(str, listed)), list(map(str, range(max(listed) + 1)))
        else:
            classes = [""] * len(files.names)
            if labels is not None:
                classes = csv_classes(files.path, files.names, Path(labels))
            elif text is None:
                classes = folder_classes(files.path, files.names)
            names = class_names(classes)
        known = names if known is None else known
        images = cached_images(
            self.cache,
            f"{files.path.name}-{fingerprint_of(files.path)}",
            files.fingerprint,
            files.sources,
            torch.tensor(numbered(classes, known, labels or files.path)),
            self.decoding,
        )
        return images, known
