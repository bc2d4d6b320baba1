"""Train an adversarial autoencoder's recipe with and without its adversary, and draw what the codes hold.

    python benchmarks/aae.py aae_mnist RUNS
    python benchmarks/aae.py aae_style_mnist RUNS

RUNS is the folder for the runs. Without the adversary the encoder's rate against it is 0, all else is the same. Writes
docs/images/RECIPE.png and benchmarks/results/RECIPE.json. The picture of a code of two dimensions decodes the quantiles
of the prior on a grid. The other has a style in each row, a draw from the prior, and a digit in each column.
"""

import argparse
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from lightning_gans import AAE
from lightning_gans.__main__ import main as program
from lightning_gans.callbacks.sample_grid import to_uint8
from lightning_gans.metrics.digits import DigitClassifier

ROOT = Path(__file__).parent.parent
WITHOUT = ["--model.generator_optimizer.init_args.lr", "0"]
SIDE = 20  # of the map of digits
STYLES = 10


def train(recipe: str, runs: Path, name: str, options: list[str]) -> tuple[AAE, dict[str, Any], dict[str, int]]:
    """The trained module, its last scores with their protocols by scorer, and the seconds it took."""
    wall, processor = time.time(), time.process_time()
    logger = ["--trainer.logger.save_dir", str(runs), "--trainer.logger.name", f"{recipe}_{name}"]
    cli = program(["fit", "--config", recipe, *logger, *options])
    entries = json.loads((Path(cli.trainer.log_dir) / "metrics.json").read_text())
    last = {entry["scorer"]: entry for entry in entries if entry["step"] == cli.trainer.max_steps}
    seconds = {"wall": round(time.time() - wall), "processor": round(time.process_time() - processor)}
    return cli.model.eval(), last, seconds


@torch.no_grad()
def decode(module: AAE, code: Tensor, label: Tensor) -> Tensor:
    """The averaged decoder's images."""
    with module.averaged():
        return module.decode(code, (code, label))


def draw_map(module: AAE) -> Tensor:
    """Digits at the quantiles of the prior, in both directions."""
    quantiles = Normal(0.0, 1.0).icdf((torch.arange(SIDE) + 0.5) / SIDE)
    code = torch.cartesian_prod(-quantiles, quantiles).flip(1)  # up is more
    return make_grid(to_uint8(decode(module, code, torch.zeros(len(code)).long())), SIDE, padding=0)


def draw_styles(module: AAE) -> Tensor:
    """A style in each row, a digit in each column."""
    style = torch.randn(STYLES, module.latent_dim, generator=torch.Generator().manual_seed(0))
    images = decode(module, style.repeat_interleave(10, dim=0), torch.arange(10).repeat(STYLES))
    return make_grid(to_uint8(images), 10, padding=2, pad_value=255)


def share_of_told_digits(module: AAE, count: int = 10000) -> float:
    """How many of the digits drawn in a class the digit classifier puts into it."""
    style = torch.randn(count, module.latent_dim, generator=torch.Generator().manual_seed(1))
    label = torch.arange(count) % 10
    network = DigitClassifier.pretrained()
    with torch.no_grad():
        blocks = zip(style.split(1000), label.split(1000), strict=True)
        return torch.cat([network(decode(module, z, k)).argmax(1) == k for z, k in blocks]).double().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=["aae_mnist", "aae_style_mnist"])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--pictures", type=Path, default=ROOT / "docs" / "images")
    args, options = parser.parse_known_args()

    module, scores, seconds = train(args.recipe, args.runs, "adversary", options)
    picture = draw_styles(module) if module.conditional else draw_map(module)
    args.pictures.mkdir(parents=True, exist_ok=True)
    to_pil_image(picture[:1]).save(args.pictures / f"{args.recipe}.png", optimize=True)
    plain, plain_scores, plain_seconds = train(args.recipe, args.runs, "none", options + WITHOUT)

    distances = {
        "with the adversary": scores["CodeDistance"]["scores"]["code_distance"],
        "without": plain_scores["CodeDistance"]["scores"]["code_distance"],
    }
    value: dict[str, Any] = {
        "code_distance": distances | {"ratio": distances["without"] / distances["with the adversary"]}
    }
    for other in ("GenerativeMetrics", "NearestNeighborAccuracy"):
        if other in scores:
            value[other] = {
                "with the adversary": scores[other]["scores"],
                "without": plain_scores[other]["scores"],
            }
    if module.conditional:
        value["share of drawn digits that the classifier puts into the class told"] = {
            "with the adversary": share_of_told_digits(module),
            "without": share_of_told_digits(plain),
        }
    results = {
        "measured": "squared Frechet distance between the codes of the digits and the prior, and scores of both runs",
        "value": value,
        "protocol": {scorer: entry["protocol"] for scorer, entry in scores.items()},
        "time_s": {"with the adversary": seconds, "without": plain_seconds},
        "seed": module.seed,
        "command": shlex.join(["python", "benchmarks/aae.py", *sys.argv[1:]]),
    }
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / f"{args.recipe}.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(value, indent=2))


if __name__ == "__main__":
    main()
