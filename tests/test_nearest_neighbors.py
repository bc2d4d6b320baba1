"""Copies among samples, and pictures of what is near."""

import json

import pytest
import torch
from PIL import Image
from torch import nn

from lightning_gans import GAN
from lightning_gans.callbacks import NearestNeighbours
from lightning_gans.callbacks.looks.nearest_neighbors import nearest_images
from lightning_gans.datamodules import TensorDataModule, TensorImages
from lightning_gans.mechanics.randomness import mix
from lightning_gans.metrics.neighbors import copied_share
from tests.conftest import loader, tiny, trainer
from tests.two_threads import scores_on


class Pixels(nn.Module):
    def forward(self, image):
        return image.flatten(1)


def noise(count, seed):
    draw = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (count, 1, 8, 8), generator=draw, dtype=torch.uint8)
    return TensorImages(image, torch.zeros(count, dtype=torch.long))


class Data(TensorDataModule):
    reference = "noise"

    def __init__(self, training, evaluation):
        super().__init__(8)
        self.sets = training, evaluation

    def load(self):
        return self.sets


class Copying(GAN):
    """Draws training images, but for a little noise."""

    def samples(self, batch):
        return {"fake": self.known[: len(batch[0])] + 0.02 * self.normal(len(batch[0]), 1, 8, 8)}


def copying(training):
    module = tiny(Copying)
    module.known = training[torch.arange(16)][0]
    return module


def run(folder, module, data, **kwargs):
    callback = NearestNeighbours(**({"features": Pixels()} | kwargs))
    return trainer(folder, callbacks=[callback]).test(module, datamodule=data, verbose=False)[0]["copied_share"]


def protocol(folder):
    (entry,) = json.loads((folder / "metrics.json").read_text())
    return entry["protocol"]


def test_copies_are_found_and_new_images_are_not(tmp_path):
    training, evaluation = noise(200, 1), noise(40, 2)
    assert run(tmp_path, copying(training), Data(training, evaluation)) == 1
    assert protocol(tmp_path)["threshold"].endswith("to the nearest training image of 40 of noise")
    assert run(tmp_path, copying(noise(16, 3)), Data(training, evaluation)) < 0.2


def test_without_other_images_each_training_image_stands_for_one(tmp_path):
    training = noise(200, 1)
    copies = TensorImages(training.image.repeat(2, 1, 1, 1), training.label.repeat(2))
    for data in (Data(training, training), Data(copies, training)):  # repeats of an image are no other images
        assert run(tmp_path, copying(training), data) == 1
        assert protocol(tmp_path)["threshold"].endswith("each training image, to the others")
        assert protocol(tmp_path)["num_training"] == "200 that differ" and protocol(tmp_path)["num_fake"] == 200


def test_the_share_is_that_of_the_features(tmp_path):
    training, evaluation = noise(100, 1), noise(48, 2)
    module = tiny()
    share = run(tmp_path, module, Data(training, evaluation))
    seen = [images[torch.arange(len(images))][0].flatten(1).double() for images in (training, evaluation)]
    fake = [module.draw((torch.zeros(8, 1, 8, 8),), mix(0, index))["fake"].flatten(1) for index in range(6)]
    fake = ((torch.cat(fake) + 1) * 127.5).round() / 127.5 - 1
    assert 0.2 < share < 0.8 and share == pytest.approx(copied_share(seen[0], fake.double(), seen[1]))


def test_the_nearest_come_first():
    points = torch.tensor([[0.0], [1.0], [5.0], [2.0]])
    assert nearest_images(torch.tensor([[1.9], [4.0]]), points, 3).tolist() == [[3, 1, 0], [2, 3, 1]]


def test_the_picture_has_samples_on_the_left_and_their_originals_beside_them(tmp_path):
    training = noise(200, 1)
    run(tmp_path, copying(training), Data(training, noise(40, 2)), num_samples=3, num_neighbors=2)
    picture = Image.open(tmp_path / "samples" / "nearest_neighbors.png").convert("L")
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(picture.size[::-1]).int()
    rows = pixels[-(3 * 60 + 4) :]
    assert (rows[0] == 255).all() and (rows[-1] == 255).all() and (rows[60] == 255).all()
    inked = (rows[4:60] != 255).any(0).nonzero().flatten()
    sample, nearest = inked[0], inked[0] + (inked.diff() > 8).nonzero().flatten()[0] + inked.diff().max()
    for row in range(3):
        images = [rows[4 + 60 * row : 60 + 60 * row, left : left + 56][3::7, 3::7] for left in (sample, nearest)]
        assert (images[0] - images[1]).abs().max() <= 0.02 * 5 * 127.5
        assert torch.equal(images[1], training.image[row, 0].int())


def test_two_processes_score_as_one(tmp_path, monkeypatch):
    data, module = Data(noise(310, 1), noise(64, 2)), tiny()
    data.setup("test")
    pictures = []
    for size in (1, 2):
        make = lambda: (NearestNeighbours(Pixels(), num_samples=4), module)  # noqa: E731
        scores = scores_on(size, make, list(loader()), tmp_path, monkeypatch, data)
        pictures.append((scores[0], (tmp_path / "samples" / "nearest_neighbors.png").read_bytes()))
        assert scores == scores[:1] * size
    assert pictures[0] == pictures[1]


def test_a_loader_without_a_data_module_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`NearestNeighbours` needs a TensorDataModule, got NoneType."):
        trainer(tmp_path, callbacks=[NearestNeighbours(Pixels())]).test(tiny(), loader(), verbose=False)


def test_more_neighbours_than_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`num_neighbors` must be at most the 5 training images, got 8."):
        run(tmp_path, tiny(), Data(noise(5, 1), noise(40, 2)))


@pytest.mark.parametrize("name", ["num_samples", "num_neighbors"])
def test_counts_are_checked(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0."):
        NearestNeighbours(**{name: 0})
