"""The latest loss terms: kept for the log, and looked at for what is not finite."""

import torch
from torch import Tensor

from lightning_gans.mechanics.messages import GO_ON
from lightning_gans.mechanics.players import Terms
from lightning_gans.mechanics.processes import UNEVEN

CHECK_EVERY = 100  # Moves between looks on an accelerator, where each look waits for it.


class LossWatch:
    """Keeps the terms of each player's last move, and stops the run if one is not finite.

    On the CPU it looks before the step is taken; on an accelerator, where looking waits, every so many moves and
    before a checkpoint is written.
    """

    def __init__(self) -> None:
        self.latest: Terms = {}
        self._unchecked: list[tuple[int, Terms]] = []
        self._uneven: list[Tensor] = []

    def add(self, step: int, terms: Terms, device: torch.device, uneven: Tensor | None = None) -> None:
        """Adds a move.

        Args:
            step: Number of the batch.
            terms: By their full names.
            device: Where the module is.
            uneven: Whether the processes' batches differ in size; None on one process.
        """
        self.latest |= terms
        self._unchecked.append((step, terms))
        self._uneven += [] if uneven is None else [uneven]
        if device.type == "cpu" or len(self._unchecked) >= CHECK_EVERY:
            self.check()

    def check(self) -> None:
        """Raises an error that names the first term that was not finite since the last look."""
        unchecked, self._unchecked = self._unchecked, []
        uneven, self._uneven = self._uneven, []
        if uneven and torch.stack(uneven).any():
            raise ValueError(UNEVEN)
        values = [term for _, terms in unchecked for term in terms.values()]
        if not values or torch.stack(values).isfinite().all():
            return
        step, name, term = next(
            (step, name, term) for step, terms in unchecked for name, term in terms.items() if not term.isfinite()
        )
        raise FloatingPointError(
            f"`{name}` is {term.item()} at step {step}, so training stopped and the last checkpoint stands; {GO_ON}."
        )
