"""Walks between latents on networks whose paths are known."""

import json

import pytest
import torch
from PIL import Image
from torch import nn

from lightning_gans import GAN
from lightning_gans.callbacks import LatentInterpolation
from lightning_gans.callbacks.looks.latent_interpolation import between_classes, largest_step
from lightning_gans.networks import LabelledGenerator
from tests.conftest import Judge, loader, tiny, trainer
from tests.two_threads import scores_on


def squared(one, two):
    return (one - two).flatten(1).square().sum(1)


class Flat(nn.Module):
    """Linear in the latent: each image is its latent, in the corner of black."""

    latent_dim = 4

    def forward(self, latent):
        return nn.functional.pad(latent[:, None, None, :] / 8, (0, 4, 0, 7))


class Doubled(nn.Module):
    """A labelled generator of the label alone: column k is as bright as the share of class k."""

    latent_dim = 14

    def forward(self, latent):
        return latent[:, None, None, 4:12].expand(-1, 1, 8, 8) * 2 - 1


def flat(**kwargs):
    module = tiny(**kwargs)
    module.generator, module.generator_ema = Flat(), None
    return module


class Watched(LatentInterpolation):
    """Checks that scoring draws nothing from the global generators."""

    def score(self, *args):
        state = torch.get_rng_state()
        scored = super().score(*args)
        assert torch.equal(torch.get_rng_state(), state)
        return scored


def run(module, folder, **kwargs):
    callback = Watched(**{"distance": squared, "num_paths": 60, "num_walks": 60, **kwargs})
    scores = trainer(folder, callbacks=[callback]).test(module, loader(), verbose=False)[0]
    return scores, callback


def pixels(path):
    return torch.frombuffer(bytearray(Image.open(path).convert("L").tobytes()), dtype=torch.uint8).view(
        Image.open(path).size[::-1]
    )


def images(path, columns, size=8, times=7):
    """The images of a picture (rows, columns, 8, 8), of 56 pixels and gutters of 4."""
    picture = pixels(path)
    side = size * times
    parts = picture[4:, 4:].unfold(0, side, side + 4).unfold(1, side, side + 4)
    assert parts.shape[1] == columns
    assert torch.equal(parts[..., ::times, ::times].repeat_interleave(times, 2).repeat_interleave(times, 3), parts)
    return parts[..., ::times, ::times].int()


def test_a_straight_walk_through_a_linear_generator_is_steady(tmp_path):
    """|G(z1) - G(z0)|^2 is 2 * 4 / 64 on average, whatever t and epsilon are."""
    scores, _ = run(flat(), tmp_path, path="linear", num_paths=3000, epsilon=0.5)
    assert scores["largest_step"] == pytest.approx(1, abs=1e-4)
    assert scores["perceptual_path_length"] == pytest.approx(8 / 64, rel=0.05)


def test_the_end_of_a_path_is_measured_too(tmp_path):
    """Of squares of normal numbers the mean is 4 times 4 at the end, and 4 times 2 over the whole path."""
    module = flat()
    module.generator.forward = lambda latent: Flat().forward(latent.square())
    scores, _ = run(module, tmp_path, path="linear", num_paths=3000, epsilon=1e-3)
    end = scores["end_perceptual_path_length"]
    assert end / scores["perceptual_path_length"] == pytest.approx(2, rel=0.15)
    assert end == pytest.approx(4 * 4 * 4 / 64, rel=0.25)  # without the largest hundredth


def test_a_jump_is_a_large_step():
    steps = torch.tensor([[1.0, 0.0, 0.0], [1.0, 4.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert largest_step(steps).tolist() == [1, 4, 1]


def test_a_jump_of_the_generator_is_found(tmp_path):
    module = flat()
    module.generator.forward = lambda latent: latent[:, :1, None, None].sign().expand(-1, 1, 8, 8)
    scores, _ = run(module, tmp_path, path="linear")
    moved = (scores["largest_step"] - 1) / 63  # the share of walks whose ends differ in sign
    assert moved == pytest.approx(0.5, abs=0.15)


def test_rows_walk_from_one_latent_to_another(tmp_path):
    module = flat()
    run(module, tmp_path, num_rows=3, num_columns=5)
    linear, spherical = (images(tmp_path / "samples" / f"interpolation_{n}.png", 5) for n in ("linear", "spherical"))
    assert linear.shape == (3, 5, 8, 8)
    assert torch.equal(linear[:, [0, -1]], spherical[:, [0, -1]])
    middle = (linear[:, 0] + linear[:, -1]) / 2
    assert (linear[:, 2] - middle).abs().max() <= 1
    assert (spherical[:, 2] - middle).abs().max() > 1
    assert len(linear[:, 0].flatten(1).unique(dim=0)) == 3


def test_gutters_are_white(tmp_path):
    run(flat(), tmp_path, num_rows=2, num_columns=3)
    picture = pixels(tmp_path / "samples" / "interpolation_linear.png")
    assert picture.shape == (2 * 60 + 4, 3 * 60 + 4)
    assert (picture[::60] == 255).all() and (picture[:, 63] == 255).all()


def test_a_small_first_batch_gives_fewer_rows(tmp_path):
    run(flat(), tmp_path, num_rows=20, num_columns=2)
    assert len(images(tmp_path / "samples" / "interpolation_linear.png", 2)) == 8


def test_classes_are_walked_by_shares_at_a_constant_latent(tmp_path):
    generator = LabelledGenerator(Doubled(), 10)
    module = GAN(generator=generator, discriminator=Judge(), ema_halflife=0.0, conditional=True)
    run(module, tmp_path, num_rows=2)
    rows = images(tmp_path / "samples" / "interpolation_classes.png", 28)
    shares = between_classes(10)
    assert torch.equal(rows[0], rows[1])
    assert (rows[0, :, 0] / 255 - shares[:, :8]).abs().max() < 0.01


def test_shares_of_classes_sum_to_one():
    shares = between_classes(3)
    assert torch.allclose(shares[:5, :2], torch.tensor([[3, 0], [2, 1], [1, 2], [0, 3], [0, 2]]) / 3)
    assert torch.allclose(shares.sum(1), torch.ones(7)) and shares[-1].tolist() == [0, 0, 1]
    assert between_classes(1000).shape == (28, 1000)


def test_a_variant_without_labels_has_no_picture_of_classes(tmp_path):
    run(tiny(), tmp_path)
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "interpolation_linear.png",
        "interpolation_spherical.png",
    ]


class Noisy(GAN):
    """Adds noise that is no part of the latent."""

    def generate(self, latent, batch):
        return super().generate(latent, batch) + torch.randn(len(latent), 1, 1, 1)


def test_what_is_drawn_beside_the_latent_stays_the_same_on_a_path(tmp_path):
    plain, noisy = (tiny(variant) for variant in (GAN, Noisy))
    noisy.load_state_dict(plain.state_dict())
    expected, given = run(plain, tmp_path)[0], run(noisy, tmp_path)[0]
    assert given["largest_step"] == pytest.approx(expected["largest_step"], rel=1e-3)


def test_scores_depend_on_the_seed_alone(tmp_path, monkeypatch):
    module = tiny()
    first = run(module, tmp_path)[0]
    torch.rand(7)
    assert run(module, tmp_path)[0] == first
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    assert run(module, tmp_path)[0] != first


def test_two_processes_score_and_draw_as_one(tmp_path, monkeypatch):
    module, seen = tiny(), []
    for size in (1, 2):
        make = lambda: (LatentInterpolation(num_paths=120, num_walks=60, distance=squared), module)  # noqa: E731
        scores = scores_on(size, make, list(loader()), tmp_path, monkeypatch)
        assert scores == scores[:1] * size
        seen.append((scores[0], {path.name: path.read_bytes() for path in (tmp_path / "samples").iterdir()}))
    assert seen[0][0] == pytest.approx(seen[1][0], rel=1e-12) and seen[0][1] == seen[1][1]


def test_the_protocol_says_how_it_was_measured(tmp_path):
    scores, _ = run(tiny(), tmp_path)
    (entry,) = json.loads((tmp_path / "metrics.json").read_text())
    assert entry["scorer"] == "Watched" and entry["stage"] == "test"
    assert entry["scores"] == pytest.approx(scores)
    assert entry["protocol"]["num_paths"] == 60 and entry["protocol"]["path"] == "spherical, both ends drawn"


class Still(GAN):
    """Translates, and draws nothing."""

    generate = None

    def samples(self, batch):
        return {"fake": -batch[0]}


class Points(GAN):
    def samples(self, batch):
        return {"fake": self.latent(len(batch[0]))}


@pytest.mark.parametrize(
    ("variant", "sentence"),
    [
        (Still, "needs a variant that draws images from latents, which Still does not: leave it out."),
        (Points, r"needs images `fake` \(b, c, h, w\) .*, and Points draws fake \(8, 4\): leave it out."),
    ],
)
def test_a_variant_that_draws_no_image_from_a_latent_is_refused(tmp_path, variant, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(tiny(variant), tmp_path)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ({"num_rows": 0}, "`num_rows` must be at least 1, got 0."),
        ({"num_columns": 1}, "`num_columns` must be at least 2, got 1."),
        ({"num_paths": 0}, "`num_paths` must be at least 1, got 0."),
        ({"num_walks": 0}, "`num_walks` must be at least 1, got 0."),
        ({"epsilon": 0.0}, "`epsilon` must lie between 0 and 1, got 0.0."),
    ],
)
def test_arguments_are_checked(argument, sentence):
    with pytest.raises(ValueError, match=sentence):
        LatentInterpolation(**argument)
