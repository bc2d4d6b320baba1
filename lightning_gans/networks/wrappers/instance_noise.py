"""Instance noise."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn


class InstanceNoise(nn.Module):
    """Instance noise (Sonderby et al., 2017, https://arxiv.org/abs/1610.04490, section 3.2).

    Whatever the discriminator is shown while it trains, real or fake, has Gaussian noise added, so that the two
    distributions overlap. Its standard deviation falls linearly to 0. How many images were shown is a buffer, counted
    over all processes, so a resumed run goes on where it was.

    Args:
        discriminator: What is shown the noisy images.
        std: Standard deviation at the start, in the units of the images.
        anneal_kimg: Thousands of images shown until none is left, real and fake ones; 0 keeps it for ever. A plain GAN
            shows three for each training image.
    """

    def __init__(self, discriminator: nn.Module, std: float = 0.1, anneal_kimg: float = 1000.0):
        super().__init__()
        if std <= 0:
            raise ValueError(f"`std` must be positive, got {std}.")
        if anneal_kimg < 0:
            raise ValueError(f"`anneal_kimg` must be 0 (keeps the noise) or more, got {anneal_kimg}.")
        self.discriminator = discriminator
        self.std = std
        self.anneal_kimg = anneal_kimg
        self.register_buffer("shown", torch.zeros((), dtype=torch.long))

    def forward(self, image: Float[Tensor, "b ..."], *condition: Any) -> Tensor:
        if self.training:
            shown: Any = self.shown
            left = (1 - shown / (1000 * self.anneal_kimg)).clamp_min(0) if self.anneal_kimg else 1.0
            noise = torch.randn(len(image), *image.shape[1:], device=image.device, dtype=image.dtype)
            image = image + self.std * left * noise
            shown += len(image) * (distributed.get_world_size() if distributed.is_initialized() else 1)
        return self.discriminator(image, *condition)
