"""Times the Frechet distance of 2048 features against torchmetrics' and torch-fidelity's, side by side.

    python -m benchmarks.speed.frechet

At 5,000 images each starts from means and covariances. At 1,000 images this package starts from the features, and the
others still from means and covariances. The runs of one round follow each other; a ratio is the median over rounds.
Writes `results/frechet.json`.
"""

import json
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image import FrechetInceptionDistance

from benchmarks.record import write_record
from lightning_gans.metrics import frechet_distance, frechet_distance_of_moments
from lightning_gans.metrics.frechet import covariance

SIZE, ROUNDS = 2048, 3


class Same(nn.Module):
    num_features = SIZE

    def forward(self, features: Tensor) -> Tensor:
        return features


def features(count: int) -> tuple[Tensor, Tensor]:
    """Draws two sets of correlated features."""
    torch.manual_seed(0)
    mix = torch.eye(SIZE) + torch.randn(SIZE, SIZE) / 50
    return torch.randn(count, SIZE) @ mix, 1.1 * torch.randn(count, SIZE) + 0.05


def ours(real: Tensor, fake: Tensor) -> tuple[float, float]:
    started = time.monotonic()
    return frechet_distance(real, fake), time.monotonic() - started


def torchmetrics(real: Tensor, fake: Tensor) -> tuple[float, float]:
    metric = FrechetInceptionDistance(Same()).set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    started = time.monotonic()
    return metric.compute().item(), time.monotonic() - started


def torch_fidelity(real: Tensor, fake: Tensor) -> tuple[float, float]:
    moments = [fid_features_to_statistics(rows) for rows in (real, fake)]
    started = time.monotonic()
    distance = fid_statistics_to_metric(*moments, verbose=False)["frechet_inception_distance"]
    return float(distance), time.monotonic() - started


def ours_of_moments(real: Tensor, fake: Tensor) -> tuple[float, float]:
    moments = [part for rows in (real.double(), fake.double()) for part in (rows.mean(0), covariance(rows))]
    started = time.monotonic()
    return frechet_distance_of_moments(*moments), time.monotonic() - started


def main() -> None:
    warnings.filterwarnings("ignore")
    found: dict[str, float] = {}
    for count, own in ((5000, ours_of_moments), (1000, ours)):
        contenders: dict[str, Callable] = {"ours": own, "torchmetrics": torchmetrics, "torch_fidelity": torch_fidelity}
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        values: dict[str, float] = {}
        for _ in range(ROUNDS):
            for name, run in contenders.items():
                values[name], taken = run(*features(count))
                seconds[name].append(taken)
                print(f"{count} {name}: {values[name]:.9f} in {taken:.2f} s", flush=True)
        for name in ("torchmetrics", "torch_fidelity"):
            ratios = [theirs / ours for theirs, ours in zip(seconds[name], seconds["ours"], strict=True)]
            found[f"{name}_over_ours_{count}"] = statistics.median(ratios)
            found[f"{name}_relative_difference_{count}"] = abs(values[name] / values["ours"] - 1)
        found[f"seconds_{count}"] = statistics.median(seconds["ours"])
    protocol = {
        "features": f"{SIZE}, normal, correlated",
        "timed": "from means and covariances at 5000 images; at 1000 ours from features, theirs from moments",
    }
    write_record("frechet", found, protocol, seed=0)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
