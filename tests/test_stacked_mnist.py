import pytest
import torch
from torch.nn.functional import avg_pool2d

from lightning_gans.datamodules import MNISTDataModule, StackedMNISTDataModule
from lightning_gans.metrics import class_modes, stacked_digits
from lightning_gans.metrics.digits import DigitClassifier
from tests.test_datamodules import raw, ready, untyped  # noqa: F401  fixtures


def stacked(**options):
    return ready(StackedMNISTDataModule(**{"num_images": 300, "num_evaluation_images": 40, **options}))


@pytest.mark.parametrize("size", [16, 28, 32])
def test_channels_are_the_digits_that_the_label_reads(size):
    data = stacked(size=size)
    image, label = data.training[torch.arange(300)]
    assert image.shape == (300, 3, size, size) and image.dtype == torch.float32
    assert (image.min() == -1 and image.max() == 1) and label.dtype == torch.int64
    digits = ready(MNISTDataModule(size=28 if size == 28 else 32)).training
    gray, number = digits[data.training.place.flatten()]
    expected = gray if size > 16 else avg_pool2d(gray, 2)
    torch.testing.assert_close(image.flatten(0, 1)[:, None], expected, atol=1 / 127, rtol=0)
    assert label.tolist() == [100 * r + 10 * g + b for r, g, b in number.view(-1, 3).tolist()]


def test_digits_of_an_image_are_a_function_of_the_seed_and_its_number():
    few, more, other = stacked(), stacked(num_images=500), stacked(data_seed=1)
    assert torch.equal(few.training.place, more.training.place[:300])
    assert (few.training.place != other.training.place).any(1).all()
    assert (few.training.place[:40] != few.evaluation.place).any(1).all()


def test_numbers_are_about_equally_frequent():
    label = StackedMNISTDataModule().load()[0].label
    counts = label.bincount(minlength=1000)
    assert len(label) == 128_000 and counts.min() > 60 and counts.max() < 220
    assert class_modes(label, 1000)["mode_divergence"] < 0.03


@pytest.mark.parametrize(("size", "right"), [(16, 0.95), (28, 0.98), (32, 0.98)])
def test_the_classifier_reads_the_numbers(size, right):
    image, label = stacked(size=size).training[torch.arange(300)]
    assert (stacked_digits(image, DigitClassifier.pretrained()) == label).float().mean() > right


def test_classes_are_the_numbers_from_000_to_999():
    data = stacked()
    assert data.classes[7] == "007" and len(data.classes) == 1000
    assert "of 1,000 classes (000: " in data.summary and "triples of digits from the package" in data.summary


def test_a_folder_of_mnist_has_test_digits_of_its_own(raw):  # noqa: F811
    data = ready(StackedMNISTDataModule(str(raw.parents[1]), num_images=30, num_evaluation_images=20))
    assert len(data.training.image) == 6 and len(data.evaluation.image) == 4
    assert data.training.place.max() == 5 and data.evaluation.place.max() == 3
    assert len(data.training) == 30 and "MNIST test" in data.reference


@pytest.mark.parametrize("name", ["num_images", "num_evaluation_images"])
def test_there_is_at_least_one_image(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0."):
        StackedMNISTDataModule(**{name: 0})


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="`data_seed` must be at least 0, got -1."):
        StackedMNISTDataModule(data_seed=-1)


def test_images_come_in_three_sizes(untyped):  # noqa: F811
    with pytest.raises(ValueError, match="`size` must be 16, 28 or 32, got 64."):
        StackedMNISTDataModule(size=64)
