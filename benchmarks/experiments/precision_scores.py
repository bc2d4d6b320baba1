"""Compares the scores of a recipe in float32 and in bf16, seed by seed.

    python -m benchmarks.experiments.precision_scores --recipe dcgan_mnist --seeds 0 1 2

Further arguments are options of the recipe, such as `--trainer.max_steps 1250` for shorter runs.

Where the hardware has bf16 the second run of each pair is `bf16-mixed`. Elsewhere that takes 10 times as long, so the
rounding of bf16 is imitated in float32: the inputs, weights and outputs of every convolution, linear layer, batch norm
and activation are rounded to bf16, and so are the gradients that flow back through them. Sums run in float32, as they
do under autocast on hardware with bf16.
"""

import argparse
import statistics
import tempfile

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.utils import parametrize

from benchmarks.recipes import last_scores, train
from lightning_gans.mechanics.precision import fast_precision


class Round(torch.autograd.Function):
    """Rounding to bf16, forward and backward."""

    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        return x.bfloat16().to(x.dtype)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        return gradient.bfloat16().to(gradient.dtype)


class RoundWeight(nn.Module):
    """Rounding of a weight in training; scores are taken in full precision."""

    def forward(self, weight: Tensor) -> Tensor:
        return Round.apply(weight) if self.training else weight


class SimulatedBF16(Callback):
    """Rounding of all that autocast computes in bf16."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        networks = (pl_module.generator, pl_module.discriminator, pl_module.generator_ema)
        for network in networks:  # of the average the weights alone, so that all parameters keep the same order
            for layer in [part for part in network.modules() if not list(part.children())]:
                if network is not pl_module.generator_ema:
                    layer.register_forward_pre_hook(lambda layer, inputs: tuple(map(Round.apply, inputs)))
                    layer.register_forward_hook(lambda layer, inputs, output: Round.apply(output))
                if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                    parametrize.register_parametrization(layer, "weight", RoundWeight(), unsafe=True)


def score(recipe: str, seed: int, precision: str, folder: str, further: list[str]) -> dict[str, float]:
    """Trains the recipe and returns its last scores."""
    options = [f"--seed_everything={seed}", f"--trainer.logger.init_args.save_dir={folder}", *further]
    if precision == "simulated bf16":
        options += ["--trainer.precision=32-true", "--trainer.callbacks+=__main__.SimulatedBF16"]
    else:
        options += [f"--trainer.precision={precision}"]
    return last_scores(train(recipe, *options))["GenerativeMetrics"]["scores"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", default="dcgan_mnist")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args, further = parser.parse_known_args()
    low = "bf16-mixed" if fast_precision()[0] == "bf16-mixed" else "simulated bf16"
    results: dict[str, list[dict[str, float]]] = {"32-true": [], low: []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in args.seeds:
            for precision, scores in results.items():
                scores.append(score(args.recipe, seed, precision, folder, further))
    print(f"\n{args.recipe} {' '.join(further)}, seeds {args.seeds}: mean (standard deviation)")
    for precision, scores in results.items():
        for name in ("fid", "inception_score"):
            values = [entry[name] for entry in scores]
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            listed = ", ".join(f"{value:.3f}" for value in values)
            print(f"{precision:<16} {name:<16} {statistics.mean(values):.3f} ({spread:.3f}): {listed}")


if __name__ == "__main__":
    main()
