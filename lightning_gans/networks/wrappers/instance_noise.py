"""Instance noise."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.schedules import Linear, Schedule, Timed, at


class InstanceNoise(Timed, nn.Module):
    """Instance noise (Sonderby et al., 2017, https://arxiv.org/abs/1610.04490, section 3.2).

    In training, Gaussian noise is added to every image that the discriminator judges, real or fake, so that the two
    distributions overlap. Its standard deviation falls linearly to 0.

    Args:
        discriminator: Judges the noisy images.
        std: Standard deviation at the start, in the units of the images; or a schedule, which replaces `anneal_kimg`.
        anneal_kimg: Thousands of training images until there is no noise; 0 keeps it.
    """

    def __init__(self, discriminator: nn.Module, std: float | Schedule = 0.1, anneal_kimg: float = 1000.0):
        super().__init__()
        if anneal_kimg < 0:
            raise ValueError(f"`anneal_kimg` must be 0 (keeps the noise) or more, got {anneal_kimg}.")
        if not isinstance(std, Schedule):
            if std <= 0:
                raise ValueError(f"`std` must be positive, got {std}.")
            std = Linear(std, 0.0, anneal_kimg) if anneal_kimg else std
        self.discriminator = discriminator
        self.std = std

    def forward(self, image: Float[Tensor, "b ..."], *condition: Any) -> Tensor:
        if self.training:
            noise = torch.randn(len(image), *image.shape[1:], device=image.device, dtype=image.dtype)
            image = image + at(self.std, self.images_seen) * noise
        return self.discriminator(image, *condition)
