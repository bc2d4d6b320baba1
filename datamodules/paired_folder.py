"""Folders of image pairs: two halves of one file, or two files."""

from pathlib import Path
from typing import Literal

from lightning_gans.datamodules.crops import Crops, Side
from lightning_gans.datamodules.decoding import Decoding, HalfDecoding
from lightning_gans.datamodules.folders import SplitFoldersDataModule, check_sizes, partners, read_folder, split_folder
from lightning_gans.datamodules.labels import image_names
from lightning_gans.datamodules.pixel_cache import fingerprint_of
from lightning_gans.datamodules.tensors import TensorImages

HALVES = {"left", "right"}


class PairedFolderDataModule(SplitFoldersDataModule):
    """Pairs of images from folders, such as the sets of pix2pix (Isola et al., 2017, https://arxiv.org/abs/1611.07004).

    Batches are `(target, source)`, both (b, c, size, size) in [-1, 1]; the target is to be drawn from the source. The
    two are halves of each image of `train`, side by side, or images of two folders. Each is resized so that its shorter
    side has `resize` pixels, and cropped to the square in its centre. In each epoch another square of `size` pixels is
    cut out of both at the same place, and half of the pairs are mirrored. The images to evaluate on have `size` pixels
    at once, and are neither cropped further nor mirrored.

    Args:
        folder: The folder that holds the splits.
        target: The half that is to be drawn, `left` or `right`; or the NAME of its folder, `train/NAME`, `NAME/train`
            or `trainNAME`.
        source: What it is drawn from: the other half, or the NAME of its folder.
        match: How a source of a folder finds its target: `name` by an equal name, but for the ending of the file;
            `prefix` also by a target's name, a character that is no letter or digit, and more. So `1_1.jpg` and
            `1_2.jpg`, both rainy, find the clean `1.jpg`.
        size: Height and width in pixels.
        resize: Height and width that training images are cropped from; null takes 286/256 of `size`, as pix2pix does.
        flip: Mirrors half of the training pairs.
        channels: 3 for colour, 1 for grey.
        batch_size: Pairs per batch and process.
        evaluation_split: The split to evaluate on, such as `val` or `test`.
        cache: Folder for the decoded images; `default` is `lightning-gans` in the user's folder for caches, null keeps
            them in the memory of each process, and decodes them anew in each run.
    """

    def __init__(
        self,
        folder: str,
        target: str = "right",
        source: str = "left",
        match: Literal["name", "prefix"] = "name",
        size: int = 256,
        resize: int | None = None,
        flip: bool = True,
        channels: Literal[1, 3] = 3,
        batch_size: int = 1,
        evaluation_split: str = "val",
        cache: str | None = "default",
    ):
        if target == source or len({target, source} & HALVES) == 1:
            rule = "must be the two halves left and right, or two folders"
            raise ValueError(f"`target` and `source` {rule}, got {target} and {source}.")
        if match not in ("name", "prefix"):
            raise ValueError(f"`match` must be name or prefix, got {match}.")
        what = f"{target} from {source}"
        super().__init__(folder, what, size, resize, flip, channels, batch_size, evaluation_split, cache)
        self.target = target
        self.source = source
        self.match: Literal["name", "prefix"] = match

    def read(self, split: str, resize: int) -> Crops:
        """Reads the pairs of a split."""
        root = Path(self.folder).resolve()
        if self.target in HALVES:
            folder = split_folder(root, split)
            target, source = (self.read_half(folder, half, resize) for half in (self.target, self.source))
            sides: list[Side] = [target.image, source.image]
        else:
            target_folder, source_folder = (split_folder(root, split, name) for name in (self.target, self.source))
            pairs = partners(target_folder, source_folder, self.match)
            names = sorted({name for name, _ in pairs})
            decoding, number = Decoding(resize, self.channels), {name: at for at, name in enumerate(names)}
            source = read_folder(
                source_folder,
                [name for _, name in pairs],
                decoding,
                self.cache,
                check=lambda: check_sizes(target_folder, source_folder, pairs),
            )
            target = read_folder(target_folder, names, decoding, self.cache)
            sides = [[target.image[number[name]] for name, _ in pairs], source.image]
        fingerprint = fingerprint_of(target.fingerprint, source.fingerprint)
        return Crops(sides, self.size, self.flip, noun="pairs of images", fingerprint=fingerprint)

    def read_half(self, folder: Path, half: str, resize: int) -> TensorImages:
        """Reads one half of all images of a folder."""
        decoding = HalfDecoding(resize, self.channels, half="left" if half == "left" else "right")
        return read_folder(folder, image_names(folder), decoding, self.cache, f"-{half}")
