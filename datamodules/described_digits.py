"""Described digits: colored digits with captions that are true."""

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import UInt8

from lightning_gans.datamodules.described_digit_drawing import Part, Plan, captions, picture, plan
from lightning_gans.datamodules.mnist import MNISTDataModule
from lightning_gans.datamodules.pixel_cache import CachedImages, cached_pixels, fingerprint_of
from lightning_gans.datamodules.tensors import TensorImages
from lightning_gans.datamodules.text import Described, TextDataModule
from lightning_gans.datamodules.text_encoders import Encoder, HashedWords
from lightning_gans.metrics.described_digits import combination

DRAWING = 1  # counts changes to how pictures are drawn
KNOWN = 8000  # digits of the package to train on; pictures to evaluate on show the others


class DescribedDigitsDataModule(TextDataModule):
    """Colored digits, each with four captions that are true, such as `a large thick upright red seven on a white
    background, in the center`.

    Pictures are drawn from the handwritten digits of the package. A caption names some or, the first, all of seven
    attributes: digit, ink, paper, stroke, slant, size and place, all of which can be read back from a picture
    (`lightning_gans.metrics.described_digits`). Some combinations are never trained on: one ink in ten for each digit,
    and one paper in ten for each ink. Pictures of these are evaluated on by default, to ask for what was never seen.

    Batches are `(image, text, label)`: images (b, 3, size, size) in [-1, 1], the vectors (b, 4, k) of their captions,
    and the number of the combination of attributes, which `attributes_of` takes apart. Evaluation has the first caption
    alone. Pictures are drawn once, and lie in a file that every process and every later run maps into its memory.

    Args:
        size: Height and width in pixels; below 64, strokes and slants are hard to tell.
        num_images: Pictures to train on, of the first 8,000 digits.
        num_evaluation_images: Pictures to evaluate on, of the other 2,000 digits.
        evaluation_split: Combinations to evaluate on: `unseen`, `seen`, or `both`, which has a half of each, the
            unseen ones first.
        encoder: What makes vectors of texts: `HashedWords`, another class with its arguments, or the dotted path of a
            function from a list of n texts to (n, k) floats.
        data_seed: Seed of the pictures.
        batch_size: Images per batch and process.
        text: One text or several that `predict` draws images of, instead of one for each evaluation image.
        images_per_text: Images that it draws of each.
        cache: Folder for pictures and vectors; `default` is `lightning-gans` in the user's folder for caches, null
            makes them anew in each run.
    """

    origin = "the digits of the package"

    def __init__(
        self,
        size: Literal[32, 64] = 64,
        num_images: int = 8000,
        num_evaluation_images: int = 1000,
        evaluation_split: Literal["unseen", "seen", "both"] = "unseen",
        encoder: Encoder = HashedWords(),
        data_seed: int = 0,
        batch_size: int = 64,
        text: str | list[str] | None = None,
        images_per_text: int = 16,
        cache: str | None = "default",
    ):
        super().__init__(batch_size, encoder, (3, size, size), text, images_per_text, cache)
        if size not in (32, 64):
            raise ValueError(f"`size` must be 32 or 64, got {size}.")
        if evaluation_split not in ("unseen", "seen", "both"):
            raise ValueError(f"`evaluation_split` must be unseen, seen or both, got {evaluation_split}.")
        least = 2 if evaluation_split == "both" else 1
        for name, value, low in (
            ("num_images", num_images, 1),
            ("num_evaluation_images", num_evaluation_images, least),
            ("data_seed", data_seed, 0),
        ):
            if value < low:
                raise ValueError(f"`{name}` must be at least {low}, got {value}.")
        self.size = size
        self.num_images = num_images
        self.num_evaluation_images = num_evaluation_images
        self.evaluation_split = evaluation_split
        self.data_seed = data_seed
        which = "seen and unseen" if evaluation_split == "both" else evaluation_split
        self.reference = (
            f"{num_evaluation_images:,} described digits of {which} combinations at {size}x{size}, seed {data_seed}"
        )

    def described(self) -> tuple[Described, Described]:
        digits, _ = MNISTDataModule(size=28).load()
        known, others = (
            TensorImages(digits.image[part], digits.label[part]) for part in (slice(KNOWN), slice(KNOWN, None))
        )
        parts: tuple[Part, ...] = get_args(Part) if self.evaluation_split == "both" else (self.evaluation_split,)
        counts = [len(part) for part in np.array_split(np.arange(self.num_evaluation_images), len(parts))]
        evaluation = [self.drawn(others, count, part, 1) for count, part in zip(counts, parts, strict=True)]
        return self.drawn(known, self.num_images, "seen", 0), joined(evaluation)

    def drawn(self, digits: TensorImages, count: int, part: Part, number: int) -> Described:
        """Returns pictures with their captions.

        Args:
            digits: Digits to draw.
            count: Pictures.
            part: What combinations they show.
            number: Number of the set, beside the seed.
        """
        seed = (self.data_seed, number, get_args(Part).index(part))
        planned = plan(digits, count, part, seed)
        name = f"described-digits-{part}-{number}-{count}-seed{self.data_seed}-{self.size}x{self.size}"
        fingerprint = fingerprint_of(DRAWING, name)
        shape = (count, *self.shape)
        image = cached_pixels(self.cache, name, fingerprint, shape, lambda: pictures(digits, planned, self.size, seed))
        texts = [captions(row, np.random.default_rng((*seed, 1, index))) for index, row in enumerate(planned.attribute)]
        return Described(CachedImages(image, combination(torch.from_numpy(planned.attribute)), fingerprint), texts)


def pictures(
    digits: TensorImages, planned: Plan, size: int, seed: tuple[int, ...]
) -> Iterator[UInt8[np.ndarray, "3 {size} {size}"]]:
    """Draws all pictures of a plan."""
    for index, (source, attribute) in enumerate(zip(*planned, strict=True)):
        random = np.random.default_rng((*seed, 0, index))
        yield np.ascontiguousarray(picture(digits.image[source, 0].numpy(), attribute, size, random))


def joined(sets: list[Described]) -> Described:
    """Returns all pictures as one set."""
    if len(sets) == 1:
        return sets[0]
    images = [part.images for part in sets]
    fingerprint = fingerprint_of(*(part.fingerprint for part in images))
    image, label = torch.cat([part.image for part in images]), torch.cat([part.label for part in images])
    return Described(CachedImages(image, label, fingerprint), [text for part in sets for text in part.captions])
