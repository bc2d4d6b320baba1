"""Images that a variant draws, checked before a callback takes them for what it needs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lightning_gans.mechanics.players import Batch


def fake_images(asker: str, module: Any, drawn: Any) -> Tensor:
    """Returns `fake` of what a variant drew.

    Args:
        asker: Name of the callback, for the message.
        module: The variant.
        drawn: As `samples` returns it.

    Raises:
        ValueError: Nothing is called `fake`, or it holds no images.
    """
    named: Mapping[str, Any] = drawn if isinstance(drawn, Mapping) else {}
    fake = named.get("fake")
    if not isinstance(fake, Tensor) or fake.ndim != 4:
        shapes = [f"{name} {tuple(part.shape)}" for name, part in named.items() if name == "fake" or fake is None]
        raise ValueError(
            f"`{asker}` needs images `fake` (b, c, h, w) among what a variant draws, and {type(module).__name__} draws "
            f"{', '.join(shapes) or 'nothing'}: leave it out."
        )
    return fake


def classes_of(module: Any, batch: Batch) -> Tensor | None:
    """Returns the classes of a batch's real images: its condition, otherwise its second item, otherwise None."""
    known = [part for part in (*module.condition(batch), *batch[1:2]) if isinstance(part, Tensor)]
    return next((part for part in known if part.ndim == 1 and part.dtype == torch.int64), None)


@contextmanager
def looking(asker: str, network: Any) -> Iterator[None]:
    """Names the callback whose network refuses images within it.

    Args:
        asker: Name of the callback, for the message.
        network: What it looks at images with.

    Raises:
        ValueError: The network raised an error, the first line of which is passed on.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"`{asker}` cannot look at these images with {name_of(network)}: {reason(error)}") from error


def name_of(network: Any) -> str:
    """Returns the name of a module's class, or of a function."""
    return getattr(network, "__name__", type(network).__name__)


def reason(error: Exception) -> str:
    """Returns the first line of an error, as the end of a sentence."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:") + "."
