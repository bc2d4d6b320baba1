"""CIFAR-10 from pickled batches such as are published."""

import hashlib
import pickle
import struct
from io import BytesIO

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from lightning_gans.datamodules import CIFAR10DataModule

NAMES = [f"data_batch_{index}" for index in range(1, 6)] + ["test_batch"]


class OfPython2(pickle._Pickler):
    """Writes bytes as Python 2 did, whose strings they were: so the published batches are."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)

    dispatch[bytes] = save_bytes


def pickled(value):
    file = BytesIO()
    OfPython2(file, protocol=2).dump(value)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The six batches with 4 images each, and the names of the classes; torchvision expects their hashes."""
    inside = tmp_path / "cifar-10-batches-py"
    inside.mkdir()
    for index, name in enumerate(NAMES):
        data = np.random.default_rng(index).integers(0, 256, (4, 3072), np.uint8)
        labels = [(index + image) % 10 for image in range(4)]
        batch = {b"batch_label": name.encode(), b"labels": labels, b"data": data, b"filenames": [b"a.png"] * 4}
        (inside / name).write_bytes(pickled(batch))
    (inside / "batches.meta").write_bytes(pickled({b"label_names": [b"airplane"] * 10}))
    expect(inside, monkeypatch)
    return tmp_path


def expect(inside, monkeypatch):
    """Makes the files in a folder the published ones."""
    md5 = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in inside.iterdir()}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5[name]] for name in NAMES[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [[NAMES[5], md5[NAMES[5]]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5["batches.meta"]})


def ready(folder, **settings):
    data = CIFAR10DataModule(str(folder), batch_size=2, **settings)
    data.setup("fit")
    return data


def test_batches_are_read_back(folder):
    data = ready(folder)
    assert data.training.image.shape == (20, 3, 32, 32) and data.evaluation.image.shape == (4, 3, 32, 32)
    pixels = np.random.default_rng(1).integers(0, 256, (4, 3072), np.uint8)  # of the second batch, planes one by one
    assert torch.equal(data.training.image[5], torch.from_numpy(pixels[1]).view(3, 32, 32))
    assert data.training.label[4:8].tolist() == [1, 2, 3, 4] and data.evaluation.label.tolist() == [5, 6, 7, 8]
    assert data.reference == "CIFAR-10 test, 10,000 images"
    assert data.classes[3] == "cat" and "(airplane: 1; automobile: 2; bird: 3; cat: 4; deer: 4; " in data.summary


def test_the_training_images_may_be_the_reference(folder):
    data = ready(folder, evaluation_split="train")
    assert data.evaluation is data.training and data.reference == "CIFAR-10, 50,000 images"
    data = ready(folder, evaluation_split="train", mirror=True)
    assert len(data.evaluation) == 40 and data.reference == "CIFAR-10, 50,000 images, and mirrored"


def test_what_is_missing_and_what_is_damaged_is_named(folder):
    inside = folder / "cifar-10-batches-py"
    (inside / "data_batch_3").unlink()
    (inside / "test_batch").write_bytes((inside / "test_batch").read_bytes()[:100])
    with pytest.raises(
        FileNotFoundError, match="has no data_batch_3 and has damaged test_batch: pass `download=true`, o"
    ):
        ready(folder)


def test_nothing_at_all_is_said(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"has no data_batch_1, .*, batches\.meta: pass .* or unpack https://www"
    ):
        ready(tmp_path)


def test_a_failed_download_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, "url", (tmp_path / "nowhere.tar.gz").as_uri())
    with pytest.raises(FileNotFoundError, match="has no data_batch_1.*: the download failed, so try again, or unpack"):
        CIFAR10DataModule(str(tmp_path), download=True).prepare_data()


def test_a_batch_that_is_no_batch_is_refused(folder, monkeypatch):
    inside = folder / "cifar-10-batches-py"
    (inside / "data_batch_1").write_bytes(pickled({b"data": np.zeros((4, 100), np.uint8), b"labels": [0] * 4}))
    expect(inside, monkeypatch)
    with pytest.raises(
        FileNotFoundError, match=r"cifar-10-batches-py is not readable \(.*\): pass `download=true`, or"
    ):
        ready(folder)


def test_fewer_labels_than_images_are_refused(folder, monkeypatch):
    inside = folder / "cifar-10-batches-py"
    (inside / "data_batch_1").write_bytes(pickled({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0] * 3}))
    expect(inside, monkeypatch)
    with pytest.raises(ValueError, match="has 20 images with 19 labels: unpack https://www"):
        ready(folder)
