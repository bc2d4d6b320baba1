"""Historical averaging."""

from typing import Any

import torch

from lightning_gans.adversarial import AdversarialModule
from lightning_gans.mechanics.checkpoints import make_buffers
from lightning_gans.mechanics.players import Batch, Terms
from lightning_gans.regularizer import Regularizer


class HistoricalAveraging(Regularizer):
    """Historical averaging (Salimans et al., 2016, https://arxiv.org/abs/1606.03498, section 3.3).

    Each player is drawn to the mean of all its parameters so far, which stops the two from circling each other:

        weight |theta - 1/t sum_i theta[i]|^2

    The means are buffers, so a resumed run goes on with them.

    Args:
        weight: Of the term.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"`weight` must be positive, got {weight}.")
        self.weight = weight
        self._counted: dict[str, int] = {}  # images seen when a player was last counted

    def terms(self, player: str, module: AdversarialModule, batch: Batch, terms: Terms) -> Terms:
        parameters = [p for p in module.players()[player].module.parameters() if p.requires_grad]
        theta = torch.cat([parameter.flatten() for parameter in parameters])
        if f"{player}_mean" not in self._buffers:
            self.register_buffer(f"{player}_mean", torch.zeros_like(theta))
            self.register_buffer(f"{player}_count", torch.zeros((), dtype=torch.long, device=theta.device))
        mean, count = self.get_buffer(f"{player}_mean"), self.get_buffer(f"{player}_count")
        now = module.images_seen
        if self._counted.get(player) != now:  # once for all micro-batches
            self._counted[player] = now
            count += 1
            mean += (theta.detach() - mean) / count
        return terms | {"historical_averaging": self.weight * (theta - mean).square().sum()}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        make_buffers(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
