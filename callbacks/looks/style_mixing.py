"""Images with the styles of two latents, each in some of the layers."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int64
from lightning import Trainer
from torch import Tensor

from lightning_gans.callbacks.drawn import looking, name_of
from lightning_gans.callbacks.looks.first_batch import (
    CHUNK,
    FirstBatchScorer,
    images_of_styles,
    latents,
    rows_of,
    styles_of,
)
from lightning_gans.callbacks.pictures import across, caption, down, mosaic
from lightning_gans.callbacks.run_folder import save_picture
from lightning_gans.callbacks.scores.scorer import Scored
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import dealt, gather_rows
from lightning_gans.mechanics.randomness import global_seed, mix
from lightning_gans.metrics.features import Network, as_8_bit, extract, feature_network, fingerprint
from lightning_gans.metrics.float64 import as_float64
from lightning_gans.metrics.strokes import measure

Styles = Float[Tensor, "b n s"]


class StyleMixing(FirstBatchScorer):
    """Gives images the styles of other images in some layers, at a test (Karras et al., 2019, figure 3).

    The picture is `samples/style_mixing.png` in the run's folder (https://arxiv.org/abs/1812.04948): images A on the
    left and B on top, and where they meet A with the coarse, the middle or the fine styles of B. Noise is the same in
    all of them.

    Logs what these styles carry, over pairs: `<coarse, middle or fine>_class_share`, the share of mixed images that are
    of the class of B where A is of another, and for each attribute `<...>_<attribute>_share`, the slope of the change
    from A to the mixed image against the change from A to B: 0 where it stays as in A, 1 where it becomes as in B.

    Args:
        num_rows: Images A.
        num_columns: Images B.
        borders: First layers of the middle and of the fine styles, or of the fine ones alone; null cuts the layers into
            thirds. The paper's, of 18 layers, are 4 and 8.
        num_pairs: Pairs that are scored.
        classifier: `digits`, or a module that returns logits or has `features_and_logits(image)`; null leaves the class
            out.
        attributes: Each is `slant`, `thickness`, or a function, or its path, that maps images (b, c, h, w), as 8 bits
            store them, to numbers (b,).
    """

    needs = ("synthesize",)

    def __init__(
        self,
        num_rows: int = 4,
        num_columns: int = 6,
        borders: Sequence[int] | None = None,
        num_pairs: int = 200,
        classifier: Network | None = "digits",
        attributes: Sequence[str | Callable[[Tensor], Tensor]] = ("slant", "thickness"),
    ):
        for name, value in (("num_rows", num_rows), ("num_columns", num_columns), ("num_pairs", num_pairs)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if borders is not None and (len(borders) not in (1, 2) or list(borders) != sorted({*borders} - {0})):
            raise ValueError(f"`borders` must be one or two rising numbers of layers, got {list(borders)}.")
        self.num_rows = num_rows
        self.num_columns = num_columns
        self.borders = None if borders is None else list(borders)
        self.num_pairs = num_pairs
        self.classifier = None if classifier is None else feature_network(classifier)
        self.attributes = [measure(one) if isinstance(one, str) else one for one in attributes]

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if self.classifier is not None:
            self.classifier.to(trainer.strategy.root_device)

    def check(self, pl_module: Any, outputs: Any, batch: Batch) -> None:
        super().check(pl_module, outputs, batch)
        layers = self._styles(pl_module, batch, torch.arange(1), 0).shape[1]
        if self.borders and self.borders[-1] >= layers:
            raise ValueError(f"`borders` must lie below the {layers} layers of the generator, got {self.borders}.")

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        batch = self.first_batch(trainer)
        parts = self._draw_picture(trainer, pl_module, batch)
        none = torch.empty(0, 2 + len(parts), 1 + len(self.attributes), device=pl_module.device)
        seen = [self._look(pl_module, batch, index) for index in dealt(self.num_pairs, CHUNK, trainer)]
        scores = shares(as_float64(gather_rows([none, *seen], trainer)), list(parts), [*map(name_of, self.attributes)])
        return scores, {
            "num_pairs": self.num_pairs,
            "parts": {name: layers_of(part) for name, part in parts.items()},
            "classifier": "none" if self.classifier is None else name_of(self.classifier),
            "classifier_hash": "none" if self.classifier is None else fingerprint(self.classifier),
        }

    def _styles(self, module: Any, batch: Batch, index: Int64[Tensor, " b"], kind: int) -> Styles:
        """Returns the styles of new latents, with the conditions of rows of the batch."""
        latent = latents(module, len(index), mix(global_seed(), kind, int(index[0])))
        return styles_of(module, latent, rows_of(batch, index))

    def _look(self, module: Any, batch: Batch, index: Int64[Tensor, " b"]) -> Float[Tensor, "b k n"]:
        """Returns the class and the attributes of A, of B, and of A with the styles of B in each part of the layers."""
        one = self._styles(module, batch, index, 1)
        two = self._styles(module, batch, index + 1, 2)  # of a batch by class, the next class
        images = []
        for styles in (one, two, *(mixed(one, two, part) for part in parts_of(one.shape[1], self.borders).values())):
            image = images_of_styles(module, styles, mix(global_seed(), 3, int(index[0])))
            number = torch.zeros(len(image), device=image.device)
            if self.classifier is not None:
                with looking("StyleMixing", self.classifier):
                    first, logits = extract(self.classifier, image)
                number = (first if logits is None else logits).argmax(1).float()
            stored = as_8_bit(image)
            images.append(torch.stack([number, *(attribute(stored) for attribute in self.attributes)], 1))
        return torch.stack(images, 1)

    def _draw_picture(self, trainer: Any, module: Any, batch: Batch) -> dict[str, slice]:
        """Draws the grids, and returns the parts of the layers."""
        rows = self._styles(module, batch, torch.arange(self.num_rows), 4)
        columns = self._styles(module, batch, self.num_rows + torch.arange(self.num_columns), 5)
        parts = parts_of(rows.shape[1], self.borders)

        def draw(styles: Styles) -> Float[Tensor, "b c h w"]:
            seed = mix(global_seed(), 6)
            return torch.cat([images_of_styles(module, row[None], seed) for row in styles])  # of one noise

        left, top = draw(rows), draw(columns)
        grids = []
        for name, part in parts.items():
            inner = [draw(mixed(row.expand_as(columns), columns, part)) for row in rows]
            lines = [torch.ones_like(top[:1]), top]
            for image, line in zip(left, inner, strict=True):
                lines += [image[None], line]
            heading = caption(f"{name}: {layers_of(part)}")
            grids.append(down([heading, mosaic(torch.cat(lines), 1 + self.num_columns)]))
        save_picture(across(grids), "style_mixing", trainer)
        return parts


def parts_of(layers: int, borders: Sequence[int] | None) -> dict[str, slice]:
    """Returns the layers of coarse, middle and fine styles, without those that have none."""
    borders = [round(layers / 3), round(2 * layers / 3)] if borders is None else borders
    names = ("coarse", "middle", "fine") if len(borders) == 2 else ("coarse", "fine")
    spans = pairwise([0, *borders, layers])
    return {name: slice(*span) for name, span in zip(names, spans, strict=True) if span[0] < span[1]}


def layers_of(part: slice) -> str:
    """Returns the layers of a part in words."""
    return f"layer {part.start}" if part.stop - part.start == 1 else f"layers {part.start} to {part.stop - 1}"


def mixed(one: Styles, two: Styles, part: slice) -> Styles:
    """Returns the first styles with those of the second in these layers."""
    styles = one.clone()
    styles[:, part] = two[:, part]
    return styles


def shares(seen: Float[Tensor, "n k m"], parts: Sequence[str], attributes: Sequence[str]) -> dict[str, float]:
    """Returns how far images become as B by the styles of each part; what is alike in all A and B has none.

    Args:
        seen: Class and attributes of pairs' A, their B, and A with the styles of B in each part.
        parts: Names of the parts.
        attributes: Names of the attributes.
    """
    one, two, *others = seen.unbind(1)
    change, scores = two - one, {}
    for part, image in zip(parts, others, strict=True):
        if (differ := change[:, 0] != 0).any():
            scores[f"{part}_class_share"] = (image[differ, 0] == two[differ, 0]).double().mean().item()
        for place, name in enumerate(attributes, 1):
            if power := change[:, place].square().sum():
                share = ((image - one)[:, place] * change[:, place]).sum() / power
                scores[f"{part}_{name}_share"] = share.item()
    return scores
