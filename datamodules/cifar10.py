"""CIFAR-10: 60,000 small photographs in 10 classes."""

from pathlib import Path
from typing import Literal

import torch
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.tensors import InMemory, Mirrored, TensorImages

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class CIFAR10DataModule(TensorDataModule):
    """Photographs of 32x32 pixels in 10 classes (Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html).

    The 50,000 training images are trained on. They live in memory, 150 MB, so there is nothing to cache.

    Args:
        folder: The folder with `cifar-10-batches-py` and its pickled batches, also to download to.
        batch_size: Images per batch and process.
        evaluation_split: The images that scores are measured against: the 10,000 of the test, or all those trained on.
        mirror: Adds each training image mirrored left to right, so that there are twice as many.
        download: Downloads files that are missing in `folder`.
    """

    def __init__(
        self,
        folder: str,
        batch_size: int = 64,
        evaluation_split: Literal["test", "train"] = "test",
        mirror: bool = False,
        download: bool = False,
    ):
        super().__init__(batch_size)
        if evaluation_split not in ("test", "train"):
            raise ValueError(f"`evaluation_split` must be test or train, got {evaluation_split}.")
        self.folder = self.origin = folder
        self.evaluation_split = evaluation_split
        self.mirror = mirror
        self.download = download
        trained = "CIFAR-10, 50,000 images" + ", and mirrored" * mirror
        self.reference = "CIFAR-10 test, 10,000 images" if evaluation_split == "test" else trained

    def prepare_data(self) -> None:
        if self.download:
            read_cifar10(self.folder, train=True, download=True)

    def load(self) -> tuple[InMemory, InMemory]:
        self.classes = list(CLASSES)
        images = read_cifar10(self.folder, train=True)
        training = Mirrored(images) if self.mirror else images
        return training, training if self.evaluation_split == "train" else read_cifar10(self.folder, train=False)


def read_cifar10(folder: str, train: bool, download: bool = False) -> TensorImages:
    """Reads torchvision's CIFAR10, with one sentence for all that can be wrong with its files."""
    inside = Path(folder, CIFAR10.base_folder)
    try:
        images = CIFAR10(folder, train, download=download)
    except Exception as error:  # A download fails in many ways, a batch in the statement that stumbles over it.
        remedy = "the download failed, so try again" if download else "pass `download=true`"
        wrong = what_is_wrong(inside) or f"is not readable ({error})"
        raise FileNotFoundError(f"{inside} {wrong}: {remedy}, or unpack {CIFAR10.url} there.") from None
    label = torch.tensor(images.targets)
    if len(label) != len(images.data) or not len(label):
        raise ValueError(
            f"{inside} has {len(images.data)} images with {len(label)} labels: unpack {CIFAR10.url} there."
        )
    return TensorImages(torch.from_numpy(images.data).permute(0, 3, 1, 2).contiguous(), label)


def what_is_wrong(inside: Path) -> str:
    """Names files that are missing or are not those that were published."""
    files = [*CIFAR10.train_list, *CIFAR10.test_list, [CIFAR10.meta["filename"], CIFAR10.meta["md5"]]]
    missing = [name for name, _ in files if not (inside / name).is_file()]
    damaged = [name for name, md5 in files if name not in missing and not check_integrity(inside / name, md5)]
    parts = [f"has no {', '.join(missing)}"] * bool(missing) + [f"has damaged {', '.join(damaged)}"] * bool(damaged)
    return " and ".join(parts)
