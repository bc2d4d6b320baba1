"""Mixtures of Gaussians in the plane, whose modes can be counted."""

import math
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.tensors import TensorPoints


class GaussianMixtureDataModule(TensorDataModule):
    """Points around modes that lie on a ring or on a square grid, each mode as likely as any other.

    Batches are `(point, mode)`, the mode numbered as in `centers`. The points are drawn once, as a function of
    `data_seed` alone; those to evaluate against are drawn apart from those to train on.

    Args:
        layout: `ring` puts the modes on a circle, `grid` in rows and columns around the origin.
        num_modes: Number of modes; a square number on the grid.
        radius: Radius of the ring, or half the side of the grid.
        std: Standard deviation of each mode along each axis.
        num_points: Points to train on.
        num_evaluation_points: Points to evaluate against, and as many samples are scored.
        data_seed: Seed of the points.
        batch_size: Points per batch and process.
    """

    def __init__(
        self,
        layout: Literal["ring", "grid"] = "ring",
        num_modes: int = 8,
        radius: float = 1.0,
        std: float = 0.01,
        num_points: int = 51200,
        num_evaluation_points: int = 2560,
        data_seed: int = 0,
        batch_size: int = 512,
    ):
        super().__init__(batch_size)
        if layout not in ("ring", "grid"):
            raise ValueError(f"`layout` must be ring or grid, got {layout}.")
        if num_modes < 2 or layout == "grid" and math.isqrt(num_modes) ** 2 != num_modes:
            rule = "a square number from 4 on for the grid" if layout == "grid" else "at least 2"
            raise ValueError(f"`num_modes` must be {rule}, got {num_modes}.")
        for name, value in (("radius", radius), ("std", std)):
            if value <= 0:
                raise ValueError(f"`{name}` must be positive, got {value}.")
        for name, value in (("num_points", num_points), ("num_evaluation_points", num_evaluation_points)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        self.centers = (ring if layout == "ring" else grid)(num_modes, radius)
        self.std = std
        self.num_points = num_points
        self.num_evaluation_points = num_evaluation_points
        self.data_seed = data_seed
        self.reference = f"{layout} of {num_modes} Gaussians, radius {radius:g}, std {std:g}"

    def load(self) -> tuple[TensorPoints, TensorPoints]:
        generator = torch.Generator().manual_seed(self.data_seed)
        size = self.num_points + self.num_evaluation_points
        mode = torch.randint(len(self.centers), (size,), generator=generator)
        point = self.centers[mode] + self.std * torch.randn(size, 2, generator=generator)
        parts = (slice(self.num_points), slice(self.num_points, None))
        training, evaluation = (TensorPoints(point[part], mode[part]) for part in parts)
        return training, evaluation


def ring(num_modes: int, radius: float) -> Float32[Tensor, "{num_modes} 2"]:
    """Returns evenly spaced centres on a circle, the first one on the x axis."""
    angle = torch.arange(num_modes) * (2 * math.pi / num_modes)
    return radius * torch.stack([angle.cos(), angle.sin()], 1)


def grid(num_modes: int, radius: float) -> Float32[Tensor, "{num_modes} 2"]:
    """Returns evenly spaced centres in a square, row by row."""
    axis = torch.linspace(-radius, radius, math.isqrt(num_modes))
    return torch.cartesian_prod(axis, axis)
