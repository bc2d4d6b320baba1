"""Data sets that live in memory: a batch is one indexing, its order a function of the seed and the epoch."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sized
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from lightning import LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from lightning_gans.mechanics.files import hash_of
from lightning_gans.mechanics.randomness import global_seed


class InMemory(Dataset, ABC):
    """A data set that is indexed by a whole batch at once, also by a loader that knows only lists of indices."""

    @abstractmethod
    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Tensor, ...]: ...

    @abstractmethod
    def __len__(self) -> int: ...

    def __getitems__(self, index: list[int]) -> tuple[Tensor, ...]:
        return self[torch.tensor(index)]

    @property
    def fingerprint(self) -> str:
        """Names the data; by all of them, where a subclass knows no faster way."""
        return hash_of(vars(self))


class TensorImages(InMemory):
    """Labelled images in memory, indexed by a whole batch at once.

    Args:
        image: The images, 0 for black to 255 for white.
        label: Their classes, or several labels of each.
    """

    def __init__(self, image: UInt8[Tensor, "n c h w"], label: Int64[Tensor, " n *k"]):
        self.image = image
        self.label = label

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b c h w"], Int64[Tensor, " b *k"]]:
        image = self.image.index_select(0, index).float().div_(127.5).sub_(1)
        return image, self.label.index_select(0, index)


class TensorPoints(InMemory):
    """Labelled points in memory, indexed by a whole batch at once.

    Args:
        point: The points, as they are.
        label: Their classes.
    """

    def __init__(self, point: Float32[Tensor, "n k"], label: Int64[Tensor, " n"]):
        self.point = point
        self.label = label

    def __len__(self) -> int:
        return len(self.point)

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b k"], Int64[Tensor, " b"]]:
        return self.point.index_select(0, index), self.label.index_select(0, index)


class TrainingBatches(DistributedSampler):
    """Shuffled batches of indices, in an order that is a function of the seed and the epoch alone.

    Each step's images are the same for any number of processes: one batch of all processes together is cut into their
    shares, rank by rank. The images left over at the end of an epoch are dropped.

    Args:
        dataset: What to draw from; only its length matters.
        batch_size: Images per batch and process.
        num_replicas: Number of processes.
        rank: Which of them this is.
        seed: Chooses the sequence of orders.
    """

    def __init__(self, dataset: Sized, batch_size: int, num_replicas: int = 1, rank: int = 0, seed: int = 0):
        super().__init__(dataset, num_replicas, rank, seed=seed, drop_last=True)  # type: ignore[arg-type]
        self.size = len(dataset)
        self.batch_size = batch_size
        self.skip = 0  # batches that the next iteration leaves out at its start
        if batch_size * num_replicas > self.size:
            raise ValueError(
                f"`batch_size` times the number of processes must be at most the {self.size} training images, "
                f"got {batch_size} x {num_replicas} = {batch_size * num_replicas}: lower `batch_size`."
            )

    def __len__(self) -> int:
        return self.size // (self.batch_size * self.num_replicas)

    def __iter__(self) -> Iterator[Int64[Tensor, " b"]]:
        # All of this runs at the first `next`, as it must: Lightning sets the epoch after it has called `iter`.
        seed = int(np.random.SeedSequence((self.seed, self.epoch)).generate_state(1)[0])
        order = torch.randperm(self.size, generator=torch.Generator().manual_seed(seed))
        used = len(self) * self.num_replicas * self.batch_size
        shares = order[:used].view(len(self), self.num_replicas, self.batch_size)
        skip, self.skip = self.skip, 0
        yield from shares[skip:, self.rank]


class EvaluationBatches(DistributedSampler):
    """Batches of all indices in order, dealt to the processes in turn: nothing is padded, repeated or dropped.

    Args:
        dataset: What to go through; only its length matters.
        batch_size: Images per batch; fewer where some process would else go without a batch.
        num_replicas: Number of processes.
        rank: Which of them this is.
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


def as_it_is(batch: Any) -> Any:
    """Collates what is a batch already."""
    return batch


def batches_done(trainer: Trainer) -> int:
    """How many batches of the current epoch a resumed run has behind it; 0 in a run that is not resumed."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    # Not `ready`: that counts a batch stopped in the middle of its step as well, which Lightning takes again.
    processed = progress.current.processed  # type: ignore[attr-defined]  # Lightning types a base class
    epoch_is_over = progress.is_last_batch and processed == progress.current.ready
    return processed if trainer.fit_loop.restarting and not epoch_is_over else 0


class TensorDataModule(LightningDataModule, ABC):
    """Base of the data sets that live in memory as bytes; a subclass says what they are in `load`.

    Batches are `(image, label)`, the image float32 in [-1, 1]. The order of training depends on the seed of
    `seed_everything` and the epoch, not on the number of processes, and a run resumed from a checkpoint in mid-epoch
    goes on with the very next batch. Validation, test and prediction go through all evaluation images once, in order.

    Args:
        batch_size: Images per batch and process.
    """

    reference: str
    """Names the evaluation images, for the protocol of a score."""

    def __init__(self, batch_size: int = 64):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
        self.batch_size = batch_size
        self.seed: int | None = None  # of the order of training, kept by a resumed run

    @abstractmethod
    def load(self) -> tuple[TensorImages, TensorImages]:
        """Reads the images to train on and the images to evaluate on, which may be the same object."""

    def setup(self, stage: str) -> None:
        if not hasattr(self, "training"):
            self.training, self.evaluation = self.load()

    def train_dataloader(self) -> DataLoader:
        self.seed = global_seed() if self.seed is None else self.seed
        sampler = TrainingBatches(self.training, self.batch_size, *self.processes(), self.seed)
        if self.trainer is not None:
            sampler.skip = batches_done(self.trainer)
            # Lightning cannot know that a sampler continues, and warns of every checkpoint in mid-epoch.
            warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")
        return self.loader(self.training, sampler)

    @property
    def evaluation_name(self) -> tuple[str, str, int, str]:
        """What names the evaluation images in a cache: data set with its fingerprint, split, number and size."""
        images = self.evaluation
        name = f"{type(self).__name__.removesuffix('DataModule')}-{images.fingerprint}"
        return name, "evaluation", len(images), "x".join(map(str, images[torch.tensor([0])][0].shape[1:]))

    def state_dict(self) -> dict[str, int | None]:
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, int | None]) -> None:
        self.seed = state_dict["seed"]

    def val_dataloader(self) -> DataLoader:
        return self.loader(self.evaluation, EvaluationBatches(self.evaluation, self.batch_size, *self.processes()))

    test_dataloader = predict_dataloader = val_dataloader

    def processes(self) -> tuple[int, int]:
        """The number of processes and the rank of this one."""
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    def loader(self, images: InMemory, sampler: DistributedSampler) -> DataLoader:
        """A loader that indexes `images` with each batch of `sampler`."""
        if self.trainer is not None and self.trainer.overfit_batches:  # type: ignore[attr-defined]
            # Lightning puts its own order, of indices one by one, in place of any other.
            return DataLoader(images, self.batch_size, collate_fn=as_it_is)
        # Lightning advises workers, but they would only copy what is in memory already.
        warnings.filterwarnings("ignore", "The '.*_dataloader' does not have many workers")
        return DataLoader(
            images,
            sampler=sampler,
            batch_size=None,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # else each epoch would draw a seed for workers from the global generator
        )
