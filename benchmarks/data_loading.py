"""Images per second of one epoch of MNIST: batches indexed in memory against torchvision's usual pipeline.

Both give batches of 64 images in [-1, 1] with their labels, shuffled, from the same 10,000 digits of 28x28 pixels. They
alternate in one process; the ratio is the median over the rounds, each against the faster of 0 and 2 workers.

    python benchmarks/data_loading.py
"""

import struct
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import numpy as np
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import Compose, Normalize, ToTensor

from lightning_gans.datamodules import MNISTDataModule, TensorImages

BATCH_SIZE = 64
ROUNDS = 5


def write_idx(path: Path, array: np.ndarray) -> None:
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def write_mnist(folder: Path, digits: TensorImages) -> None:
    """Writes the digits as the four files that torchvision wants; here the test set is the training set."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split in ("train", "t10k"):
        write_idx(raw / f"{split}-images-idx3-ubyte", digits.image.squeeze(1).numpy())
        write_idx(raw / f"{split}-labels-idx1-ubyte", digits.label.numpy().astype(np.uint8))


def images_per_second(loader: Iterable) -> float:
    start = time.perf_counter()
    images = sum(len(image) for image, _ in loader)
    return images / (time.perf_counter() - start)


def main() -> None:
    data = MNISTDataModule(size=28, batch_size=BATCH_SIZE)
    data.setup("fit")
    ours = data.train_dataloader()
    with tempfile.TemporaryDirectory() as folder:
        write_mnist(Path(folder), data.training)
        usual = MNIST(folder, transform=Compose([ToTensor(), Normalize(0.5, 0.5)]))
        loaders = {"MNISTDataModule": ours}
        for workers in (0, 2):
            loader = DataLoader(usual, BATCH_SIZE, shuffle=True, drop_last=True, num_workers=workers)
            loaders[f"torchvision's MNIST, {workers} workers"] = loader
        for loader in loaders.values():
            images_per_second(loader)  # warms up
        rounds = [[images_per_second(loader) for loader in loaders.values()] for _ in range(ROUNDS)]
    ratio = median(own / max(theirs) for own, *theirs in rounds)
    print("| loader                         | images per second |")
    print("| ------------------------------ | ----------------- |")
    for name, speeds in zip(loaders, zip(*rounds, strict=True), strict=True):
        print(f"| {name:30} | {median(speeds):17,.0f} |")
    print(f"| {f'ratio, median of {ROUNDS} rounds':30} | {ratio:17.1f} |")


if __name__ == "__main__":
    main()
