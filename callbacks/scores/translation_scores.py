"""Scores of translated images: the colors and sharpness of the target domain, and what was to be kept."""

from typing import Any

import torch
from torch import Tensor

from lightning_gans.callbacks.drawn import fake_images, looking
from lightning_gans.callbacks.evaluation_data import reference_of
from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_rows
from lightning_gans.metrics.features import Network, as_8_bit, extract, feature_network, fingerprint
from lightning_gans.metrics.fidelity import LAB_BINS, gradient_energy, intersection, lab_histograms


class TranslationScores(Scorer):
    """Scores translated images against those of the target domain while Lightning validates or tests.

    Logs `lab_l`, `lab_a` and `lab_b` for color images: what the histograms of L, a and b of drawn and of real images
    have in common (Isola et al., 2017, https://arxiv.org/abs/1611.07004, figure 7), 1 if they are equal; and
    `sharpness`, the mean squared difference of neighbouring pixels over that of real images. With `paired`, `l1` is the
    mean distance of each image from its target, in [0, 2]. With a `classifier`, `class_accuracy` is the share of
    translated images that it still gives the label of their source, the third item of the batch.

    Args:
        paired: Whether the images of an evaluation batch belong together, row by row.
        classifier: `digits` or a network with `features_and_logits(image)`; null leaves `class_accuracy` out.
        grey: Whether the classifier is shown the mean of the channels, as `digits` must be of images in color.
    """

    def __init__(self, paired: bool = False, classifier: Network | None = None, grey: bool = False):
        self.paired = paired
        self.classifier, self.grey = classifier, grey
        self._network = None if classifier is None else feature_network(classifier)

    def check(self, pl_module: Any, outputs: Any, batch: Batch) -> None:
        fake, real = fake_images("TranslationScores", pl_module, outputs), pl_module.real(batch)
        if fake.shape[1] != real.shape[1] or (self.paired and fake.shape != real.shape):
            raise ValueError(
                f"`TranslationScores` needs real images of the form of what is drawn, got {tuple(real.shape[1:])} and "
                f"{tuple(fake.shape[1:])}: leave it out, or give other data."
            )
        if self._network is not None and (len(batch) < 3 or batch[2].ndim != 1):
            raise ValueError(
                "`TranslationScores` needs the labels of the sources as third item of a batch for its `classifier`, "
                f"got {len(batch)} items: leave `classifier` out, or give labels."
            )

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        self._rows: dict[str, list[Tensor]] = {}
        self._histograms: dict[str, Tensor] = {}
        if self._network is not None:
            self._network.to(pl_module.device)

    @torch.no_grad()
    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        fake, real = as_8_bit(outputs["fake"]), as_8_bit(pl_module.real(batch))
        rows = {"fake": gradient_energy(fake), "real": gradient_energy(real)}
        if self.paired:
            rows["l1"] = (fake - real).abs().flatten(1).mean(1)
        if self._network is not None:
            with looking("TranslationScores", self._network):
                _, logits = extract(self._network, fake.mean(1, keepdim=True) if self.grey else fake)
            assert logits is not None
            rows["class_accuracy"] = (logits.argmax(1) == batch[2]).float()
        for name, values in rows.items():
            self._rows.setdefault(name, []).append(values)
        if fake.shape[1] == 3:
            for name, images in (("fake", fake), ("real", real)):
                self._histograms[name] = self._histograms.get(name, 0) + lab_histograms(images)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        means = {name: gather_rows(parts, trainer).double().mean().item() for name, parts in self._rows.items()}
        scores = {"sharpness": means.pop("fake") / means.pop("real"), **means}
        facts: dict[str, Any] = {
            "reference": reference_of(trainer, stage),
            "num_images": len(gather_rows(self._rows["fake"], trainer)),
            "images": "8 bits per channel",
            "sharpness": "mean squared difference of neighbours, over that of real images",
        }
        if self._histograms:
            counts = [
                gather_rows([self._histograms[name][None].to(pl_module.device)], trainer).sum(0)
                for name in ("fake", "real")
            ]
            scores |= {f"lab_{name}": share.item() for name, share in zip("lab", intersection(*counts), strict=True)}
            facts["lab"] = f"histograms of {LAB_BINS} bins, CIE 1976, D65"
        if self._network is not None:
            facts["classifier"] = type(self._network).__name__
            facts["classifier_hash"] = fingerprint(self._network)
        return scores, facts
