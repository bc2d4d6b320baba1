"""The base of variants that draw images from images."""

from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from lightning_gans.adversarial import AdversarialModule, Batch


class Translation(AdversarialModule):
    """Draws images from images, once in a batch for both players.

    The generator moves first. The discriminator is then shown the images that the generator drew before its step, so
    that each player answers the other one of the batch before, as in the first code of pix2pix (Isola et al., 2017,
    https://github.com/phillipi/pix2pix). They stand behind the items of its batch.

    Args:
        kwargs: See `AdversarialModule`.
    """

    generate = None  # type: ignore[assignment]  # draws from no latent

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._drawn: list[tuple[Tensor, ...]] = []

    @abstractmethod
    def translate(self, batch: Batch) -> tuple[Tensor, ...]:
        """Returns all images for the discriminator to judge."""

    def play(self, batch: Batch) -> None:
        if self.due(self.n_critic):
            self.descend("generator", batch)
        drawn, self._drawn = [torch.cat(parts) for parts in zip(*self._drawn, strict=True)], []
        self.descend("discriminator", [*batch, *self.older(drawn)])

    def older(self, drawn: list[Tensor]) -> list[Tensor]:
        """Returns what the discriminator is shown of the images that were drawn for a batch."""
        return drawn

    def drawn(self, batch: Batch) -> tuple[Tensor, ...]:
        """Draws for the generator's loss, and keeps the images for the discriminator's."""
        images = self.translate(batch)
        self._drawn.append(tuple(image.detach() for image in images))
        return images

    def shown(self, batch: Batch) -> tuple[Tensor, ...]:
        """Returns the images that stand behind the two items of a batch, new ones if the generator drew none."""
        return tuple(batch[2:]) or self.translate(batch)

    def fake(self, batch: Batch) -> Tensor:
        return self.translate(batch)[0]


def beside(*images: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b t c h w"]:
    """Returns images as a sequence, which is shown from left to right: in color if one is, at the size of the last."""
    channels = max(image.shape[1] for image in images)
    size = images[-1].shape[2:]
    frames = [image if image.shape[2:] == size else interpolate(image, size, mode="nearest-exact") for image in images]
    return torch.stack([frame.expand(-1, channels, -1, -1) for frame in frames], 1)
