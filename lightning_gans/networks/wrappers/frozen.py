"""A network that is used and never trained."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Frozen(nn.Module):
    """Hides a network that losses use, such as VGG, from all that looks for what is trained.

    The network stays in evaluation mode without gradients of its own, and passes gradients on to its input. This module
    has no parameters, no buffers and no key of the state dict, so checkpoints, moving averages and processes do without
    it. The network moves to a device or a precision with what holds it, and is copied with it.

    Args:
        network: Called with what this is called with.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self._hidden = (network.requires_grad_(False).eval(),)  # a tuple is no part of the module

    @property
    def network(self) -> nn.Module:
        """Returns the hidden network."""
        return self._hidden[0]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.network(*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Frozen":
        super()._apply(fn, recurse)
        self.network._apply(fn, recurse)
        return self


class Kept(Frozen):
    """Hides a network like `Frozen`, and keeps its weights in checkpoints, as of a network that another run trained.

    In the state dict they are one row of numbers, which nobody trains or averages.

    Args:
        network: Called with what this is called with.
    """

    def get_extra_state(self) -> Tensor:
        return torch.cat([value.detach().flatten() for value in self.network.state_dict().values()])

    def set_extra_state(self, state: Tensor) -> None:
        own = self.network.state_dict()
        sizes = [value.numel() for value in own.values()]
        if state.numel() != sum(sizes):
            raise ValueError(
                f"The checkpoint's hidden network has {state.numel():,} numbers and this one {sum(sizes):,}: give the "
                "network that it was trained with."
            )
        for value, part in zip(own.values(), state.split(sizes), strict=True):
            value.copy_(part.view_as(value))
