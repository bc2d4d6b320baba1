"""The scores as metrics of torchmetrics, for any loop."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lightning_gans.metrics.features import Network, Watching, extract, feature_network
from lightning_gans.metrics.scores import Features, compute_scores, find_score


class FeatureScores(Watching, Metric):
    """Any scores of samples against real images, from one pass through one feature network.

        scores = FeatureScores(["fid", "precision_recall"], features="inception")
        scores.update(real_images, real=True)
        scores.update(samples, real=False)
        scores.compute()     # {"fid": ..., "precision": ..., "recall": ...}

    Images are float (b, c, h, w) in [-1, 1] and are scored as 8 bits would store them. Values are computed in float64
    and do not depend on the order of images, on batch sizes or on the number of processes, over which features are
    gathered. Memory holds the features of all images, 4 bytes a number.

    Args:
        scores: Names out of `lightning_gans.metrics.SCORES`.
        features: `digits`, `inception`, or a module that maps images to features (b, k); one with a method
            `features_and_logits(image)` has a classifier too.
        kwargs: See `torchmetrics.Metric`.
    """

    higher_is_better = None
    is_differentiable = False
    full_state_update = False

    def __init__(self, scores: Sequence[str] = ("fid",), features: Network = "inception", **kwargs: Any):
        super().__init__(**kwargs)
        self.scores = [scores] if isinstance(scores, str) else list(scores)
        needs = {need for name in self.scores for need in find_score(name).needs}
        self.network = feature_network(features)
        if "logits" in needs and not getattr(self.network, "has_logits", hasattr(self.network, "features_and_logits")):
            raise ValueError(
                f"`features` must have a classifier for {', '.join(self.scores)}, and "
                f"{type(self.network).__name__} has none."
            )
        self.parts = [f"{side}_{part}" for side in ("real", "fake") for part in ("features", "logits", "label")]
        for part in self.parts:
            self.add_state(part, [], dist_reduce_fx="cat")

    def update(self, image: Float[Tensor, "b c h w"], real: bool, label: Int64[Tensor, " b"] | None = None) -> None:
        """Adds images.

        Args:
            image: Images in [-1, 1].
            real: Whether they are real, and not drawn.
            label: Their classes, for scores by class.
        """
        features, logits = extract(self.network, image)
        states = self._states("real" if real else "fake")
        for part, value in {"features": features, "logits": logits, "label": label}.items():
            if value is not None:
                states[part].append(value)

    def compute(self) -> dict[str, Tensor]:
        for side in ("real", "fake"):
            if not len(self._states(side)["features"]):
                raise ValueError(f"A score needs real images and samples: call `update` with {side} ones first.")
        real, fake = self._features("real"), self._features("fake")
        scores = compute_scores(self.scores, real, fake)
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in scores.items()}

    def _states(self, side: str) -> dict[str, Any]:
        """Returns features, logits and labels of one side, as torchmetrics keeps them: lists, or gathered tensors."""
        own = {name: state for name, state in self.metric_state.items() if name.startswith(side)}
        return {name.removeprefix(f"{side}_"): state for name, state in own.items()}

    def _features(self, side: str) -> Features:
        parts = {part: dim_zero_cat(state) for part, state in self._states(side).items() if len(state)}
        if any(len(part) != len(parts["features"]) for part in parts.values()):
            raise ValueError(f"`label` must be given with all {side} images or with none, and some updates had none.")
        return Features(**parts)
