"""Images in many views: each epoch sees them cropped elsewhere, mirrored or not."""

from collections.abc import Sequence

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from lightning_gans.datamodules.pixel_cache import fingerprint_of
from lightning_gans.datamodules.tensors import InMemory, TensorImages, TextImages, floats
from lightning_gans.mechanics.randomness import mix

Side = UInt8[Tensor, "n c h w"] | list[UInt8[Tensor, "_ _ _"]]
"""Images of one size, or of any."""


class Crops(InMemory):
    """Squares cut from images; what is cut from several sides at once lies at the same place of each.

    An index names an item and its view, `item + len(self) * view`, so that a batch is a function of its indices. View 0
    is the centre, not mirrored, and is what evaluation sees. In any other view the place is drawn by the index, and
    each epoch of training has a view of its own.

    Args:
        sides: Sets of images, of which those of one number belong together.
        size: Height and width of what is cut from the first side, in pixels.
        flip: Mirrors half of the crops, left to right.
        count: Items of an epoch, which take the images in turn; None takes each image once.
        factor: Times that images of the other sides are smaller than those of the first.
        noun: The name of the items, for messages.
        fingerprint: Names the images.
    """

    def __init__(
        self,
        sides: Sequence[Side],
        size: int,
        flip: bool = True,
        count: int | None = None,
        factor: int = 1,
        noun: str = "images",
        fingerprint: str = "",
    ):
        self.sides = sides
        self.size = size
        self.flip = flip
        self.count = len(sides[0]) if count is None else count
        self.factor = factor
        self.noun = noun
        self.images = fingerprint

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.images, self.size, self.flip, self.count, self.factor)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b _ _ _"], ...]:
        crops = [self.crop(number) for number in index.tolist()]
        return tuple(floats(torch.stack(side)) for side in zip(*crops, strict=True))

    def crop(self, index: int) -> list[UInt8[Tensor, "_ _ _"]]:
        """Returns what one index stands for, of each side."""
        view, item = divmod(index, len(self))
        images = [side[item % len(side)] for side in self.sides]
        height, width = images[0].shape[1:]
        below, right = (height - self.size) // self.factor, (width - self.size) // self.factor
        top, left, mirrored = below // 2, right // 2, False
        if view:
            top, left = mix(index, 0) % (below + 1), mix(index, 1) % (right + 1)
            mirrored = self.flip and mix(index, 2) % 2 == 1
        crops = []
        for image, scale in zip(images, (self.factor, *(1 for _ in images[1:])), strict=True):
            y, x, size = top * scale, left * scale, self.size * scale // self.factor
            crop = image[:, y : y + size, x : x + size]
            crops.append(crop.flip(2) if mirrored else crop)
        return crops

    def order(self, seed: int, epoch: int) -> Int64[Tensor, " n"]:
        return in_view(super().order(seed, epoch), len(self), seed, epoch)


class Views(InMemory):
    """A set whose indices stand for views as those of `Crops` do, so that what is drawn by them is new in each epoch.

    Args:
        images: The set, which looks the same in all views.
    """

    def __init__(self, images: InMemory):
        self.images = images
        self.noun = images.noun

    @property
    def fingerprint(self) -> str:
        return self.images.fingerprint

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Tensor, ...]:
        return self.images[index % len(self)]

    def order(self, seed: int, epoch: int) -> Int64[Tensor, " n"]:
        return in_view(self.images.order(seed, epoch), len(self), seed, epoch)


class CroppedTexts(TextImages):
    """Images with captions of which each epoch of training sees other squares, as those of `Crops`.

    Args:
        images: The images with their captions.
        size: Height and width of the squares, in pixels.
        flip: Mirrors half of them in training, left to right.
    """

    def __init__(self, images: TextImages, size: int, flip: bool):
        super().__init__(images.image, images.embedding, images.caption, images.label, images.pixels)
        self.crops = Crops([images.image], size, flip)

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(super().fingerprint, self.crops.fingerprint)

    def __getitem__(
        self, index: Int64[Tensor, " b"]
    ) -> tuple[Float32[Tensor, "b c h w"], Float32[Tensor, "b captions k"], Int64[Tensor, " b"]]:
        place = index % len(self)
        return self.crops[index][0], self.texts(place), self.label[place]

    def order(self, seed: int, epoch: int) -> Int64[Tensor, " n"]:
        return self.crops.order(seed, epoch)


class Mirrored(TensorImages):
    """Labelled images of which half are mirrored, left to right, in each view of `Crops` but view 0.

    Args:
        images: The images as they are.
    """

    def __init__(self, images: TensorImages):
        super().__init__(images.image, images.label)
        self.images = images

    @property
    def fingerprint(self) -> str:
        return self.images.fingerprint

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b c h w"], Int64[Tensor, " b *k"]]:
        image, label = self.images[index % len(self)]
        mirrored = torch.tensor([number >= len(self) and mix(number, 2) % 2 == 1 for number in index.tolist()])
        return torch.where(mirrored[:, None, None, None], image.flip(3), image), label

    def order(self, seed: int, epoch: int) -> Int64[Tensor, " n"]:
        return in_view(super().order(seed, epoch), len(self), seed, epoch)


def in_view(order: Int64[Tensor, " n"], count: int, seed: int, epoch: int) -> Int64[Tensor, " n"]:
    """Returns the indices of items as an epoch sees them: in a view of its own, never view 0."""
    return order + count * (1 + mix(seed, epoch))


def tiles(image: UInt8[Tensor, "c h w"], size: int, multiple: int = 1) -> list[UInt8[Tensor, "c {size} {size}"]]:
    """Cuts an image into squares without overlap, around its centre but for less than `multiple` pixels."""
    starts = []
    for length in image.shape[1:]:
        first = length % size // 2 // multiple * multiple
        starts.append(range(first, length - size + 1, size))
    return [image[:, y : y + size, x : x + size] for y in starts[0] for x in starts[1]]
