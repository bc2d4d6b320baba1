"""Draws LAPGAN's samples level by level, and measures how much detail each level adds.

    lightning-gans fit --config lapgan_openmoji
    python -m benchmarks.experiments.lapgan_levels runs/lapgan_openmoji/version_0/checkpoints/last.ckpt

The picture has a row for each level and a column for each sample, in blocks; coarse levels are enlarged by repeating
pixels. The measured number is the root mean square of a band of the samples, divided by that of the same band of the
emoji: 0 is no detail beyond the enlarged coarse image, 1 is as much as the emoji have. The samples are those of the
moving average in eval mode. Writes docs/images/lapgan_openmoji.png and `results/lapgan_openmoji.json`.
"""

import argparse
import json
from pathlib import Path

import torch
from lightning import LightningModule
from torch.nn.functional import interpolate
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from benchmarks.record import PICTURES, write_record
from lightning_gans import LAPGAN
from lightning_gans.callbacks.pictures import to_uint8
from lightning_gans.datamodules import OpenMojiDataModule
from lightning_gans.models.lapgan import laplacian_pyramid

COLUMNS, BLOCKS, MEASURED, SEED = 8, 2, 1024, 0


def picture(module: LAPGAN, path: Path) -> None:
    drawn = module.draw(torch.empty(COLUMNS * BLOCKS, 0), SEED)
    finest = drawn.pop("fake")
    size = list(finest.shape[2:])
    levels = torch.stack([*(interpolate(image, size, mode="nearest") for image in drawn.values()), finest])
    blocks = levels.unflatten(1, (BLOCKS, COLUMNS)).transpose(0, 1)  # block, level, sample
    grid = make_grid(to_uint8(blocks.flatten(0, 2)), nrow=COLUMNS, padding=2, pad_value=220)  # emoji are on white
    to_pil_image(grid).save(path, optimize=True)


def measure(module: LAPGAN) -> dict[str, float]:
    data = OpenMojiDataModule()
    data.setup("fit")
    real, _ = data.training[torch.arange(len(data.training))]
    fake = module.draw(torch.empty(MEASURED, 0), SEED)["fake"].clamp(-1, 1)
    levels = len(module.generator)  # type: ignore[arg-type]
    pyramids = (laplacian_pyramid(image, levels)[1:] for image in (fake, real))
    return {
        f"band_{ours.shape[-1]}": (ours.square().mean() / theirs.square().mean()).sqrt().item()
        for ours, theirs in zip(*pyramids, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    args = parser.parse_args()
    module = LightningModule.load_from_checkpoint(args.checkpoint, map_location="cpu", weights_only=True)
    if not isinstance(module, LAPGAN):
        parser.error(f"{args.checkpoint} holds no LAPGAN.")
    picture(module, PICTURES / "lapgan_openmoji.png")
    values = measure(module)
    protocol = {
        "bands": "root mean square of the band of samples over that of the 2,186 emoji, by level",
        "samples": f"{MEASURED}, moving average (EMA), eval mode, clamped to [-1, 1], seed {SEED}",
        "images_seen": module.images_seen,
    }
    write_record("lapgan_openmoji", values, protocol, seed=module.seed)
    print(json.dumps(values, indent=2))


if __name__ == "__main__":
    main()
