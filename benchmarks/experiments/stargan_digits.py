"""Scores what StarGAN makes of digits held out, where the truth of every edit is known, and draws it beside the truth.

    lightning-gans fit --config stargan_digits
    lightning-gans fit --config stargan_digits --model.class_weight 0 --trainer.logger.name stargan_no_class
    lightning-gans fit --config stargan_digits --model.cycle_weight 0 --trainer.logger.name stargan_no_cycle
    python -m benchmarks.experiments.stargan_digits runs/stargan_digits/version_0 runs/stargan_no_class/version_0 \\
        runs/stargan_no_cycle/version_0

Each digit goes to each of the 17 domains that it is not in. Color, stroke and slant are read from the pixels: that of
the three colors, two widths and three slants which is nearest to what is measured. `digit` is the share whose digit the
digit classifier still reads, `l1` the mean distance from the truth, in [0, 2]. The truth is read in the same way, and
so is the image itself, which is what doing nothing would score. Writes `results/<name of the run>_<seed>.json` for each
run, and docs/images/stargan_digits.png: two digits, each with its truth in all domains, and a row for each run below.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float, Int64
from lightning import LightningModule
from torch import Tensor

from benchmarks.record import PICTURES, save_grid, write_record
from lightning_gans import StarGAN
from lightning_gans.datamodules.edited_digits import (
    COLORS,
    DOMAINS,
    SLANTS,
    STROKES,
    EditedDigits,
    EditedDigitsDataModule,
)
from lightning_gans.mechanics.precision import fast_precision
from lightning_gans.metrics.digits import DigitClassifier
from lightning_gans.metrics.features import as_8_bit
from lightning_gans.metrics.strokes import slant, thickness

SHOWN = 2  # digits of the picture, the first held out
DARK = 0.1  # of white; what is less counts as black, since a haze over the whole image would shift its moments


def ink(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Returns the strokes without their color, in [-1, 1]."""
    bright = image.amax(1, keepdim=True)
    return bright.where(bright > 2 * DARK - 1, -1.0)


def nearest(measured: Float[Tensor, "b k"], known: Float[Tensor, "n k"]) -> Int64[Tensor, " b"]:
    """Returns the number of the row of `known` that is nearest to each row."""
    return torch.cdist(measured, known).argmin(1)


def read(image: Float[Tensor, "b 3 h w"]) -> dict[str, Int64[Tensor, " b"]]:
    """Reads color, stroke, slant and digit from the pixels."""
    strokes = ink(image)
    colors = torch.tensor(list(COLORS.values()))
    amounts = (image + 1).where(strokes > -1, 0.0).sum((2, 3))
    return {
        "color": nearest(amounts / amounts.sum(1, keepdim=True).clamp(min=1e-6), colors / colors.sum(1, keepdim=True)),
        "stroke": nearest(thickness(strokes)[:, None], torch.tensor(list(STROKES.values()))[:, None]),
        "slant": nearest(slant(strokes)[:, None], torch.tensor(list(SLANTS.values()))[:, None]),
        "digit": DigitClassifier.pretrained()(strokes).argmax(1),
    }


def scores(
    image: Float[Tensor, "b 3 h w"], truth: Float[Tensor, "b 3 h w"], domain: Int64[Tensor, " b"], digit: Tensor
) -> dict[str, float]:
    """Scores edits by what is to be read from them, and by their truth."""
    found = read(as_8_bit(image))
    wanted = {"color": domain // 6, "stroke": domain // 3 % 2, "slant": domain % 3, "digit": digit}
    right = {name: found[name] == wanted[name] for name in wanted}
    right["all three"] = right["color"] & right["stroke"] & right["slant"]
    shares = {name: share.double().mean().item() for name, share in right.items()}
    return shares | {"l1": (image - truth).abs().double().mean().item()}


def edits(module: StarGAN, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n 3 h w"]:
    """Returns images in all domains."""
    label = torch.zeros(len(image), dtype=torch.long)
    parts = zip(image.split(100), label.split(100), strict=True)
    return torch.cat([module.draw(part, 0)["edits"][:, 1:] for part in parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs")
    parser.add_argument("--picture", type=Path, default=PICTURES / "stargan_digits.png")
    args = parser.parse_args()

    data = EditedDigitsDataModule()
    data.setup("fit")
    held_out: Any = data.evaluation
    assert isinstance(held_out, EditedDigits)
    count = len(held_out)
    image, label = held_out[torch.arange(count)]
    index = torch.arange(count).repeat_interleave(len(DOMAINS))
    domain = torch.arange(len(DOMAINS)).repeat(count)
    truth = held_out.edited(index, domain)
    others = domain != label[index]

    def scored(drawn: Float[Tensor, "n 3 h w"]) -> dict[str, float]:
        return scores(drawn[others], truth[others], domain[others], held_out.digit[index[others]])

    baselines = {"truth": scored(truth), "copy": scored(image[index])}
    rows = [truth.unflatten(0, (count, len(DOMAINS)))[:SHOWN]]
    for run in args.runs:
        config = yaml.safe_load((run / "config.yaml").read_text())
        module = LightningModule.load_from_checkpoint(run / "checkpoints" / "last.ckpt", "cpu", weights_only=True)
        if not isinstance(module, StarGAN):
            parser.error(f"{run} holds no StarGAN.")
        drawn = edits(module, image)
        rows.append(drawn[:SHOWN])
        values = {"edits": scored(drawn.flatten(0, 1)), **baselines}
        protocol = {
            "edits": f"{data.reference}, each in the 17 other domains; 8 bits per channel",
            "read": f"nearest of {COLORS}, {STROKES} and {SLANTS}; below {DARK} of white is black",
            "generator": "last weights" if module.generator_ema is None else "moving average (EMA)",
            "trained_in": config["trainer"]["precision"] or f"{fast_precision()[0]}, if on this machine",
            "images_seen": module.images_seen,
            "steps": config["trainer"]["max_steps"],
        }
        name, seed = config["trainer"]["logger"]["init_args"]["name"], config["seed_everything"]
        write_record(f"{name}_{seed}", values, protocol, seed)
        print(name, json.dumps(values, indent=2))
    inputs = image[:SHOWN][:, None, None].expand(-1, len(rows), -1, -1, -1, -1)
    table = torch.cat([inputs, torch.stack(rows, 1)], 2)  # digit, row, column
    enlarged = table.flatten(0, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    save_grid(enlarged, 1 + len(DOMAINS), args.picture, padding=4)


if __name__ == "__main__":
    main()
