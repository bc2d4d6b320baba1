"""Calls of a layer, noted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def inputs(layer: nn.Module) -> Iterator[list[tuple[Any, ...]]]:
    """Within it, the arguments of each call of a layer."""
    calls: list[tuple[Any, ...]] = []
    handle = layer.register_forward_pre_hook(lambda _, args: calls.append(args))
    try:
        yield calls
    finally:
        handle.remove()


@contextmanager
def outputs(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Within it, the result of each call of a layer."""
    results: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _, args, result: results.append(result))
    try:
        yield results
    finally:
        handle.remove()
