"""Features of real images, computed once."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.callbacks.drawn import classes_of
from lightning_gans.callbacks.evaluation_data import own_data, reference_of
from lightning_gans.mechanics.checks import as_batch
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_rows
from lightning_gans.metrics.cache import cache_path, load_features, save_features
from lightning_gans.metrics.features import extract, fingerprint
from lightning_gans.metrics.scores import Features


class RealFeatures:
    """Features of the evaluation images, computed once per stage, and kept in a file where all have names.

    Images have a name in a data module with `evaluation_name`, a network has one by its `weights_hash`. A variant
    whose real images are not those of the data module as they are has no file.

    Args:
        network: The feature network.
        folder: Where the file is; None keeps none.
    """

    def __init__(self, network: nn.Module, folder: Path | None) -> None:
        self.network = network
        self.folder = folder
        self.features: dict[str, Features] = {}
        self._parts: list[tuple[Tensor, Tensor | None]] = []

    def begin(self, stage: str, trainer: Any, module: Any) -> None:
        """Gets ready before the first batch, and reads the file if there is one."""
        self._parts = []
        self._path = self._path_of(stage, trainer, module)
        if stage in self.features or self._path is None:
            return
        found, problem = None, ""
        try:
            found = load_features(self._path, len(own_data(trainer).evaluation))
        except ValueError as error:
            problem = str(error)
        agree = trainer.strategy.reduce_boolean_decision  # each process has its own look at the folder
        if not agree(not problem):
            raise ValueError(problem or "Another process refused the cached features: its sentence is in its log.")
        if agree(found is not None) and found is not None:
            self.features[stage] = found

    def add(self, stage: str, module: Any, batch: Batch) -> None:
        """Looks at a batch's real images, if that has not been done before."""
        if stage not in self.features:
            self._parts.append((extract(self.network, module.real(batch))[0], classes_of(module, batch)))

    def all(self, stage: str, trainer: Any) -> Features:
        """Returns the features of all processes' images."""
        if stage not in self.features:
            features, labels = zip(*self._parts, strict=True)
            label = None if labels[0] is None else gather_rows(list(labels), trainer)
            self.features[stage] = Features(gather_rows(list(features), trainer), label=label)
            if self._path is not None and trainer.is_global_zero:
                save_features(self._path, self.features[stage])
        return self.features[stage].to(trainer.strategy.root_device)

    def protocol(self, stage: str, trainer: Any, num_fake: int) -> dict[str, Any]:
        """Returns the facts of a score that lie in network and images."""
        return {
            "features": type(self.network).__name__,
            "features_hash": fingerprint(self.network),
            "reference": reference_of(trainer, stage),
            "num_real": len(self.features[stage].features),
            "num_fake": num_fake,
            "images": "8 bits per channel, shown to the network in [-1, 1]",
            "resize": getattr(self.network, "resize", "none"),
        }

    def _path_of(self, stage: str, trainer: Any, module: Any) -> Path | None:
        name: tuple[str, str, int, str] | None = getattr(own_data(trainer), "evaluation_name", None)
        limit = trainer.limit_val_batches if stage == "validation" else trainer.limit_test_batches
        everything = isinstance(limit, float) and limit == 1.0 and not trainer.overfit_batches  # 1 is one batch
        network = getattr(self.network, "weights_hash", None)
        if self.folder is None or name is None or network is None or not everything:
            return None
        first = as_batch(own_data(trainer).evaluation[torch.tensor([0])])
        if not torch.equal(module.real(first), first[0]):
            return None
        return cache_path(self.folder, *name, network=f"{type(self.network).__name__}-{network}")
