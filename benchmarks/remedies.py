"""What historical averaging (Salimans et al., 2016) does in the game min_x max_y xy.

The players take gradient steps in turn, from (1, 1), with and without it.

    python benchmarks/remedies.py
"""

import json
import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib
import torch
from lightning import Callback, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from unrolled_ring import machine, quieten

from lightning_gans import AdversarialModule
from lightning_gans.regularizers import HistoricalAveraging

ROOT = Path(__file__).parents[1]
PICTURE, RESULTS = ROOT / "docs/images/historical_averaging.png", ROOT / "benchmarks/results/remedies.json"
WEIGHT, RATE, ROUNDS = 0.1, 0.1, 1000


class Number(nn.Module):
    """A player that is one number."""

    latent_dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones(()))


class Product(AdversarialModule):
    """min_x max_y xy; the generator is x, the discriminator y."""

    def discriminator_loss(self, batch: Any) -> dict[str, Tensor]:
        return {"adversarial": -self.generator.value * self.discriminator.value}

    def generator_loss(self, batch: Any) -> dict[str, Tensor]:
        return {"adversarial": self.generator.value * self.discriminator.value}


class Path2D(Callback):
    """Notes where the players are after each round."""

    def __init__(self) -> None:
        self.points = [(1.0, 1.0)]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.points.append((pl_module.generator.value.item(), pl_module.discriminator.value.item()))


def play(*regularizers: Any) -> list[tuple[float, float]]:
    """Where the players are after each round, from (1, 1)."""

    def descent(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=RATE)

    module = Product(
        generator=Number(),
        discriminator=Number(),
        generator_optimizer=descent,
        discriminator_optimizer=descent,
        ema_halflife=0.0,
        regularizers=regularizers,
    )
    path = Path2D()
    with TemporaryDirectory() as folder:
        quiet: dict[str, Any] = dict.fromkeys(
            ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
        )
        options = {"accelerator": "cpu", "max_epochs": 1, "callbacks": [path], "default_root_dir": folder}
        Trainer(**options, **quiet).fit(module, DataLoader(torch.zeros(ROUNDS, 1), 1))  # type: ignore[arg-type]
    return path.points


def draw(paths: dict[str, list[tuple[float, float]]]) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (plane, distance) = pyplot.subplots(1, 2, figsize=(8, 3.7))
    for label, points in paths.items():
        plane.plot(*zip(*points, strict=True), label=label, linewidth=0.8)
        distance.semilogy([math.hypot(*point) for point in points], label=label)
    plane.plot(0, 0, "k+")
    plane.set(xlabel="x", ylabel="y", title="min over x, max over y of xy", aspect="equal")
    distance.set(xlabel="round", ylabel="distance from the equilibrium")
    distance.grid(alpha=0.3)
    distance.legend()
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=100)


def game() -> dict[str, Any]:
    start = time.perf_counter()
    paths = {"plain": play(), "historical averaging": play(HistoricalAveraging(WEIGHT))}
    draw(paths)
    distances = {
        label: {str(r): math.hypot(*points[r]) for r in range(0, ROUNDS + 1, 100)} for label, points in paths.items()
    }
    protocol = {"learning_rate": RATE, "weight": WEIGHT, "rounds": ROUNDS, "start": [1, 1]}
    return {"protocol": protocol, "distance_by_round": distances, "wall_seconds": time.perf_counter() - start}


def main() -> None:
    quieten()
    results = {"machine": machine(), "historical_averaging": game()}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
