"""Linear models that read class and attributes of images from latents and styles."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from lightning import Trainer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from lightning_gans.callbacks.drawn import looking, name_of
from lightning_gans.callbacks.looks.first_batch import (
    CHUNK,
    FirstBatchScorer,
    images_of,
    latents,
    rows_of,
    styles_of,
)
from lightning_gans.callbacks.scores.scorer import Scored
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import dealt, gather_rows
from lightning_gans.mechanics.randomness import global_seed, mix
from lightning_gans.metrics.features import Network, as_8_bit, extract, feature_network, fingerprint
from lightning_gans.metrics.strokes import measure

HELD_OUT = 5  # each so many-th image is not learned from


class LatentProbe(FirstBatchScorer):
    """Reads class and attributes of drawn images from their latents by linear models, at a test.

    The easier it is, the less entangled are the factors of the images in that space (Karras et al., 2019, section 4.2,
    https://arxiv.org/abs/1812.04948, whose separability asks the same of 40 attributes). Logs of images that the models
    have not seen `latent_class_accuracy`, by logistic regression, and for each attribute `latent_<attribute>_r2`, the
    share of its variance that linear regression explains; the same as `style_...` for a variant with styles between
    latents and images.

    Args:
        num_images: Images drawn, of which each fifth is not learned from.
        classifier: `digits`, or a module that returns logits or has `features_and_logits(image)`; null leaves the class
            out.
        attributes: Each is `slant`, `thickness`, or a function, or its path, that maps images (b, c, h, w), as 8 bits
            store them, to numbers (b,).
    """

    needs = ("generate",)

    def __init__(
        self,
        num_images: int = 4000,
        classifier: Network | None = "digits",
        attributes: Sequence[str | Callable[[Tensor], Tensor]] = ("slant", "thickness"),
    ):
        if num_images < 10:
            raise ValueError(f"`num_images` must be at least 10, got {num_images}.")
        if classifier is None and not attributes:
            raise ValueError("`LatentProbe` needs a `classifier` or `attributes`, got neither.")
        self.num_images = num_images
        self.classifier = None if classifier is None else feature_network(classifier)
        self.attributes = [measure(one) if isinstance(one, str) else one for one in attributes]

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if self.classifier is not None:
            self.classifier.to(trainer.strategy.root_device)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        batch = self.first_batch(trainer)
        none = {name: rows[:0] for name, rows in self._look(pl_module, batch, torch.arange(1)).items()}
        seen = [self._look(pl_module, batch, index) for index in dealt(self.num_images, CHUNK, trainer)]
        rows = {name: gather_rows([none[name], *(part[name] for part in seen)], trainer) for name in none}
        order = rows.pop("number").argsort()
        known = {name: part[order].cpu().double().numpy() for name, part in rows.items()}
        spaces = [name for name in ("latent", "style") if name in known]
        points = {name: known.pop(name) for name in spaces}
        scores: dict[str, float] = {}
        if trainer.is_global_zero:
            scores = {
                f"{space}_{name}": value for space in spaces for name, value in readable(points[space], known).items()
            }
        return trainer.strategy.broadcast(scores), {
            "num_images": self.num_images,
            "held_out": f"each {HELD_OUT}th image",
            "models": "logistic and linear regression on standardized numbers",
            "commonest_class": commonest(known.get("class")),
            "classifier": "none" if self.classifier is None else name_of(self.classifier),
            "classifier_hash": "none" if self.classifier is None else fingerprint(self.classifier),
        }

    def _look(self, module: Any, batch: Batch, index: Int64[Tensor, " b"]) -> dict[str, Tensor]:
        """Returns latents, styles, and class and attributes of their images."""
        seed, rows = mix(global_seed(), 1, int(index[0])), rows_of(batch, index)
        latent = latents(module, len(index), seed)
        image = images_of(module, rows, mix(seed, 1), latent)
        parts = {"number": index.to(latent.device), "latent": latent.flatten(1)}
        if getattr(module, "styles", None) is not None:
            parts["style"] = styles_of(module, latent, rows)[:, 0]  # without mixing, that of all layers
        if self.classifier is not None:
            with looking("LatentProbe", self.classifier):
                first, logits = extract(self.classifier, image)
            parts["class"] = (first if logits is None else logits).argmax(1)
        stored = as_8_bit(image)
        return parts | {name_of(attribute): attribute(stored) for attribute in self.attributes}


def readable(points: Float64[np.ndarray, "n k"], known: dict[str, np.ndarray]) -> dict[str, float]:
    """Returns how well linear models read each of these from points, on those that they did not learn from.

    Args:
        points: Where the images lie.
        known: Their `class`, and numbers, by name; what is alike in all images is left out.
    """
    test = np.arange(len(points)) % HELD_OUT == HELD_OUT - 1
    scores = {}
    for name, values in known.items():
        if min(len(np.unique(values[part])) for part in (test, ~test)) < 2:
            continue
        model: Any = LogisticRegression(max_iter=1000) if name == "class" else LinearRegression()
        model = make_pipeline(StandardScaler(), model).fit(points[~test], values[~test])
        name += "_accuracy" if name == "class" else "_r2"
        scores[name] = float(model.score(points[test], values[test]))
    return scores


def commonest(classes: np.ndarray | None) -> str:
    """Returns the share of the commonest class, which is right by chance."""
    return "unknown" if classes is None else f"{np.unique(classes, return_counts=True)[1].max() / len(classes):.1%}"
