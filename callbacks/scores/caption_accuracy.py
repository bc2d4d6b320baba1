"""Share of drawn images that show what their text says."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_gans.callbacks.drawn import fake_images, looking
from lightning_gans.callbacks.evaluation_data import own_data, reference_of
from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.datamodules.described_digits import DescribedDigitsDataModule
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_rows
from lightning_gans.metrics.described_digits import ATTRIBUTES, attributes_of, is_unseen, read
from lightning_gans.metrics.digits import DigitClassifier
from lightning_gans.metrics.features import as_8_bit

NAMES = tuple(ATTRIBUTES)


class CaptionAccuracy(Scorer):
    """Scores images of described digits by what they show, while Lightning validates or tests.

    Logs for each attribute the share of drawn images in which it is read back as the caption says, as `digit` for
    captions of combinations that training shows and `unseen_digit` for those that it never does, and `all` and
    `unseen_all` for images that show all of the attributes. The protocol has the shares that chance gives, and those of
    the real images: the reader errs too.

    Args:
        attributes: What is looked at, out of digit, ink, paper, stroke, slant, size and place. Slants are left out by
            default, since how a digit leans depends on its shape.
    """

    def __init__(self, attributes: Sequence[str] = ("digit", "ink", "paper", "stroke", "size", "place")):
        if not attributes or not {*attributes} <= {*NAMES}:
            raise ValueError(f"`attributes` must be some of {', '.join(NAMES)}, got {', '.join(attributes) or 'none'}.")
        self.attributes = list(attributes)
        self._classifier = DigitClassifier.pretrained()

    def check(self, pl_module: Any, outputs: Any, batch: Batch) -> None:
        if not isinstance(data := own_data(pl_module.trainer), DescribedDigitsDataModule):
            raise ValueError(
                f"`CaptionAccuracy` needs a DescribedDigitsDataModule, got {type(data).__name__}: leave it out."
            )
        fake_images("CaptionAccuracy", pl_module, outputs)

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        self._shown: list[Tensor] = []
        self._classifier.to(pl_module.device)

    @torch.no_grad()
    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        said = attributes_of(batch[2])
        with looking("CaptionAccuracy", self._classifier):
            right = [read(as_8_bit(image), self._classifier) == said for image in (outputs["fake"], batch[0])]
        self._shown.append(torch.cat([*right, is_unseen(said)[:, None]], 1))

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        rows = gather_rows(self._shown, trainer)
        chance = {name: 1 / len(ATTRIBUTES[name]) for name in self.attributes}
        fake, real, unseen = rows[:, : len(NAMES)], rows[:, len(NAMES) : -1], rows[:, -1]
        groups = {"": ~unseen, "unseen_": unseen}
        scores = {
            start + name: share
            for start, group in groups.items()
            if group.any()
            for name, share in self.shares(fake[group]).items()
        }
        return scores, {
            "reference": reference_of(trainer, stage),
            "num_images": len(rows),
            "images": "8 bits per channel",
            "chance": in_short(chance | {"all": math.prod(chance.values())}),
            "real_images": in_short(self.shares(real)),
        }

    def shares(self, right: Tensor) -> dict[str, float]:
        """Returns the share of images that are right in each attribute, and in all of them."""
        columns = right[:, [NAMES.index(name) for name in self.attributes]].double()
        means = dict(zip(self.attributes, columns.mean(0).tolist(), strict=True))
        return means | {"all": columns.prod(1).mean().item()}


def in_short(shares: dict[str, float]) -> dict[str, float]:
    """Returns shares to three digits."""
    return {name: float(f"{share:.3g}") for name, share in shares.items()}
