"""Trains pix2pix with and without its parts, and compares the runs by color and sharpness.

    python -m benchmarks.experiments.pix2pix_ablation runs

RUNS is the folder for the runs; one that is there, `RUNS/NAME/version_0`, is not trained again. What follows goes to
`lightning-gans fit --config pix2pix_openmoji`.

The colors are compared over all pixels, as in the paper's figure 7, and over those that are not white in the target,
since most of an emoji is. Chroma, the distance from grey, over that of the targets tells how pale colors are. All are
measured on the drawings held out and on as many that were trained on.

Writes `results/pix2pix_ablation.json` and docs/images/pix2pix_openmoji.png: the source, what L1 alone, the adversary
alone and both make of it, and the target.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from benchmarks.recipes import train
from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans.datamodules import OpenMojiDataModule
from lightning_gans.datamodules.tensors import spread_evenly
from lightning_gans.metrics.features import as_8_bit
from lightning_gans.metrics.fidelity import gradient_energy, intersection, lab, lab_histograms

Pair = tuple[Tensor, Tensor]
RECIPE = "pix2pix_openmoji"
RUNS = {
    RECIPE: "",
    "pix2pix_l1": "--model.adversarial_weight=0",
    "pix2pix_gan": "--model.pixel_weight=0",
    "pix2pix_no_skips": "--model.generator.skips=false",
    "pix2pix_patch1": "--model.discriminator.receptive_field=1",
    "pix2pix_patch16": "--model.discriminator.receptive_field=16",
    "pix2pix_patch70": "--model.discriminator.receptive_field=70",
}
SHOWN = ("pix2pix_l1", "pix2pix_gan", RECIPE)


def trained(name: str, runs: Path, options: list[str]) -> Any:
    """Returns the module of a run, and trains it first where there is none."""
    checkpoint = runs / name / "version_0" / "checkpoints" / "last.ckpt"
    if not checkpoint.exists():
        folder = ["--trainer.logger.save_dir", str(runs), "--trainer.logger.name", name]
        train(RECIPE, *RUNS[name].split(), *folder, *options)
    return LightningModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()


def drawn(module: Any, pairs: Pair) -> Tensor:
    """Returns what a generator makes of the sources."""
    parts = [module.draw(batch, seed=0)["fake"] for batch in zip(*(item.split(32) for item in pairs), strict=True)]
    return as_8_bit(torch.cat(parts))


def scores(fake: Tensor, target: Tensor) -> dict[str, Any]:
    """Returns histograms in common over all pixels and over those that are not white, and three numbers more."""
    target = as_8_bit(target)
    inside = (target < 1).any(1)
    colored = [image.transpose(0, 1)[:, inside].view(1, 3, 1, -1) for image in (fake, target)]
    chroma = [lab(pixels)[:, 1:].norm(dim=1).mean().item() for pixels in colored]
    return {
        "lab": intersection(lab_histograms(fake), lab_histograms(target)).tolist(),
        "lab_not_white": intersection(*(lab_histograms(pixels) for pixels in colored)).tolist(),
        "chroma_not_white": chroma[0] / chroma[1],
        "sharpness": (gradient_energy(fake).mean() / gradient_energy(target).mean()).item(),
        "l1": (fake - target).abs().mean().item(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--rows", type=int, default=8, help="drawings in the picture")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURES / f"{RECIPE}.png")
    args, options = parser.parse_known_args()

    data = OpenMojiDataModule(size=64, target="line", held_out=0.1)
    data.setup("fit")
    held_out: Pair = data.evaluation[torch.arange(len(data.evaluation))]
    trained_on: Pair = data.training[spread_evenly(len(data.evaluation), len(data.training))]
    fakes: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for name in RUNS:
        module = trained(name, args.runs, options)
        fakes[name] = drawn(module, held_out)
        of_training = scores(drawn(module, trained_on), trained_on[0])
        values[name] = {"held_out": scores(fakes[name], held_out[0]), "trained_on": of_training}
        print(name, values[name])
    rows = spread_evenly(args.rows, len(data.evaluation))
    columns = [held_out[1].expand(-1, 3, -1, -1), *(fakes[name] for name in SHOWN), held_out[0]]
    save_grid(torch.stack([column[rows] for column in columns], 1).flatten(0, 1), 2 * len(columns), args.picture)
    protocol = {
        "held_out": data.reference,
        "trained_on": f"{len(trained_on[0])} of the {len(data.training)} drawings trained on, spread evenly",
        "images": "8 bits per channel",
        "generator": "last weights, eval mode",
        "steps": module.steps_taken,
        "options": RUNS,
    }
    write_record("pix2pix_ablation", values, protocol, module.seed, folder=args.results)


if __name__ == "__main__":
    main()
