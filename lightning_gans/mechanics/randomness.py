"""Randomness without state: what is drawn is a function of integers, so there is nothing to store and all to resume."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Callback
from torch import Tensor

_MASK = (1 << 64) - 1


def mix(*integers: int) -> int:
    """Returns one seed of 32 bits from several integers.

    Source: splitmix64 (Steele et al., 2014, https://doi.org/10.1145/2660193.2660195).
    """
    state = 0x9E3779B97F4A7C15
    for integer in integers:
        z = ((state ^ (integer & _MASK)) + 0x9E3779B97F4A7C15) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        state = z ^ (z >> 31)
    return state & 0xFFFFFFFF  # torch's generator on the CPU uses no more


def reseed(seed: int, device: torch.device) -> None:
    """Seeds torch's generators of the CPU and of `device`; `torch.manual_seed` does it in 30 times the time."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def random_state(device: torch.device) -> list[Tensor]:
    """Returns the states of torch's generators of the CPU and of `device`."""
    own = [] if device.type == "cpu" else [torch.get_device_module(device).get_rng_state(*index(device))]
    return [torch.get_rng_state(), *own]


def restore_random_state(state: list[Tensor], device: torch.device) -> None:
    """Puts torch's generators back to where they stood."""
    torch.set_rng_state(state[0])
    for own in state[1:]:
        torch.get_device_module(device).set_rng_state(own, *index(device))


def index(device: torch.device) -> tuple[torch.device, ...]:
    """Returns the device for modules of torch that know several; MPS has one, and takes no argument."""
    return () if device.type == "mps" else (device,)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Makes what is drawn within it a function of `seed`; after it, the generators stand where they stood."""
    state = random_state(device)
    try:
        reseed(seed, device)
        yield
    finally:
        restore_random_state(state, device)


def global_seed() -> int:
    """Returns the seed given to `seed_everything`, 0 if there was none."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))


def fresh_seed() -> int:
    """Returns the seed of a run: the one given to `seed_everything`, otherwise torch's own."""
    return int(os.environ.get("PL_GLOBAL_SEED", torch.initial_seed() & 0xFFFFFFFF))


class RandomState(Callback):
    """Gives the global random generators back after a fit, however it ends, as they stood before it."""

    def __init__(self) -> None:
        self._state: list[Tensor] | None = None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        self._state = random_state(pl_module.device)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        if self._state is not None:
            restore_random_state(self._state, pl_module.device)
        self._state = None

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self.on_fit_end(trainer, pl_module)
