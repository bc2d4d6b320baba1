"""Batches of a person's own images, which say where each piece of an image belongs."""

from typing import Any, NamedTuple

from torch import Tensor


class Place(NamedTuple):
    """Where a piece of an image belongs, in pixels of the image."""

    name: str
    """The image's path within its folder."""
    size: tuple[int, int]
    """Height and width of the image."""
    corner: tuple[int, int]
    """Top and left of the piece."""
    rows: tuple[int, int]
    """The rows of the image that are taken from this piece, the last one excluded."""
    columns: tuple[int, int]
    """The columns of the image that are taken from it."""


class Given(NamedTuple):
    """A batch of images that a variant is to make others of."""

    image: Tensor
    """The images (b, c, h, w), or pieces of one image; or sequences (b, t, c, h, w) to go on with."""
    places: list[Place]
    """Where each of them belongs."""
    options: dict[str, Any]
    """What `convert`, or `extrapolate`, is called with beside the images, by name; tensors have a row for each."""
