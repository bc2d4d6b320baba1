"""Walks between latents, as pictures and as scores of how smooth they are."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Float
from lightning import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor, nn
from torch.nn.functional import one_hot

from lightning_gans.callbacks.drawn import looking, reason
from lightning_gans.callbacks.looks.first_batch import (
    CHUNK,
    FirstBatchScorer,
    images_of,
    images_of_styles,
    latents,
    rows_of,
    styles_of,
)
from lightning_gans.callbacks.pictures import mosaic
from lightning_gans.callbacks.run_folder import save_picture
from lightning_gans.callbacks.scores.scorer import Scored
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import dealt, gather_rows
from lightning_gans.mechanics.randomness import global_seed, mix, seeded
from lightning_gans.metrics.features import fingerprint
from lightning_gans.metrics.float64 import as_float64
from lightning_gans.metrics.perceptual import Distance, FeatureDistance, lerp, path_steps, slerp, trimmed_mean

Generate = Callable[[Tensor], Tensor]

PATHS = {"linear": lerp, "spherical": slerp}
WALK_STEPS = 64  # of a walk in search of jumps
SPACES = {"latent": "", "style": "style_"}  # with what a score's name begins
MOST_CLASSES, STEPS_BETWEEN_CLASSES = 10, 3  # of the picture of classes


class LatentInterpolation(FirstBatchScorer):
    """Walks between latents at a test: a generator that learned the data, and not examples of it, changes smoothly.

    The pictures are `samples/interpolation_linear.png` and `samples/interpolation_spherical.png` in the run's folder, a
    pair of latents each row; and, for a conditional variant with a network of the generator that has `num_classes` and
    takes shares of classes (b, num_classes), `samples/interpolation_classes.png`: a latent each row, walking from class
    to class. All else, such as condition and noise beside the latent, stays the same along a row.

    Logs `perceptual_path_length` (Karras et al., 2019, https://arxiv.org/abs/1812.04948), without the smallest and the
    largest hundredth:

        E[d(G(path(t)), G(path(t + epsilon))) / epsilon^2],    t uniform on [0, 1]     (eq. 2)

    `end_perceptual_path_length`, the same where t is 0, as its authors measure, too; and `largest_step`, the largest of
    64 equal steps over their mean, in pixels, on average over the paths: 1 for a steady walk, 64 for a single jump.

    In the space of styles w of a variant that has them, paths are straight, as in the paper. The picture is then
    `samples/interpolation_style.png`, and the names of the scores begin with `style_`.

    Args:
        num_rows: Rows of a picture; fewer where the first batch is smaller.
        num_columns: Images in a row, both ends among them.
        num_paths: Paths for both perceptual path lengths, two images each; the paper has 100,000.
        num_walks: Paths for the largest step, 65 images each.
        path: Kind of path on which the scores are measured; null is spherical, the paper's for normal latents, and
            linear between styles.
        distance: d, of two image batches, (b,); null is `FeatureDistance("digits")`. The paper's is `LPIPS`.
        epsilon: Length of a step.
        space: `latent`, or `style`, whose ends are the styles of latents.
    """

    needs = ("generate",)

    def __init__(
        self,
        num_rows: int = 8,
        num_columns: int = 12,
        num_paths: int = 1000,
        num_walks: int = 100,
        path: Literal["linear", "spherical"] | None = None,
        distance: nn.Module | Distance | None = None,
        epsilon: float = 1e-4,
        space: Literal["latent", "style"] = "latent",
    ):
        for name, value, least in (
            ("num_rows", num_rows, 1),
            ("num_columns", num_columns, 2),
            ("num_paths", num_paths, 1),
            ("num_walks", num_walks, 1),
        ):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}, got {value}.")
        if space not in SPACES:
            raise ValueError(f"`space` must be 'latent' or 'style', got {space!r}.")
        if path not in (None, *PATHS):
            raise ValueError(f"`path` must be 'linear' or 'spherical', got {path!r}.")
        if space == "style" and path == "spherical":
            raise ValueError("`path` must be 'linear' between styles, got 'spherical'.")
        if not 0 < epsilon < 1:
            raise ValueError(f"`epsilon` must lie between 0 and 1, got {epsilon}.")
        self.num_rows = num_rows
        self.num_columns = num_columns
        self.num_paths = num_paths
        self.num_walks = num_walks
        self.path = path or ("spherical" if space == "latent" else "linear")
        self.distance = FeatureDistance() if distance is None else distance
        self.epsilon = epsilon
        self.space = space

    @property
    def title(self) -> str:
        return super().title + (" of styles" if self.space == "style" else "")

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if self.space == "style":
            pl_module.require(type(self).__name__, "synthesize")
        if isinstance(self.distance, nn.Module):
            self.distance.to(trainer.strategy.root_device)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        batch = self.first_batch(trainer)
        self._draw_pictures(trainer, pl_module, batch)
        parts = dealt(self.num_paths, CHUNK, trainer)
        paths, ends = ([self._lengths(pl_module, batch, index, end) for index in parts] for end in (False, True))
        walks = [self._largest_steps(pl_module, batch, index) for index in dealt(self.num_walks, CHUNK, trainer)]
        none = [torch.empty(0, device=pl_module.device)]  # of a process that got no chunk
        prefix = SPACES[self.space]
        scores = {
            f"{prefix}perceptual_path_length": trimmed_mean(gather_rows(none + paths, trainer)),
            f"{prefix}end_perceptual_path_length": trimmed_mean(gather_rows(none + ends, trainer)),
            f"{prefix}largest_step": as_float64(gather_rows(none + walks, trainer)).mean().item(),
        }
        network = getattr(self.distance, "network", None)
        return scores, {
            "path": f"{self.path}, both ends drawn" + (", between styles" if self.space == "style" else ""),
            "distance": " of ".join(type(part).__name__ for part in (self.distance, network) if part is not None),
            "distance_hash": fingerprint(network) if isinstance(network, nn.Module) else "unknown",
            "num_paths": self.num_paths,
            "epsilon": self.epsilon,
            "trimmed": "smallest and largest 1 % of paths",
            "largest_step": f"of {WALK_STEPS} over their mean, L2 in pixels, mean of {self.num_walks} paths",
            "images": "as drawn, not rounded to 8 bits",
        }

    def _ends(self, module: Any, index: Tensor, kind: int) -> tuple[Tensor, Tensor, int]:
        """Returns latents at both ends of some paths, and the seed of all else."""
        seed = mix(global_seed(), kind, int(index[0]))
        return latents(module, len(index), mix(seed, 1)), latents(module, len(index), mix(seed, 2)), seed

    def _walk(self, module: Any, rows: Batch, index: Tensor, kind: int) -> tuple[Tensor, Tensor, int, Generate]:
        """Returns both ends of some paths in their space, the seed of all else, and what draws images of points."""
        start, end, seed = self._ends(module, index, kind)
        if self.space == "latent":
            return start, end, seed, partial(images_of, module, rows, seed)
        start, end = (styles_of(module, latent, rows) for latent in (start, end))
        shape = start.shape[1:]
        return (
            start.flatten(1),
            end.flatten(1),
            seed,
            lambda point: images_of_styles(module, point.unflatten(1, shape).to(start), seed),
        )

    def _lengths(self, module: Any, batch: Batch, index: Tensor, at_end: bool) -> Float[Tensor, " n"]:
        start, end, seed, generate = self._walk(module, rows_of(batch, index), index, 1)
        with seeded(mix(seed, 3), module.device):
            place = torch.rand(len(index), device=module.device) * (not at_end)
        with looking("LatentInterpolation", self.distance):
            return path_steps(generate, start, end, place, self.distance, PATHS[self.path], self.epsilon)

    def _largest_steps(self, module: Any, batch: Batch, index: Tensor) -> Float[Tensor, " n"]:
        start, end, _, generate = self._walk(module, rows_of(batch, index), index, 2)
        place = torch.linspace(0, 1, WALK_STEPS + 1, device=module.device)
        frames = (generate(PATHS[self.path](start, end, t.expand(len(index)))) for t in place)
        return largest_step(torch.stack([(there - here).flatten(1).norm(dim=1) for here, there in pairwise(frames)]))

    def _draw_pictures(self, trainer: Any, module: Any, batch: Batch) -> None:
        index = torch.arange(min(self.num_rows, len(batch[0])))
        rows = rows_of(batch, index)
        start, end, seed, generate = self._walk(module, rows, index, 3)
        place = torch.linspace(0, 1, self.num_columns, device=module.device)
        for name, path in PATHS.items() if self.space == "latent" else [("style", lerp)]:
            frames = [generate(path(start, end, t.expand(len(index)))) for t in place]
            picture = mosaic(torch.stack(frames, dim=1).flatten(0, 1), self.num_columns)
            save_picture(picture, f"interpolation_{name}", trainer)
        if self.space == "latent" and (classes := classes_told(module, rows)):
            walk = between_classes(classes).to(start)
            told = [[rows[0], shares.expand(len(index), -1), *rows[2:]] for shares in walk]
            try:
                frames = [images_of(module, part, seed, start) for part in told]
            except (TypeError, ValueError, RuntimeError) as error:
                rank_zero_warn(
                    f"`LatentInterpolation` leaves out the picture of classes, since the generator of "
                    f"{type(module).__name__} takes no shares of classes (b, {classes}): {reason(error)}"
                )
                return
            picture = mosaic(torch.stack(frames, dim=1).flatten(0, 1), len(frames))
            save_picture(picture, "interpolation_classes", trainer)


def classes_told(module: Any, batch: Batch) -> int:
    """Returns the number of classes that can be walked between: those of a generator whose condition is the label."""
    condition = module.condition(batch)
    if len(condition) != 1 or condition[0].dtype != torch.int64 or not torch.equal(condition[0], batch[1]):
        return 0
    return next((part.num_classes for part in module.generator.modules() if hasattr(part, "num_classes")), 0)


def largest_step(steps: Float[Tensor, "steps n"]) -> Float[Tensor, " n"]:
    """Returns the largest step over the mean step of each path; 1 where nothing moves."""
    mean = steps.mean(0)
    return torch.where(mean > 0, steps.amax(0) / mean, 1.0)


def between_classes(num_classes: int) -> Float[Tensor, "steps k"]:
    """Returns shares of classes along a walk from the first to the last, or to the tenth."""
    place = torch.arange((min(num_classes, MOST_CLASSES) - 1) * STEPS_BETWEEN_CLASSES + 1) / STEPS_BETWEEN_CLASSES
    before = place.floor().long()
    after = (before + 1).clamp(max=num_classes - 1)
    return torch.lerp(
        one_hot(before, num_classes).float(), one_hot(after, num_classes).float(), (place - before)[:, None]
    )
