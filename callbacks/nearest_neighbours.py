"""Whether samples are new, or training images that were learned by heart."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from lightning import Trainer
from torch import Tensor

from lightning_gans.callbacks.first_batch import FirstBatchScorer, save_picture
from lightning_gans.callbacks.pictures import across, down, mosaic, words
from lightning_gans.callbacks.score_card import gather_rows
from lightning_gans.callbacks.scorer import Scored
from lightning_gans.callbacks.training_images import distinct, features_of, is_among
from lightning_gans.datamodules import TensorDataModule
from lightning_gans.metrics.features import Network, extract, feature_network, fingerprint
from lightning_gans.metrics.float64 import as_float64
from lightning_gans.metrics.neighbors import copied_share


class NearestNeighbours(FirstBatchScorer):
    """Shows samples beside the training images nearest to them at a test, and counts copies.

    The picture is `samples/nearest_neighbours.png` in the run's folder: the first samples on the left, the training
    images nearest to each on the right, the nearest first.

    Logs `copied_share`, the share of samples nearer to a training image than 99 % of images are that were not trained
    on: about 0.01 for a generator that draws new images as the data does, 1 for one that repeats its training images,
    and more than 0.01 also where samples keep to what is common in the data. Images not trained on are the evaluation
    images that are not among the training images; where there are none, each training image stands for one, of which
    the others are the training images.

    Args:
        features: `digits`, `inception` or a module, as in `GenerativeMetrics`; distances are Euclidean in its features.
        num_samples: Rows of the picture; fewer where the first batch is smaller.
        num_neighbors: Training images beside each sample.
    """

    def __init__(self, features: Network = "digits", num_samples: int = 10, num_neighbors: int = 8):
        for name, value in (("num_samples", num_samples), ("num_neighbors", num_neighbors)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        self.network = feature_network(features)
        self.num_samples = num_samples
        self.num_neighbors = num_neighbors

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, TensorDataModule):
            raise ValueError(f"`NearestNeighbours` needs a TensorDataModule, got {type(data).__name__}.")
        if self.num_neighbors > len(data.training):
            raise ValueError(
                f"`num_neighbors` must be at most the {len(data.training)} training images, got {self.num_neighbors}."
            )
        self.network.to(trainer.strategy.root_device)

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        super().begin(stage, trainer, pl_module)
        self._features: list[Tensor] = []

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        self._features.append(extract(self.network, outputs["fake"])[0])
        if index == 0:
            self._first = [outputs["fake"][: self.num_samples].float()]

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        data = trainer.datamodule
        images = distinct(data.training)
        training, fake = self._extract(trainer, images), as_float64(gather_rows(self._features, trainer))
        (sample,) = self.first_batch(trainer)
        index = nearest_images(as_float64(extract(self.network, sample)[0]), training, self.num_neighbors)
        found = torch.cat([images[row][0] for row in index.cpu()])
        sides = {"samples": mosaic(sample, 1), "nearest training images": mosaic(found, self.num_neighbors)}
        save_picture(across([down([words(name), side]) for name, side in sides.items()]), "nearest_neighbours", trainer)
        new = ~is_among(data.evaluation.image, data.training.image)
        held_out = self._extract(trainer, data.evaluation)[new.to(fake.device)] if new.any() else None
        return {"copied_share": copied_share(training, fake, held_out)}, {
            "features": type(self.network).__name__,
            "features_hash": fingerprint(self.network),
            "num_training": f"{len(training)} that differ",
            "num_fake": len(fake),
            "threshold": "1 % quantile of the distances to the nearest training image of "
            + ("each training image, to the others" if held_out is None else f"{len(held_out)} of {data.reference}"),
            "images": "8 bits per channel",
        }

    def _extract(self, trainer: Any, images: Any) -> Float[Tensor, "n k"]:
        return as_float64(
            features_of(images, lambda image: extract(self.network, image)[0], trainer, trainer.strategy.root_device)
        )


def nearest_images(
    queries: Float[Tensor, "n k"], points: Float[Tensor, "m k"], neighbors: int
) -> Int64[Tensor, "n {neighbors}"]:
    """Indices of the points nearest to each query, the nearest first."""
    distance = torch.cdist(queries, points, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.topk(neighbors, largest=False).indices
