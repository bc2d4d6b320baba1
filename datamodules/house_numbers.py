"""Synthetic house numbers, drawn from free fonts."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import UInt8

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.house_number_drawing import faces, house_number
from lightning_gans.datamodules.pixel_cache import CachedImages, cached_pixels, fingerprint_of
from lightning_gans.datamodules.tensors import TensorImages

DRAWING = 1  # counts changes to how house numbers are drawn


class HouseNumbersDataModule(TensorDataModule):
    """Synthetic house numbers of 32x32 pixels in 10 classes, drawn from fonts that come with the package.

    The digit in the middle of each image is its label; its neighbours in the number may show at the sides. Paint,
    plate, light, blur and contrast vary. The set stands in for photographs of house numbers where these cannot be had,
    and is easier: scores on it are not scores on SVHN. 200 fonts are trained on, and 30 others are evaluated on. Each
    image is a function of `data_seed` and its number. They are drawn once, about 400 in a second, and then lie in a
    file that every process and every later run maps into its memory.

    Args:
        num_images: Images to train on.
        num_evaluation_images: Images to evaluate on.
        data_seed: Seed of the images.
        batch_size: Images per batch and process.
        cache: Folder for the drawn images; `default` is `lightning-gans` in the user's folder for caches, null keeps
            them in the memory of each process, and draws them anew in each run.
    """

    origin = "fonts of the package"

    def __init__(
        self,
        num_images: int = 10000,
        num_evaluation_images: int = 2000,
        data_seed: int = 0,
        batch_size: int = 64,
        cache: str | None = "default",
    ):
        super().__init__(batch_size)
        for name, value in (("num_images", num_images), ("num_evaluation_images", num_evaluation_images)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if data_seed < 0:
            raise ValueError(f"`data_seed` must be at least 0, got {data_seed}.")
        self.num_images = num_images
        self.num_evaluation_images = num_evaluation_images
        self.data_seed = data_seed
        self.cache = cache
        self.reference = f"{num_evaluation_images:,} synthetic house numbers of 30 fonts held out, seed {data_seed}"

    def load(self) -> tuple[TensorImages, TensorImages]:
        self.classes = [str(digit) for digit in range(10)]
        return self.drawn(self.num_images, False), self.drawn(self.num_evaluation_images, True)

    def drawn(self, count: int, held_out: bool) -> TensorImages:
        """Returns house numbers of the fonts to train with, or of those held out."""
        name = f"house-numbers-{'evaluation' if held_out else 'training'}-{count}-seed{self.data_seed}"
        fingerprint = fingerprint_of(DRAWING, name)
        seeds = [(self.data_seed, int(held_out), number) for number in range(count)]
        image = cached_pixels(self.cache, name, fingerprint, (count, 3, 32, 32), lambda: pictures(seeds, held_out))
        label = torch.tensor([digit_of(seed) for seed in seeds])
        return CachedImages(image, label, fingerprint)


def pictures(seeds: Sequence[tuple[int, ...]], held_out: bool) -> Iterator[UInt8[np.ndarray, "3 32 32"]]:
    """Draws a house number for each seed."""
    fonts = faces(held_out)
    for seed in seeds:
        yield np.ascontiguousarray(house_number(np.random.default_rng(seed), fonts, digit_of(seed)))


def digit_of(seed: tuple[int, ...]) -> int:
    """Returns the digit of a seed."""
    return int(np.random.SeedSequence(seed, spawn_key=(1,)).generate_state(1)[0]) % 10
