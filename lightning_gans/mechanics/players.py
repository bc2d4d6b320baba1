"""A player of the game, and its optimizer."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

Batch = Sequence[Tensor]
Terms = dict[str, Tensor]
"""The summands of a loss by name, each a scalar that already carries its weight."""


@dataclass(frozen=True)
class Player:
    """One side of the game: it steps its parameters down the gradient of its loss.

    Args:
        module: Holds the parameters that its optimizer updates.
        loss: Maps a batch to the terms that it minimizes.
        optimizer: Makes its optimizer from its parameters.
        scheduler: Makes the schedule of its learning rate, stepped with its optimizer.
        clip: Largest norm of its gradient; None does not clip.
        averages: Whether each of its steps also moves the moving average of the generator.
    """

    module: nn.Module
    loss: Callable[[Batch], Terms]
    optimizer: OptimizerCallable
    scheduler: LRSchedulerCallable | None = None
    clip: float | None = None
    averages: bool = False


def adam(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Makes Adam as in DCGAN (Radford et al., 2016, https://arxiv.org/abs/1511.06434), the usual choice for GANs."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


def optimizers_of(players: dict[str, Player], precision: str) -> tuple[list[Optimizer], list[LRScheduler]]:
    """Makes the optimizers and schedules of all players, in their order.

    Args:
        players: The players by name.
        precision: The trainer's precision, such as `16-mixed`.

    Raises:
        ValueError: A player has an optimizer or a schedule that the loop cannot drive.
    """
    optimizers, schedulers = [], []
    for name, player in players.items():
        optimizer = player.optimizer([p for p in player.module.parameters() if p.requires_grad])
        check_optimizer(name, optimizer)
        check_clip(name, player.clip)
        if player.clip is not None:
            if precision == "16-mixed" and getattr(optimizer, "_step_supports_amp_scaling", False):
                raise ValueError(f"`{name}_clip` needs an optimizer that is not fused under 16-mixed.")
            # When the step begins, gradients are averaged over processes and, under a GradScaler, unscaled.
            optimizer.register_step_pre_hook(partial(clip_gradients, player.clip))
        optimizers.append(optimizer)
        if player.scheduler:
            scheduler = player.scheduler(optimizer)
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"`{name}_scheduler` must not wait for a metric, got ReduceLROnPlateau.")
            schedulers.append(scheduler)
    return optimizers, schedulers


def check_clip(player: str, limit: float | None) -> None:
    """Refuses a limit of a gradient's norm that leaves nothing of it."""
    if limit is not None and limit <= 0:
        raise ValueError(f"`{player}_clip` must be positive, or null to clip nothing, got {limit}.")


def check_optimizer(name: str, optimizer: Optimizer) -> None:
    """Refuses an optimizer that asks for more than a call of `step` after each backward pass."""
    kind = type(optimizer).__name__
    if isinstance(optimizer, LBFGS):
        raise ValueError(f"`{name}_optimizer` must take one gradient a step, and {kind} asks for several: use Adam.")
    if callable(getattr(optimizer, "train", None)) and callable(getattr(optimizer, "eval", None)):
        raise ValueError(
            f"`{name}_optimizer` must not have modes, since nobody calls `train()` and `eval()` of {kind}: use one "
            "with a schedule."
        )


def micro_batches(batch: Batch, count: int) -> Iterator[tuple[Batch, float]]:
    """Yields the parts of a batch and their shares of it; a small batch has fewer parts."""
    size = len(batch[0])
    count = min(count, size)
    ends = [size * i // count for i in range(count + 1)]
    for start, end in pairwise(ends):
        yield (batch, 1.0) if count == 1 else ([item[start:end] for item in batch], (end - start) / size)


def clip_gradients(limit: float, optimizer: Any, *step: Any) -> None:
    """Scales the gradient of the optimizer's parameters down to a norm of `limit`."""
    clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], limit)
