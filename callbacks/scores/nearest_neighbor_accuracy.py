"""Share of neighbors in a learned space that have the same class."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.callbacks.scores.training_images import data_module, features_of, labels_of
from lightning_gans.datamodules import TensorDataModule
from lightning_gans.mechanics.players import Batch
from lightning_gans.metrics.neighbors import nearest


class NearestNeighborAccuracy(Scorer):
    """Scores an encoder by the class of each evaluation image's nearest neighbor among the training images.

    Logs `nearest_neighbor_<space>`, the share of evaluation images whose nearest training image, by Euclidean distance
    in that space, has their label: 1 where classes keep apart. It is measured when Lightning validates or tests, on
    all images of the data module. Where training and evaluation images are the same, no image is its own neighbor,
    and the protocol says so.

    Args:
        spaces: Methods of the variant that map images (b, c, h, w) to points (b, k), with the averaged encoder in
            evaluation mode. The work grows with the numbers of evaluation images and of training images, and with k.
    """

    def __init__(self, spaces: Sequence[str] = ("encode",)):
        if not spaces:
            raise ValueError("`spaces` must name at least one method of the variant, got none.")
        self.spaces = list(spaces)

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        pl_module.require("NearestNeighborAccuracy", *self.spaces)
        data = data_module("NearestNeighborAccuracy", trainer)
        for images in (data.training, data.evaluation):
            labels_of("NearestNeighborAccuracy", images)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        data = trainer.datamodule
        scores = {f"nearest_neighbor_{space}": accuracy(pl_module, space, data, trainer) for space in self.spaces}
        return scores, {
            "classifier": "1 nearest neighbour, Euclidean distance",
            "neighbors": f"{len(data.training)} training images",
            "queries": f"{len(data.evaluation)}, {data.reference}",
            "leave_one_out": data.training is data.evaluation,
        }


def points_of(module: Any, space: str, batch: Batch) -> Tensor:
    """Returns the real images of a batch as points of a space, such as `encode`."""
    return getattr(module, space)(module.real(batch))


def accuracy(module: Any, space: str, data: TensorDataModule, trainer: Any) -> float:
    """Returns the accuracy over all processes, each of which takes every so many-th query."""
    training, evaluation, device = data.training, data.evaluation, module.device
    encode = partial(points_of, module, space)
    chosen = torch.arange(trainer.global_rank, len(evaluation), trainer.world_size)
    points = features_of(training, encode, trainer, device)
    own = chosen.to(device) if training is evaluation else None
    queries = (points if own is not None else features_of(evaluation, encode, trainer, device))[chosen.to(device)]
    index = nearest(queries, points, own)[1].cpu()
    hits = (training.label[index] == evaluation.label[chosen]).sum().to(device)
    return trainer.strategy.reduce(hits, reduce_op="sum").item() / len(evaluation)
