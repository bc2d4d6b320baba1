"""Scores of a generator against real images, each with the protocol that made it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor, nn

from lightning_gans.adversarial import as_batch
from lightning_gans.callbacks.score_card import gather_rows, own_data, reference_of
from lightning_gans.callbacks.scorer import Scored, Scorer
from lightning_gans.mechanics.files import cache_folder
from lightning_gans.mechanics.randomness import global_seed, mix
from lightning_gans.metrics.cache import cache_path, load_features, save_features
from lightning_gans.metrics.features import Network, extract, feature_network, fingerprint
from lightning_gans.metrics.float64 import as_float64
from lightning_gans.metrics.perceptual import Distance
from lightning_gans.metrics.scores import (
    INCEPTION_SCORE_SPLITS,
    KID_SUBSETS,
    SCORES,
    SEED,
    Features,
    compute_scores,
    find_score,
    kid_subset_size,
)

BY_CLASS = ("class_shares", "class_accuracy")  # of a network whose classes are the data's
QUICK = ("fid", "kid", "inception_score", "class_shares", "class_accuracy")


class RealFeatures:
    """What a feature network sees in the evaluation images, once per stage, kept in a file where all have names.

    Images have a name in a data module with `evaluation_name`, a network has one by its `weights_hash`.

    Args:
        network: The feature network.
        folder: Where the file is; None keeps none.
    """

    def __init__(self, network: nn.Module, folder: Path | None) -> None:
        self.network = network
        self.folder = folder
        self.features: dict[str, Features] = {}
        self._parts: list[tuple[Tensor, Tensor | None]] = []

    def begin(self, stage: str, trainer: Any) -> None:
        self._parts = []
        if stage in self.features or not (path := self._path(stage, trainer)):
            return
        found, problem = None, ""
        try:
            found = load_features(path, len(own_data(trainer).evaluation))
        except ValueError as error:
            problem = str(error)
        agree = trainer.strategy.reduce_boolean_decision  # each process has its own look at the folder
        if not agree(not problem):
            raise ValueError(problem or "Another process refused the cached features: its sentence is in its log.")
        if agree(found is not None) and found is not None:
            self.features[stage] = found

    def add(self, stage: str, batch: Any) -> None:
        if stage not in self.features:
            image, *others = as_batch(batch)
            label = others[0] if others and others[0].dtype == torch.int64 and others[0].ndim == 1 else None
            self._parts.append((extract(self.network, image)[0], label))

    def all(self, stage: str, trainer: Any) -> Features:
        """Those of all processes."""
        if stage not in self.features:
            features, labels = zip(*self._parts, strict=True)
            label = None if labels[0] is None else gather_rows(list(labels), trainer)
            self.features[stage] = Features(gather_rows(list(features), trainer), label=label)
            if (path := self._path(stage, trainer)) and trainer.is_global_zero:
                save_features(path, self.features[stage])
        return self.features[stage].to(trainer.strategy.root_device)

    def protocol(self, stage: str, trainer: Any, num_fake: int) -> dict[str, Any]:
        """What a score owes to network and images."""
        return {
            "features": type(self.network).__name__,
            "features_hash": fingerprint(self.network),
            "reference": reference_of(trainer, stage),
            "num_real": len(self.features[stage].features),
            "num_fake": num_fake,
            "images": "8 bits per channel, shown to the network in [-1, 1]",
            "resize": getattr(self.network, "resize", "none"),
        }

    def _path(self, stage: str, trainer: Any) -> Path | None:
        name: tuple[str, str, int, str] | None = getattr(own_data(trainer), "evaluation_name", None)
        limit = trainer.limit_val_batches if stage == "validation" else trainer.limit_test_batches
        everything = isinstance(limit, float) and limit == 1.0 and not trainer.overfit_batches  # 1 is one batch
        network = getattr(self.network, "weights_hash", None)
        if self.folder is None or name is None or network is None or not everything:
            return None
        return cache_path(self.folder, *name, network=f"{type(self.network).__name__}-{network}")


class GenerativeMetrics(Scorer):
    """Scores generated images against real ones while Lightning validates or tests.

    Scores, by name: `fid` (Heusel et al., 2017, https://arxiv.org/abs/1706.08500); `kid` with `kid_std` (Binkowski et
    al., 2018, https://arxiv.org/abs/1801.01401); `precision_recall` (Kynkaanniemi et al., 2019,
    https://arxiv.org/abs/1904.06991); `density_coverage` (Naeem et al., 2020, https://arxiv.org/abs/2002.09797);
    `two_sample_accuracy` of a nearest neighbour (Lopez-Paz & Oquab, 2017, https://arxiv.org/abs/1610.06545). For a
    network with a classifier `inception_score` with `inception_score_std` (Salimans et al., 2016,
    https://arxiv.org/abs/1606.03498) and `class_shares`, how often the rarest and the commonest class are drawn: 0 says
    that a mode is missing. For samples with labels `class_accuracy`, `intra_class_fid` (Miyato & Koyama, 2018,
    https://arxiv.org/abs/1802.05637) and `classifier_accuracy_score` (Ravuri & Vinyals, 2019,
    https://arxiv.org/abs/1905.10887). With a `distance`, `diversity` of two samples of the same batch. All are
    logged, so that `ModelCheckpoint` and `EarlyStopping` can monitor them, and appended with their protocol to
    `metrics.json` in the run's folder.

    Needs a module whose `validation_step` and `test_step` return a dict with `fake`, images in [-1, 1] drawn with the
    generator's moving average (EMA) in eval mode, and `label` for scores by class, and which counts the training images
    of all processes in `images_seen`. Real images are a batch or its first element, their labels its second.

    Samples are scored as the 8-bit images that they would be saved as. The network runs in float32 whatever the
    trainer's precision. KID's subsets of 1,000 images, or of all where there are fewer, and the Inception Score's 10
    splits are drawn from a fixed seed among images sorted by their features. So every score depends on the sets alone.

    Args:
        features: the network that sees the images. `digits` is the `DigitClassifier` that ships with the package,
            `inception` the network of published scores. A module is called with float32 images (b, c, h, w) in [-1, 1],
            put into eval mode, and returns features (b, k); with a method `features_and_logits(image)` that returns
            both it has a classifier. The protocol quotes its `weights_hash`, or else the hash of its state.
        every_kimg: thousands of training images, over all processes, between two validations, rounded to whole batches.
            It replaces the trainer's own interval in batches or epochs; null leaves that as it is. A time-based
            `val_check_interval` of the trainer goes before it.
        scores: names of scores at validations; null takes the quick ones that network and labels allow.
        test_scores: names of scores at a test; null takes all that network and labels allow, of which class shares and
            accuracy need a network whose `has_data_classes` says that its classes are the data's.
        distance: of two image batches, (b,), for `diversity`, such as `lightning_gans.metrics.LPIPS`; null has none.
        cache: folder for what the network sees in real images of a data module that names them; `default` is
            `lightning-gans` in the user's folder for caches, null keeps it for a run only. A network is known by its
            `weights_hash`; what one without sees is kept for a run only.
        prefix: goes before the name of each score, for a second feature network in the same run.
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

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
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
        self._entry = None
        self._interval: int | None = None  # in batches
        self._every_kimg = None if trainer.fast_dev_run else self.every_kimg  # type: ignore[attr-defined]
        if stage == "fit" and self._every_kimg is not None:
            trainer.check_val_every_n_epoch = None  # counts batches over epochs; here, so that EarlyStopping sees it

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.enable_validation:
            raise ValueError(
                "`GenerativeMetrics` needs real images to compare with: give a validation dataloader and a "
                "`limit_val_batches` above 0."
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._every_kimg is None:
            return
        if self._interval is None:
            images = len(as_batch(batch)[0]) * trainer.world_size
            self._interval = max(1, round(self._every_kimg * 1000 / images))
        trainer.val_check_batch = self._interval  # each time: a reloaded dataloader sets the trainer's own again

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        self._parts: dict[str, list[Tensor]] = {"features": [], "logits": [], "label": [], "diversity": []}
        self.real.begin(stage, trainer)

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        features, logits = extract(self.network, outputs["fake"])
        parts = {"features": features, "logits": logits, "label": outputs.get("label")}
        if self.distance is not None:
            other = pl_module.draw(batch, mix(global_seed(), index, 1))["fake"]
            with torch.no_grad():
                parts["diversity"] = self.distance(outputs["fake"].float(), other.float())
        for name, part in parts.items():
            if part is not None:
                self._parts[name].append(part)
        self.real.add(stage, batch)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        real = self.real.all(stage, trainer)
        parts = {name: gather_rows(part, trainer) for name, part in self._parts.items() if part}
        diversity = parts.pop("diversity", None)
        fake = Features(**parts)
        names = self.named[stage]
        scores = self._possible_scores(stage, real, fake) if names is None else compute_scores(names, real, fake)
        protocol = self.real.protocol(stage, trainer, len(fake.features)) | {
            "kid_subsets": f"{KID_SUBSETS} of {kid_subset_size(len(real.features), len(fake.features))}, seed {SEED}",
            "inception_score_splits": f"{INCEPTION_SCORE_SPLITS}, seed {SEED}",
            "neighbors": "3 for precision and recall, 5 for density and coverage",
        }
        if diversity is not None:
            scores["diversity"] = as_float64(diversity).mean().item()
            network = getattr(self.distance, "network", None)
            protocol["diversity_distance"] = " of ".join(
                [type(self.distance).__name__]
                + ([f"{type(network).__name__} {fingerprint(network)}"] if isinstance(network, nn.Module) else [])
            )
        if not any(name.startswith("kid") for name in scores):
            del protocol["kid_subsets"]
        if "inception_score" not in scores:
            del protocol["inception_score_splits"]
        if not {"precision", "density"} & set(scores):
            del protocol["neighbors"]
        return {self.prefix + name: score for name, score in scores.items()}, protocol

    def _possible_scores(self, stage: str, real: Features, fake: Features) -> dict[str, float]:
        """All that can be had of this stage, with a warning for what these images do not allow."""
        scores: dict[str, float] = {}
        for name, score in SCORES.items():
            named = name not in BY_CLASS or getattr(self.network, "has_data_classes", False)
            if named and score.possible(real, fake) and (stage == "test" or name in QUICK):
                try:
                    scores |= compute_scores([name], real, fake)
                except ValueError as error:
                    rank_zero_warn(f"The score {name} is left out: {error}")
        return scores
