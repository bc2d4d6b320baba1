"""Samples beside their nearest training images, and the share that are copies."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64
from lightning import Trainer
from torch import Tensor, nn

from lightning_gans.callbacks.drawn import looking
from lightning_gans.callbacks.looks.first_batch import FirstBatchScorer
from lightning_gans.callbacks.pictures import across, caption, down, mosaic
from lightning_gans.callbacks.run_folder import save_picture
from lightning_gans.callbacks.scores.scorer import Scored
from lightning_gans.callbacks.scores.training_images import data_module, distinct, features_of, is_among, names_of
from lightning_gans.datamodules.tensors import InMemory
from lightning_gans.mechanics.checks import as_batch
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_rows
from lightning_gans.metrics.features import Network, extract, feature_network, fingerprint
from lightning_gans.metrics.float64 import as_float64
from lightning_gans.metrics.neighbors import copied_share


class NearestNeighbours(FirstBatchScorer):
    """Shows samples beside the training images nearest to them at a test, and counts copies.

    The picture is `samples/nearest_neighbors.png` in the run's folder: the first samples on the left, the training
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
        super().setup(trainer, pl_module, stage)
        training = data_module("NearestNeighbours", trainer).training
        real = pl_module.real(as_batch(training[torch.tensor([0])]))
        if real.ndim != 4:
            raise ValueError(
                f"`NearestNeighbours` needs images (b, c, h, w), got {tuple(real.shape)} from "
                f"{type(training).__name__}: leave it out."
            )
        if self.num_neighbors > len(training):
            raise ValueError(
                f"`num_neighbors` must be at most the {len(training)} training images, got {self.num_neighbors}."
            )
        self.network.to(trainer.strategy.root_device)

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        super().begin(stage, trainer, pl_module)
        self._features: list[Tensor] = []

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        with looking("NearestNeighbours", self.network):
            self._features.append(extract(self.network, outputs["fake"])[0])
        if index == 0:
            self._first = [outputs["fake"][: self.num_samples].float()]

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        data = trainer.datamodule
        training_names, evaluation_names = (names_of(part, pl_module.real) for part in (data.training, data.evaluation))
        kept = distinct(training_names)
        training = self._extract(trainer, pl_module, data.training)[kept.to(trainer.strategy.root_device)]
        fake = as_float64(gather_rows(self._features, trainer))
        (sample,) = self.first_batch(trainer)
        index = nearest_images(as_float64(extract(self.network, sample)[0]), training, self.num_neighbors)
        found = torch.cat([pl_module.real(as_batch(data.training[kept[row]])) for row in index.cpu()])
        sides = {"samples": mosaic(sample, 1), "nearest training images": mosaic(found, self.num_neighbors)}
        picture = across([down([caption(name), side]) for name, side in sides.items()])
        save_picture(picture, "nearest_neighbors", trainer)
        new = ~is_among(evaluation_names, training_names)
        held_out = self._extract(trainer, pl_module, data.evaluation)[new.to(fake.device)] if new.any() else None
        return {"copied_share": copied_share(training, fake, held_out)}, {
            "features": type(self.network).__name__,
            "features_hash": fingerprint(self.network),
            "num_training": f"{len(training)} that differ",
            "num_fake": len(fake),
            "threshold": "1 % quantile of the distances to the nearest training image of "
            + ("each training image, to the others" if held_out is None else f"{len(held_out)} of {data.reference}"),
            "images": "8 bits per channel",
        }

    def _extract(self, trainer: Any, module: Any, images: InMemory) -> Float[Tensor, "n k"]:
        encode = partial(features_of_real, self.network, module)
        return as_float64(features_of(images, encode, trainer, trainer.strategy.root_device))


def features_of_real(network: nn.Module, module: Any, batch: Batch) -> Float[Tensor, "b k"]:
    """Returns features of the real images of a batch."""
    return extract(network, module.real(batch))[0]


def nearest_images(
    queries: Float[Tensor, "n k"], points: Float[Tensor, "m k"], neighbors: int
) -> Int64[Tensor, "n {neighbors}"]:
    """Returns the places of the points nearest to each query, the nearest first."""
    distance = torch.cdist(queries, points, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.topk(neighbors, largest=False).indices
