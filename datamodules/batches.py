"""Batches of indices: shuffled ones to train on, and each index once to evaluate on."""

from collections.abc import Iterator, Sized

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import DistributedSampler

from lightning_gans.datamodules.tensors import InMemory


class TrainingBatches(DistributedSampler):
    """Shuffled batches of indices, in an order that is a function of the seed and the epoch alone.

    Each step's images are the same for any number of processes: one batch of all processes together is cut into their
    shares, rank by rank. The images left over at the end of an epoch are dropped, so that all processes have equally
    many batches.

    Args:
        dataset: The data to draw from, which know the order of each epoch.
        batch_size: Images per batch and process.
        num_replicas: Number of processes.
        rank: The number of this process.
        seed: Chooses the sequence of orders.
    """

    def __init__(self, dataset: InMemory, batch_size: int, num_replicas: int = 1, rank: int = 0, seed: int = 0):
        super().__init__(dataset, num_replicas, rank, seed=seed, drop_last=True)
        self.data = dataset
        self.batch_size = batch_size
        self.images = batch_size * num_replicas  # of one step
        self.skip = 0  # images of all processes that the next iteration leaves out at its start
        if self.images > len(dataset):
            raise ValueError(
                f"`batch_size` times the number of processes must be at most the {len(dataset)} training images, "
                f"got {batch_size} x {num_replicas} = {self.images}: lower `batch_size`."
            )

    def __len__(self) -> int:
        return len(self.data) // self.images

    @property
    def left(self) -> int:
        """The batches of the next iteration."""
        return (len(self.data) - self.skip) // self.images

    def __iter__(self) -> Iterator[Int64[Tensor, "*sides b"]]:
        # All of this runs at the first `next`, as it must: Lightning sets the epoch after it has called `iter`.
        order = self.data.order(self.seed, self.epoch)
        steps = order[..., self.skip :].split(self.images, dim=-1)[: self.left]
        self.skip = 0
        for step in steps:
            yield step.unflatten(-1, (self.num_replicas, self.batch_size))[..., self.rank, :]


class EvaluationBatches(DistributedSampler):
    """Batches of all indices in order, dealt to the processes in turn: nothing is padded, repeated or dropped.

    Args:
        dataset: The data to go through; only their number matters.
        batch_size: Images per batch; fewer if some process would otherwise have no batch.
        num_replicas: Number of processes.
        rank: The number of this process.
    """

    def __init__(self, dataset: Sized, batch_size: int, num_replicas: int = 1, rank: int = 0):
        super().__init__(dataset, num_replicas, rank, shuffle=False)  # type: ignore[arg-type]
        size = len(dataset)
        # A process without a batch would skip Lightning's evaluation hooks while the others wait for it in them.
        batch_size = min(batch_size, max(1, size // num_replicas))
        self.batches = torch.arange(size).split(batch_size)[rank::num_replicas]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Int64[Tensor, " b"]]:
        return iter(self.batches)
