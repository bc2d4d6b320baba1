"""Synthetic faces with the part that each pixel shows."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.face_drawing import PARTS, Camera, head
from lightning_gans.datamodules.pixel_cache import cached_pixels, fingerprint_of
from lightning_gans.datamodules.tensors import InMemory, floats

DRAWING = 1  # counts changes to how faces are drawn


class Faces(InMemory):
    """Faces in memory, each with the part of the face that its pixels show.

    Args:
        pixels: Red, green and blue, 0 to 255, and the number of the part in `PARTS`.
        fingerprint: Names them.
    """

    noun = "faces"

    def __init__(self, pixels: UInt8[Tensor, "n 4 h w"], fingerprint: str):
        self.pixels = pixels
        self.name = fingerprint

    @property
    def fingerprint(self) -> str:
        return self.name

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b 3 h w"], Int64[Tensor, "b h w"]]:
        pixels = self.pixels.index_select(0, index)
        return floats(pixels[:, :3]), pixels[:, 3].long()


class FacesDataModule(TensorDataModule):
    """Synthetic faces, drawn in three dimensions, with the part of the face that each pixel shows.

    Batches are `(image, part)`: a part (b, h, w) is 0 for the background, then 1 to 6 for skin, hair, brows, eyes, nose
    and lips. Heads, hair, colors, light and background vary, heads are turned to the side, and there is a little noise.
    The set stands in for photographs of faces where these cannot be had: scores on it are not scores on CelebA. Each
    face is a function of `data_seed` and its number, and no face is evaluated on that was trained on. They are drawn
    once, about 50 in a second, and then lie in a file that every process and every later run maps into its memory.

    Args:
        num_images: Faces to train on.
        num_evaluation_images: Faces to evaluate on.
        size: Height and width in pixels.
        turn: Largest turn to a side, in degrees; 0 has all look at the viewer.
        data_seed: Seed of the faces.
        batch_size: Images per batch and process.
        cache: Folder for the drawn images; `default` is `lightning-gans` in the user's folder for caches, null keeps
            them in the memory of each process, and draws them anew in each run.
    """

    origin = "the package, drawn"

    def __init__(
        self,
        num_images: int = 3000,
        num_evaluation_images: int = 300,
        size: int = 64,
        turn: float = 25.0,
        data_seed: int = 0,
        batch_size: int = 64,
        cache: str | None = "default",
    ):
        super().__init__(batch_size)
        counts = (("num_images", num_images), ("num_evaluation_images", num_evaluation_images), ("size", size))
        for name, value in counts:
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if not 0 <= turn <= 180:
            raise ValueError(f"`turn` must be from 0 to 180 degrees, got {turn}.")
        if data_seed < 0:
            raise ValueError(f"`data_seed` must be at least 0, got {data_seed}.")
        self.num_images = num_images
        self.num_evaluation_images = num_evaluation_images
        self.size, self.turn = size, turn
        self.data_seed = data_seed
        self.cache = cache
        self.reference = f"{num_evaluation_images:,} synthetic faces held out, seed {data_seed}"

    def load(self) -> tuple[Faces, Faces]:
        return self.drawn(self.num_images, 0), self.drawn(self.num_evaluation_images, 1)

    def drawn(self, count: int, held_out: int) -> Faces:
        """Returns faces to train with, or those held out."""
        purpose = "evaluation" if held_out else "training"
        name = f"faces-{purpose}-{count}-{self.size}px-turn{self.turn:g}-seed{self.data_seed}"
        fingerprint = fingerprint_of(DRAWING, name)
        seeds = ((self.data_seed, held_out, number) for number in range(count))
        shape = (count, 4, self.size, self.size)
        return Faces(
            cached_pixels(self.cache, name, fingerprint, shape, lambda: pictures(seeds, self.size, self.turn)),
            fingerprint,
        )


def pictures(seeds: Iterator[tuple[int, ...]], size: int, turn: float) -> Iterator[UInt8[np.ndarray, "4 size size"]]:
    """Draws a face for each seed: its colors and its parts."""
    camera = Camera(size)
    for seed in seeds:
        random = np.random.default_rng(seed)
        angle = np.radians(random.uniform(-turn, turn))
        image, part = camera(head(random), angle)
        grain = random.integers(-2, 3, image.shape, np.int16)  # without it, neighbors in flat colors would be equal
        yield np.ascontiguousarray(np.concatenate([(image.clip(2, 253) + grain).astype(np.uint8), part[None]]))


def intersection_over_union(
    part: Int64[Tensor, "b h w"], truth: Int64[Tensor, "b h w"], where: Float32[Tensor, "b 1 h w"] | None = None
) -> Float32[Tensor, " parts"]:
    """Returns how much of each part of `PARTS` is found where it is: pixels of both over pixels of either.

    Args:
        part: The parts that were found.
        truth: The true parts.
        where: 1 for the pixels that count; None counts all.
    """
    counted = torch.ones_like(truth, dtype=torch.bool) if where is None else where[:, 0] > 0
    number = torch.arange(len(PARTS), device=truth.device)[:, None]
    found, true = (number == parts[counted] for parts in (part, truth))
    return (found & true).sum(1) / (found | true).sum(1).clamp(min=1)
