"""Photographs to restore: small ones, rainy ones, or ones with a hole."""

from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from lightning_gans.datamodules.crops import Crops, tiles
from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.decoding import WholeDecoding, as_array, decoded, sizes_of
from lightning_gans.datamodules.degradations import Degradation, Degraded
from lightning_gans.datamodules.folders import partners
from lightning_gans.datamodules.labels import image_names
from lightning_gans.datamodules.pixel_cache import FORMAT, cached_pixels, fingerprint_of, fingerprint_of_files
from lightning_gans.datamodules.tensors import InMemory, spread_evenly

EMBEDDED = Path(__file__).parent / "embedded" / "photos.npz"


class Photographs(NamedTuple):
    """Photographs in full size, and the smaller ones that belong to them if they are given."""

    names: list[str]
    sides: list[list[UInt8[Tensor, "3 _ _"]]]
    fingerprint: str


class PhotosDataModule(TensorDataModule):
    """Crops of photographs, each with what is left of it after a degradation, such as rain.

    Without folders, 59 photographs that come with the package are trained on, and 7 others are evaluated on; their
    longer side has 480 pixels, and PHOTOS_NOTICE.txt names their makers and licences. Batches are `(target, source)`,
    the target (b, 3, size, size) in [-1, 1]. Each training crop is at another place in each epoch, and half of them are
    mirrored. The crops to evaluate on are squares without overlap, around the centre of each photograph.

    `down` gives smaller images, (b, 3, size / factor, size / factor), by bicubic interpolation with antialiasing, in
    the 256 steps of a file. `rain` gives images with streaks drawn onto them; where it does not reach white, the rain
    of a batch is `source - target`, and `degradations.rain` draws it from the index again. `mask` gives
    (b, 1, size, size), 1 in a square hole and 0 around it; what fills the hole is left to the variant. `none` gives the
    target itself. All of these are functions of the index.

    Args:
        folder: Photographs of your own to train on, such as `DIV2K_train_HR`; null takes those of the package.
        evaluation_folder: Photographs to evaluate on, such as `DIV2K_valid_HR` or `Set5/GTmod12`; null takes the 7 of
            the package.
        source_folder: Smaller photographs that take the place of those made from `folder`, `factor` times as small and
            of equal names, or of names that end in `x4` for a factor of 4, such as `DIV2K_train_LR_bicubic/X4`. Those
            in `folder` are cut to a multiple of the factor, at the right and at the bottom.
        evaluation_source_folder: The same for `evaluation_folder`, such as `Set5/LRbicx4`.
        size: Height and width of crops in pixels.
        degradation: The way to the source: `down`, `rain`, `mask` or `none`.
        factor: Times that the source of `down` is smaller.
        hole: Where the hole of `mask` is: at a `random` place, or in the `center`.
        hole_size: Height and width of the hole in pixels; null takes half of `size`.
        flip: Mirrors half of the training crops.
        num_crops: Crops of an epoch, which take the photographs in turn.
        num_evaluation_crops: Crops to evaluate on, evenly spread; null takes all.
        batch_size: Crops per batch and process.
        cache: Folder for decoded photographs of your own; `default` is `lightning-gans` in the user's folder for
            caches, null keeps them in the memory of each process, and decodes them anew in each run.
    """

    def __init__(
        self,
        folder: str | None = None,
        evaluation_folder: str | None = None,
        source_folder: str | None = None,
        evaluation_source_folder: str | None = None,
        size: int = 96,
        degradation: Literal["down", "rain", "mask", "none"] = "down",
        factor: int = 4,
        hole: Literal["random", "center"] = "random",
        hole_size: int | None = None,
        flip: bool = True,
        num_crops: int = 6400,
        num_evaluation_crops: int | None = None,
        batch_size: int = 16,
        cache: str | None = "default",
    ):
        super().__init__(batch_size)
        counts = (("size", size), ("num_crops", num_crops), ("num_evaluation_crops", num_evaluation_crops))
        for name, value in counts:
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        self.degradation = Degradation(degradation, factor, hole, hole_size)
        self.degradation.check(size)
        if folder is not None and evaluation_folder is None:
            raise ValueError("`folder` needs an `evaluation_folder` of other photographs, got none.")
        given = {"": (folder, source_folder), "evaluation_": (evaluation_folder, evaluation_source_folder)}
        for which, (large, small) in given.items():
            if small is not None and (large is None or degradation != "down"):
                raise ValueError(f"`{which}source_folder` needs a `{which}folder` and the degradation down.")
        self.folders, self.evaluation_folders = given.values()
        self.origin = folder or "the package"
        self.size = size
        self.flip = flip
        self.num_crops = num_crops
        self.num_evaluation_crops = num_evaluation_crops
        self.cache = cache
        evaluated = "7 photographs of the package" if evaluation_folder is None else Path(evaluation_folder).resolve()
        self.reference = f"{evaluated}, {degradation}, crops of {size}x{size}"

    def load(self) -> tuple[InMemory, InMemory]:
        training, evaluation = self.read("train", *self.folders), self.read("test", *self.evaluation_folders)
        sides = [
            [tile for image in images for tile in self.tiles(image, at)] for at, images in enumerate(evaluation[1])
        ]
        if self.num_evaluation_crops is not None and self.num_evaluation_crops < len(sides[0]):
            chosen = spread_evenly(self.num_evaluation_crops, len(sides[0])).tolist()
            sides = [[side[number] for number in chosen] for side in sides]
        fingerprint = fingerprint_of(evaluation.fingerprint, len(sides[0]))
        return (
            self.degraded(training.sides, training.fingerprint, self.num_crops),
            self.degraded(sides, fingerprint, len(sides[0])),
        )

    def tiles(self, image: UInt8[Tensor, "3 h w"], side: int) -> list[UInt8[Tensor, "3 _ _"]]:
        """Returns the squares of a photograph, or of a small one on the second side, that are evaluated on."""
        factor = self.degradation.factor
        return tiles(image, self.size // factor) if side else tiles(image, self.size, factor)

    def degraded(self, sides: list[list[UInt8[Tensor, "3 _ _"]]], fingerprint: str, count: int) -> InMemory:
        """Returns pairs of crops and their sources, which are made if there is one side alone."""
        factor = self.degradation.factor if len(sides) == 2 else 1
        crops = Crops(sides, self.size, self.flip, count, factor, "crops of photographs", fingerprint)
        return crops if len(sides) == 2 else Degraded(crops, self.degradation)

    def read(self, part: str, folder: str | None, source_folder: str | None) -> Photographs:
        """Reads the photographs of a folder, or a part of those of the package."""
        if folder is None:
            photographs = embedded(part)
        elif source_folder is None:
            path = Path(folder).resolve()
            names = image_names(path)
            images, fingerprint = whole(path, names, 1, self.cache)
            photographs = Photographs([str(path / name) for name in names], [images], fingerprint)
        else:
            large, small = Path(folder).resolve(), Path(source_folder).resolve()
            photographs = with_smaller(large, small, self.degradation.factor, self.cache)
        for name, image in zip(photographs.names, photographs.sides[0], strict=True):
            height, width = image.shape[1:]
            if min(height, width) < self.size:
                raise ValueError(f"{name} has {width}x{height} pixels, less than the `size` of {self.size}: lower it.")
        return photographs


def embedded(part: str) -> Photographs:
    """Reads the photographs of a part, train or test, that come with the package."""
    with np.load(EMBEDDED) as arrays:
        names, jpeg, end = (arrays[f"{part}_{name}"] for name in ("name", "jpeg", "end"))
    files = [BytesIO(raw.tobytes()) for raw in np.split(jpeg, end[:-1])]
    images = [torch.from_numpy(as_array(Image.open(file).convert("RGB"))) for file in files]
    return Photographs(names.tolist(), [images], f"package {part}")


def whole(folder: Path, names: list[str], multiple: int, cache: str | None) -> tuple[list[UInt8[Tensor, "3 _ _"]], str]:
    """Reads photographs in full size, cut to a multiple of pixels, and their fingerprint."""
    decoder, files = WholeDecoding(multiple), [(str(folder / name), folder / name) for name in names]
    sizes = [decoder.cut(size) for size in sizes_of(files)]
    lengths = [3 * width * height for width, height in sizes]
    fingerprint = fingerprint_of(FORMAT, fingerprint_of_files(folder, names), decoder)
    name = f"{folder.name}-{fingerprint_of(folder)}-whole{multiple}"
    pixels = cached_pixels(cache, name, fingerprint, (sum(lengths),), lambda: decoded(files, len(files), decoder))
    pieces = zip(pixels.split(lengths), sizes, strict=True)
    return [piece.view(3, height, width) for piece, (width, height) in pieces], fingerprint


def with_smaller(large: Path, small: Path, factor: int, cache: str | None) -> Photographs:
    """Reads photographs and smaller ones of the same, and compares their sizes."""
    pairs = partners(large, small, suffix=f"x{factor}")
    images, of_large = whole(large, [name for name, _ in pairs], factor, cache)
    sources, of_small = whole(small, [name for _, name in pairs], 1, cache)
    for at, (image, source, pair) in enumerate(zip(images, sources, pairs, strict=True)):
        (height, width), (h, w) = image.shape[1:], source.shape[1:]
        # A size that is no multiple may have been rounded down or up.
        if h - height // factor not in (0, 1) or w - width // factor not in (0, 1):
            raise ValueError(
                f"{small / pair[1]} has {w}x{h} pixels where {large / pair[0]} has {width}x{height}: it must be "
                f"{factor} times as small, so choose another `factor` or folder."
            )
        sources[at] = source[:, : height // factor, : width // factor]
    return Photographs([str(large / name) for name, _ in pairs], [images, sources], fingerprint_of(of_large, of_small))
