"""Plays the game min_x max_y xy with and without historical averaging (Salimans et al., 2016).

    python -m benchmarks.experiments.historical_averaging

The players take gradient steps in turn, from (1, 1). Writes docs/images/historical_averaging.png and
`results/historical_averaging.json`.
"""

import json
import math
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib
import torch
from lightning import Callback, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.recipes import quieten
from benchmarks.record import PICTURES, write_record
from lightning_gans import AdversarialModule
from lightning_gans.regularizers import HistoricalAveraging

WEIGHT, RATE, ROUNDS = 0.1, 0.1, 1000


class Number(nn.Module):
    """One number as a player."""

    latent_dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones(()))


class Product(AdversarialModule):
    """Game min_x max_y xy; the generator is x, the discriminator y."""

    def discriminator_loss(self, batch: Any) -> dict[str, Tensor]:
        return {"adversarial": -self.generator.value * self.discriminator.value}

    def generator_loss(self, batch: Any) -> dict[str, Tensor]:
        return {"adversarial": self.generator.value * self.discriminator.value}


class Path2D(Callback):
    """List of where the players are after each round."""

    def __init__(self) -> None:
        self.points = [(1.0, 1.0)]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.points.append((pl_module.generator.value.item(), pl_module.discriminator.value.item()))


def play(*regularizers: Any) -> list[tuple[float, float]]:
    """Returns where the players are after each round, from (1, 1)."""

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
    figure.savefig(PICTURES / "historical_averaging.png", dpi=100)


def main() -> None:
    quieten()
    torch.set_num_threads(1)
    paths = {"plain": play(), "historical averaging": play(HistoricalAveraging(WEIGHT))}
    draw(paths)
    distances = {
        label: {str(r): math.hypot(*points[r]) for r in range(0, ROUNDS + 1, 100)} for label, points in paths.items()
    }
    protocol = {"learning_rate": RATE, "weight": WEIGHT, "rounds": ROUNDS, "start": [1, 1]}
    write_record("historical_averaging", {"distance_by_round": distances}, protocol)
    print(json.dumps(distances, indent=2))


if __name__ == "__main__":
    main()
