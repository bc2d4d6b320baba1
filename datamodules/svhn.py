"""SVHN: digits of house numbers from photographs of streets."""

from pathlib import Path

import torch
from torchvision.datasets import SVHN
from torchvision.datasets.utils import check_integrity

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.tensors import TensorImages


class SVHNDataModule(TensorDataModule):
    """House numbers of 32x32 pixels in 10 classes (Netzer et al., 2011, http://ufldl.stanford.edu/housenumbers).

    The digit in the middle of each image is its label; its neighbours in the number may show at the sides. The 73,257
    images of `train_32x32.mat` are trained on, and the 26,032 of `test_32x32.mat` are the reference. They live in
    memory, 300 MB, so there is nothing to cache.

    Args:
        folder: The folder with `train_32x32.mat` and `test_32x32.mat`, also to download to.
        batch_size: Images per batch and process.
        download: Downloads files that are missing in `folder`.
    """

    reference = "SVHN test, 26,032 images"

    def __init__(self, folder: str, batch_size: int = 64, download: bool = False):
        super().__init__(batch_size)
        self.folder = self.origin = folder
        self.download = download

    def prepare_data(self) -> None:
        if self.download:
            for split in ("train", "test"):
                read_svhn(self.folder, split, download=True)

    def load(self) -> tuple[TensorImages, TensorImages]:
        self.classes = [str(digit) for digit in range(10)]
        return read_svhn(self.folder, "train"), read_svhn(self.folder, "test")


def read_svhn(folder: str, split: str, download: bool = False) -> TensorImages:
    """Reads torchvision's SVHN, with one sentence for all that can be wrong with its file."""
    url, name, md5 = SVHN.split_list[split]
    path = Path(folder, name)
    try:
        images = SVHN(folder, split, download=download)
    except Exception as error:  # A download fails in many ways, a file in the statement that stumbles over it.
        remedy = "the download failed, so try again" if download else "pass `download=true`"
        wrong = f"is not readable ({error})" if check_integrity(path, md5) else "is damaged"
        raise FileNotFoundError(
            f"{path} {wrong if path.is_file() else 'is missing'}: {remedy}, or put {url} there."
        ) from None
    return TensorImages(torch.from_numpy(images.data).contiguous(), torch.from_numpy(images.labels))
