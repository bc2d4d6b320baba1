"""The Frechet distance between two sets of features."""

import warnings

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import LinAlgError, eigh
from torch import Tensor

from lightning_gans.metrics.float64 import as_float64

SMALLEST = 1e-12
"""Smallest eigenvalue of a product of covariances, over the largest; below it one of them counts as singular."""


def frechet_distance(real: Float[Tensor, "n k"], fake: Float[Tensor, "m k"]) -> float:
    """Returns the distance of two normal distributions with the means and covariances of the sets.

    Source: Heusel et al., 2017, https://arxiv.org/abs/1706.08500.

        |mu_1 - mu_2|^2 + tr C_1 + tr C_2 - 2 tr (C_1 C_2)^(1/2)

    The trace of the root is the sum of the singular values of F_1 F_2^T for any factors with C = F^T F. With fewer rows
    than features the centred rows are such factors, and no covariance is needed.

    Raises:
        ValueError: A set has fewer than two rows, or a feature is not finite.
    """
    one, two = (as_float64(rows) for rows in (real, fake))
    for name, rows in (("real", one), ("fake", two)):
        if len(rows) < 2:
            raise ValueError(f"`{name}` must hold at least 2 rows of features for a covariance, got {len(rows)}.")
        if not rows.isfinite().all():
            raise ValueError(f"`{name}` must hold finite features, and some are not: look at the images.")
    size, fewest = one.shape[1], min(len(one), len(two))
    if fewest <= size:
        warnings.warn(
            f"The Frechet distance of {fewest} images in {size} features is biased upwards, more so the fewer images "
            "there are: compare it only with distances of as many images, or use more images than features.",
            stacklevel=2,
        )
    means = one.mean(0), two.mean(0)
    if fewest < size:
        factors = [(rows - mean) / (len(rows) - 1) ** 0.5 for rows, mean in zip((one, two), means, strict=True)]
        traces = sum(factor.square().sum() for factor in factors)
        root = _sum_of_singular_values(factors[0] @ factors[1].T)
        return max(0.0, ((means[0] - means[1]).square().sum() + traces - 2 * root).item())
    return frechet_distance_of_moments(means[0], covariance(one), means[1], covariance(two))


def frechet_distance_of_moments(
    real_mean: Float[Tensor, " k"],
    real_covariance: Float[Tensor, "k k"],
    fake_mean: Float[Tensor, " k"],
    fake_covariance: Float[Tensor, "k k"],
) -> float:
    """Returns the Frechet distance of means and covariances; these may be singular."""
    means = as_float64(real_mean) - as_float64(fake_mean)
    covariances = as_float64(real_covariance), as_float64(fake_covariance)
    traces = sum(covariance.trace() for covariance in covariances)
    return max(0.0, (means.square().sum() + traces - 2 * _trace_of_root(*covariances)).item())


def _sum_of_singular_values(product: Float[Tensor, "n m"]) -> Float[Tensor, ""]:
    """Returns the sum of the singular values of a product of centred factors; the smallest of them is 0."""
    squares = product @ product.T if len(product) <= product.shape[1] else product.T @ product
    values = torch.linalg.eigvalsh(squares)[1:]
    if values[0] > SMALLEST * values[-1]:
        return values.sqrt().sum()
    return torch.linalg.svdvals(product).sum()


def covariance(rows: Float[Tensor, "n k"]) -> Float[Tensor, "k k"]:
    """Returns the unbiased covariance, also of one feature as a matrix."""
    return rows.T.cov().view(rows.shape[1], rows.shape[1])


def _trace_of_root(one: Float[Tensor, "k k"], two: Float[Tensor, "k k"]) -> float:
    """Returns tr (C_1 C_2)^(1/2)."""
    try:
        values = eigh(one.cpu().numpy(), two.cpu().numpy(), type=2, eigvals_only=True, driver="gv")  # of C_1 C_2
    except LinAlgError:  # C_2 is not positive definite
        values = np.zeros(1)
    if values.min() > SMALLEST * values.max():
        return float(np.sqrt(values).sum())
    # Rounding would leave roots of about 1e-8 for eigenvalues of 0, and there may be thousands.
    return torch.linalg.svdvals(_factor(one) @ _factor(two).T).sum().item()


def _factor(covariance: Float[Tensor, "k k"]) -> Float[Tensor, "r k"]:
    """Returns F with C = F^T F, which has as many rows as the rank of C."""
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > len(values) * torch.finfo(values.dtype).eps * values.max()
    return (vectors[:, kept] * values[kept].sqrt()).T
