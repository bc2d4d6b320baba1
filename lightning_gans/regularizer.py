"""The base of what is added to the losses of any variant."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import nn

from lightning_gans.mechanics.players import Batch, Terms

if TYPE_CHECKING:
    from lightning_gans.adversarial import AdversarialModule


class Regularizer(nn.Module, ABC):
    """Adds terms to the losses of any variant; what it remembers are its buffers, the same on all processes."""

    needs: tuple[str, ...] = ()
    """Methods that a variant must have, such as `discriminate`; one without them is refused."""
    whole_batch = False
    """True if a term describes the batch as a whole, and is not a mean over its images."""

    @abstractmethod
    def terms(self, player: str, module: "AdversarialModule", batch: Batch, terms: Terms) -> Terms:
        """Returns what the player minimizes instead of `terms`, which the variant and earlier regularizers gave."""
