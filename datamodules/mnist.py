"""MNIST: the 10,000 digits that the package ships, or the whole set from a folder."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import pad
from torchvision.datasets import MNIST

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.tensors import TensorImages, held_out

EMBEDDED = Path(__file__).parent / "embedded" / "mnist_10k.npz"
FILES = [f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


class MNISTDataModule(TensorDataModule):
    """Handwritten digits in 10 classes (LeCun et al., 1998, http://yann.lecun.com/exdb/mnist).

    Without a folder, 10,000 training digits that come with the package are both what is trained on and what scores are
    measured against, unless some are held out, and nothing is downloaded. With one, all 60,000 training digits are
    trained on and the 10,000 test digits are the reference.

    Args:
        folder: The folder with `MNIST/raw` and its four unpacked idx files, also to download to; null takes the 10,000
            digits of the package.
        size: Height and width in pixels; 32 puts the 28 pixels of the original into a black frame of 2.
        batch_size: Images per batch and process.
        download: Downloads files that are missing in `folder`.
        num_labels: For semi-supervised learning, the training images that keep their label, the first of each class in
            equal numbers; the others have label -1. Null keeps all labels.
        label_repeats: Times that each image that keeps its label is among the training images when `num_labels` is
            given, so that batches hold enough of them.
        held_out: Share of the digits of the package that are evaluated on and not trained on, at most 0.5, always the
            same ones; 0 holds out none. With a folder there is a test set, so it stays 0.
        num_images: Digits to train on, the first ones; null takes all. Those to evaluate against are as many as ever.
    """

    def __init__(
        self,
        folder: str | None = None,
        size: Literal[28, 32] = 32,
        batch_size: int = 64,
        download: bool = False,
        num_labels: int | None = None,
        label_repeats: int = 1,
        held_out: float = 0.0,
        num_images: int | None = None,
    ):
        super().__init__(batch_size)
        if num_labels is not None and (num_labels % 10 or not 0 <= num_labels <= 8000):
            raise ValueError(f"`num_labels` must be a multiple of the 10 classes from 0 to 8000, got {num_labels}.")
        if label_repeats < 1:
            raise ValueError(f"`label_repeats` must be at least 1, got {label_repeats}.")
        if size not in (28, 32):
            raise ValueError(f"`size` must be 28 or 32, got {size}.")
        if download and folder is None:
            raise ValueError("`download` needs a `folder` to download to, got none.")
        if not 0 <= held_out <= 0.5:
            raise ValueError(f"`held_out` must be from 0 to 0.5, got {held_out}.")
        if held_out and folder is not None:
            raise ValueError(f"`held_out` must be 0 with a `folder`, which has a test set, got {held_out}.")
        if num_images is not None and num_images < 1:
            raise ValueError(f"`num_images` must be at least 1, or null for all, got {num_images}.")
        self.num_images = num_images
        self.folder = folder
        self.origin = folder or "the package"
        self.size = size
        self.download = download
        self.num_labels = num_labels
        self.label_repeats = label_repeats
        self.held_out = held_out
        embedded, test = "embedded MNIST, first 10,000 training digits", "MNIST test, 10,000 digits"
        self.reference = test if folder else f"{embedded}, {held_out:.0%} held out" if held_out else embedded

    def prepare_data(self) -> None:
        if self.folder is not None and self.download:
            read_mnist(self.folder, train=True, download=True)

    def load(self) -> tuple[TensorImages, TensorImages]:
        self.classes = [str(digit) for digit in range(10)]
        if self.folder is None:
            with np.load(EMBEDDED) as arrays:
                image, label = torch.from_numpy(arrays["image"]), torch.from_numpy(arrays["label"]).long()
            digits = TensorImages(framed(image, self.size), label)
            if not self.held_out:
                return self.to_train_on(digits), digits
            parts = held_out(torch.arange(len(label)), self.held_out)
            known, others = (TensorImages(digits.image[part], digits.label[part]) for part in parts)
            return self.to_train_on(known), others
        training, test = (read_mnist(self.folder, train) for train in (True, False))
        return (
            self.to_train_on(TensorImages(framed(training.data, self.size), training.targets)),
            TensorImages(framed(test.data, self.size), test.targets),
        )

    def to_train_on(self, digits: TensorImages) -> TensorImages:
        """Takes the first digits, takes the labels from most of them, and repeats those that keep theirs."""
        if self.num_images is not None:
            digits = TensorImages(digits.image[: self.num_images], digits.label[: self.num_images])
        if self.num_labels is None:
            return digits
        of_class = [(digits.label == digit).nonzero().flatten() for digit in range(10)]
        known = torch.cat([index[: self.num_labels // 10] for index in of_class])
        label = torch.full_like(digits.label, -1)
        label[known] = digits.label[known]
        order = torch.cat([torch.arange(len(label)), known.repeat(self.label_repeats - 1)])
        return TensorImages(digits.image[order], label[order])


def framed(image: UInt8[Tensor, "n 28 28"], size: int) -> UInt8[Tensor, "n 1 {size} {size}"]:
    """Adds the channel, and black pixels on all sides up to `size`."""
    return pad(image[:, None], [(size - 28) // 2] * 4)


def read_mnist(folder: str, train: bool, download: bool = False) -> MNIST:
    """Reads torchvision's MNIST, with one sentence for all that can be wrong with its files."""
    raw = Path(folder, "MNIST", "raw")
    damaged = (
        f"The {'train' if train else 't10k'} files in {raw} are damaged: "
        "delete them and pass `download=true`, or put MNIST's unpacked idx files there."
    )
    try:
        digits = MNIST(folder, train, download=download)
    except Exception as error:  # A damaged file fails in the statement that first stumbles over it.
        missing = [name for name in FILES if not (raw / name).is_file()]
        if not missing:
            raise ValueError(damaged) from None
        remedy = "the download failed, so try again" if download else "pass `download=true`"
        raise FileNotFoundError(
            f"{raw} has no {', '.join(missing)}: {remedy}, or put MNIST's four unpacked idx files there."
        ) from error
    if digits.data.shape != (len(digits.targets), 28, 28):
        raise ValueError(damaged)
    return digits
