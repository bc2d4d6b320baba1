"""Measures of images of bright strokes on black, such as digits."""

from collections.abc import Callable
from importlib import import_module

import torch
from jaxtyping import Float
from torch import Tensor


def slant(image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Measures the lean of strokes to the right, in pixels per pixel of height, from their second moments."""
    ink = (image.mean(1) + 1) / 2
    y, x = (torch.arange(size, device=image.device).to(image) for size in ink.shape[1:])
    y, x = y[:, None], x[None, :]
    total = ink.sum((1, 2)).clamp(min=1e-6)
    mean_x, mean_y = ((ink * place).sum((1, 2)) / total for place in (x, y))
    dx, dy = x - mean_x[:, None, None], y - mean_y[:, None, None]
    return -(ink * dx * dy).sum((1, 2)) / (ink * dy * dy).sum((1, 2)).clamp(min=1e-6)


def thickness(image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Measures the mean width of strokes in pixels: twice their area over the length of their outline."""
    ink = torch.nn.functional.pad((image.mean(1) + 1) / 2, (1, 1, 1, 1))
    dx, dy = ink[:, :-1, 1:] - ink[:, :-1, :-1], ink[:, 1:, :-1] - ink[:, :-1, :-1]
    outline = (dx.square() + dy.square()).sqrt().sum((1, 2))
    return 2 * ink.sum((1, 2)) / outline.clamp(min=1e-6)


def measure(name: str) -> Callable[[Tensor], Tensor]:
    """Finds `slant`, `thickness`, or any function of images by its path, such as `package.module.function`."""
    module, _, function = name.rpartition(".")
    known = {"slant": slant, "thickness": thickness}
    try:
        return known.get(name) or getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError):
        raise ValueError(
            f"An attribute must be slant, thickness or the path of a function of images, got {name!r}."
        ) from None
