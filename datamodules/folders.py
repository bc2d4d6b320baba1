"""Folders of images that belong together, in pairs or as sets."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Literal

import torch

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.decoding import Decoding, Source, sizes_of
from lightning_gans.datamodules.labels import image_names
from lightning_gans.datamodules.pixel_cache import cached_images, fingerprint_of, fingerprint_of_files
from lightning_gans.datamodules.tensors import InMemory, TensorImages

Match = Literal["name", "prefix"]


class SplitFoldersDataModule(TensorDataModule):
    """Base of the data modules of folders with a split to train on, of which crops are taken.

    Args:
        folder: The folder that holds the splits.
        what: Names the images within it, for the protocol of a score.
        size: Height and width in pixels.
        resize: Height and width that training images are cropped from; None takes 286/256 of `size`.
        flip: Mirrors half of the training images.
        channels: 3 for colour, 1 for grey.
        batch_size: Images per batch and process.
        evaluation_split: The split to evaluate on.
        cache: Folder for the decoded images.
    """

    def __init__(
        self,
        folder: str,
        what: str,
        size: int,
        resize: int | None,
        flip: bool,
        channels: Literal[1, 3],
        batch_size: int,
        evaluation_split: str,
        cache: str | None,
    ):
        super().__init__(batch_size)
        if size < 1:
            raise ValueError(f"`size` must be at least 1, got {size}.")
        if resize is not None and resize < size:
            raise ValueError(f"`resize` must be at least the `size` of {size}, got {resize}.")
        if evaluation_split == "train":
            raise ValueError("`evaluation_split` must be another split than train, such as val or test.")
        self.folder = self.origin = folder
        self.size = size
        self.resize = round(size * 286 / 256) if resize is None else resize
        self.flip = flip
        self.channels = channels
        self.evaluation_split = evaluation_split
        self.cache = cache
        self.reference = f"{Path(folder).resolve().name} {evaluation_split}, {what} at {size}x{size}"

    def load(self) -> tuple[InMemory, InMemory]:
        return self.read("train", self.resize), self.read(self.evaluation_split, self.size)

    @abstractmethod
    def read(self, split: str, resize: int) -> InMemory:
        """Reads a split, with images whose shorter side has `resize` pixels."""


def split_folder(root: Path, split: str, name: str = "") -> Path:
    """Finds the folder of a split, such as `train`, or the one that is called `name` in it.

    Raises:
        FileNotFoundError: There is none.
    """
    paths = [root / split / name, root / name / split, root / f"{split}{name}"] if name else [root / split]
    for path in paths:
        if path.is_dir():
            return path
    inside = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    raise FileNotFoundError(
        f"There is no folder {' or '.join(map(str, paths))}: name one that there is, {root} holds "
        f"{', '.join(inside) or 'no folder'}."
    )


def read_folder(
    folder: Path,
    names: list[str],
    decoding: Decoding,
    cache: str | None,
    part: str = "",
    check: Callable[[], None] = lambda: None,
) -> TensorImages:
    """Reads images of a folder, decoded once; all labels are 0.

    Args:
        folder: The folder.
        names: Their paths within it.
        decoding: Size, channels and crop.
        cache: Folder for what is decoded, as `cached_images` has it.
        part: Ends the name of the file in the cache.
        check: Raises an error if something is wrong; called before images are decoded.
    """

    def sources() -> list[Source]:
        check()
        return [(str(folder / name), folder / name) for name in names]

    name = f"{folder.name}-{fingerprint_of(folder)}{part}"
    label = torch.zeros(len(names), dtype=torch.int64)
    return cached_images(cache, name, fingerprint_of_files(folder, names), sources, label, decoding)


def stem(name: str) -> str:
    """Returns a path without the ending of its file."""
    return str(PurePosixPath(name).with_suffix(""))


def partners(targets: Path, sources: Path, match: Match = "name", suffix: str = "") -> list[tuple[str, str]]:
    """Returns the pairs of images of two folders, `(target, source)`, in the order of the sources.

    Args:
        targets: The folder of targets.
        sources: The folder of sources.
        match: `name` pairs `a.jpg` with `a.png`; `prefix` pairs it also with `a_1.png`, `a_2.png` and others.
        suffix: May stand at the end of the name of a source, before the dot.
    """
    target_of = {stem(name): name for name in unambiguous(targets)}
    pairs, alone = [], []
    for source in unambiguous(sources):
        known = [name for name in beginnings(stem(source), match, suffix) if name in target_of]
        if known:
            pairs.append((target_of[known[0]], source))
        else:
            alone.append(source)
    used = {target for target, _ in pairs}
    unused = [name for name in target_of.values() if name not in used]
    for names, here, there in ((alone, sources, targets), (unused, targets, sources)):
        if names:
            raise ValueError(
                f"{len(names)} images of {here} have no partner by `{match}` in {there}, first {names[0]}: add the "
                "partners, or move these away."
            )
    return pairs


def unambiguous(folder: Path) -> list[str]:
    """Lists the images of a folder, none of which may differ in their endings only."""
    names = image_names(folder)
    if twice := [name for name, count in Counter(map(stem, names)).items() if count > 1]:
        raise ValueError(f"{folder} has two images called {twice[0]} that differ in their endings: remove one.")
    return names


def beginnings(name: str, match: Match, suffix: str) -> list[str]:
    """Returns the names of which a source of that name may be the partner, the longest first."""
    if match == "name":
        return [name, name.removesuffix(suffix)]
    ends = [at for at in range(len(name) - 1, 0, -1) if not name[at].isalnum()]
    return [name, *(name[:at] for at in ends)]


def check_sizes(targets: Path, sources: Path, pairs: list[tuple[str, str]]) -> None:
    """Refuses pairs of images of unequal size."""
    of_target = sizes_of((str(targets / name), targets / name) for name, _ in pairs)
    of_source = sizes_of((str(sources / name), sources / name) for _, name in pairs)
    for pair, one, two in zip(pairs, of_target, of_source, strict=True):
        if one != two:
            raise ValueError(
                f"{targets / pair[0]} has {one[0]}x{one[1]} pixels and {sources / pair[1]} has {two[0]}x{two[1]}: "
                "both images of a pair must have one size."
            )
