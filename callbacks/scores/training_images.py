"""All images of a data module: as a network sees them, and against each other."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from lightning_gans.callbacks.pictures import to_uint8
from lightning_gans.datamodules import TensorDataModule
from lightning_gans.datamodules.tensors import InMemory
from lightning_gans.mechanics.checks import as_batch
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import dealt, gather_rows

BLOCK = 250  # images shown at a time

Encode = Callable[[Batch], Tensor]


def data_module(asker: str, trainer: Any) -> TensorDataModule:
    """Returns the data module, all of whose images lie in memory.

    Args:
        asker: Name of the callback, for the message.
        trainer: The trainer.

    Raises:
        ValueError: There is another data module, or none.
    """
    data = trainer.datamodule
    if not isinstance(data, TensorDataModule):
        raise ValueError(f"`{asker}` needs a TensorDataModule, got {type(data).__name__}: leave it out.")
    return data


def labels_of(asker: str, images: InMemory) -> Int64[Tensor, " n"]:
    """Returns the classes of all images.

    Args:
        asker: Name of the callback, for the message.
        images: The images.

    Raises:
        ValueError: They have none, or more than one each.
    """
    label = getattr(images, "label", None)
    if not isinstance(label, Tensor) or label.ndim != 1:
        raise ValueError(f"`{asker}` needs data with one class of each image, got {type(images).__name__} without.")
    return label


def blocks(images: InMemory, size: int = BLOCK) -> Iterator[Batch]:
    """Yields all images in their order, a few at a time."""
    for index in torch.arange(len(images)).split(size):
        yield as_batch(images[index])


def features_of(images: InMemory, encode: Encode, trainer: Any, device: torch.device) -> Float[Tensor, "n k"]:
    """Returns features of all images in their order; the processes share the work.

    Args:
        images: The images.
        encode: Maps a batch to features.
        trainer: The trainer.
        device: Where to encode.
    """
    size = min(BLOCK, max(1, len(images) // trainer.world_size))
    mine = dealt(len(images), size, trainer)
    with torch.no_grad():
        parts = [encode([item.to(device) for item in as_batch(images[index])]).float() for index in mine]
    places = gather_rows([index.to(device) for index in mine], trainer)
    return gather_rows(parts, trainer)[places.argsort()]


def names_of(images: InMemory, real: Encode) -> list[bytes]:
    """Returns a name of each image, the same for images whose pixels are, as bytes.

    Args:
        images: The images.
        real: Maps a batch to its real images.
    """
    rows = (row for batch in blocks(images) for row in to_uint8(real(batch)))
    return [hashlib.blake2b(row.numpy().tobytes(), digest_size=16).digest() for row in rows]


def is_among(images: list[bytes], others: list[bytes]) -> Bool[Tensor, " n"]:
    """Returns True for each image that is one of the others, by their names."""
    known = set(others)
    return torch.tensor([name in known for name in images])


def distinct(images: list[bytes]) -> Int64[Tensor, " k"]:
    """Returns the places of all images without those that were there before, by their names."""
    first = {name: place for place, name in reversed(list(enumerate(images)))}
    return torch.tensor(sorted(first.values()))
