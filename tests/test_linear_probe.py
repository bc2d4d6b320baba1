"""Linear classifiers on features that are known."""

import json

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

from lightning_gans import GAN
from lightning_gans.callbacks import LinearProbe
from lightning_gans.callbacks.scores.linear_probe import encoder, few_of_each, split
from lightning_gans.callbacks.scores.training_images import distinct, is_among, names_of
from lightning_gans.datamodules import TensorDataModule, TensorImages, TensorPoints
from tests.conftest import Line, loader, tiny, trainer
from tests.two_threads import scores_on


class Seeing(GAN):
    """Has features of its own."""

    def pixels(self, image):
        return image.flatten(1)[:, :6]


def digits(count, seed):
    """Noise in bytes, of 3 classes that the first 3 pixels tell apart, though not always."""
    draw = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (count, 1, 8, 8), generator=draw, dtype=torch.uint8)
    label = (image[:, 0, 0, :3].float() + 60 * torch.randn(count, 3, generator=draw)).argmax(1)
    return TensorImages(image, label)


class Data(TensorDataModule):
    reference = "noise"

    def __init__(self, training, evaluation):
        super().__init__(8)
        self.sets = training, evaluation

    def load(self):
        return self.sets


def run(folder, data, module=None, **kwargs):
    callback = LinearProbe(**({"spaces": ["pixels"]} | kwargs))
    return trainer(folder, callbacks=[callback]).test(module or tiny(Seeing), datamodule=data, verbose=False)[0]


def first(batch):
    """The real images of a plain variant."""
    return batch[0]


def by_scikit_learn(training, evaluation):
    x, x_test = (
        (images.image.flatten(1)[:, :6].numpy() / np.float32(127.5) - 1).astype(float)
        for images in (training, evaluation)
    )
    scaler = StandardScaler().fit(x)
    svm = LinearSVC(C=1e-3, dual=False).fit(scaler.transform(x), training.label.numpy())
    return svm.score(scaler.transform(x_test), evaluation.label.numpy())


def test_the_accuracy_is_that_of_scikit_learn_on_images_that_were_not_learned_from(tmp_path):
    training, evaluation = digits(700, 1), digits(300, 2)
    scores = run(tmp_path, Data(training, evaluation))
    assert scores == {"linear_probe_pixels": pytest.approx(by_scikit_learn(training, evaluation))}
    assert 0.5 < scores["linear_probe_pixels"] < 0.95


def test_images_that_are_trained_on_and_evaluated_on_are_split(tmp_path):
    images = digits(500, 1)
    kept = torch.arange(500) % 5 == 4
    left, kept = (TensorImages(images.image[part], images.label[part]) for part in (~kept, kept))
    for training in (images, TensorImages(images.image.flip(0), torch.full((500,), -1))):  # in whatever order
        scores = run(tmp_path, Data(training, images))
        assert scores["linear_probe_pixels"] == pytest.approx(by_scikit_learn(left, kept))
    (entry,) = json.loads((tmp_path / "metrics.json").read_text())
    assert entry["protocol"]["reference"] == "noise, each 5th, not learned from"
    assert (
        entry["protocol"]["learned_from"] == "400 labelled training images" and entry["protocol"]["num_images"] == 100
    )


def test_a_few_images_in_common_split_nothing():
    training, evaluation = digits(50, 1), digits(50, 2)
    training.image[:5] = evaluation.image[:5]
    assert is_among(*(names_of(images, first) for images in (evaluation, training))).sum() == 5
    assert split(training, evaluation, first) == (training, evaluation)


def test_images_that_repeat_are_one():
    images = digits(30, 1)
    twice = TensorImages(torch.cat([images.image[:9], images.image]), torch.cat([images.label[:9], images.label]))
    assert distinct(names_of(twice, first)).tolist() == [*range(9), *range(18, 39)]


def test_labels_are_the_first_of_each_class_in_equal_numbers():
    label = torch.tensor([-1, 2, 0, 0, 2, 0, -1, 2, 0])
    assert few_of_each(label, None).tolist() == [1, 2, 3, 4, 5, 7, 8]
    assert few_of_each(label, 4).tolist() == [2, 3, 1, 4]


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 3, 4, stride=4)
        self.last = nn.Conv2d(3, 1, 2)

    def forward(self, image):
        return self.last(self.second(self.first(image).relu()).relu()).flatten()


def test_features_of_a_discriminator_are_its_hidden_maps_max_pooled_to_4_by_4():
    module = tiny()
    module.discriminator = Convolutions().train()
    image = torch.rand(5, 1, 8, 8)
    features = encoder(module, "discriminator")([image])
    first = module.discriminator.first(image)
    second = module.discriminator.second(first.relu())
    pooled = first.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))  # 8 -> 4
    assert torch.equal(features, torch.cat([pooled.flatten(1), second.flatten(1)], dim=1))
    assert features.shape == (5, 2 * 16 + 3 * 4) and module.discriminator.training and not features.requires_grad


def test_features_of_a_perceptron_are_its_hidden_layers():
    module, image = tiny(), torch.rand(5, 1, 8, 8)
    features = encoder(module, "discriminator")([image])
    assert torch.equal(features, module.discriminator.layers[:2](image))


def test_hooks_are_gone_afterwards():
    module = tiny()
    encoder(module, "discriminator")([torch.rand(2, 1, 8, 8)])
    assert not any(layer._forward_hooks for layer in module.discriminator.modules())


def test_both_spaces_are_scored(tmp_path):
    scores = run(tmp_path, Data(digits(200, 1), digits(100, 2)), spaces=["discriminator", "pixels"], num_labels=99)
    assert sorted(scores) == ["linear_probe_discriminator", "linear_probe_pixels"]


def test_two_processes_score_as_one(tmp_path, monkeypatch):
    data, module = Data(digits(700, 1), digits(300, 2)), tiny(Seeing)
    data.setup("test")
    one, two = (
        scores_on(
            size,
            lambda: (LinearProbe(["pixels", "discriminator"]), module),
            list(loader()),
            tmp_path,
            monkeypatch,
            data,
        )
        for size in (1, 2)
    )
    assert two == one * 2


def test_a_loader_without_a_data_module_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`LinearProbe` needs a TensorDataModule, got NoneType."):
        trainer(tmp_path, callbacks=[LinearProbe()]).test(tiny(), loader(), verbose=False)


class Pair(nn.Module):
    """A discriminator that is told the class."""

    def forward(self, image, label):
        return image.mean((1, 2, 3))


@pytest.mark.parametrize(
    ("conditional", "space", "sentence"),
    [
        (True, "discriminator", "`spaces` of `LinearProbe` must be methods of GAN .* and discriminator is neither: "),
        (False, "encode", "`LinearProbe` needs a variant that has a method `encode`, which GAN does not: leave it out"),
    ],
)
def test_what_does_not_map_images_to_features_is_refused(tmp_path, conditional, space, sentence):
    module = GAN(generator=Line(), discriminator=Pair(), conditional=conditional)
    with pytest.raises(ValueError, match=sentence):
        run(tmp_path, Data(digits(20, 1), digits(20, 2)), module, spaces=[space])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            TensorPoints(torch.rand(20, 2), torch.arange(20)),
            "`LinearProbe` needs labelled images in memory, got T",
        ),
        (TensorImages(digits(20, 1).image, torch.ones(20, 4).long()), "needs data with one class of each image, got"),
    ],
)
def test_data_without_one_class_of_each_image_are_refused(tmp_path, data, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(tmp_path, Data(data, data))


@pytest.mark.parametrize(
    ("num_labels", "sentence"),
    [
        (100, "`num_labels` must be a multiple of the 3 classes and at most [0-9]+, which .*, got 100."),
        (300, "`num_labels` must be a multiple of the 3 classes and at most [0-9]+, which .*, got 300."),
    ],
)
def test_labels_that_are_not_there_are_refused(tmp_path, num_labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(tmp_path, Data(digits(200, 1), digits(20, 2)), num_labels=num_labels)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="`LinearProbe` needs training images of at least 2 classes, got 1."):
        few_of_each(torch.tensor([0, 0, -1]), None)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ({"spaces": []}, "`spaces` must name `discriminator` or a method of the variant, got none."),
        ({"num_labels": 1}, "`num_labels` must be at least 2, got 1."),
        ({"svm_c": 0.0}, "`svm_c` must be above 0, got 0.0."),
    ],
)
def test_arguments_are_checked(argument, sentence):
    with pytest.raises(ValueError, match=sentence):
        LinearProbe(**argument)
