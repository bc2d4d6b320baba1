"""Scores of a generator against real images, each with the protocol that made it."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor, nn

from lightning_gans.callbacks.drawn import fake_images, looking
from lightning_gans.callbacks.intervals import batches_of
from lightning_gans.callbacks.scores.real_features import RealFeatures
from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.mechanics.files import cache_folder
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_rows
from lightning_gans.mechanics.randomness import global_seed, mix
from lightning_gans.metrics.features import Network, extract, feature_network, fingerprint
from lightning_gans.metrics.float64 import as_float64
from lightning_gans.metrics.perceptual import Distance
from lightning_gans.metrics.scores import SCORES, Features, Scores, compute_scores, find_score


class GenerativeMetrics(Scorer):
    """Scores generated images against real ones while Lightning validates or tests.

    The scores, by name, are the rows of `lightning_gans.metrics.SCORES`: from `fid` and `kid` to those that need a
    network with a classifier, or samples with labels. With a `distance` there is `diversity`, too, of two samples of
    the same batch. All are logged, so that `ModelCheckpoint` and `EarlyStopping` can monitor them, and appended with
    their protocol to `metrics.json` in the run's folder.

    Needs a variant that draws images `fake` (b, c, h, w), with their `label` for scores by class. They are compared
    with `real(batch)` of the variant, whose labels are its condition or the second item of the batch.

    Samples are scored as the 8-bit images that they would be saved as. The network runs in float32 whatever the
    trainer's precision. Random choices, such as those of KID's subsets, are made from a fixed seed among images sorted
    by their features. So every score depends on the sets alone.

    Args:
        features: The network that sees the images. `digits` is the `DigitClassifier` that ships with the package,
            `inception` the network of published scores. A module is called with float32 images (b, c, h, w) in [-1, 1],
            put into eval mode, and returns features (b, k); with a method `features_and_logits(image)` that returns
            both it has a classifier. The protocol quotes its `weights_hash`, otherwise the hash of its state.
        every_kimg: Thousands of training images, over all processes, between two validations, rounded to whole batches.
            It replaces the trainer's own interval in batches or epochs; null leaves that as it is. A time-based
            `val_check_interval` of the trainer goes before it.
        scores: Names of scores at validations; null takes the quick ones that network and labels allow.
        test_scores: Names of scores at a test; null takes all that network and labels allow, of which class shares and
            accuracy need a network whose `has_data_classes` says that its classes are the data's.
        distance: Distance (b,) of two image batches, for `diversity`, such as `lightning_gans.metrics.LPIPS`; null has
            none.
        cache: Folder for the features of real images of a data module that names them; `default` is `lightning-gans`
            in the user's folder for caches, null keeps them for a run only. A network is known by its `weights_hash`;
            features of one without it are kept for a run only.
        prefix: Goes before the name of each score, for a second feature network in the same run.
    """

    def __init__(
        self,
        features: Network = "digits",
        every_kimg: float | None = None,
        scores: Sequence[str] | None = None,
        test_scores: Sequence[str] | None = None,
        distance: nn.Module | Distance | None = None,
        cache: str | None = "default",
        prefix: str = "",
    ) -> None:
        if every_kimg is not None and every_kimg <= 0:
            raise ValueError(f"`every_kimg` must be above 0, got {every_kimg}.")
        for name in [*(scores or ()), *(test_scores or ())]:
            find_score(name)
        self.network = feature_network(features)
        self.every_kimg = every_kimg
        self.named = {"validation": scores, "test": test_scores}
        self.distance = distance
        self.cache = cache
        self.prefix = prefix

    @property
    def title(self) -> str:
        return f"{super().title} {self.prefix}".strip()

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        others: Any = trainer.callbacks  # type: ignore[attr-defined]
        if sum(isinstance(other, GenerativeMetrics) and other.prefix == self.prefix for other in others) > 1:
            raise ValueError(
                f"`prefix` must differ between the run's `GenerativeMetrics`, whose scores have one name each, got "
                f"{self.prefix!r} twice."
            )
        self.network.to(trainer.strategy.root_device)
        if isinstance(self.distance, nn.Module):
            self.distance.to(trainer.strategy.root_device)
        self.real = RealFeatures(self.network, cache_folder(self.cache))
        self._interval: int | None = None  # in batches
        self._every_kimg = None if trainer.fast_dev_run else self.every_kimg  # type: ignore[attr-defined]
        if stage == "fit" and self._every_kimg is not None:
            trainer.check_val_every_n_epoch = None  # counts batches over epochs; here, so that EarlyStopping sees it

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        if not trainer.enable_validation:
            raise ValueError(
                "`GenerativeMetrics` needs real images to compare with: give a validation dataloader and a "
                "`limit_val_batches` above 0."
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._every_kimg is None:
            return
        if self._interval is None:
            self._interval = batches_of(self._every_kimg, batch, trainer)
        trainer.val_check_batch = self._interval  # each time: a reloaded dataloader sets the trainer's own again

    def check(self, pl_module: Any, outputs: Any, batch: Batch) -> None:
        fake_images("GenerativeMetrics", pl_module, outputs)

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        self._parts: dict[str, list[Tensor]] = {"features": [], "logits": [], "label": [], "diversity": []}
        self.real.begin(stage, trainer, pl_module)

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        with looking("GenerativeMetrics", self.network):
            features, logits = extract(self.network, outputs["fake"])
        parts = {"features": features, "logits": logits, "label": outputs.get("label")}
        if self.distance is not None:
            other = pl_module.draw(batch, mix(global_seed(), index, 1))["fake"]
            with torch.no_grad():
                parts["diversity"] = self.distance(outputs["fake"].float(), other.float())
        for name, part in parts.items():
            if part is not None:
                self._parts[name].append(part)
        self.real.add(stage, pl_module, batch)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        real = self.real.all(stage, trainer)
        parts = {name: gather_rows(part, trainer) for name, part in self._parts.items() if part}
        diversity = parts.pop("diversity", None)
        fake = Features(**parts)
        named = self.named[stage]
        if named is None:
            found = self._possible_scores(stage, real, fake)
        else:
            found = {name: compute_scores([name], real, fake) for name in named}
        protocol = self.real.protocol(stage, trainer, len(fake.features))
        scores: Scores = {}
        for name, values in found.items():
            scores |= values
            protocol |= SCORES[name].protocol(real, fake)
        if diversity is not None:
            scores["diversity"] = as_float64(diversity).mean().item()
            protocol["diversity_distance"] = self._name_of_distance()
        return {self.prefix + name: score for name, score in scores.items()}, protocol

    def _possible_scores(self, stage: str, real: Features, fake: Features) -> dict[str, Scores]:
        """Returns all scores that can be had at this stage, with a warning for those that need more images."""
        data_classes = getattr(self.network, "has_data_classes", False)
        scores: dict[str, Scores] = {}
        for name, score in SCORES.items():
            allowed = data_classes or not score.data_classes
            if allowed and score.possible(real, fake) and (score.quick or stage == "test"):
                try:
                    scores[name] = compute_scores([name], real, fake)
                except ValueError as error:
                    rank_zero_warn(f"The score {name} is left out: {error}")
        return scores

    def _name_of_distance(self) -> str:
        network = getattr(self.distance, "network", None)
        inner = [f"{type(network).__name__} {fingerprint(network)}"] if isinstance(network, nn.Module) else []
        return " of ".join([type(self.distance).__name__, *inner])
