"""All scores of samples against real images, as functions of what a feature network saw."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torchmetrics.image import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from lightning_gans.metrics.float64 import as_float64
from lightning_gans.metrics.frechet import frechet_distance
from lightning_gans.metrics.neighbors import density_coverage, precision_recall, two_sample_accuracy

SEED = 0  # of the subsets in KID and the splits in the Inception Score
KID_SUBSETS, KID_SUBSET_SIZE, INCEPTION_SCORE_SPLITS = 100, 1000, 10


@dataclass(frozen=True)
class Features:
    """What a network saw in a set of images, row by row.

    Args:
        features: Features.
        logits: Logits of classes, where the network has them.
        label: The classes that the images were asked for or are known to be of.
    """

    features: Float[Tensor, "n k"]
    logits: Float[Tensor, "n c"] | None = None
    label: Int64[Tensor, " n"] | None = None

    def has(self, *names: str) -> bool:
        return all(getattr(self, name) is not None for name in names)

    def rows(self, function: Callable[[Tensor], Tensor]) -> "Features":
        """The same with a function of rows applied to each part."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return Features(**{name: function(part) for name, part in parts.items() if part is not None})

    def to(self, device: torch.device) -> "Features":
        return self.rows(lambda part: part.to(device))

    def in_order(self) -> "Features":
        """The same rows in an order that depends on what they are, not on who saw them first."""
        features = as_float64(self.features)
        weight = torch.linspace(1, 2, features.shape[1], dtype=torch.float64, device=features.device).sin()
        order = (features @ weight).argsort(stable=True)
        return self.rows(lambda part: part.to(order.device)[order])


Scores = dict[str, float]


def fid(real: Features, fake: Features) -> Scores:
    """`fid`, the Frechet distance (Heusel et al., 2017, https://arxiv.org/abs/1706.08500)."""
    return {"fid": frechet_distance(real.features, fake.features)}


def kid(real: Features, fake: Features) -> Scores:
    """`kid`, the kernel distance, and `kid_std` over subsets (Binkowski et al., 2018, https://arxiv.org/abs/1801.01401)."""
    size = kid_subset_size(len(real.features), len(fake.features))
    metric = KernelInceptionDistance(nn.Identity(), subsets=KID_SUBSETS, subset_size=size, sync_on_compute=False)
    metric.update(as_float64(real.features), real=True)
    metric.update(as_float64(fake.features), real=False)
    mean, std = metric.compute()
    return {"kid": mean.item(), "kid_std": std.item()}


def kid_subset_size(*counts: int) -> int:
    """1,000 images; of fewer than 1,001 half, since subsets that are the whole set would not differ."""
    return KID_SUBSET_SIZE if min(counts) > KID_SUBSET_SIZE else max(2, min(counts) // 2)


def inception_score(real: Features, fake: Features) -> Scores:
    """`inception_score` and `_std` over splits (Salimans et al., 2016, https://arxiv.org/abs/1606.03498)."""
    assert fake.logits is not None
    metric = InceptionScore(nn.Identity(), splits=INCEPTION_SCORE_SPLITS, sync_on_compute=False)
    metric.update(as_float64(fake.logits).log_softmax(1).clamp(min=-700))  # torchmetrics' 0 log 0 is nan
    mean, std = metric.compute()
    return {"inception_score": mean.item(), "inception_score_std": std.item()}


def intra_class_fid(real: Features, fake: Features) -> Scores:
    """`intra_class_fid`, the mean over classes (Miyato & Koyama, 2018, https://arxiv.org/abs/1802.05637)."""
    assert real.label is not None and fake.label is not None
    classes = [int(label) for label in real.label.unique()]
    if few := [c for c in classes if min((real.label == c).sum(), (fake.label == c).sum()) < 2]:
        raise ValueError(f"`intra_class_fid` needs 2 images of each class on both sides, and class {few[0]} has fewer.")
    parts = [frechet_distance(real.features[real.label == c], fake.features[fake.label == c]) for c in classes]
    return {"intra_class_fid": sum(parts) / len(parts)}


def class_accuracy(real: Features, fake: Features) -> Scores:
    """`class_accuracy`, the share of samples whose largest logit is the class that was asked for."""
    assert fake.logits is not None and fake.label is not None
    return {"class_accuracy": (fake.logits.argmax(1) == fake.label.to(fake.logits.device)).cpu().double().mean().item()}


def class_shares(real: Features, fake: Features) -> Scores:
    """`class_share_min` and `_max`, how often the rarest and the commonest class are drawn: 0 is a missing mode."""
    assert fake.logits is not None
    share = fake.logits.argmax(1).cpu().bincount(minlength=fake.logits.shape[1]).double() / len(fake.logits)
    return {"class_share_min": share.min().item(), "class_share_max": share.max().item()}


def classifier_accuracy_score(real: Features, fake: Features) -> Scores:
    """`classifier_accuracy_score`, the accuracy on real images of a classifier that learned from samples alone.

    Source: Ravuri & Vinyals, 2019, https://arxiv.org/abs/1905.10887, who train a ResNet-50 on the images; here it is a
    logistic regression on standardised features.
    """
    assert real.label is not None and fake.label is not None
    x, y = fake.features.cpu().double().numpy(), fake.label.cpu().numpy()
    if len(set(y)) < 2:
        raise ValueError("`classifier_accuracy_score` needs samples of at least 2 classes, and all are of one.")
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)).fit(x, y)
    accuracy = classifier.score(real.features.cpu().double().numpy(), real.label.cpu().numpy())
    return {"classifier_accuracy_score": float(accuracy)}


def _features(score: Callable[[Tensor, Tensor], Scores]) -> Callable[[Features, Features], Scores]:
    return lambda real, fake: score(real.features, fake.features)


@dataclass(frozen=True)
class Score:
    """A score and what it needs beside the features: `logits` and `label` of the samples, `real_label`."""

    compute: Callable[[Features, Features], Scores]
    needs: tuple[str, ...] = ()

    def possible(self, real: Features, fake: Features) -> bool:
        return all(real.has("label") if need == "real_label" else fake.has(need) for need in self.needs)


SCORES = {
    "fid": Score(fid),
    "kid": Score(kid),
    "inception_score": Score(inception_score, ("logits",)),
    "class_shares": Score(class_shares, ("logits",)),
    "class_accuracy": Score(class_accuracy, ("logits", "label")),
    "intra_class_fid": Score(intra_class_fid, ("label", "real_label")),
    "classifier_accuracy_score": Score(classifier_accuracy_score, ("label", "real_label")),
    "precision_recall": Score(_features(precision_recall)),
    "density_coverage": Score(_features(density_coverage)),
    "two_sample_accuracy": Score(_features(two_sample_accuracy)),
}


def compute_scores(names: Iterable[str], real: Features, fake: Features) -> Scores:
    """The scores of these names, each a function of the sets alone: neither their order nor a random state matters.

    Raises:
        ValueError: A score has no such name, or needs logits or labels that are not there.
    """
    real, fake = real.in_order(), fake.in_order()
    scores: Scores = {}
    for name in names:
        score = find_score(name)
        if not score.possible(real, fake):
            raise ValueError(f"`{name}` needs {' and '.join(_in_words(score.needs))}: leave it out, or give them.")
        with torch.random.fork_rng(devices=[]), torch.autocast(real.features.device.type, enabled=False):
            torch.default_generator.manual_seed(SEED)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*will save all extracted features in buffer")
                scores |= score.compute(real, fake)
    return scores


def find_score(name: str) -> Score:
    if name not in SCORES:
        raise ValueError(f"A score must be one of {', '.join(SCORES)}, got {name!r}.")
    return SCORES[name]


def _in_words(needs: tuple[str, ...]) -> list[str]:
    words: dict[str, Any] = {
        "logits": "a feature network with a classifier",
        "label": "labels of the samples",
        "real_label": "labels of the real images",
    }
    return [words[need] for need in needs]
