"""Stacked MNIST: colored images of three digits, whose 1,000 modes can be counted."""

from typing import Literal

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn.functional import avg_pool2d

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.mnist import MNISTDataModule
from lightning_gans.datamodules.tensors import InMemory, TensorImages, chosen
from lightning_gans.mechanics.randomness import mix


class StackedDigits(InMemory):
    """Images of three channels, each of which is a gray image of others; they are put together when asked for.

    Args:
        digits: Gray images with labels from 0 to 9.
        place: For each image, the places of its red, green and blue digit in `digits`.
    """

    def __init__(self, digits: TensorImages, place: Int64[Tensor, "n 3"]):
        self.image = digits.image[:, 0]
        self.place = place
        self.label = digits.label[place] @ torch.tensor([100, 10, 1])

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b 3 h w"], Int64[Tensor, " b"]]:
        image = chosen(self.image, self.place[index].flatten()).unflatten(0, (-1, 3))
        return image, self.label.index_select(0, index)


class StackedMNISTDataModule(TensorDataModule):
    """Colored images whose red, green and blue channels are random digits (Metz et al., 2017, https://arxiv.org/abs/1611.02163).

    The label is the number from 0 to 999 that the digits read: red the hundreds, green the tens, blue the ones. These
    are 1,000 modes, about equally frequent, and `class_modes` counts those that samples cover. The digits are those of
    `MNISTDataModule`, with a folder those to test with for the images to evaluate against. Which digits an image has is
    a function of `data_seed` and its number.

    Args:
        folder: The folder with `MNIST/raw` and its four unpacked idx files; null takes the digits of the package.
        size: Height and width in pixels; 32 puts the 28 pixels of the original into a black frame of 2, and 16 averages
            squares of four of these.
        num_images: Images to train on.
        num_evaluation_images: Images to evaluate against, other triples than those to train on.
        data_seed: Seed of the triples.
        batch_size: Images per batch and process.
    """

    def __init__(
        self,
        folder: str | None = None,
        size: Literal[16, 28, 32] = 32,
        num_images: int = 128000,
        num_evaluation_images: int = 25600,
        data_seed: int = 0,
        batch_size: int = 64,
    ):
        super().__init__(batch_size)
        for name, value in (("num_images", num_images), ("num_evaluation_images", num_evaluation_images)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if data_seed < 0:
            raise ValueError(f"`data_seed` must be at least 0, got {data_seed}.")
        if size not in (16, 28, 32):
            raise ValueError(f"`size` must be 16, 28 or 32, got {size}.")
        self.size = size
        self.digits = MNISTDataModule(folder, 28 if size == 28 else 32, batch_size)
        self.origin = f"triples of digits from {self.digits.origin}"
        self.num_images, self.num_evaluation_images = num_images, num_evaluation_images
        self.data_seed = data_seed
        self.reference = f"{num_evaluation_images:,} other triples, {self.digits.reference}, seed {data_seed}"

    def load(self) -> tuple[StackedDigits, StackedDigits]:
        self.classes = [f"{number:03}" for number in range(1000)]
        counts = (self.num_images, self.num_evaluation_images)
        training, evaluation = (
            StackedDigits(shrunk(digits, self.size), triples(count, len(digits), self.data_seed, part))
            for part, (digits, count) in enumerate(zip(self.digits.load(), counts, strict=True))
        )
        return training, evaluation


def shrunk(digits: TensorImages, size: int) -> TensorImages:
    """Averages the pixels of larger images."""
    small = avg_pool2d(digits.image.float(), digits.image.shape[-1] // size).round()
    return TensorImages(small.to(torch.uint8), digits.label)


def triples(count: int, size: int, *seeds: int) -> Int64[Tensor, "{count} 3"]:
    """Draws places out of `size`, three for each image; those of the first images are the same for every `count`."""
    return torch.randint(size, (count, 3), generator=torch.Generator().manual_seed(mix(*seeds)))
