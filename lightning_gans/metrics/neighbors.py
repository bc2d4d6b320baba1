"""Scores by nearest neighbours: precision and recall, density and coverage, two-sample test, nearest images."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from lightning_gans.metrics.float64 import as_float64

BLOCK = 1000  # rows whose distances to all others are in memory at a time
ROUNDING = 1e-9  # of distances that are equal


def precision_recall(real: Float[Tensor, "n k"], fake: Float[Tensor, "m k"], neighbors: int = 3) -> dict[str, float]:
    """Computes improved precision and recall (Kynkaanniemi et al., 2019, https://arxiv.org/abs/1904.06991).

    Around each real image is a ball that reaches to its k-th nearest real neighbour. `precision` is the share of
    samples that lie within any of these balls, and says how good they are. `recall` is the share of real images within
    the balls around samples, and says how diverse these are.

    Args:
        real: Features of real images.
        fake: Features of samples.
        neighbors: k; the paper takes 3.
    """
    real, fake = as_float64(real), as_float64(fake)
    within_real = _within_any_ball(real, fake, neighbors)
    within_fake = _within_any_ball(fake, real, neighbors)
    return {"precision": _share(within_real), "recall": _share(within_fake)}


def density_coverage(real: Float[Tensor, "n k"], fake: Float[Tensor, "m k"], neighbors: int = 5) -> dict[str, float]:
    """Computes density and coverage (Naeem et al., 2020, https://arxiv.org/abs/2002.09797).

    Around each real image is a ball that reaches to its k-th nearest real neighbour. `density` is the mean number of
    balls that a sample lies in, over k; it is above 1 if samples keep to regions with many real images. `coverage` is
    the share of real images with a sample in their ball.

    Args:
        real: Features of real images.
        fake: Features of samples.
        neighbors: k; the paper takes 5.
    """
    real, fake = as_float64(real), as_float64(fake)
    hits, covered = 0, 0
    for radius, distance in _balls(real, fake, neighbors):
        inside = distance < radius[:, None] * (1 - ROUNDING)
        hits += int(inside.sum())
        covered += int(inside.any(1).sum())
    return {"density": hits / (neighbors * len(fake)), "coverage": covered / len(real)}


def two_sample_accuracy(real: Float[Tensor, "n k"], fake: Float[Tensor, "m k"]) -> dict[str, float]:
    """Computes the leave-one-out accuracy of a 1-nearest-neighbour classifier of real against fake.

    Source: Lopez-Paz & Oquab, 2017, https://arxiv.org/abs/1610.06545; Xu et al., 2018, https://arxiv.org/abs/1806.07755.
    0.5 says that the sets cannot be told apart, 1 that they are far from each other, 0 that each sample is a copy of a
    real image. If the sets are unequal, only as many rows of the larger one are taken as the smaller one has.
    """
    count = min(len(real), len(fake))
    real, fake = (as_float64(rows)[_some(len(rows), count)] for rows in (real, fake))
    among_real, among_fake = (nearest(rows, rows, torch.arange(len(rows)))[0] for rows in (real, fake))
    right_real = _share(among_real < nearest(real, fake)[0])
    right_fake = _share(among_fake < nearest(fake, real)[0])
    return {
        "two_sample_accuracy": (right_real + right_fake) / 2,
        "two_sample_accuracy_real": right_real,
        "two_sample_accuracy_fake": right_fake,
    }


def copied_share(
    training: Float[Tensor, "n k"], fake: Float[Tensor, "m k"], held_out: Float[Tensor, "l k"] | None = None
) -> float:
    """Returns the share of samples nearer to a training image than 99 % of the images that were not trained on.

    It is about 0.01 for a generator that draws new images as the data does, and 1 for one that only repeats its
    training images.

    Args:
        training: Features of training images.
        fake: Features of samples.
        held_out: Features of other real images; without them each training image is held out in its turn.
    """
    training, fake = as_float64(training), as_float64(fake)
    others = (
        nearest(training, training, torch.arange(len(training)))
        if held_out is None
        else nearest(as_float64(held_out), training)
    )
    return _share(nearest(fake, training)[0] <= others[0].quantile(0.01))


def nearest(
    queries: Float[Tensor, "n k"], points: Float[Tensor, "m k"], own: Int64[Tensor, " n"] | None = None
) -> tuple[Float[Tensor, " n"], Int64[Tensor, " n"]]:
    """Returns distance and index of the point nearest to each query.

    Args:
        queries: Points whose nearest neighbours are asked for.
        points: Points among which these are.
        own: The index of each query among the points, if it is one of them; it is not its own neighbour.
    """
    center = points.mean(0)  # keeps small differences between small numbers
    queries, points = queries - center, points - center
    norms = points.square().sum(1)
    distances, indices = [], []
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        squares = torch.addmm(norms, block, points.T, alpha=-2)  # less the query's own
        if own is not None:
            squares.scatter_(1, own[start : start + BLOCK, None].to(block.device), torch.inf)
        index = squares.argmin(1)
        distances.append((block - points[index]).norm(dim=1))
        indices.append(index)
    return torch.cat(distances), torch.cat(indices)


def _balls(
    centers: Float[Tensor, "n k"], points: Float[Tensor, "m k"], neighbors: int
) -> Iterator[tuple[Float[Tensor, " b"], Float[Tensor, "b m"]]]:
    """Yields, for each block of centres, the distances to their k-th nearest other centre and to all points."""
    if not 1 <= neighbors < len(centers):
        raise ValueError(
            f"`neighbors` must be at least 1 and less than the number of images, got {neighbors} for {len(centers)}."
        )
    middle = centers.mean(0)  # keeps small differences between small numbers
    centers, points = centers - middle, points - middle
    for block in centers.split(BLOCK):
        # Each centre is its own nearest. Not `kthvalue`, which torch refuses on a GPU under `deterministic=True`.
        radius = _distances(block, centers).topk(neighbors + 1, dim=1, largest=False).values[:, -1]
        yield radius, _distances(block, points)


def _distances(block: Float[Tensor, "b k"], points: Float[Tensor, "m k"]) -> Float[Tensor, "b m"]:
    """Returns Euclidean distances; those between equal rows are 0, without rounding."""
    norms = block.square().sum(1)[:, None] + points.square().sum(1)
    squares = torch.addmm(norms, block, points.T, alpha=-2)
    return squares.masked_fill_(squares < 1e-13 * norms, 0).sqrt_()


def _within_any_ball(centers: Float[Tensor, "n k"], points: Float[Tensor, "m k"], neighbors: int) -> Bool[Tensor, " m"]:
    within = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    for radius, distance in _balls(centers, points, neighbors):
        within |= (distance <= radius[:, None] * (1 + ROUNDING)).any(0)
    return within


def _some(length: int, count: int) -> Int64[Tensor, " count"]:
    """Returns the places of `count` rows out of `length`, always the same."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(0))[:count]


def _share(hits: Bool[Tensor, " n"]) -> float:
    return hits.double().mean().item()
