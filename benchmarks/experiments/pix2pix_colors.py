"""Compares trained pix2pix runs by color and sharpness, and draws them beside each other.

    python -m benchmarks.experiments.pix2pix_colors runs/pix2pix_l1/version_0 runs/pix2pix_gan/version_0 \
        runs/pix2pix_openmoji/version_0

The colors are compared over all pixels, as in the paper's figure 7, and over those that are not white in the target,
since most of an emoji is. Both are measured on the drawings held out and on as many that were trained on.

Writes `results/pix2pix_colors.json` and docs/images/pix2pix_openmoji.png, whose columns are the source, what each run
makes of it in the order given, and the target.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import LightningModule
from torch import Tensor

import lightning_gans.networks  # noqa: F401  a checkpoint names its networks without their path
from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans.datamodules import OpenMojiDataModule
from lightning_gans.datamodules.tensors import spread_evenly
from lightning_gans.metrics.features import as_8_bit
from lightning_gans.metrics.fidelity import gradient_energy, intersection, lab_histograms

Pair = tuple[Tensor, Tensor]


def drawn(module: Any, pairs: Pair) -> Tensor:
    """Returns what a generator makes of the sources."""
    parts = [module.draw(batch, seed=0)["fake"] for batch in zip(*(item.split(32) for item in pairs), strict=True)]
    return as_8_bit(torch.cat(parts))


def scores(fake: Tensor, target: Tensor) -> dict[str, Any]:
    """Returns histograms in common over all pixels and over colored ones, sharpness and distance."""
    target = as_8_bit(target)
    inside = (target < 1).any(1)
    colored = [image.transpose(0, 1)[:, inside].view(1, 3, 1, -1) for image in (fake, target)]
    return {
        "lab": intersection(lab_histograms(fake), lab_histograms(target)).tolist(),
        "lab_not_white": intersection(*(lab_histograms(pixels) for pixels in colored)).tolist(),
        "sharpness": (gradient_energy(fake).mean() / gradient_energy(target).mean()).item(),
        "l1": (fake - target).abs().mean().item(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs")
    parser.add_argument("--rows", type=int, default=8, help="drawings in the picture")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURES / "pix2pix_openmoji.png")
    args = parser.parse_args()

    data = OpenMojiDataModule(size=64, target="line", held_out=0.1)
    data.setup("fit")
    held_out: Pair = data.evaluation[torch.arange(len(data.evaluation))]
    trained_on: Pair = data.training[spread_evenly(len(data.evaluation), len(data.training))]
    rows = spread_evenly(args.rows, len(data.evaluation))
    columns, values, steps = [held_out[1][rows].expand(-1, 3, -1, -1)], {}, {}
    for run in args.runs:
        config = yaml.safe_load((run / "config.yaml").read_text())
        name = config["trainer"]["logger"]["init_args"]["name"]
        checkpoint = run / "checkpoints" / "last.ckpt"
        module: Any = LightningModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
        fake = drawn(module, held_out)
        values[name] = {
            "held_out": scores(fake, held_out[0]),
            "trained_on": scores(drawn(module, trained_on), trained_on[0]),
        }
        steps[name] = module.steps_taken
        columns.append(fake[rows])
        print(name, values[name])
    columns.append(held_out[0][rows])
    save_grid(torch.stack(columns, 1).flatten(0, 1), len(columns), args.picture)
    protocol = {
        "held_out": data.reference,
        "trained_on": f"{len(trained_on[0])} of the {len(data.training)} drawings trained on, spread evenly",
        "images": "8 bits per channel",
        "generator": "last weights, eval mode",
        "steps": steps,
    }
    write_record("pix2pix_colors", values, protocol, folder=args.results)


if __name__ == "__main__":
    main()
