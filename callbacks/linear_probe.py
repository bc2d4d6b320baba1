"""How much of the classes a linear classifier finds in what a network learned without them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int64
from lightning import Trainer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from lightning_gans.callbacks.scorer import Scored, Scorer
from lightning_gans.callbacks.training_images import Encode, features_of, is_among
from lightning_gans.datamodules import TensorDataModule, TensorImages

GRID = 4  # rows and columns that are left of a map
HELD_OUT = 5  # of images that are trained on and evaluated on, each so many-th is only tested on


class LinearProbe(Scorer):
    """Scores features at a test by the accuracy of a linear classifier on them.

    Logs `linear_probe_<space>` for each space: an L2-SVM (squared hinge loss, one class against the rest) learns the
    labels of the data module's training images from standardised features, and is tested on its evaluation images.
    Where these are the same images, each fifth is kept for the test. Images with label -1 have none.

    The space `discriminator` is that of DCGAN (Radford et al., 2016, https://arxiv.org/abs/1511.06434, section 5.1):
    what all convolutions of the discriminator return, but for one that makes its logits, each map max-pooled to 4 x 4,
    all in one vector; or what linear layers return, where there is no hidden convolution. It has its last weights, in
    eval mode.
    Other spaces are methods of the module, such as `features` of a `BiGAN` for its encoder's last hidden layer.

    Args:
        spaces: `discriminator`, or methods of the module that map images (b, c, h, w) to features (b, k).
        num_labels: Labels to learn from, the first of each class in equal numbers; null takes all. The paper has 1000.
        svm_c: C of the classifier: a smaller one keeps its weights smaller. The default is for standardised features.
    """

    stages = ("test",)

    def __init__(
        self, spaces: Sequence[str] = ("discriminator",), num_labels: int | None = None, svm_c: float = 1e-3
    ) -> None:
        if not spaces:
            raise ValueError("`spaces` must name `discriminator` or a method of the module, got none.")
        if num_labels is not None and num_labels < 2:
            raise ValueError(f"`num_labels` must be at least 2, got {num_labels}.")
        if svm_c <= 0:
            raise ValueError(f"`svm_c` must be above 0, got {svm_c}.")
        self.spaces = list(spaces)
        self.num_labels = num_labels
        self.svm_c = svm_c

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, TensorDataModule):
            raise ValueError(f"`LinearProbe` needs a TensorDataModule, got {type(data).__name__}.")
        for space in self.spaces:
            try:
                encoder(pl_module, space)(data.training[torch.arange(2)][0].to(pl_module.device))
            except Exception as error:  # whatever a network says to what it is not made for
                raise ValueError(
                    f"`spaces` must be methods of {type(pl_module).__name__} that map images to features, or "
                    f"`discriminator` where it judges images alone, and {space} is neither: {error}"
                ) from error
        self._split = split(data.training, data.evaluation)
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
    """Maps images to features, in eval mode."""
    if space != "discriminator":
        return getattr(module, space)

    def encode(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        with module.evaluating(), hidden_layers(module.discriminator) as outputs:
            module.discriminator(image)
            maps = [output for output in outputs[:-1] if output.ndim == 4]
            pooled = [adaptive_max_pool2d(m, (min(GRID, m.shape[2]), min(GRID, m.shape[3]))) for m in maps]
            return torch.cat([layer.flatten(1) for layer in pooled or outputs[:-1]], dim=1)

    return encode


@contextmanager
def hidden_layers(network: nn.Module) -> Iterator[list[Tensor]]:
    """Notes what convolutions and linear layers return, in the order in which they are called."""
    outputs: list[Tensor] = []
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(lambda layer, inputs, output: outputs.append(output)) for layer in layers]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def split(training: TensorImages, evaluation: TensorImages) -> tuple[TensorImages, TensorImages]:
    """What to learn from and what to test on: the same images are cut in two, by their places."""
    if is_among(evaluation.image, training.image).double().mean() > 0.5:
        test = torch.arange(len(evaluation)) % HELD_OUT == HELD_OUT - 1
        left, kept = (TensorImages(evaluation.image[part], evaluation.label[part]) for part in (~test, test))
        return left, kept
    return training, evaluation


def few_of_each(label: Int64[Tensor, " n"], num_labels: int | None) -> Int64[Tensor, " k"]:
    """Which images to learn from: all that have a label, or the first of each class in equal numbers."""
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
