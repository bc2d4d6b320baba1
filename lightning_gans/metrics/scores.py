"""All scores of samples against real images, by their features: a function and a row each."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

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
    """A set of images as a feature network sees them, row by row.

    Args:
        features: Features.
        logits: Logits of classes, where the network has them.
        label: The classes that the images were asked for or are known to be of.
    """

    features: Float[Tensor, "n k"]
    logits: Float[Tensor, "n c"] | None = None
    label: Int64[Tensor, " n"] | None = None

    def has(self, *names: str) -> bool:
        """Returns True where all these parts are there."""
        return all(getattr(self, name) is not None for name in names)

    def rows(self, function: Callable[[Tensor], Tensor]) -> "Features":
        """Returns the features with a function of rows applied to each part."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return Features(**{name: function(part) for name, part in parts.items() if part is not None})

    def to(self, device: torch.device) -> "Features":
        return self.rows(lambda part: part.to(device))

    def in_order(self) -> "Features":
        """Returns the same rows in an order that depends on their values alone."""
        features = as_float64(self.features)
        weight = torch.linspace(1, 2, features.shape[1], dtype=torch.float64, device=features.device).sin()
        order = (features @ weight).argsort(stable=True)
        return self.rows(lambda part: part.to(order.device)[order])


Scores = dict[str, float]


def fid(real: Features, fake: Features) -> Scores:
    """Returns `fid`, the Frechet distance (Heusel et al., 2017, https://arxiv.org/abs/1706.08500)."""
    return {"fid": frechet_distance(real.features, fake.features)}


def kid(real: Features, fake: Features) -> Scores:
    """Returns `kid`, the kernel distance, and `kid_std` over subsets.

    Source: Binkowski et al., 2018, https://arxiv.org/abs/1801.01401.
    """
    size = kid_subset_size(len(real.features), len(fake.features))
    metric = KernelInceptionDistance(nn.Identity(), subsets=KID_SUBSETS, subset_size=size, sync_on_compute=False)
    metric.update(as_float64(real.features), real=True)
    metric.update(as_float64(fake.features), real=False)
    mean, std = metric.compute()
    return {"kid": mean.item(), "kid_std": std.item()}


def kid_subset_size(*counts: int) -> int:
    """Returns 1,000; of fewer than 1,001 images half, since subsets that are the whole set would not differ."""
    return KID_SUBSET_SIZE if min(counts) > KID_SUBSET_SIZE else max(2, min(counts) // 2)


def inception_score(real: Features, fake: Features) -> Scores:
    """Returns `inception_score` and `_std` over splits (Salimans et al., 2016, https://arxiv.org/abs/1606.03498)."""
    assert fake.logits is not None
    metric = InceptionScore(nn.Identity(), splits=INCEPTION_SCORE_SPLITS, sync_on_compute=False)
    metric.update(as_float64(fake.logits).log_softmax(1).clamp(min=-700))  # torchmetrics' 0 log 0 is nan
    mean, std = metric.compute()
    return {"inception_score": mean.item(), "inception_score_std": std.item()}


def intra_class_fid(real: Features, fake: Features) -> Scores:
    """Returns `intra_class_fid`, the mean over classes (Miyato & Koyama, 2018, https://arxiv.org/abs/1802.05637)."""
    assert real.label is not None and fake.label is not None
    classes = [int(label) for label in real.label.unique()]
    if few := [c for c in classes if min((real.label == c).sum(), (fake.label == c).sum()) < 2]:
        raise ValueError(f"`intra_class_fid` needs 2 images of each class on both sides, and class {few[0]} has fewer.")
    parts = [frechet_distance(real.features[real.label == c], fake.features[fake.label == c]) for c in classes]
    return {"intra_class_fid": sum(parts) / len(parts)}


def class_accuracy(real: Features, fake: Features) -> Scores:
    """Returns `class_accuracy`, the share of samples whose largest logit is the class that was asked for."""
    assert fake.logits is not None and fake.label is not None
    return {"class_accuracy": (fake.logits.argmax(1) == fake.label.to(fake.logits.device)).cpu().double().mean().item()}


def class_shares(real: Features, fake: Features) -> Scores:
    """Returns `class_share_min` and `_max`, the shares of the rarest and the commonest class; 0 is a missing mode."""
    assert fake.logits is not None
    share = fake.logits.argmax(1).cpu().bincount(minlength=fake.logits.shape[1]).double() / len(fake.logits)
    return {"class_share_min": share.min().item(), "class_share_max": share.max().item()}


def classifier_accuracy_score(real: Features, fake: Features) -> Scores:
    """Returns `classifier_accuracy_score`, the accuracy on real images of a classifier that learned from samples alone.

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


NEIGHBORS = {"neighbors": "3 for precision and recall, 5 for density and coverage"}


def no_facts(real: Features, fake: Features) -> dict[str, str]:
    """Returns nothing: all that the score depends on is in the protocol of every score."""
    return {}


def kid_facts(real: Features, fake: Features) -> dict[str, str]:
    """Returns how many subsets there are, how large they are, and the seed that draws them."""
    size = kid_subset_size(len(real.features), len(fake.features))
    return {"kid_subsets": f"{KID_SUBSETS} of {size}, seed {SEED}"}


def inception_score_facts(real: Features, fake: Features) -> dict[str, str]:
    """Returns how many splits there are, and the seed of their order."""
    return {"inception_score_splits": f"{INCEPTION_SCORE_SPLITS}, seed {SEED}"}


def neighbors_facts(real: Features, fake: Features) -> dict[str, str]:
    """Returns how many neighbors the balls reach."""
    return NEIGHBORS


@dataclass(frozen=True)
class Score:
    """A score and all that is known of it.

    Args:
        compute: Maps the features of real images and of samples to scores by name.
        says: The score in a few words, for the documentation.
        needs: Parts that must be there beside the features: `logits` and `label` of the samples, `real_label`.
        quick: Whether a validation takes it, too, and not the test alone.
        data_classes: Whether it is taken unasked only with a network whose classes are the data's.
        protocol: Returns the facts that another person needs to get the same score.
    """

    compute: Callable[[Features, Features], Scores]
    says: str = ""
    needs: tuple[str, ...] = ()
    quick: bool = False
    data_classes: bool = False
    protocol: Callable[[Features, Features], dict[str, str]] = no_facts

    def possible(self, real: Features, fake: Features) -> bool:
        """Returns True where all that it needs is there."""
        return all(real.has("label") if need == "real_label" else fake.has(need) for need in self.needs)


SCORES = {
    "fid": Score(fid, "[Frechet distance](https://arxiv.org/abs/1706.08500) of features", quick=True),
    "kid": Score(
        kid,
        f"[kernel distance](https://arxiv.org/abs/1801.01401), {KID_SUBSETS} subsets of {KID_SUBSET_SIZE:,}, with its "
        "deviation",
        quick=True,
        protocol=kid_facts,
    ),
    "inception_score": Score(
        inception_score,
        f"[Inception Score](https://arxiv.org/abs/1606.03498), {INCEPTION_SCORE_SPLITS} splits, with its deviation",
        needs=("logits",),
        quick=True,
        protocol=inception_score_facts,
    ),
    "class_shares": Score(
        class_shares,
        "the rarest and the commonest class among samples; 0 is a missing mode",
        needs=("logits",),
        quick=True,
        data_classes=True,
    ),
    "class_accuracy": Score(
        class_accuracy,
        "is the class drawn the class asked for?",
        needs=("logits", "label"),
        quick=True,
        data_classes=True,
    ),
    "intra_class_fid": Score(
        intra_class_fid, "[FID class by class](https://arxiv.org/abs/1802.05637)", needs=("label", "real_label")
    ),
    "classifier_accuracy_score": Score(
        classifier_accuracy_score,
        "accuracy on real images of a classifier that [learned from samples](https://arxiv.org/abs/1905.10887): a "
        "logistic regression on features",
        needs=("label", "real_label"),
    ),
    "precision_recall": Score(
        _features(precision_recall),
        "[quality and diversity](https://arxiv.org/abs/1904.06991) by nearest neighbors, k = 3",
        protocol=neighbors_facts,
    ),
    "density_coverage": Score(
        _features(density_coverage),
        "[the two again](https://arxiv.org/abs/2002.09797), robust to outliers, k = 5",
        protocol=neighbors_facts,
    ),
    "two_sample_accuracy": Score(
        _features(two_sample_accuracy),
        "can a [nearest neighbor](https://arxiv.org/abs/1806.07755) tell real from drawn? 0.5: no",
    ),
}

NEEDS = {
    "logits": ("classifier", "a feature network with a classifier"),
    "label": ("labels", "labels of the samples"),
    "real_label": ("labels", "labels of the real images"),
}
"""Names of the parts that scores need: for the documentation's table, and for a message."""


def compute_scores(names: Iterable[str], real: Features, fake: Features) -> Scores:
    """Returns the scores of these names, each a function of the sets alone: neither order nor random state matters.

    Raises:
        ValueError: A score has no such name, or needs logits or labels that are not there.
    """
    real, fake = real.in_order(), fake.in_order()
    scores: Scores = {}
    for name in names:
        score = find_score(name)
        if not score.possible(real, fake):
            needs = " and ".join(NEEDS[need][1] for need in score.needs)
            raise ValueError(f"`{name}` needs {needs}: leave it out, or give them.")
        with torch.random.fork_rng(devices=[]), torch.autocast(real.features.device.type, enabled=False):
            torch.default_generator.manual_seed(SEED)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*will save all extracted features in buffer")
                scores |= score.compute(real, fake)
    return scores


def find_score(name: str) -> Score:
    """Returns the row of a score.

    Raises:
        ValueError: No score has this name.
    """
    if name not in SCORES:
        raise ValueError(f"A score must be one of {', '.join(SCORES)}, got {name!r}.")
    return SCORES[name]


def table_of_scores() -> str:
    """Returns the table of all scores in the documentation, in Markdown."""
    lines = ["| name | what it says | needs | taken at |", "| --- | --- | --- | --- |"]
    for name, score in SCORES.items():
        needs = ", ".join(dict.fromkeys(NEEDS[need][0] for need in score.needs))
        lines.append(f"| `{name}` | {score.says} | {needs} | {'validation, test' if score.quick else 'test'} |")
    return "\n".join(lines)
