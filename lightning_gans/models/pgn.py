"""PGN."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.adversarial import Batch
from lightning_gans.contents import Content, Pixels
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.restoration import Restoration
from lightning_gans.translation import beside


class PGN(Restoration):
    """Predictive generative networks (Lotter et al., 2016, https://arxiv.org/abs/1511.06380).

    They draw the next frame of a sequence. The squared error alone blurs what is uncertain. The discriminator judges a
    frame behind those before it, and has the generator draw one of the possible ones:

        L_G = E|t - G(s)|^2 + lambda E[-log D(G(s), s)],    with frames in [0, 1]

    In the authors' code (https://github.com/coxlab/predictive-rnn-experiments) lambda is 0.0002, and the generator
    starts from weights that were trained on the squared error alone: give `Steps` that begin with 0. Batches are
    `(next, previous)`, the second of them (b, t, c, h, w).

    Args:
        generator: Maps sequences to the frame behind them.
        discriminator: Called with frames and the sequences before them; None has the squared error alone.
        pixel_weight: Of the squared error of frames in [0, 1], a quarter of that in [-1, 1].
        adversarial_weight: lambda. While it is 0, the discriminator rests.
        contents: Terms of the generator's loss beside the squared error.
        kwargs: See `Restoration` and `AdversarialModule`.
    """

    convert = None  # type: ignore[assignment]  # of single images nothing is made

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None = None,
        pixel_weight: float = 1.0,
        adversarial_weight: float | Schedule = 2e-4,
        contents: Sequence[Content] = (),
        **kwargs: Any,
    ):
        super().__init__(
            generator=generator,
            discriminator=discriminator,
            contents=[Pixels(p=2, weight=pixel_weight / 4), *contents],
            adversarial_weight=adversarial_weight,
            conditional=True,
            **kwargs,
        )

    def extrapolate(self, previous: Tensor, frames: int) -> Tensor:
        """Returns the next `frames` of sequences, each drawn from as many frames before it as are given."""
        sequence = previous
        for _ in range(frames):
            drawn = self.generator(sequence[:, -previous.shape[1] :])
            sequence = torch.cat([sequence, drawn.unsqueeze(1)], 1)
        return sequence[:, previous.shape[1] :]

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Returns `fake`, and `comparison`: the frames before it, the true one, and fake, from left to right."""
        fake = self.fake(batch)
        return {"fake": fake, "comparison": torch.cat([batch[1], beside(self.real(batch), fake)], 1)}
