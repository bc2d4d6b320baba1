"""Sums of latents on a generator that shows them as they are."""

import json
import math

import pytest
import torch
from PIL import Image
from torch import nn

from lightning_gans import GAN
from lightning_gans.callbacks import LatentArithmetic
from lightning_gans.callbacks.looks.first_batch import latents
from lightning_gans.callbacks.looks.latent_arithmetic import Group
from lightning_gans.mechanics.randomness import mix
from lightning_gans.metrics.strokes import measure, slant, thickness
from tests.conftest import loader, tiny, trainer
from tests.two_threads import scores_on


class Flat(nn.Module):
    """Each image is its latent, in the corner of grey."""

    latent_dim = 4

    def forward(self, latent):
        return nn.functional.pad(latent[:, None, None, :] / 8, (0, 4, 0, 7))


class Largest(nn.Module):
    """Sure that an image's class is which of its first three places is largest."""

    def forward(self, image):
        return 1000 * image[:, 0, 0, :3]


def fourth(image):
    return 8 * image[:, 0, 0, 3]


GROUPS = {"a": Group(0, fourth), "b": Group(0, fourth, 0.0), "c": Group(1, fourth, -math.inf)}


class Watched(LatentArithmetic):
    """Checks that scoring draws nothing from the global generators."""

    def score(self, *args):
        state = torch.get_rng_state()
        scored = super().score(*args)
        assert torch.equal(torch.get_rng_state(), state)
        return scored


def run(folder, variant=GAN, **kwargs):
    module = tiny(variant)
    module.generator, module.generator_ema = Flat(), None
    small = {"classifier": Largest(), "num_samples": 330, "num_mean": 10, "num_results": 90, **GROUPS}
    callback = Watched(**(small | kwargs))
    return module, trainer(folder, callbacks=[callback]).test(module, loader(), verbose=False)[0]


def test_the_shift_is_that_of_the_mean_latents(tmp_path):
    module, scores = run(tmp_path)
    latent = latents(module, 330, mix(mix(0, 4), 1))
    value = latent[latent[:, :3].argmax(1) == 0, 3].double().sort(descending=True).values
    slanted, upright = value[:10], value[value.abs().argsort()][:10]
    assert scores["arithmetic_shift"] == pytest.approx((slanted.mean() - upright.mean()).item(), abs=1e-5)
    assert scores["arithmetic_share"] == 1


def test_the_share_is_of_the_class_asked_for(tmp_path):
    assert run(tmp_path, asked=2)[1]["arithmetic_share"] == 0


def test_a_group_is_picked_by_class_and_attribute():
    classes, values = torch.tensor([0, 1, 0, 0, -1, 1]), torch.tensor([5.0, 9.0, -7.0, 1.0, 8.0, 2.0])
    for group, expected in (
        (Group(0, "slant"), [0, 3]),
        (Group(0, "slant", -math.inf), [2, 3]),
        (Group(0, "slant", 2.0), [3, 0]),
        (Group(0), [0, 2]),
        (Group(attribute="slant"), [1, 4]),
    ):
        assert group.pick(classes, values, 2, "a").tolist() == expected


def test_a_group_says_what_it_is():
    assert [str(group) for group in (Group(3), Group(1, "slant"), Group(1, fourth, 0.5), Group())] == [
        "class 3",
        "class 1, slant largest",
        "class 1, fourth 0.5",
        "any",
    ]


def test_slant_is_the_shear_of_a_bar():
    image = torch.full((3, 1, 20, 28), -1.0)
    for row in range(20):
        for which, shear in enumerate((0, 0.5, -0.5)):
            image[
                which, 0, row, 14 - math.floor(shear * (row - 9.5)) - 1 : 14 - math.floor(shear * (row - 9.5)) + 2
            ] = 1
    assert torch.allclose(slant(image), torch.tensor([0.0, 0.5, -0.5]), atol=0.02)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_thickness_is_the_width_of_a_long_bar(width):
    image = torch.full((1, 1, 400, 12), -1.0)
    image[..., 4 : 4 + width] = 1
    assert thickness(image).item() == pytest.approx(width, rel=0.02)


def test_an_empty_image_has_neither_slant_nor_thickness():
    assert slant(-torch.ones(1, 1, 8, 8)).item() == thickness(-torch.ones(1, 1, 8, 8)).item() == 0


def test_an_attribute_is_found_by_its_path():
    assert measure("slant") is slant and measure("tests.test_latent_arithmetic.fourth").__name__ == "fourth"


def test_the_picture_has_examples_means_and_results(tmp_path):
    run(tmp_path)
    picture = Image.open(tmp_path / "samples" / "arithmetic.png").convert("L")
    grid = 3 * 60 + 4
    assert picture.height > grid + 56 and picture.width > 4 * grid + 6 * 24
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(picture.size[::-1]).int()
    top = picture.height - 56 - 4 - grid  # of the examples: below them the mean
    results = pixels[top : top + grid, -grid:]
    middle, mean = results[64:120, 64:120], pixels[-56:, -grid + 64 : -64]
    assert torch.equal(middle, mean)
    others = [results[4 + 60 * r : 60 + 60 * r, 4 + 60 * c : 60 + 60 * c] for r in range(3) for c in range(3)]
    assert 0 < max((other - middle).abs().max() for other in others) <= 0.25 / 8 * 127.5 + 1
    assert len({tuple(other.flatten().tolist()) for other in others}) == 9


def test_scores_and_protocol_are_kept(tmp_path):
    _, scores = run(tmp_path)
    (entry,) = json.loads((tmp_path / "metrics.json").read_text())
    assert entry["scores"] == pytest.approx(scores)
    assert entry["protocol"]["sum"].startswith("a is class 0, fourth largest; b is class 0, fourth 0; c is class 1, ")
    assert run(tmp_path)[1] == scores


def test_too_few_samples_of_a_class_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`a` needs 10 samples of class 7, and 0 of 330 are surely of it: raise `num_"):
        run(tmp_path, a=Group(7))


def test_two_processes_score_and_draw_as_one(tmp_path, monkeypatch):
    module, seen = tiny(), []
    module.generator, module.generator_ema = Flat(), None
    few = {"num_samples": 330, "num_mean": 10, "num_results": 90}
    for size in (1, 2):
        make = lambda: (LatentArithmetic(classifier=Largest(), **few, **GROUPS), module)  # noqa: E731
        scores = scores_on(size, make, list(loader()), tmp_path, monkeypatch)
        assert scores == scores[:1] * size
        seen.append((scores[0], (tmp_path / "samples" / "arithmetic.png").read_bytes()))
    assert seen[0] == seen[1]


class Still(GAN):
    generate = None

    def samples(self, batch):
        return {"fake": -batch[0]}


def test_a_variant_that_draws_no_latent_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs a variant that draws images from latents, which Still does not"):
        run(tmp_path, Still)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ({"c": Group(attribute="slant")}, "`asked` must be a class where `c` has no label, got null."),
        ({"confidence": 1.5}, "`confidence` must be a probability, got 1.5."),
        ({"num_mean": 0}, "`num_mean` must be at least 1, got 0."),
        ({"num_results": 8}, "`num_results` must be at least 9, got 8."),
        ({"num_samples": 9}, "`num_samples` must be at least `num_mean`, got 9 and 30."),
        (
            {"a": Group(1, "beauty")},
            "An attribute must be slant, thickness or the path of a function .*, got 'beauty'.",
        ),
        ({"a": Group(1, "torch.nothing")}, "An attribute must be slant, .* got 'torch.nothing'."),
    ],
)
def test_arguments_are_checked(argument, sentence):
    with pytest.raises(ValueError, match=sentence):
        LatentArithmetic(**argument)
