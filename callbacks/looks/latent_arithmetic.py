"""Sums of latents, whose images have what the terms have."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from lightning import Trainer
from PIL import Image
from torch import Tensor

from lightning_gans.callbacks.drawn import looking
from lightning_gans.callbacks.looks.first_batch import CHUNK, FirstBatchScorer, images_of, latents, rows_of
from lightning_gans.callbacks.pictures import across, caption, down, mosaic
from lightning_gans.callbacks.run_folder import save_picture
from lightning_gans.callbacks.scores.scorer import Scored
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import dealt, gather_rows
from lightning_gans.mechanics.randomness import global_seed, mix, seeded
from lightning_gans.metrics.features import Network, extract, feature_network, fingerprint
from lightning_gans.metrics.strokes import measure

Attribute = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Group:
    """Samples that make a mean latent.

    Args:
        label: Their class, by the classifier; null takes all classes.
        attribute: `slant`, `thickness`, or a function, or its path, that maps images (b, c, h, w) to numbers (b,); null
            takes the first samples.
        toward: Samples whose attribute is nearest to this are taken; `.inf` takes the largest, `-.inf` the smallest.
    """

    label: int | None = None
    attribute: str | Attribute | None = None
    toward: float = math.inf

    @property
    def function(self) -> Attribute | None:
        return measure(self.attribute) if isinstance(self.attribute, str) else self.attribute

    def __str__(self) -> str:
        name = getattr(self.function, "__name__", "")
        nearest = {math.inf: "largest", -math.inf: "smallest"}.get(self.toward, f"{self.toward:g}")
        parts = [f"class {self.label}"] * (self.label is not None) + [f"{name} {nearest}"] * bool(name)
        return ", ".join(parts) or "any"

    def pick(
        self, classes: Int64[Tensor, " n"], values: Float[Tensor, " n"], count: int, name: str
    ) -> Int64[Tensor, " count"]:
        """Returns the places of the group's samples; `classes` has -1 where the classifier is not sure."""
        chosen = torch.arange(len(classes)) if self.label is None else (classes == self.label).nonzero().flatten()
        if len(chosen) < count:
            raise ValueError(
                f"`{name}` needs {count} samples of class {self.label}, and {len(chosen)} of {len(classes)} are surely "
                "of it: raise `num_samples`, or lower `num_mean` or `confidence`."
            )
        if self.attribute is None:
            return chosen[:count]
        distance = (
            (values - self.toward).abs() if math.isfinite(self.toward) else values * (-1 if self.toward > 0 else 1)
        )
        return chosen[distance[chosen].argsort(stable=True)][:count]


class LatentArithmetic(FirstBatchScorer):
    """Adds and subtracts mean latents at a test (Radford et al., 2016, https://arxiv.org/abs/1511.06434).

    Section 6.3.2: the mean latent of group a, less the one of b, plus the one of c, is to look like c with what a has
    and b has not: slanted ones - upright ones + upright sevens are slanted sevens, unless other groups are given. The
    picture is `samples/arithmetic.png` in the run's folder: examples of each group above the image of their mean, and
    the sum with 8 others around it. A conditional variant draws all samples with the condition of the first image, so
    its groups can differ by attribute alone.

    Logs `arithmetic_share`, the share of images around the sum that are surely of the class asked for; and, where a has
    an attribute, `arithmetic_shift`: its mean there less its mean around the mean latent of c.

    Args:
        a: Group whose mean is added.
        b: Group whose mean is subtracted.
        c: Group to whose mean it is added.
        asked: Class of the results; null takes the one of c.
        classifier: `digits`, or a module that returns logits or has `features_and_logits(image)`.
        confidence: Probability from which on the classifier is sure.
        num_samples: Samples to pick from.
        num_mean: Latents in a mean; the paper has 3.
        num_results: Latents around the sum that are scored.
        noise: Places of these latents lie this far from the sum at most, uniformly.
    """

    needs = ("generate",)

    def __init__(
        self,
        a: Group = Group(1, "slant"),
        b: Group = Group(1, "slant", 0.0),
        c: Group = Group(7, "slant", 0.0),
        asked: int | None = None,
        classifier: Network = "digits",
        confidence: float = 0.99,
        num_samples: int = 5000,
        num_mean: int = 30,
        num_results: int = 200,
        noise: float = 0.25,
    ):
        expected = c.label if asked is None else asked
        if expected is None:
            raise ValueError("`asked` must be a class where `c` has no label, got null.")
        if not 0 <= confidence <= 1:
            raise ValueError(f"`confidence` must be a probability, got {confidence}.")
        for name, value, least in (("num_mean", num_mean, 1), ("num_results", num_results, 9)):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}, got {value}.")
        if num_samples < num_mean:
            raise ValueError(f"`num_samples` must be at least `num_mean`, got {num_samples} and {num_mean}.")
        for group in (a, b, c):
            _ = group.function  # refuses a name that stands for none
        self.groups = {"a": a, "b": b, "c": c}
        self.asked = expected
        self.classifier = feature_network(classifier)
        if not getattr(self.classifier, "has_logits", True):
            raise ValueError("`classifier` must have logits, and its file of weights has none.")
        self.confidence = confidence
        self.num_samples = num_samples
        self.num_mean = num_mean
        self.num_results = num_results
        self.noise = noise

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self.classifier.to(trainer.strategy.root_device)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        batch = self.first_batch(trainer)
        seed = mix(global_seed(), 4)
        latent = latents(pl_module, self.num_samples, mix(seed, 1))
        drawn = self._look(trainer, pl_module, batch, latent, seed)
        members = {
            name: latent[group.pick(drawn[:, 0].long(), drawn[:, 1 + place], self.num_mean, name).to(latent.device)]
            for place, (name, group) in enumerate(self.groups.items())
        }
        means = {name: rows.mean(0, keepdim=True) for name, rows in members.items()}
        total = means["a"] - means["b"] + means["c"]
        with seeded(mix(seed, 2), pl_module.device):
            around = self.noise * (2 * torch.rand(self.num_results, latent.shape[1], device=latent.device) - 1)
        results = self._look(trainer, pl_module, batch, total + around, seed)
        before = self._look(trainer, pl_module, batch, means["c"] + around, seed)
        scores = {"arithmetic_share": (results[:, 0] == self.asked).double().mean().item()}
        if self.groups["a"].attribute is not None:
            scores["arithmetic_shift"] = (results[:, 1].mean() - before[:, 1].mean()).item()

        def column(text: str, rows: Tensor, mean: Tensor) -> Image.Image:
            pictures = [mosaic(draw(pl_module, batch, part, seed), math.isqrt(len(part))) for part in (rows, mean)]
            return down([caption(text, 14), *pictures])

        parts = []
        for name, sign in zip(self.groups, "\u2212+=", strict=True):
            parts += [column(str(self.groups[name]), members[name][:9], means[name]), caption(sign, 32)]
        nine = torch.cat([around[:4], torch.zeros_like(around[:1]), around[4:8]]) + total
        save_picture(across([*parts, column("a \u2212 b + c", nine, total)]), "arithmetic", trainer)
        return scores, {
            "sum": "; ".join(f"{name} is {group}" for name, group in self.groups.items()) + "; a - b + c",
            "asked": f"class {self.asked}",
            "classifier": f"{type(self.classifier).__name__}, at least {self.confidence:g} sure",
            "classifier_hash": fingerprint(self.classifier),
            "num_samples": self.num_samples,
            "num_mean": self.num_mean,
            "results": f"{self.num_results} latents around the sum, each place +- {self.noise:g} uniform",
        }

    def _look(
        self, trainer: Any, module: Any, batch: Batch, latent: Float[Tensor, "n z"], seed: int
    ) -> Float[Tensor, "n 4"]:
        """Returns class, -1 where the classifier is not sure, and each group's attribute; processes share the work."""
        seen = [torch.empty(0, 5, device=module.device)]
        for index in dealt(len(latent), CHUNK, trainer):
            image = draw(module, batch, latent[index.to(latent.device)], mix(seed, int(index[0])))
            with looking("LatentArithmetic", self.classifier):
                first, logits = extract(self.classifier, image)
            sure, digit = (first if logits is None else logits).softmax(1).max(1)
            columns = [index.to(image.device), torch.where(sure >= self.confidence, digit, -1)]
            for group in self.groups.values():
                columns.append(image.new_zeros(len(index)) if group.function is None else group.function(image))
            seen.append(torch.stack([column.float() for column in columns], dim=1))
        rows = gather_rows(seen, trainer).cpu()
        return rows[rows[:, 0].argsort()][:, 1:]


def draw(module: Any, batch: Batch, latent: Float[Tensor, "b z"], seed: int) -> Float[Tensor, "b c h w"]:
    """Returns the images of latents, with all else of the first row of the batch."""
    return images_of(module, rows_of(batch, torch.zeros(len(latent), dtype=torch.long)), seed, latent)
