"""Scores restorations of the photographs held out, draws them side by side, and has restored digits read.

    python -m benchmarks.experiments.restorations down ALEXNET NAME=CHECKPOINT ...
    python -m benchmarks.experiments.restorations rain ALEXNET NAME=CHECKPOINT ...
    python -m benchmarks.experiments.restorations digits MNIST NAME=CHECKPOINT ...

Each NAME is a run of `srgan_photos` or `idcgan_photos`, and docs/restoration.md has the commands that made them.
ALEXNET is a file of torchvision's weights of AlexNet, for LPIPS. The scores are means over crops of 128 pixels of the 7
photographs; `source` are the given images, enlarged by bicubic interpolation if they are smaller. For `digits` there is
rain on the 10,000 test digits in the folder MNIST, and the score is the share that the digit classifier reads right.
Writes `results/restorations_KIND.json` and, of photographs, docs/images/restorations_KIND.jpg, with the source at the
left and the original at the right.
"""

import argparse
import json
from collections.abc import Iterator

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from benchmarks.record import PICTURES, write_record
from lightning_gans.callbacks.pictures import to_uint8
from lightning_gans.datamodules import DegradedDataModule, MNISTDataModule, PhotosDataModule
from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.metrics import LPIPS, DigitClassifier
from lightning_gans.metrics.features import as_8_bit
from lightning_gans.metrics.fidelity import gradient_energy, psnr, residual, ssim, stored

SIZE, BATCH, QUALITY = 128, 50, 92
CROP = {"down": 4, "rain": 0}  # pixels that PSNR and SSIM leave out at each side
SHOWN = [2, 7, 16, 21]  # of the crops


def drawn(names: list[str], data: TensorDataModule) -> Iterator[tuple[str, Tensor]]:
    """Yields the name of each run, and what becomes of the evaluation images, as 8 bits store them."""
    for named in names:
        name, path = named.split("=", 1)
        module = LightningModule.load_from_checkpoint(path, map_location="cpu", weights_only=True)
        batches = torch.arange(len(data.evaluation)).split(BATCH)
        yield name, torch.cat([as_8_bit(module.draw(data.evaluation[index], 0)["fake"]) for index in batches])


def scores(kind: str, distance: LPIPS, fake: Tensor, target: Tensor, source: Tensor) -> dict[str, float]:
    """Returns the mean scores of restored photographs."""
    one, two = (stored(image, crop=CROP[kind]) for image in (fake, target))
    pairs = zip(fake.split(BATCH), target.split(BATCH), strict=True)
    found = {"psnr": psnr(one, two), "ssim": ssim(one, two), "lpips": torch.cat([distance(*pair) for pair in pairs])}
    if kind == "rain":
        found["residual"] = residual(fake, target, source)
    means = {name: values.double().mean().item() for name, values in found.items()}
    return means | {"sharpness": (gradient_energy(fake).mean() / gradient_energy(target).mean()).item()}


def photographs(kind: str, alexnet: str, names: list[str]) -> None:
    data = PhotosDataModule(size=SIZE, degradation="down" if kind == "down" else "rain")
    data.setup("test")
    target, source = data.evaluation[torch.arange(len(data.evaluation))]
    large = as_8_bit(interpolate(source, [SIZE, SIZE], mode="bicubic")) if kind == "down" else as_8_bit(source)
    distance = LPIPS(alexnet, "alex")
    columns = {"source": large, **dict(drawn(names, data)), "original": target}
    values = {name: scores(kind, distance, images, target, large) for name, images in columns.items()}
    protocol = {
        "targets": f"{data.reference}, {len(target)}",
        "samples": "moving average (EMA), eval mode, 8 bits per channel",
        "psnr and ssim": f"Y of BT.601 (16 to 235), peak 255, {CROP[kind]} pixels left out at each side",
        "lpips": "AlexNet, all channels, nothing left out",
        "sharpness": "mean squared difference of neighbours, over that of the originals",
    }
    del values["original"]
    write_record(f"restorations_{kind}", values, protocol, seed=0)
    rows = torch.stack([images[SHOWN] for images in columns.values()], 1).flatten(0, 1)
    grid = make_grid(to_uint8(rows), nrow=len(columns), padding=4, pad_value=255)
    to_pil_image(grid).save(PICTURES / f"restorations_{kind}.jpg", quality=QUALITY)
    print(json.dumps(values, indent=2))


@torch.no_grad()
def digits(folder: str, names: list[str]) -> None:
    clean = MNISTDataModule(folder=folder, size=32)
    data = DegradedDataModule(clean, "rain")
    data.setup("test")
    target, source = data.evaluation[torch.arange(len(data.evaluation))]
    network, label = DigitClassifier.pretrained(), clean.evaluation.label  # type: ignore[attr-defined]
    columns = {"rainy": as_8_bit(source), **dict(drawn(names, data)), "clean": target}
    values = {
        name: torch.cat([network(part).argmax(1) for part in images.split(1000)]).eq(label).double().mean().item()
        for name, images in columns.items()
    }
    protocol = {"digits": data.reference, "accuracy": "digit classifier, trained on the training digits"}
    write_record("restorations_digits", values, protocol, seed=0)
    print(json.dumps(values, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["down", "rain", "digits"])
    parser.add_argument("file", help="the weights of AlexNet, or the folder with MNIST")
    parser.add_argument("runs", nargs="+", metavar="NAME=CHECKPOINT")
    args = parser.parse_args()
    if args.kind == "digits":
        digits(args.file, args.runs)
    else:
        photographs(args.kind, args.file, args.runs)


if __name__ == "__main__":
    main()
