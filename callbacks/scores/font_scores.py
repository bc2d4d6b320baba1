"""Scores of drawn fonts: their distance from the true ones, and whether they have the attributes asked for."""

from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lightning_gans.callbacks.drawn import fake_images
from lightning_gans.callbacks.evaluation_data import own_data, reference_of
from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.datamodules.font_pairs import FontPairsDataModule
from lightning_gans.mechanics.given import Given
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_rows
from lightning_gans.metrics.features import as_8_bit
from lightning_gans.metrics.glyphs import MEASURES

VALUES = (0.0, 0.25, 0.5, 0.75, 1.0)


class FontScores(Scorer):
    """Scores characters drawn in fonts held out, and what becomes of them when one attribute is asked to change.

    Logs `l1`, the mean distance of each image from the true character, in [0, 2]; and for each attribute
    `<name>_correlation` and `<name>_slope`. For these, characters that show the attribute are drawn with it at 0, 1/4,
    1/2, 3/4 and 1, and with all else as in the font held out. It is then measured in the pixels, by a scale that is
    fitted to the fonts that are trained on, for each character: a slope of 1 is what these fonts do on average. The
    correlation is over all that is drawn.

    Needs a variant such as `Attribute2Font`, and fonts whose attributes have the names of those that can be measured:
    `weight`, `slant` and `serif` of H, and `width` of n, e and o.

    Args:
        attributes: Which to change.
    """

    needs = ("convert", "attributes")

    def __init__(self, attributes: list[str] = ["weight", "slant", "serif", "width"]):  # noqa: B006  nobody changes it
        if unknown := [name for name in attributes if name not in MEASURES]:
            raise ValueError(f"`attributes` must be of {', '.join(MEASURES)}, got {', '.join(unknown)}.")
        self.attributes = list(attributes)

    def check(self, pl_module: Any, outputs: Any, batch: Batch) -> None:
        fake_images("FontScores", pl_module, outputs)
        data = own_data(pl_module.trainer)
        known = data.attribute_names if isinstance(data, FontPairsDataModule) else []
        if missing := [name for name in self.attributes if name not in known]:
            raise ValueError(
                f"`FontScores` needs fonts with the attributes {', '.join(missing)}, got "
                f"{', '.join(known) or 'other data'}: take them out of its `attributes`, or leave it out."
            )

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        self._distances: list[Tensor] = []
        self._swept: dict[str, list[Tensor]] = {name: [] for name in self.attributes}

    @torch.no_grad()
    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        fake, real = as_8_bit(outputs["fake"]), as_8_bit(pl_module.real(batch))
        self._distances.append((fake - real).abs().mean((1, 2, 3)))
        data: Any = own_data(trainer)
        for name, swept in self._swept.items():
            characters, measure = MEASURES[name]
            for character in characters:
                number = data.characters.find(character)
                rows = (batch[5] == number).nonzero().flatten()
                if not len(rows):
                    continue
                scale = calibration(data, name, character)
                for value in VALUES:
                    asked = torch.full((len(rows),), value, dtype=torch.float64, device=rows.device)
                    drawn = self.drawn(
                        pl_module, [item[rows] for item in batch], data.attribute_names.index(name), value
                    )
                    found = (measure(as_8_bit(drawn)).double() - scale[0]) / scale[1]
                    swept.append(torch.stack([asked, found], 1))

    def drawn(self, pl_module: Any, batch: Batch, place: int, value: float) -> Float[Tensor, "b c h w"]:
        """Returns characters of the targets' attributes, of which one has this value instead."""
        with pl_module.evaluating():
            source, target = pl_module.attributes(batch)
        asked = target.clone()
        asked[:, place] = value
        return pl_module.draw(Given(batch[1], [], {"styles": batch[2], "difference": asked - source}), 0)["fake"]

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        empty = torch.zeros(0, 2, dtype=torch.float64, device=pl_module.device)
        scores = {"l1": gather_rows(self._distances, trainer).double().mean().item()}
        counts = {}
        for name, parts in self._swept.items():
            pairs = gather_rows([empty, *parts], trainer)
            counts[name] = len(pairs)
            if len(pairs):
                scores[f"{name}_correlation"], scores[f"{name}_slope"] = correlation_and_slope(*pairs.T)
        return scores, {
            "reference": reference_of(trainer, stage),
            "num_images": sum(map(len, self._distances))
            if trainer.world_size == 1
            else len(own_data(trainer).evaluation),
            "images": "8 bits per channel",
            "asked": f"{', '.join(map(str, VALUES))}, all else as in the font held out",
            "measured": {name: f"{counts[name]} of {', '.join(MEASURES[name][0])}" for name in self.attributes},
            "scale": "a line for each character, fitted to the fonts that are trained on",
        }


def calibration(data: FontPairsDataModule, name: str, character: str) -> tuple[float, float]:
    """Returns what is measured at 0, and its growth to 1, as in the fonts that are trained on."""
    fonts = data.training
    place = fonts.sources[fonts.unlabelled[fonts.sources] < 0]
    image = fonts.drawn(place, torch.full_like(place, data.characters.index(character)))
    known = fonts.attribute[place, data.attribute_names.index(name)].double()
    found = MEASURES[name][1](image).double()
    _, slope = correlation_and_slope(known, found)
    return (found.mean() - slope * known.mean()).item(), slope


def correlation_and_slope(one: Float64[Tensor, " n"], two: Float64[Tensor, " n"]) -> tuple[float, float]:
    """Returns Pearson's correlation, 0 where one of both is constant, and the slope of the second on the first."""
    one, two = one - one.mean(), two - two.mean()
    product, square, other = (one * two).sum(), one.square().sum(), two.square().sum()
    tiny = torch.finfo(torch.float64).tiny
    return (product / (square * other).sqrt().clamp(min=tiny)).item(), (product / square.clamp(min=tiny)).item()
