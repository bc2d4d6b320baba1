"""Signs of a game that goes badly: a small function for each number, and a row for its note and its warning."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lightning_gans.mechanics.statistics import running_norms
from lightning_gans.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Objective, Wasserstein

SURE = math.log(99)  # the logit of a probability of 0.99


@dataclass(frozen=True)
class Watched:
    """A number that is watched.

    Args:
        note: Its meaning in a few words, for a chart.
        warning: The sentence to say when it is out of its limit, with a place for its value.
        sign: 1 where it must not be above its limit, -1 where it must not be below.
    """

    note: str
    warning: str = ""
    sign: int = 0


WATCHED = {
    "diversity": Watched(
        "distance between samples, as a share of the distance between real images",
        "The generator draws nearly the same image for every latent (diversity {:.2g} of the real images'): lower its "
        "learning rate, or add minibatch discrimination or unrolling.",
        -1,
    ),
    "classes": Watched(
        "effective number of classes drawn, as a share of the real images'",
        "The generator draws few of the classes (its effective number of classes is {:.2g} of the real images'): add "
        "minibatch discrimination or unrolling, or tell both players the class as in a conditional GAN.",
        -1,
    ),
    "swing": Watched(
        "share of samples that change class from look to look",
        "The classes of samples swing to and fro without getting anywhere (a share of {:.2g} changes class from look "
        "to look): lower both learning rates, or add historical averaging or unrolling.",
        1,
    ),
    "sure": Watched(
        "share of images that the discriminator is right on and saturated",
        "The discriminator has won (right and saturated on {:.0%} of real images and samples): lower its learning "
        "rate, or add label smoothing, instance noise or a gradient penalty.",
        1,
    ),
    "right": Watched(
        "share of images that the discriminator is right on",
        "The discriminator has won (right on {:.0%} of real images and samples): lower its learning rate, lower "
        "`n_critic` or raise the generator's rate, or add instance noise or a gradient penalty.",
        1,
    ),
    "memorized": Watched(
        "how far held-out images lie from training images towards samples, to the discriminator",
        "The discriminator knows the training images by heart (held-out images lie {:.0%} of the way to samples in its "
        "eyes): stop earlier, use more data or a smaller discriminator, or add dropout or a gradient penalty.",
        1,
    ),
    "staleness": Watched(
        "distance of the worst batch norm's running statistics from those of its input, in standard deviations",
        "Batch norm's running statistics in the generator that draws the samples are stale ({:.2g} standard deviations "
        "off its input): shorten `ema_halflife`, lower the generator's learning rate, or use larger batches.",
        1,
    ),
    "gradient": Watched("norm of each player's gradient before it is clipped"),
}
VANISHING = (
    "The {player}'s gradient has all but vanished (norm {:.2g}): lower the learning rates, or try an objective that "
    "does not saturate, as least squares, hinge or WGAN-GP."
)
EXPLODING = "The {player}'s gradient explodes (norm {:.2g}): lower its learning rate, or set `{player}_clip`."


def findings(
    looks: Sequence[Mapping[str, float]], limits: Mapping[str, float], patience: int
) -> Iterator[tuple[str, str]]:
    """Yields name and sentence of each number that was out of its limit in all of the last `patience` looks.

    An exploding gradient does not wait: once is enough. A number that was not seen, or is nan, is in its limits.
    """
    last, now = looks[-patience:], looks[-1]

    def always(name: str, sign: int) -> bool:
        limit = limits[name.split("/")[0]]
        return len(last) == patience and all(sign * (look.get(name, math.nan) - limit) > 0 for look in last)

    for name, watched in WATCHED.items():
        if watched.sign and always(name, watched.sign):
            yield name, watched.warning.format(now[name])
    for name in now:
        if name.startswith("gradient/"):
            player = name.removeprefix("gradient/")
            if always(name, -1):
                yield f"vanishing/{player}", VANISHING.format(now[name], player=player)
            if limits["exploding"] < now[name] < math.inf:  # a GradScaler skips infinite ones
                yield f"exploding/{player}", EXPLODING.format(now[name], player=player)


def spread(images: Float[Tensor, "b ..."]) -> float:
    """Returns the mean distance between two of the images; nan for one image."""
    rows, count = images.flatten(1).float(), len(images)
    distance = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.sum().item() / (count * (count - 1)) if count > 1 else math.nan


def shares(classes: Int64[Tensor, " n"], num_classes: int) -> Float[Tensor, " {num_classes}"]:
    """Returns the histogram of the classes, of sum 1."""
    return classes.bincount(minlength=num_classes).float() / len(classes)


def effective_number(share: Float[Tensor, " k"]) -> float:
    """Returns the number of classes of equal share with the same entropy: 1 for a single class, k for k alike."""
    return torch.special.entr(share).sum().exp().item()


def swing(history: Float[Tensor, "t k"]) -> float:
    """Returns the share that changes from one look to the next, less what the way from first to last explains.

    Changes are total variation distances. It is 0 for a histogram that stands still or moves one way, and near 1 for
    one that hops to and fro between classes.
    """
    path = history.diff(dim=0).abs().sum(1).mean() / 2
    way = (history[-1] - history[0]).abs().sum() / 2 / (len(history) - 1)
    return (path - way).item()


def right_and_sure(real: Float[Tensor, " n"], fake: Float[Tensor, " m"], objective: Objective) -> tuple[float, float]:
    """Returns the share of logits on the right side, real and fake weighing alike, and of those also saturated.

    A logit is saturated where the discriminator's loss has next to no slope left: for cross-entropy beyond a
    probability of 0.99, for the hinge beyond its margin. Least squares has no such place, and a critic has not even a
    right side: nan.
    """
    middle = 0.5 if isinstance(objective, LeastSquares) else 0.0
    margins = {NonSaturating: SURE, Minimax: SURE, Hinge: 1.0}
    margin = next((margin for kind, margin in margins.items() if isinstance(objective, kind)), math.nan)

    def share(beyond: float) -> float:
        right = (real - middle > beyond).float().mean() + (fake - middle < -beyond).float().mean()
        return right.item() / 2

    if isinstance(objective, Wasserstein):
        return math.nan, math.nan
    return share(0.0), math.nan if math.isnan(margin) else share(margin)


def memorized(train: Float[Tensor, " n"], held_out: Float[Tensor, " m"], fake: Float[Tensor, " b"]) -> float:
    """Returns how far held-out images lie on the way from training images to samples, in the discriminator's eyes.

    This is r_v of Karras et al., 2020 (https://arxiv.org/abs/2006.06676, eq. 1): 0 if it knows no difference between
    training and held-out images, 1 if it takes held-out images for samples. A way shorter than six standard errors of
    the difference counts as one of that length: then it is by chance more than 0.5 as often as three deviations are.
    """
    noise = train.std(correction=0) * math.sqrt(1 / len(train) + 1 / len(held_out))
    way = torch.maximum(train.mean() - fake.mean(), 6 * noise).clamp_min(1e-12)
    return ((train.mean() - held_out.mean()) / way).item()


def staleness(
    x: Float[Tensor, "b c ..."], mean: Float[Tensor, " c"], var: Float[Tensor, " c"], eps: float
) -> Float[Tensor, ""]:
    """Returns the distance of running statistics from those of an input, in standard deviations, mean over channels.

    It is the distance of the means or the logarithm of the deviations' quotient, whichever is larger.
    """
    rows = x.float().transpose(0, 1).flatten(1)
    std = (var.float() + eps).sqrt()
    distance = ((rows.mean(1) - mean.float()) / std).abs().mean()
    quotient = ((rows.var(1, correction=0) + eps).sqrt() / std).log().abs().mean()
    return torch.maximum(distance, quotient)


@contextmanager
def staleness_of(generator: nn.Module) -> Iterator[list[Tensor]]:
    """Collects the staleness of each batch norm that is called within it."""
    found: list[Tensor] = []

    def note(layer: Any, args: Any) -> None:
        found.append(staleness(args[0], layer.running_mean, layer.running_var, layer.eps))

    handles = [layer.register_forward_pre_hook(note) for layer in running_norms(generator)]
    try:
        with torch.compiler.set_stance("force_eager"):  # compiled code calls no hooks
            yield found
    finally:
        for handle in handles:
            handle.remove()
