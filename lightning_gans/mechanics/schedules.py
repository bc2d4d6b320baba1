"""Values that change over training, as functions of the number of training images so far, and learning rates."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class Schedule(ABC):
    """A value that changes over training; it is accepted wherever a number that may change is."""

    @abstractmethod
    def __call__(self, images: int) -> float:
        """Returns the value after `images` training images."""


class Linear(Schedule):
    """A value that moves evenly from one number to another, and stays there.

    Args:
        start: The first value.
        end: The last value.
        kimg: Thousands of training images from the first value to the last.
        after: Thousands of training images before it moves.
    """

    def __init__(self, start: float, end: float, kimg: float, after: float = 0.0):
        self.start, self.end, self.kimg, self.after = start, end, checked_kimg(kimg), after
        if after < 0:
            raise ValueError(f"`after` must be at least 0, got {after}.")

    def __call__(self, images: int) -> float:
        share = (images - 1000 * self.after) / (1000 * self.kimg)
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)


class Cosine(Schedule):
    """A value that moves from one number to another along half a period of a cosine, and stays there.

    Args:
        start: The first value.
        end: The last value.
        kimg: Thousands of training images until the last value.
    """

    def __init__(self, start: float, end: float, kimg: float):
        self.start, self.end, self.kimg = start, end, checked_kimg(kimg)

    def __call__(self, images: int) -> float:
        share = min(images / (1000 * self.kimg), 1.0)
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * share)) / 2


class Steps(Schedule):
    """Values that follow each other after equal numbers of images; the last one stays.

    Args:
        values: The values, in their order.
        kimg: Thousands of training images for which each value holds.
    """

    def __init__(self, values: Sequence[float], kimg: float):
        if not values:
            raise ValueError("`values` must hold at least one value, got none.")
        self.values, self.kimg = list(values), checked_kimg(kimg)

    def __call__(self, images: int) -> float:
        return self.values[min(int(images / (1000 * self.kimg)), len(self.values) - 1)]


class Growth(Schedule):
    """Doublings of a network that grows (Karras et al., 2018, https://arxiv.org/abs/1710.10196, appendix A).

    The first resolution holds for `kimg`. Then, again and again, the next one fades in and holds for as long each: the
    value rises by 1, and rests.

    Args:
        kimg: Thousands of training images of a fade and of a rest; 600 in the authors' second code, 800 in the first.
        start: The first value; ProGAN begins at 4 pixels with 0, StyleGAN at 8 with 1.
    """

    def __init__(self, kimg: float, start: int = 0):
        self.kimg, self.start = checked_kimg(kimg), start

    def __call__(self, images: int) -> float:
        doublings, rest = divmod(images / (1000 * self.kimg), 2)
        return self.start + doublings + max(rest - 1, 0.0)


def at(value: float | Schedule, images: int) -> float:
    """Returns the value after `images` training images; a plain number does not change."""
    return value(images) if isinstance(value, Schedule) else value


def checked_kimg(kimg: float) -> float:
    """Returns `kimg`, which must be positive."""
    if kimg <= 0:
        raise ValueError(f"`kimg` must be positive, got {kimg}.")
    return kimg


class Timed:
    """A part, such as a network or a learning rate, that must know how far training is.

    Before each batch the loop sets `images_seen` to the training images so far, over all processes. It is a number of
    Python, so that nobody waits for the device, and a part of no state: the loop counts, also in a resumed run.
    """

    images_seen: int = 0


def told(parts: Iterable[Any], images: int) -> list[Timed]:
    """Tells those parts that must know it how many images were trained on, and returns them."""
    those = [part for part in parts if isinstance(part, Timed)]
    for part in those:
        part.images_seen = images
    return those


class OverImages(Timed, LRScheduler):
    """A learning rate, and Adam's beta2, that follow the training images so far.

    Args:
        optimizer: Whose they are.
        factor: Of the optimizer's own rate.
        beta2: Adam's second beta; None leaves it as it is.
        last_epoch: As torch's schedules have it.
    """

    def __init__(self, optimizer: Optimizer, factor: Schedule, beta2: Schedule | None = None, last_epoch: int = -1):
        self.factor, self.beta2 = factor, beta2
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        if self.beta2 is not None:
            for group in self.optimizer.param_groups:
                group["betas"] = (group["betas"][0], self.beta2(self.images_seen))
        return [rate * self.factor(self.images_seen) for rate in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Returns the count of steps, and a description of what this schedule follows."""
        followed = {name: vars(schedule) for name in ("factor", "beta2") if (schedule := getattr(self, name))}
        return {"last_epoch": self.last_epoch, "_last_lr": self._last_lr, "base_lrs": self.base_lrs} | followed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the count of steps; what this schedule follows stays its own."""
        own = {"factor", "beta2"}
        super().load_state_dict({name: value for name, value in state_dict.items() if name not in own})
