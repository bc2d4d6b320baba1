"""Low-pass filters of style-based networks, by plain convolutions that can be differentiated as often as asked."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

Maps = Float[Tensor, "b c _ _"]


def kernel(taps: Sequence[float], like: Maps) -> Float[Tensor, "c 1 k k"]:
    """Returns a separable filter of sum 1 for each channel of these maps."""
    line = torch.tensor(taps, device=like.device, dtype=like.dtype)
    square = line[:, None] * line
    return (square / square.sum()).expand(like.shape[1], 1, -1, -1)


def blurred(maps: Maps) -> Maps:
    """Returns maps smoothed by [1, 2, 1], with 0 beyond the border."""
    return conv2d(maps, kernel((1.0, 2.0, 1.0), maps), padding=1, groups=maps.shape[1])


def smoothed(maps: Maps, padding: int, gain: float = 1.0) -> Maps:
    """Returns maps smoothed by [1, 3, 3, 1], with 0 beyond the border, larger by 2 * padding - 3."""
    return conv2d(maps, gain * kernel((1.0, 3.0, 3.0, 1.0), maps), padding=padding, groups=maps.shape[1])


def doubled(maps: Maps) -> Maps:
    """Returns maps of twice the size: zeros between the values, smoothed by [1, 3, 3, 1]."""
    return conv_transpose2d(maps, 4 * kernel((1.0, 3.0, 3.0, 1.0), maps), stride=2, padding=1, groups=maps.shape[1])


def halved(maps: Maps) -> Maps:
    """Returns maps of half the size: each second value of them smoothed by [1, 3, 3, 1]."""
    return conv2d(maps, kernel((1.0, 3.0, 3.0, 1.0), maps), stride=2, padding=1, groups=maps.shape[1])
