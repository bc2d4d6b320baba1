"""Counts images per second of an epoch over 20,000 JPEGs: the mapped cache against torchvision's ImageFolder.

    python -m benchmarks.speed.data_loading

Both give shuffled batches of 64 images of 64x64 pixels in [-1, 1] with their labels, from the same generated files,
which are of that size already. The first epoch of `ImageFolderDataModule`, which decodes into the cache, is timed by
itself. Then all take turns. In each round the ratio is taken to torchvision's DataLoader with that number of workers, 0
to 2, which was fastest; the result is the median over rounds. Writes `results/data_loading.json`.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torchvision
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

from benchmarks.record import write_record
from lightning_gans.datamodules import ImageFolderDataModule

IMAGES, CLASSES, SIZE, BATCH_SIZE, ROUNDS = 20_000, 10, 64, 64, 5


def write_images(folder: Path) -> None:
    """Writes smooth colors with some noise, as JPEG files of about 2 kB in sub-folders."""
    random = np.random.default_rng(0)
    for index in range(IMAGES):
        path = folder / f"class_{index % CLASSES}" / f"{index:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        colors = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8)).resize((SIZE, SIZE))
        noisy = np.asarray(colors) + random.normal(0, 6, (SIZE, SIZE, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def images_per_second(loader: Iterable) -> float:
    """Returns the images per second of one epoch."""
    started = time.perf_counter()
    seen = sum(len(image) for image, _ in loader)
    return seen / (time.perf_counter() - started)


def ours(folder: str, cache: str) -> DataLoader:
    data = ImageFolderDataModule(folder, size=SIZE, batch_size=BATCH_SIZE, cache=cache)
    data.setup("fit")
    return data.train_dataloader()


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        folder, cache = Path(root, "images"), str(Path(root, "cache"))
        folder.mkdir()
        write_images(folder)
        kilobytes = sum(path.stat().st_size for path in folder.rglob("*.jpg")) / IMAGES / 1000
        seconds = []  # until the first epoch is over: decoding, and once the cache is there
        for _ in range(2):
            begun = time.perf_counter()
            images_per_second(ours(str(folder), cache))
            seconds.append(time.perf_counter() - begun)
        transform = Compose([Resize(SIZE), CenterCrop(SIZE), ToTensor(), Normalize(0.5, 0.5)])
        usual = ImageFolder(str(folder), transform)
        loaders: dict[str, Iterable] = {"ours": ours(str(folder), cache)}
        for workers in (0, 1, 2):
            loaders[f"torchvision_{workers}_workers"] = DataLoader(
                usual, BATCH_SIZE, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
            )
        rounds = []
        for _ in range(ROUNDS):
            rounds.append({name: images_per_second(loader) for name, loader in loaders.items()})
            print({name: round(speed) for name, speed in rounds[-1].items()}, flush=True)
        del loaders
    ratios = [speeds["ours"] / max(speed for name, speed in speeds.items() if name != "ours") for speeds in rounds]
    found = {f"images_per_second_{name}": statistics.median(speeds[name] for speeds in rounds) for name in rounds[0]}
    found |= {"ratio": statistics.median(ratios), "ratio_lowest": min(ratios)}
    found |= {"seconds_first_epoch": seconds[0], "seconds_first_epoch_when_cached": seconds[1]}
    protocol = {
        "images": f"{IMAGES:,} JPEGs of {SIZE}x{SIZE} pixels, {kilobytes:.1f} kB each",
        "timed": f"epochs after the first, batches of {BATCH_SIZE}; ratio to the fastest of 0 to 2 workers",
        "rounds": ROUNDS,
        "torchvision": torchvision.__version__,
    }
    write_record("data_loading", found, protocol, seed=0)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
