"""Quality against diversity, by how far latents may lie from their mean."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from lightning import Trainer
from matplotlib.figure import Figure
from torch import Tensor

from lightning_gans.callbacks.drawn import fake_images, looking
from lightning_gans.callbacks.pictures import near_square_grid, to_uint8
from lightning_gans.callbacks.run_folder import results_folder, writes
from lightning_gans.callbacks.scores.real_features import RealFeatures
from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.callbacks.words import words
from lightning_gans.mechanics.files import cache_folder
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_objects, gather_rows
from lightning_gans.mechanics.randomness import global_seed, mix
from lightning_gans.metrics.features import Network, extract, feature_network
from lightning_gans.metrics.float64 import as_float64
from lightning_gans.metrics.images import image_statistics, within_class_diversity
from lightning_gans.metrics.scores import SCORES, Features, compute_scores

MEASURES = ("fid", "inception_score", "precision_recall", "density_coverage")
MANY = 100  # classes; of more no confidence is told one by one
STATISTICS = ("brightness", "contrast", "sharpness")
CHANGES = (*STATISTICS, "confidence", "within_class_diversity")
"""Numbers whose change with the threshold is drawn."""
QUALITY_DIVERSITY = (("inception_score", "fid"), ("recall", "precision"), ("coverage", "density"))
"""Pairs of a curve, x and y; without a classifier `recall` takes the place of `inception_score`."""


class TruncationSweep(Scorer):
    """Scores samples whose latents are drawn from ever narrower parts of the normal distribution, at a test.

    A latent beyond the threshold is drawn again, which trades diversity for quality (Brock et al., 2019, section 3.1,
    https://arxiv.org/abs/1809.11096). With StyleGAN the threshold is psi, the share of the distance of styles from
    their mean that is left (Karras et al., 2019, appendix B, https://arxiv.org/abs/1812.04948). For each threshold
    there are FID, precision and recall, density and coverage; for a network with a classifier the Inception Score, the
    mean `confidence` of its guesses, also class by class, and the `within_class_diversity` (mean squared distance in
    features); and the samples' mean brightness, contrast and sharpness.

    Writes `truncation.csv`, with the protocol above the table, `truncation.png`, the curves of quality against
    diversity, and `truncation_samples.png`, the same latents' samples at each threshold, beside `metrics.json`, which
    gets the lowest FID and its threshold. As many samples are drawn as there are test images, by all processes
    together, which also share the thresholds to be scored.

    Args:
        thresholds: In standard deviations, and above 0, or as psi, of which 0 draws the mean style alone; the largest
            comes last.
        features: See `GenerativeMetrics`.
        num_images: Samples shown at each threshold.
        cache: See `GenerativeMetrics`.
    """

    stages = ("test",)
    needs = ("generate",)

    def __init__(
        self,
        thresholds: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0),
        features: Network = "digits",
        num_images: int = 16,
        cache: str | None = "default",
    ) -> None:
        if len(thresholds) < 2 or min(thresholds) < 0 or list(thresholds) != sorted(set(thresholds)):
            raise ValueError(f"`thresholds` must be at least 2 rising numbers from 0 on, got {list(thresholds)}.")
        if num_images < 1:
            raise ValueError(f"`num_images` must be at least 1, got {num_images}.")
        self.thresholds = list(thresholds)
        self.network = feature_network(features)
        self.num_images = num_images
        self.cache = cache

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        with pl_module.truncated(self.thresholds[0]):  # refuses a 0 for latents
            pass
        self.network.to(trainer.strategy.root_device)
        self.real = RealFeatures(self.network, cache_folder(self.cache))

    def check(self, pl_module: Any, outputs: Any, batch: Batch) -> None:
        fake_images("TruncationSweep", pl_module, outputs)

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        self._parts: list[dict[str, list[Tensor]]] = [{} for _ in self.thresholds]
        self._grids: list[Tensor] = []
        self.real.begin(stage, trainer, pl_module)

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        first: Tensor | None = None
        for threshold, kept in zip(self.thresholds, self._parts, strict=True):
            with pl_module.truncated(threshold):
                fake = pl_module.draw(batch, mix(global_seed(), index))["fake"]
            if threshold == self.thresholds[-1] and first is not None and torch.equal(fake, first):
                raise ValueError(
                    f"`TruncationSweep` needs samples of normal latents, and {type(pl_module).__name__} draws the same "
                    "at every threshold: leave it out."
                )
            first = fake if first is None else first
            with looking("TruncationSweep", self.network):
                features, logits = extract(self.network, fake)
            parts = {"features": features, **image_statistics(fake)} | ({} if logits is None else {"logits": logits})
            for name, part in parts.items():
                kept.setdefault(name, []).append(part)
            if index == 0:
                self._grids.append(near_square_grid(to_uint8(fake[: self.num_images])))
        self.real.add(stage, pl_module, batch)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        real = self.real.all(stage, trainer)
        gathered = [{name: gather_rows(part, trainer) for name, part in parts.items()} for parts in self._parts]
        own = {
            row: measures(real, gathered[row])
            for row in range(trainer.global_rank, len(self.thresholds), trainer.world_size)
        }
        found = {row: values for part in gather_objects(own, trainer) for row, values in part.items()}
        self.rows = [{"threshold": threshold} | found[row] for row, threshold in enumerate(self.thresholds)]
        best = min(self.rows, key=lambda row: row["fid"])
        scores = {"truncated_fid": best["fid"], "truncated_fid_threshold": best["threshold"]}
        if "inception_score" in best:
            best = max(self.rows, key=lambda row: row["inception_score"])
            scores |= {
                "truncated_inception_score": best["inception_score"],
                "truncated_inception_score_threshold": best["threshold"],
            }
        cut = f"{pl_module.truncation}, thresholds {self.thresholds}"
        return scores, {"truncation": cut} | self.real.protocol(stage, trainer, len(gathered[0]["features"]))

    def record(self, stage: str, trainer: Any, pl_module: Any) -> None:
        super().record(stage, trainer, pl_module)
        folder = results_folder(trainer)
        if writes(trainer):
            assert self._entry is not None
            write_table(folder / "truncation.csv", self.rows, self._entry["protocol"])
            draw_curves(folder / "truncation.png", self.rows)
            draw_grids(folder / "truncation_samples.png", self.thresholds, self._grids)


def measures(real: Features, fake: dict[str, Tensor]) -> dict[str, float]:
    """Returns all numbers of the samples of one threshold."""
    samples = Features(fake["features"], fake.get("logits"))
    scores = compute_scores([name for name in MEASURES if SCORES[name].possible(real, samples)], real, samples)
    if samples.logits is not None:
        confidence, guess = as_float64(samples.logits).softmax(1).max(1)
        scores["confidence"] = confidence.mean().item()
        for c in range(samples.logits.shape[1] if samples.logits.shape[1] <= MANY else 0):
            sure = confidence[guess == c]
            scores[f"confidence_{c}"] = sure.mean().item() if len(sure) else float("nan")
        scores["within_class_diversity"] = within_class_diversity(as_float64(samples.features), guess)
    return scores | {name: as_float64(fake[name]).mean().item() for name in STATISTICS}


def write_table(path: Path, rows: list[dict[str, float]], protocol: dict[str, Any]) -> None:
    """Writes the rows as comma-separated values, below the protocol in lines that begin with #."""
    with path.open("w", newline="") as file:
        file.writelines(f"# {name}: {fact}\n" for name, fact in protocol.items())
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def curves_of(rows: list[dict[str, float]]) -> Iterator[tuple[str, str]]:
    """Yields the names of the numbers along both axes of each curve that these rows allow."""
    for x, y in QUALITY_DIVERSITY:
        x = x if x in rows[0] else "recall"
        if x in rows[0] and y in rows[0]:
            yield x, y


def draw_curves(path: Path, rows: list[dict[str, float]]) -> None:
    """Draws quality against diversity, and how the images change, over thresholds."""
    threshold = [row["threshold"] for row in rows]
    figure = Figure(figsize=(11, 8), layout="constrained")
    panels = figure.subplots(2, 2).flatten()
    for panel, (x, y) in zip(panels, curves_of(rows), strict=False):
        values = [row[x] for row in rows], [row[y] for row in rows]
        panel.plot(*values, "o-", color="tab:blue", markersize=4)
        reach = max(values[0]) - min(values[0]) or 1, max(values[1]) - min(values[1]) or 1
        named: list[tuple[float, float]] = []
        for place, step in reversed(list(zip(zip(*values, strict=True), threshold, strict=True))):
            near = [max(abs(place[0] - x) / reach[0], abs(place[1] - y) / reach[1]) < 0.06 for x, y in named]
            if any(near):
                continue  # its name would stand on another's
            named.append(place)
            panel.annotate(f"{step:g}", place, xytext=(4, 4), textcoords="offset points", fontsize=8)
        panel.set(xlabel=words(x), ylabel=words(y), title=f"{words(y)} against {words(x)}, by threshold")
    for name in CHANGES:
        if name in rows[0] and rows[-1][name]:
            panels[3].plot(threshold, [row[name] / rows[-1][name] for row in rows], ".-", label=words(name))
    panels[3].set(xlabel="threshold", title=f"Relative to the samples at {threshold[-1]:g}")
    panels[3].legend(frameon=False)
    for panel in panels:
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def draw_grids(path: Path, thresholds: list[float], grids: list[UInt8[Tensor, "3 height width"]]) -> None:
    """Draws the samples of each threshold under its name, side by side."""
    figure = Figure(figsize=(2 * len(grids), 2.3), layout="constrained")
    for panel, threshold, grid in zip(figure.subplots(1, len(grids)), thresholds, grids, strict=True):
        panel.imshow(grid.permute(1, 2, 0).numpy(), interpolation="nearest")
        panel.set_title(f"{threshold:g}", fontsize=10)
        panel.set_axis_off()
    figure.savefig(path, dpi=110)
