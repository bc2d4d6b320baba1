"""Trains an adversarial autoencoder's recipe with and without its adversary, and draws what its codes hold.

    python -m benchmarks.experiments.aae aae_mnist RUNS
    python -m benchmarks.experiments.aae aae_style_mnist RUNS

RUNS is the folder for the runs. Without the adversary the encoder's rate against it is 0; all other settings are the
same. What follows goes to `lightning-gans fit`. Writes docs/images/RECIPE.png and `results/RECIPE.json`. The picture of
`aae_mnist`, whose code has two dimensions, is a map: the decoder's images at the quantiles of the prior. The picture of
`aae_style_mnist` has a style in each row, drawn from the prior, and a digit in each column.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from benchmarks.recipes import last_scores, train
from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans import AAE
from lightning_gans.metrics.digits import DigitClassifier

WITHOUT = ["--model.generator_optimizer.init_args.lr", "0"]
SIDE = 20  # of the map of digits
STYLES = 10


def trained(recipe: str, runs: Path, name: str, options: list[str]) -> tuple[AAE, dict[str, Any], dict[str, int]]:
    """Returns the trained module, its last scores with their protocols by scorer, and the seconds it took."""
    wall, processor = time.time(), time.process_time()
    logger = ["--trainer.logger.save_dir", str(runs), "--trainer.logger.name", f"{recipe}_{name}"]
    cli = train(recipe, *logger, *options)
    seconds = {"wall": round(time.time() - wall), "processor": round(time.process_time() - processor)}
    module: Any = cli.model
    return module.eval(), last_scores(cli), seconds


def decode(module: AAE, code: Tensor, label: Tensor) -> Tensor:
    """Returns the averaged decoder's images."""
    return module.draw((code, label), seed=0, latent=code)["fake"]


def map_of_codes() -> tuple[Tensor, Tensor]:
    """Returns codes at the quantiles of the prior, in both directions, with labels that nobody reads."""
    quantiles = Normal(0.0, 1.0).icdf((torch.arange(SIDE) + 0.5) / SIDE)
    code = torch.cartesian_prod(-quantiles, quantiles).flip(1)  # up is more
    return code, torch.zeros(len(code)).long()


def draws(module: AAE, count: int, seed: int) -> Tensor:
    """Draws codes from the prior."""
    return torch.randn(count, module.generator["encoder"].latent_dim, generator=torch.Generator().manual_seed(seed))


def styles_by_digit(module: AAE) -> tuple[Tensor, Tensor]:
    """Returns codes and labels: a style in each row, a digit in each column."""
    style = draws(module, STYLES, 0)
    return style.repeat_interleave(10, dim=0), torch.arange(10).repeat(STYLES)


def class_accuracy(module: AAE, count: int = 10000) -> float:
    """Returns the share of drawn digits that the digit classifier puts into the class asked for."""
    style, label = draws(module, count, 1), torch.arange(count) % 10
    network = DigitClassifier.pretrained()
    blocks = zip(style.split(1000), label.split(1000), strict=True)
    with torch.no_grad():
        return torch.cat([network(decode(module, z, k)).argmax(1) == k for z, k in blocks]).double().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=["aae_mnist", "aae_style_mnist"])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    args, options = parser.parse_known_args()

    module, scores, seconds = trained(args.recipe, args.runs, "adversary", options)
    code, label = styles_by_digit(module) if module.conditional else map_of_codes()
    columns, padding = (10, 2) if module.conditional else (SIDE, 0)
    save_grid(decode(module, code, label), columns, args.pictures / f"{args.recipe}.png", padding)
    plain, plain_scores, plain_seconds = trained(args.recipe, args.runs, "none", options + WITHOUT)

    values: dict[str, Any] = {
        scorer: {"with the adversary": scores[scorer]["scores"], "without": plain_scores[scorer]["scores"]}
        for scorer in scores
    }
    distances = {name: found["code_distance"] for name, found in values.pop("CodeDistance").items()}
    values["code_distance"] = distances | {"ratio": distances["without"] / distances["with the adversary"]}
    if module.conditional:
        values["class_accuracy"] = {
            "with the adversary": class_accuracy(module),
            "without": class_accuracy(plain),
        }
    values["seconds"] = {"with the adversary": seconds, "without": plain_seconds}
    protocol = {scorer: entry["protocol"] for scorer, entry in scores.items()}
    write_record(args.recipe, values, protocol, module.seed, folder=args.results)
    print(json.dumps(values, indent=2))


if __name__ == "__main__":
    main()
