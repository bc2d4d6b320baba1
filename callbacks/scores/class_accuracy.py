"""Accuracy of a variant that sorts images."""

from typing import Any

from jaxtyping import Float, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lightning_gans.callbacks.drawn import classes_of
from lightning_gans.callbacks.evaluation_data import reference_of
from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_rows


class ClassAccuracy(Scorer):
    """Scores `classify(image)` of the variant, logits (b, k), against the labels, while Lightning validates or tests.

    Logs `accuracy`, the share of images whose largest logit is their label; or, for classes that were found without
    labels, `matched_accuracy`, the share after the best one-to-one matching of classes with labels (Kuhn, 1955).
    The discriminator works in eval mode, with its last weights.

    Args:
        matching: Whether to match first, for classes without names.
    """

    needs = ("classify",)

    def __init__(self, matching: bool = False):
        self.matching = matching

    def check(self, pl_module: Any, outputs: Any, batch: Batch) -> None:
        if classes_of(pl_module, batch) is None:
            raise ValueError(
                f"`ClassAccuracy` needs batches (image, label) with the class of each image, got {len(batch)} items "
                "without it: leave it out, or give labels."
            )

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        self._guesses: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        label: Any = classes_of(pl_module, batch)
        self._guesses.append(pl_module.classify(pl_module.real(batch)).argmax(1))
        self._labels.append(label)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        guess, label = (gather_rows(parts, trainer) for parts in (self._guesses, self._labels))
        table = confusion(guess, label)
        right = matched(table) if self.matching else table.diagonal().sum().item()
        name = "matched_accuracy" if self.matching else "accuracy"
        return {name: right / len(label)}, {
            "classifier": f"{type(pl_module).__name__}.classify, last weights, eval mode",
            "reference": reference_of(trainer, stage),
            "num_images": len(label),
            "generator": "draws nothing",
        }


def confusion(guess: Int64[Tensor, " n"], label: Int64[Tensor, " n"]) -> Int64[Tensor, "k k"]:
    """Counts the images of each label (row) that were given each class (column)."""
    size = int(max(guess.max(), label.max())) + 1
    return (label * size + guess).bincount(minlength=size * size).view(size, size)


def matched(table: Int64[Tensor, "k k"] | Float[Tensor, "k k"]) -> float:
    """Counts the images that are right under the best one-to-one matching of classes with labels."""
    counts = table.cpu().numpy()
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum())
