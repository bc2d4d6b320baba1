"""The images of a data module, as a network sees them and against each other."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from lightning_gans.callbacks.score_card import gather_rows
from lightning_gans.datamodules import TensorImages

BLOCK = 250  # images shown at a time

Encode = Callable[[Tensor], Tensor]


def features_of(images: TensorImages, encode: Encode, trainer: Any, device: torch.device) -> Float[Tensor, "n k"]:
    """Features of all images in their order; the processes share the work."""
    blocks = torch.arange(len(images)).split(min(BLOCK, max(1, len(images) // trainer.world_size)))
    with torch.no_grad():
        parts = [
            encode(images[block][0].to(device)).float() for block in blocks[trainer.global_rank :: trainer.world_size]
        ]
    rows = gather_rows(parts, trainer)
    order = torch.cat([block for rank in range(trainer.world_size) for block in blocks[rank :: trainer.world_size]])
    return rows[order.argsort().to(rows.device)]


def is_among(images: UInt8[Tensor, "n c h w"], others: UInt8[Tensor, "m c h w"]) -> Bool[Tensor, " n"]:
    """Whether each image is one of the others, byte by byte."""
    known = {row.numpy().tobytes() for row in others}
    return torch.tensor([row.numpy().tobytes() in known for row in images])


def distinct(images: TensorImages) -> TensorImages:
    """Each image once."""
    first: dict[bytes, int] = {}
    for place, row in enumerate(images.image):
        first.setdefault(row.numpy().tobytes(), place)
    index = torch.tensor(list(first.values()))
    return TensorImages(images.image[index], images.label[index])
