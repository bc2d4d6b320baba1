"""How well a module sorts real images."""

import json

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from lightning_gans import GAN
from lightning_gans.callbacks import ClassAccuracy
from lightning_gans.callbacks.scores.class_accuracy import confusion, matched
from tests.conftest import tiny, trainer


def test_confusion_counts_labels_by_row_and_classes_by_column():
    table = confusion(torch.tensor([0, 0, 2, 1]), torch.tensor([0, 1, 1, 1]))
    assert table.tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_matching_gives_each_label_one_class():
    # Both labels are mostly class 0; only one of them can have it.
    assert matched(torch.tensor([[9, 1], [8, 2]])) == 11
    assert matched(torch.tensor([[0, 5, 0], [0, 0, 6], [7, 0, 0]])) == 18


@pytest.mark.parametrize(("matching", "name", "expected"), [(False, "accuracy", 0.1), (True, "matched_accuracy", 1.0)])
def test_classes_are_scored_over_all_batches(tmp_path, matching, name, expected):
    class Sorting(GAN):
        def classify(self, image: Tensor) -> Tensor:  # its classes are the labels, but for one place
            return torch.nn.functional.one_hot((image[:, 0, 0, 0].long() + 1) % 10, 10).float()

    label = torch.arange(40) % 10
    label[:4] = torch.tensor([1, 2, 3, 4])  # what it says of the images 0 to 3
    image = torch.arange(40).remainder(10)[:, None, None, None] * torch.ones(1, 1, 8, 8)
    image[:4] = label[:4, None, None, None] - (0 if matching else 1)
    module = tiny(Sorting)
    ours = trainer(tmp_path, callbacks=[ClassAccuracy(matching)])
    scores = ours.test(module, DataLoader(TensorDataset(image, label), 16), verbose=False)[0]
    assert scores[name] == pytest.approx(expected)
    (entry,) = json.loads((tmp_path / "metrics.json").read_text())
    assert entry["scores"] == pytest.approx(scores) and entry["protocol"]["num_images"] == 40
