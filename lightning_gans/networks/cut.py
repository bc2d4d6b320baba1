"""CUT's projections; its generator is CycleGAN's and its discriminator pix2pix's, both with filters."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.translation import initialize

Features = dict[str, Float[Tensor, "b _ _ _"]]
Places = dict[str, Int64[Tensor, " _"]]


class PatchProjection(nn.Module):
    """Projects places of a generator's maps to vectors of length 1.

    Source: Park et al., 2020, https://arxiv.org/abs/2007.15651, section 3. Each map has two linear layers of its own,
    with ReLU between them.

    Args:
        channels: Channels of the maps, as those of `ResNetGenerator.features` from RGB images by default.
        features: Size of the vectors; 256 in the paper.
    """

    def __init__(self, channels: Sequence[int] = (3, 128, 256, 256, 256), features: int = 256):
        super().__init__()
        self.channels = list(channels)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(before, features), nn.ReLU(), nn.Linear(features, features)) for before in channels
        )
        initialize(self, "xavier")

    def forward(self, maps: Features, places: Places) -> dict[str, Float[Tensor, "b _ k"]]:
        """Returns the vectors of each map at its places, which are the same for all images.

        Args:
            maps: What `ResNetGenerator.features` returns.
            places: Numbers of places of each map, counted along its rows; see `random_places`.
        """
        if (given := [x.shape[1] for x in maps.values()]) != self.channels:
            raise ValueError(f"`channels` of projections and maps must agree, got {self.channels} and maps of {given}.")
        vectors: dict[str, Any] = {}
        for (name, x), head in zip(maps.items(), self.heads, strict=True):
            projected = full_precision(head(x.flatten(2)[:, :, places[name]].transpose(1, 2)))
            vectors[name] = projected / (projected.norm(dim=2, keepdim=True) + 1e-7)
        return vectors


def random_places(maps: Features, number: int = 256, generator: torch.Generator | None = None) -> Places:
    """Draws places of each map without repetition: `number`, or all where there are fewer.

    Args:
        maps: What `ResNetGenerator.features` returns.
        number: Places of each map.
        generator: Of the CPU; None takes torch's own.
    """
    order = {name: torch.randperm(x[0, 0].numel(), generator=generator)[:number] for name, x in maps.items()}
    return {name: places.to(maps[name].device) for name, places in order.items()}
