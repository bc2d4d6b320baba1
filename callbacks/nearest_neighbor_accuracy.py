"""How well neighbours in a learned space share a class."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from lightning_gans.callbacks.scorer import Scored, Scorer
from lightning_gans.callbacks.training_images import features_of
from lightning_gans.datamodules import TensorDataModule
from lightning_gans.metrics.neighbors import nearest


class NearestNeighborAccuracy(Scorer):
    """Scores an encoder by the class of each evaluation image's nearest neighbour among the training images.

    Logs `nearest_neighbor_<space>`, the share of evaluation images whose nearest training image, by Euclidean distance
    in that space, has their label: 1 where classes keep apart. It is measured when Lightning validates or tests, on
    all images of the data module. Where training and evaluation images are the same, no image is its own neighbour,
    and the protocol says so.

    Args:
        spaces: Methods of the module that map images (b, c, h, w) to points (b, k), with the averaged encoder in
            evaluation mode. The work grows with the number of evaluation images times that of training images times k.
    """

    def __init__(self, spaces: Sequence[str] = ("encode",)):
        if not spaces:
            raise ValueError("`spaces` must name at least one method of the module, got none.")
        self.spaces = list(spaces)

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, TensorDataModule):
            raise ValueError(f"`NearestNeighborAccuracy` needs a TensorDataModule, got {type(data).__name__}.")
        if missing := [space for space in self.spaces if not hasattr(pl_module, space)]:
            raise ValueError(f"`spaces` must be methods of {type(pl_module).__name__}, got {', '.join(missing)}.")

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        data = trainer.datamodule
        scores = {
            f"nearest_neighbor_{space}": accuracy(getattr(pl_module, space), data, trainer, pl_module.device)
            for space in self.spaces
        }
        return scores, {
            "classifier": "1 nearest neighbour, Euclidean distance",
            "neighbors": f"{len(data.training)} training images",
            "queries": f"{len(data.evaluation)}, {data.reference}",
            "leave_one_out": data.training is data.evaluation,
        }


def accuracy(encode: Callable[[Tensor], Tensor], data: TensorDataModule, trainer: Any, device: torch.device) -> float:
    """The accuracy over all processes, each of which takes every so many-th query."""
    training, evaluation = data.training, data.evaluation
    chosen = torch.arange(trainer.global_rank, len(evaluation), trainer.world_size)
    points = features_of(training, encode, trainer, device)
    own = chosen.to(device) if training is evaluation else None
    queries = (points if own is not None else features_of(evaluation, encode, trainer, device))[chosen.to(device)]
    index = nearest(queries, points, own)[1].cpu()
    hits = (training.label[index] == evaluation.label[chosen]).sum().to(device)
    return trainer.strategy.reduce(hits, reduce_op="sum").item() / len(evaluation)
