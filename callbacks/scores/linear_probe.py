"""Share of the classes that a linear classifier finds in what a network learned without them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64
from lightning import Trainer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from lightning_gans.callbacks.drawn import reason
from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.callbacks.scores.training_images import (
    Encode,
    data_module,
    features_of,
    is_among,
    labels_of,
    names_of,
)
from lightning_gans.datamodules import TensorImages
from lightning_gans.mechanics.hooks import outputs
from lightning_gans.mechanics.players import Batch

GRID = 4  # rows and columns that are left of a map
HELD_OUT = 5  # of images that are trained on and evaluated on, each so many-th is only tested on


class LinearProbe(Scorer):
    """Scores features at a test by the accuracy of a linear classifier on them.

    Logs `linear_probe_<space>` for each space: an L2-SVM (squared hinge loss, one class against the rest) learns the
    labels of the data module's training images from standardized features, and is tested on its evaluation images.
    Where these are the same images, each fifth is kept for the test. Images with label -1 have none.

    The space `discriminator` is the one of DCGAN (Radford et al., 2016, https://arxiv.org/abs/1511.06434, section 5.1):
    the maps of all convolutions of the discriminator but the one that makes its logits, each max-pooled to 4 x 4, in
    one vector; or the results of its linear layers, where there is no hidden convolution. It has its last weights, in
    eval mode, and must not be told the class of an image.
    Other spaces are methods of the variant, such as `features` of a `BiGAN` for its encoder's last hidden layer.

    Args:
        spaces: `discriminator`, or methods of the variant that map images (b, c, h, w) to features (b, k).
        num_labels: Labels to learn from, the first of each class in equal numbers; null takes all. The paper has 1000.
        svm_c: C of the classifier: a smaller one keeps its weights smaller. The default is for standardized features.
    """

    stages = ("test",)

    def __init__(
        self, spaces: Sequence[str] = ("discriminator",), num_labels: int | None = None, svm_c: float = 1e-3
    ) -> None:
        if not spaces:
            raise ValueError("`spaces` must name `discriminator` or a method of the variant, got none.")
        if num_labels is not None and num_labels < 2:
            raise ValueError(f"`num_labels` must be at least 2, got {num_labels}.")
        if svm_c <= 0:
            raise ValueError(f"`svm_c` must be above 0, got {svm_c}.")
        self.spaces = list(spaces)
        self.num_labels = num_labels
        self.svm_c = svm_c

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        pl_module.require("LinearProbe", *("discriminate" if s == "discriminator" else s for s in self.spaces))
        data = data_module("LinearProbe", trainer)
        for images in (data.training, data.evaluation):
            if not isinstance(images, TensorImages):
                raise ValueError(f"`LinearProbe` needs labelled images in memory, got {type(images).__name__}.")
            labels_of("LinearProbe", images)
        pair = [item.to(pl_module.device) for item in data.training[torch.arange(2)]]
        for space in self.spaces:
            try:
                encoder(pl_module, space)(pair)
            except Exception as error:  # whatever a network says to an input that it is not made for
                raise ValueError(
                    f"`spaces` of `LinearProbe` must be methods of {type(pl_module).__name__} that map images to "
                    f"features, or `discriminator` where it judges images alone, and {space} is neither: "
                    f"{reason(error)}"
                ) from error
        self._split = split(data.training, data.evaluation, pl_module.real)
        self._chosen = few_of_each(self._split[0].label, self.num_labels)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        training, evaluation = self._split
        training = TensorImages(training.image[self._chosen], training.label[self._chosen])
        scores = {}
        for space in self.spaces:
            encode = encoder(pl_module, space)
            x, x_test = (features_of(images, encode, trainer, pl_module.device) for images in (training, evaluation))
            accuracy = 0.0
            if trainer.is_global_zero:
                svm = make_pipeline(StandardScaler(), LinearSVC(C=self.svm_c, dual=len(x) < x.shape[1], random_state=0))
                svm.fit(x.cpu().double().numpy(), training.label.numpy())
                accuracy = float(svm.score(x_test.cpu().double().numpy(), evaluation.label.numpy()))
            scores[f"linear_probe_{space}"] = trainer.strategy.broadcast(accuracy)
        same = evaluation is not trainer.datamodule.evaluation
        return scores, {
            "generator": "draws nothing",
            "classifier": f"L2-SVM, C {self.svm_c:g}, on standardised features of {', '.join(self.spaces)}",
            "learned_from": f"{len(training)} labelled training images",
            "num_images": len(evaluation),
            "reference": trainer.datamodule.reference + (f", each {HELD_OUT}th, not learned from" if same else ""),
        }


def encoder(module: Any, space: str) -> Encode:
    """Returns a map of batches to features of their real images, in eval mode."""
    if space == "discriminator":
        return partial(hidden_features, module)
    return lambda batch: getattr(module, space)(module.real(batch))


def hidden_features(module: Any, batch: Batch) -> Float[Tensor, "b k"]:
    """Returns the results of the discriminator's hidden layers for the real images of a batch, and nothing beside."""
    image = module.real(batch)
    layers = [layer for layer in module.discriminator.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    with module.evaluating(), outputs(*layers) as results:
        module.discriminate(image, (image,))
    maps = [result for result in results[:-1] if result.ndim == 4]
    pooled = [adaptive_max_pool2d(m, (min(GRID, m.shape[2]), min(GRID, m.shape[3]))) for m in maps]
    return torch.cat([layer.flatten(1) for layer in pooled or results[:-1]], dim=1)


def split(training: TensorImages, evaluation: TensorImages, real: Encode) -> tuple[TensorImages, TensorImages]:
    """Returns the images to learn from and those to test on: the same images are cut in two, by their places."""
    if is_among(names_of(evaluation, real), names_of(training, real)).double().mean() > 0.5:
        test = torch.arange(len(evaluation)) % HELD_OUT == HELD_OUT - 1
        left, kept = (TensorImages(evaluation.image[part], evaluation.label[part]) for part in (~test, test))
        return left, kept
    return training, evaluation


def few_of_each(label: Int64[Tensor, " n"], num_labels: int | None) -> Int64[Tensor, " k"]:
    """Returns the places of images to learn from: all with a label, or the first of each class in equal numbers."""
    known = (label >= 0).nonzero().flatten()
    classes = label[known].unique()
    if len(classes) < 2:
        raise ValueError(f"`LinearProbe` needs training images of at least 2 classes, got {len(classes)}.")
    if num_labels is None:
        return known
    counts = label[known].bincount()[classes]
    if num_labels % len(classes) or num_labels // len(classes) > counts.min():
        raise ValueError(
            f"`num_labels` must be a multiple of the {len(classes)} classes and at most {counts.min() * len(classes)}, "
            f"which have as many images each, got {num_labels}."
        )
    return torch.cat([known[label[known] == c][: num_labels // len(classes)] for c in classes])
