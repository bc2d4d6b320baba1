"""Checks of what networks are called with, shared by all of them."""

from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import one_hot

Labels = Int64[Tensor, " b"] | Float[Tensor, "b k"]  # the number of the class, or a share of each class


def check_images(images: Float[Tensor, "b c h w"], channels: int, size: int | None = None) -> None:
    """Refuses images that do not have the network's number of channels and its size.

    Args:
        images: The batch that the network is called with.
        channels: The network's channels.
        size: The network's height and width; None takes any.
    """
    if images.shape[1] != channels:
        raise ValueError(
            f"`channels` of network and images must agree, got {channels} and images with {images.shape[1]}."
        )
    if size is not None and images.shape[2:] != (size, size):
        height, width = images.shape[2:]
        raise ValueError(f"`size` of network and images must agree, got {size} and images of {height} x {width}.")


def class_shares(label: Labels, num_classes: int, like: Tensor) -> Float[Tensor, "b k"]:
    """Returns the share of each class, in the precision of `like`: 1 for a class that is given by its number."""
    shares = label if label.is_floating_point() else one_hot(label, num_classes)
    if shares.shape[1] != num_classes:
        raise ValueError(
            f"`num_classes` of network and labels must agree, got {num_classes} and shares of {shares.shape[1]}."
        )
    return shares.to(like)


def class_condition(label: Labels | None, num_classes: int, like: Tensor) -> tuple[Tensor, ...]:
    """Returns the share of each class, and nothing for a network without classes.

    Refuses a label that the network cannot use, and a label that is missing.
    """
    if (label is None) == (num_classes > 0):
        given = "no label: set the model's `conditional` to true" if label is None else "a label: give it classes"
        raise ValueError(f"`num_classes` of the network is {num_classes}, but it was given {given}.")
    return () if label is None else (class_shares(label, num_classes, like),)
