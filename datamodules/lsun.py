"""LSUN: millions of photographs of scenes and objects, one category at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.decoding import Decoding, Source
from lightning_gans.datamodules.pixel_cache import cached_images, fingerprint_of, fingerprint_of_files
from lightning_gans.datamodules.tensors import TensorImages

HOME = "https://github.com/fyu/lsun"


class LSUNDataModule(TensorDataModule):
    """Photographs of one category (Yu et al., 2015, https://arxiv.org/abs/1506.03365), such as `bedroom`.

    The databases are read as they are published, folders of lmdb whose values are JPEG or WebP files: a scene's are
    `bedroom_train_lmdb` and `bedroom_val_lmdb`, an object's is `cat`. They are not read through torchvision, whose LSUN
    leaves files in the working directory and takes one database for another if their paths differ in digits only.
    Images are resized so that the shorter side has `size` pixels, cropped to the square in the centre, and decoded once
    into a file that every process and every later run maps into its memory: 12 kB per image at 64 pixels, 37 GB for
    the 3,033,042 bedrooms. All labels are 0.

    Args:
        folder: The folder of the unpacked databases.
        category: The category of the images.
        size: Height and width in pixels.
        batch_size: Images per batch and process.
        num_images: Number of images to read, from the start of a database; null reads all.
        evaluation_split: The images that scores are measured against: all those trained on, or the validation's, which
            are 300 of a scene and none of an object.
        cache: Folder for the decoded images; `default` is `lightning-gans` in the user's folder for caches, null keeps
            them in the memory of each process, and decodes them anew in each run.
    """

    def __init__(
        self,
        folder: str,
        category: str = "bedroom",
        size: int = 64,
        batch_size: int = 64,
        num_images: int | None = None,
        evaluation_split: Literal["train", "val"] = "train",
        cache: str | None = "default",
    ):
        super().__init__(batch_size)
        if num_images is not None and num_images < 1:
            raise ValueError(f"`num_images` must be at least 1, got {num_images}.")
        if evaluation_split not in ("train", "val"):
            raise ValueError(f"`evaluation_split` must be train or val, got {evaluation_split}.")
        self.folder = self.origin = folder
        self.category = category
        self.classes = [category]
        self.decoding = Decoding(size)
        self.num_images = num_images
        self.evaluation_split = evaluation_split
        self.cache = cache
        first = "" if num_images is None else f", first {num_images:,}"
        self.reference = f"LSUN {category} {evaluation_split}{first} at {size}x{size}"

    def load(self) -> tuple[TensorImages, TensorImages]:
        training = self.read("train")
        return training, training if self.evaluation_split == "train" else self.read("val")

    def read(self, split: str) -> TensorImages:
        path = database_path(Path(self.folder).resolve(), self.category, split)
        count = number_of_images(path)
        if self.num_images is not None:
            count = min(count, self.num_images)
        return cached_images(
            self.cache,
            f"lsun-{path.name}-{count}-{fingerprint_of(path)}",
            fingerprint_of_files(path, ["data.mdb"]),
            lambda: images_of(path, count),
            torch.zeros(count, dtype=torch.int64),
            self.decoding,
        )


def database_path(folder: Path, category: str, split: str) -> Path:
    """Finds the folder of a database."""
    scene, thing = folder / f"{category}_{split}_lmdb", folder / category
    for path in (scene, thing) if split == "train" else (scene,):
        if (path / "data.mdb").is_file():
            return path
    others = sorted(path.parent.name for path in folder.glob("*/data.mdb"))
    packed = [f"{path}.zip" for path in (scene, thing) if path.with_name(f"{path.name}.zip").is_file()]
    remedy = f"unpack {packed[0]}" if packed else f"fetch it by the script of {HOME}, and unpack it there"
    raise FileNotFoundError(
        f"{scene} has no data.mdb: {remedy}. {folder} has the databases {', '.join(others) or 'of no category'}."
    )


def opened(path: Path) -> Any:
    """Opens a database for reading alone.

    Raises:
        ValueError: It is damaged. A file that was cut would end the process once the missing part is read.
    """
    try:
        import lmdb
    except ImportError:
        raise ImportError("LSUN's databases are read by lmdb: pip install 'lightning-gans[lsun]'.") from None
    try:
        database = lmdb.open(str(path), readonly=True, lock=False, readahead=False, meminit=False, create=False)
    except lmdb.Error as error:
        raise ValueError(f"{path}/data.mdb is no database of lmdb ({error}): unpack or fetch it again.") from None
    needed = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
    if (size := (path / "data.mdb").stat().st_size) < needed:
        database.close()
        raise ValueError(
            f"{path}/data.mdb has {size:,} of {needed:,} bytes: its unpacking or download was interrupted, do it again."
        )
    return database


def number_of_images(path: Path) -> int:
    """Counts the images of a database."""
    with opened(path) as database:
        if not (count := database.stat()["entries"]):
            raise ValueError(f"{path}/data.mdb holds no image: fetch it again.")
        return count


def images_of(path: Path, count: int) -> Iterator[Source]:
    """Yields the first images in the order of their keys."""
    with opened(path) as database, database.begin() as transaction:
        for (key, value), _ in zip(transaction.cursor(), range(count), strict=False):
            yield f"{path}/data.mdb: {key.decode(errors='replace')}", value
