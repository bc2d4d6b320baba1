"""Calls of a layer, noted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def inputs(layer: nn.Module) -> Iterator[list[tuple[Any, ...]]]:
    """Collects the arguments of each call of a layer within it."""
    calls: list[tuple[Any, ...]] = []
    handle = layer.register_forward_pre_hook(lambda _, args: calls.append(args))
    try:
        yield calls
    finally:
        handle.remove()


@contextmanager
def outputs(*layers: nn.Module) -> Iterator[list[Tensor]]:
    """Collects the result of each call of one of the layers within it, in the order of the calls."""
    results: list[Tensor] = []
    handles = [layer.register_forward_hook(lambda _, args, result: results.append(result)) for layer in layers]
    try:
        yield results
    finally:
        for handle in handles:
            handle.remove()
