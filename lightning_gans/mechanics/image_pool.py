"""Older images to show to a discriminator."""

import torch
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision


class ImagePool(nn.Module):
    """Older images to show to a discriminator (Shrivastava et al., 2017, https://arxiv.org/abs/1612.07828).

    It returns the first images as they are and keeps them. Once it is full, it returns each image as it is or, by the
    toss of a coin, one that it keeps, whose place the image takes. What it keeps is a part of the state dict.

    Args:
        size: Images that it keeps; 0 returns all as they are.
    """

    def __init__(self, size: int = 50):
        super().__init__()
        if size < 0:
            raise ValueError(f"`pool_size` must be 0 (no pool) or more images, got {size}.")
        self.size = size
        self.kept = torch.empty(0)

    def forward(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Returns an image for each, drawn by a generator on the CPU."""
        if self.size == 0:
            return images
        room = self.size - len(self.kept)
        if room > 0:
            new = full_precision(images[:room])
            self.kept = torch.cat([self.kept.to(new), new]) if len(self.kept) else new.clone()
        kept = self.kept = self.kept.to(images.device)
        swapped = torch.rand(len(images), generator=generator).gt(0.5).tolist()
        place = torch.randint(len(kept), (len(images),), generator=generator).tolist()
        shown = images.clone()
        for i in range(max(room, 0), len(images)):
            if swapped[i]:
                shown[i] = kept[place[i]]
                kept[place[i]] = images[i]
        return shown

    def get_extra_state(self) -> Tensor:
        return self.kept

    def set_extra_state(self, state: Tensor) -> None:
        self.kept = state.clone()
