"""The base of data modules whose images live in memory."""

import warnings
from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Int64
from lightning import LightningDataModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from lightning_gans.datamodules.batches import EvaluationBatches, TrainingBatches
from lightning_gans.datamodules.tensors import InMemory
from lightning_gans.mechanics.randomness import global_seed

NAMED = 10  # classes that a message names


class TensorDataModule(LightningDataModule, ABC):
    """Base of the data modules whose data live in memory as bytes; a subclass reads them in `load`.

    Batches are `(image, label)`, the image float32 in [-1, 1], or those of another data set of `tensors`. The order of
    training depends on the seed of `seed_everything` and the epoch, not on the number of processes. A run resumed from
    a checkpoint in mid-epoch goes on with the very next image, whatever its batch size and number of processes.
    Validation, test and prediction go through all evaluation images once, in order.

    All processes have equally many training batches. Loaders of your own must see to that themselves: with several
    processes a run waits for ever for the one whose data, such as an iterable data set, end first.

    Args:
        batch_size: Images per batch and process.
    """

    training: Any
    """The data set to train on, from `setup` on."""

    evaluation: Any
    """The data set to evaluate on, from `setup` on; it may be the same."""

    reference: str
    """Names the evaluation images, for the protocol of a score."""

    origin: str = ""
    """Where the training images come from, for a message."""

    cache: str | None = None
    """Folder for decoded images; None if there are none, or if each process decodes for itself."""

    def __init__(self, batch_size: int = 64):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
        self.batch_size = batch_size
        self.classes: list[str] = []  # names of what `label` numbers; none if labels are no classes
        self.seed: int | None = None  # of the order of training, kept by a resumed run
        self.images_per_step: int | None = None  # of the run that is resumed, over all processes

    @abstractmethod
    def load(self) -> tuple[InMemory, InMemory]:
        """Reads the images to train on and the images to evaluate on, which may be the same object."""

    def prepare_data(self) -> None:
        if self.cache is not None:  # one process of a machine decodes while the others wait
            self.setup("fit")

    def setup(self, stage: str) -> None:
        """Reads the data, once, and says in a sentence what they are; the sentence is kept as `summary`."""
        if not hasattr(self, "training"):
            self.training, self.evaluation = self.load()
            self.summary = in_words(self)
            rank_zero_info(self.summary)

    def train_dataloader(self) -> DataLoader:
        self.seed = global_seed() if self.seed is None else self.seed
        sampler = TrainingBatches(self.training, self.batch_size, *self.processes(), self.seed)
        if self.trainer is not None:
            go_on(self.trainer, sampler, self.images_per_step or sampler.images)
            # Lightning cannot know that a sampler continues, and warns of every checkpoint in mid-epoch.
            warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")
        return self.loader(self.training, sampler)

    @property
    def evaluation_name(self) -> tuple[str, str, int, str]:
        """The name of the evaluation images in a cache: data set with its fingerprint, split, number and size."""
        images = self.evaluation
        name = f"{type(self).__name__.removesuffix('DataModule')}-{images.fingerprint}"
        return name, "evaluation", len(images), "x".join(map(str, images[torch.tensor([0])][0].shape[1:]))

    def captions_of(self, index: Int64[Tensor, " b"]) -> list[str]:
        """Returns the captions of some evaluation images, for pictures of them; none where images have no captions."""
        return []

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.seed, "images_per_step": self.batch_size * self.processes()[0]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seed = state_dict["seed"]
        self.images_per_step = state_dict.get("images_per_step")  # older checkpoints lack it

    def val_dataloader(self) -> DataLoader:
        return self.loader(self.evaluation, EvaluationBatches(self.evaluation, self.batch_size, *self.processes()))

    test_dataloader = predict_dataloader = val_dataloader

    def processes(self) -> tuple[int, int]:
        """Returns the number of processes and the rank of this one."""
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    def loader(self, images: InMemory, sampler: DistributedSampler) -> DataLoader:
        """Makes a loader that indexes `images` with each batch of `sampler`."""
        if self.trainer is not None and self.trainer.overfit_batches:  # type: ignore[attr-defined]
            # Lightning puts its own order, of indices one by one, in place of any other.
            return DataLoader(images, self.batch_size, collate_fn=as_it_is)
        silence_workers()
        return DataLoader(
            images,
            sampler=sampler,
            batch_size=None,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # the global generator would give a seed for workers in each epoch
        )


def silence_workers() -> None:
    """Hides Lightning's advice to use workers, which would only copy what is in memory already."""
    warnings.filterwarnings("ignore", "The '.*_dataloader' does not have many workers")


def as_it_is(batch: Any) -> Any:
    """Returns a batch that needs no collating."""
    return batch


def go_on(trainer: Trainer, sampler: TrainingBatches, images_per_step: int) -> None:
    """Lets a resumed run leave out the images of its epoch that it was trained on before.

    Lightning counts an epoch in batches. If they have another size now, so many are done as leave those that come.

    Args:
        trainer: The trainer, which knows if a run is resumed.
        sampler: The batches of the epoch.
        images_per_step: Images of a step before, over all processes.
    """
    done = batches_done(trainer)
    sampler.skip = done * images_per_step
    current: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    if done and images_per_step != sampler.images:
        current.increment_by(len(sampler) - sampler.left - done)


def batches_done(trainer: Trainer) -> int:
    """Returns how many batches of the current epoch a resumed run has behind it; 0 in a run that is not resumed."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    # Not `ready`: that counts a batch stopped in the middle of its step as well, which Lightning takes again.
    processed = progress.current.processed  # type: ignore[attr-defined]  # Lightning types a base class
    epoch_is_over = progress.is_last_batch and processed == progress.current.ready
    return processed if trainer.fit_loop.restarting and not epoch_is_over else 0


def in_words(data: TensorDataModule) -> str:
    """Returns a sentence about the images of a data module: how many, of which classes, and from where."""
    origin = f" from {data.origin}" if data.origin else ""
    same = data.evaluation is data.training
    others = "the same" if same else f"{len(data.evaluation):,} {data.evaluation.noun}"
    reference = f" ({data.reference})" if hasattr(data, "reference") else ""
    trained = f"{len(data.training):,} {data.training.noun}{classes_in_words(data)}{origin}"
    return f"{type(data).__name__} trains on {trained}, and evaluates on {others}{reference}."


def classes_in_words(data: TensorDataModule) -> str:
    """Returns the names of the first classes, each with its number of training images."""
    if not data.classes:
        return ""
    label = data.training.label
    counts = label[label >= 0].bincount(minlength=len(data.classes)).tolist()
    names = [f"{name}: {count:,}" for name, count in zip(data.classes[:NAMED], counts, strict=False)]
    more = [f"{len(data.classes) - NAMED:,} more"] * (len(data.classes) > NAMED)
    unlabelled = [f"{int((label < 0).sum()):,} without a label"] * bool((label < 0).any())
    plural = "class" if len(data.classes) == 1 else "classes"
    return f" of {len(data.classes):,} {plural} ({'; '.join(names + more + unlabelled)})"
