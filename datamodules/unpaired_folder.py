"""Folders of two kinds of images, unpaired."""

from pathlib import Path
from typing import Literal

from lightning_gans.datamodules.crops import Crops
from lightning_gans.datamodules.decoding import Decoding
from lightning_gans.datamodules.folders import SplitFoldersDataModule, read_folder, split_folder
from lightning_gans.datamodules.labels import image_names
from lightning_gans.datamodules.tensors import UnpairedSets


class UnpairedFolderDataModule(SplitFoldersDataModule):
    """Two sets of images from folders, such as those of CycleGAN (Zhu et al., 2017, https://arxiv.org/abs/1703.10593).

    Batches are `(x, y)`, both (b, c, size, size) in [-1, 1], from `trainA` and `trainB`, which may hold unequal numbers
    of images. An epoch goes once through the larger set, and the smaller one starts over. Images are resized so that
    the shorter side has `resize` pixels, and cropped to the square in the centre. In each epoch another square of
    `size` pixels is cut out, and half of the images are mirrored. The images to evaluate on, of `testA` and `testB`,
    have `size` pixels at once, and are neither cropped further nor mirrored.

    Args:
        folder: The folder that holds the splits.
        x: The NAME of the folders of one domain, `trainNAME`, `train/NAME` or `NAME/train`.
        y: The NAME of the folders of the other domain.
        size: Height and width in pixels.
        resize: Height and width that training images are cropped from; null takes 286/256 of `size`, as CycleGAN does.
        flip: Mirrors half of the training images.
        channels: 3 for colour, 1 for grey.
        batch_size: Images of each domain per batch and process.
        evaluation_split: The split to evaluate on, such as `val` or `test`.
        cache: Folder for the decoded images; `default` is `lightning-gans` in the user's folder for caches, null keeps
            them in the memory of each process, and decodes them anew in each run.
    """

    def __init__(
        self,
        folder: str,
        x: str = "A",
        y: str = "B",
        size: int = 256,
        resize: int | None = None,
        flip: bool = True,
        channels: Literal[1, 3] = 3,
        batch_size: int = 1,
        evaluation_split: str = "test",
        cache: str | None = "default",
    ):
        if x == y:
            raise ValueError(f"`x` and `y` must be two folders, got {x} for both.")
        super().__init__(folder, f"{x} and {y}", size, resize, flip, channels, batch_size, evaluation_split, cache)
        self.domains = (x, y)

    def read(self, split: str, resize: int) -> UnpairedSets:
        """Reads the images of both domains of a split."""
        x, y = (self.read_domain(name, split, resize) for name in self.domains)
        return UnpairedSets(x, y)

    def read_domain(self, name: str, split: str, resize: int) -> Crops:
        folder = split_folder(Path(self.folder).resolve(), split, name)
        images = read_folder(folder, image_names(folder), Decoding(resize, self.channels), self.cache)
        return Crops([images.image], self.size, self.flip, fingerprint=images.fingerprint)
