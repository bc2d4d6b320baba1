"""Looks into style-based generators: mixing, projection, walks between styles, psi and seeds."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gans import StyleGAN2
from lightning_gans.callbacks import (
    LatentInterpolation,
    LatentProbe,
    NoiseLayers,
    Projector,
    SeededSamples,
    StyleMixing,
    TruncationSweep,
)
from lightning_gans.callbacks.looks.latent_probe import commonest, readable
from lightning_gans.callbacks.looks.noise_layers import variance
from lightning_gans.callbacks.looks.projector import ramp
from lightning_gans.callbacks.looks.seeded_samples import numbers
from lightning_gans.callbacks.looks.style_mixing import mixed, parts_of
from lightning_gans.networks import StyleGAN2Discriminator, StyleGAN2Generator
from lightning_gans.networks.styles import Mapping, StyleBased
from tests.conftest import Judge, largest_difference, loader, tiny, trainer
from tests.test_latent_interpolation import images, squared
from tests.test_style_variants import stylegan, stylegan2
from tests.two_threads import scores_on


class Rows(nn.Module):
    """Draws the style of layer k in rows 2k and 2k + 1, and adds more noise there the finer it is."""

    num_layers = num_noises = 4

    def __init__(self, noise=0.0):
        super().__init__()
        self.scale, self.noise = nn.Parameter(torch.ones(())), noise

    def forward(self, styles, noise=True):
        image = self.scale * styles.repeat_interleave(2, 1)[:, None] / 4
        has_noise = noise if isinstance(noise, list) else [noise] * 4
        strength = self.noise * torch.tensor([(k + 1) / 4 * has_noise[k] for k in range(4)]).repeat_interleave(2)
        return image + strength[:, None] * torch.randn_like(image)


def rows(noise=0.0, **options):
    torch.manual_seed(0)
    generator = StyleBased(Mapping(8, 8, depth=0), Rows(noise), mixing=0.0)
    return StyleGAN2(generator=generator, discriminator=Judge(), ema_halflife=0.0, **options)


class Top(nn.Module):
    """Tells the class by the sign of the first row's mean."""

    def forward(self, image):
        mean = image[:, 0, 0].mean(1)
        return torch.stack([mean, -mean], 1)


def bottom(image):
    return image[:, 0, -1].mean(1)


MIXING = {"classifier": Top(), "attributes": [bottom], "num_pairs": 120, "num_rows": 2, "num_columns": 3}
PROJECTION = {"distance": squared, "num_images": 3, "num_steps": 5, "num_frames": 5}
NOISE = {"features": nn.Sequential(nn.AvgPool2d(4), nn.Flatten()), "num_images": 60, "num_rows": 2}
PROBE = {"classifier": Top(), "attributes": [bottom], "num_images": 120}
WALK = {"space": "style", "distance": squared, "num_paths": 60, "num_walks": 60, "num_rows": 2, "num_columns": 3}


def looked(module, folder, callback, data=None):
    return trainer(folder, callbacks=[callback]).test(module, data or loader(), verbose=False)[0]


def test_scores_of_mixing_say_which_styles_carry_what(tmp_path):
    scores = looked(rows(noise=0.01), tmp_path, StyleMixing(**MIXING))
    expected = {"coarse_class_share": 1, "middle_class_share": 0, "fine_class_share": 0}
    expected |= {"coarse_bottom_share": 0, "middle_bottom_share": 0, "fine_bottom_share": 1}
    assert scores == pytest.approx(expected, abs=1e-5)
    (entry,) = json.loads((tmp_path / "metrics.json").read_text())
    assert entry["protocol"]["parts"] == {"coarse": "layer 0", "middle": "layers 1 to 2", "fine": "layer 3"}


def test_the_grid_has_sources_at_its_sides_and_both_within(tmp_path):
    scores = looked(
        rows(), tmp_path, StyleMixing(borders=[2], classifier=None, attributes=[], num_rows=2, num_columns=3)
    )
    assert scores == {} and not (tmp_path / "metrics.json").exists()
    picture = Image.open(tmp_path / "samples" / "style_mixing.png").convert("L")
    blocks = []
    for left in (0, picture.width - (4 * 60 + 4)):
        picture.crop((left, picture.height - (3 * 60 + 4), left + 4 * 60 + 4, picture.height)).save(tmp_path / "b.png")
        blocks.append(images(tmp_path / "b.png", 4))
    coarse, fine = blocks
    one, two = coarse[1:, :1].expand(-1, 3, -1, -1), coarse[:1, 1:].expand(2, -1, -1, -1)
    assert torch.equal(coarse[1:, 1:], torch.cat([two[:, :, :4], one[:, :, 4:]], 2))
    assert torch.equal(fine[1:, 1:], torch.cat([one[:, :, :4], two[:, :, 4:]], 2))


def test_layers_are_cut_at_the_borders():
    assert parts_of(18, [4, 8]) == {"coarse": slice(0, 4), "middle": slice(4, 8), "fine": slice(8, 18)}
    assert parts_of(8, None) == {"coarse": slice(0, 3), "middle": slice(3, 5), "fine": slice(5, 8)}
    assert list(parts_of(2, None)) == ["coarse", "fine"]
    one, two = torch.zeros(1, 3, 2), torch.ones(1, 3, 2)
    assert mixed(one, two, slice(1, 2))[0, :, 0].tolist() == [0, 1, 0] and not one.any()


def test_borders_lie_below_the_layers(tmp_path):
    with pytest.raises(ValueError, match=r"`borders` must lie below the 4 layers of the generator, got \[1, 4\]."):
        looked(rows(), tmp_path, StyleMixing(borders=[1, 4], classifier=None))
    with pytest.raises(ValueError, match="`borders` must be one or two rising numbers of layers, got"):
        StyleMixing(borders=[3, 2])


@pytest.mark.parametrize("per_layer", [False, True])
def test_a_drawn_image_is_found_again(tmp_path, per_layer):
    module = rows(noise=0.01)
    module.generator.synthesis.noise = 0.0
    styles = torch.randn(4, 4, 8) if per_layer else torch.randn(4, 1, 8).expand(-1, 4, -1)
    drawn = module.synthesize(styles).detach()
    module.generator.synthesis.noise = 0.01
    callback = Projector(distance=squared, num_images=3, num_steps=150, per_layer=per_layer, num_frames=5)
    scores = looked(module, tmp_path, callback, DataLoader(TensorDataset(drawn), 4))
    assert scores["projection_error"] < 5e-4 < scores["mean_style_distance"]
    assert scores["projection_distance"] < 0.01 * scores["mean_style_distance"]
    found = np.load(tmp_path / "projection.npz")["w"]
    assert np.abs(found - styles[:3].numpy()).max() < 0.2
    with Image.open(tmp_path / "samples" / "projection.gif") as film:
        assert film.n_frames == 5 and film.size == (3 * 60 + 4, 2 * 60 + 4)
    assert (tmp_path / "samples" / "projection.png").exists()


def test_targets_come_from_a_folder(tmp_path):
    (tmp_path / "own").mkdir()
    for shade in (60, 200):
        Image.new("RGB", (20, 12), (shade,) * 3).save(tmp_path / "own" / f"{shade}.png")
    scores = looked(rows(), tmp_path, Projector(str(tmp_path / "own"), num_steps=100, distance=squared))
    assert scores["projection_error"] < 1e-3
    assert len(np.load(tmp_path / "projection.npz")["w"]) == 2
    assert [(ramp(x / 40) > 0.99) for x in (0, 1, 2, 30, 36, 39)] == [False, False, True, True, False, False]


def test_a_distance_without_gradients_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="`Projector` needs a distance with gradients, and this has none: give `LPIPS`"
    ):
        looked(rows(), tmp_path, Projector(distance=lambda one, two: squared(one.detach(), two)))


def test_a_straight_walk_between_styles_of_a_linear_generator_is_steady(tmp_path):
    scores = looked(rows(), tmp_path, LatentInterpolation(**{**WALK, "num_paths": 2000, "epsilon": 0.5}))
    assert scores["style_largest_step"] == pytest.approx(1, abs=1e-4)
    assert scores["style_perceptual_path_length"] == pytest.approx(8 * 2 * 8 / 16, rel=0.05)  # 8 rows of 2 * |w|^2 / 16
    assert len(images(tmp_path / "samples" / "interpolation_style.png", 3)) == 2
    with pytest.raises(ValueError, match="`path` must be 'linear' between styles, got 'spherical'."):
        LatentInterpolation(space="style", path="spherical")
    with pytest.raises(ValueError, match="`LatentInterpolation` needs a variant that has styles between latents"):
        looked(tiny(), tmp_path, LatentInterpolation(space="style"))


def test_noise_of_each_layer_is_measured(tmp_path):
    scores = looked(rows(noise=0.1), tmp_path, NoiseLayers(**{**NOISE, "num_images": 300, "num_draws": 50}))
    for layer in range(4):  # a quarter of the rows
        assert scores[f"noise_std_layer_{layer}"] == pytest.approx(0.1 * (layer + 1) / 8, rel=0.02)
    assert scores["noise_std"] == pytest.approx(0.1 * (30 / 64) ** 0.5, rel=0.02)
    assert scores["style_std"] == pytest.approx(1 / 4, rel=0.1)
    assert scores["fid_with_noise"] != scores["fid_without_noise"]


def test_without_noise_in_layers_nothing_changes(tmp_path):
    scores = looked(stylegan(), tmp_path, NoiseLayers(**{**NOISE, "features": None}))  # not trained, so of strength 0
    assert sorted(scores) == ["noise_std", *(f"noise_std_layer_{k}" for k in range(4)), "style_std"]
    assert scores.pop("style_std") > 0 and not any(scores.values())
    assert Image.open(tmp_path / "samples" / "noise_layers.png").height > 2 * 60


@pytest.mark.parametrize("make", [stylegan, stylegan2])
def test_a_layer_is_drawn_with_its_noise_alone(make):
    module = make()
    layers = module.generator.synthesis.layers
    assert len(layers) == module.num_noises
    for name, parameter in layers.named_parameters():
        if "noise" in name:
            parameter.data.fill_(1.0)
    styles = module.styles(torch.randn(2, 8), [])
    still = module.synthesize(styles, False)
    assert torch.equal(still, module.synthesize(styles, [False] * len(layers)))
    for layer in range(len(layers)):
        assert not torch.equal(still, module.synthesize(styles, [layer == other for other in range(len(layers))]))


def test_variance_is_that_of_all_images_at_once():
    images = torch.randn(7, 3, 1, 2, 2)
    assert torch.allclose(variance(images), images.var(0), atol=1e-6)
    assert not variance(images[:1].expand(7, -1, -1, -1, -1)).any()


def test_what_styles_say_of_images_is_read_from_them(tmp_path):
    """Both the class and the attribute are linear in the style, which is the latent at a length of its own."""
    scores = looked(rows(), tmp_path, LatentProbe(**{**PROBE, "num_images": 1000}))
    assert scores["style_class_accuracy"] > 0.97 and scores["style_bottom_r2"] == pytest.approx(1, abs=1e-3)
    assert scores["latent_class_accuracy"] > 0.97 and 0.9 < scores["latent_bottom_r2"] < 0.99


def test_latents_are_probed_without_styles(tmp_path):
    scores = looked(tiny(), tmp_path, LatentProbe(**{**PROBE, "classifier": None}))
    assert list(scores) == ["latent_bottom_r2"]


def test_what_is_alike_in_all_images_is_not_read():
    points = np.random.RandomState(0).randn(100, 3)
    known = {"class": np.zeros(100), "linear": points @ [1, 2, 3], "square": points[:, 0] ** 2}
    scores = readable(points, known)
    assert sorted(scores) == ["linear_r2", "square_r2"]
    assert scores["linear_r2"] == pytest.approx(1) and scores["square_r2"] < 0.2
    assert commonest(np.array([0, 1, 1, 1])) == "75.0%"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: NoiseLayers(num_draws=1), "`num_draws` must be at least 2, got 1."),
        (lambda: LatentProbe(num_images=9), "`num_images` must be at least 10, got 9."),
        (
            lambda: LatentProbe(classifier=None, attributes=[]),
            "`LatentProbe` needs a `classifier` or `attributes`, got",
        ),
    ],
)
def test_arguments_are_checked(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_psi_is_swept_from_zero(tmp_path):
    features = nn.Sequential(nn.AvgPool2d(2), nn.Flatten())
    looked(stylegan2(), tmp_path, TruncationSweep((0.0, 0.5, 1.0), features=features, num_images=4))
    with open(tmp_path / "truncation.csv") as file:
        table = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert [row["threshold"] for row in table] == ["0.0", "0.5", "1.0"]
    assert all(np.isfinite(float(value)) for row in table for value in row.values())
    assert float(table[0]["recall"]) == 0 and (tmp_path / "truncation_samples.png").exists()


def test_a_seed_names_an_image(tmp_path):
    module = stylegan()
    module.generator.synthesis.layers[0].noise_scale.data.fill_(1.0)
    seen = []
    for name, seeds, batch in (("one", "3-5", 8), ("two", "0,5,3", 4)):
        writer = SeededSamples(seeds, folder=str(tmp_path / name))
        trainer(tmp_path, callbacks=[writer]).predict(module, loader(16, batch))
        seen.append({number: (tmp_path / name / f"seed{number:04d}.png").read_bytes() for number in (3, 5)})
    assert seen[0] == seen[1] and seen[0][3] != seen[0][5]
    latent = torch.from_numpy(np.random.RandomState(5).randn(1, 8)).float()
    expected = module.draw([torch.zeros(1, 1, 8, 8)], 5, latent)["fake"]
    shown = np.asarray(Image.open(tmp_path / "one" / "seed0005.png"))
    assert np.abs(shown / 127.5 - 1 - expected[0, 0].clamp(-1, 1).numpy()).max() < 0.01
    assert Image.open(tmp_path / "samples" / "seeds.png").size == (3 * 60 + 4, 64)
    with pytest.raises(FileExistsError, match="seed0003.png` exists already: move it away, or give another `folder`."):
        trainer(tmp_path, callbacks=[SeededSamples("3", folder=str(tmp_path / "one"))]).predict(module, loader(8))


def test_seeds_are_numbers_and_ranges():
    assert numbers("7") == [7] and numbers("85,100-102") == [85, 100, 101, 102]
    for text in ("", "a", "3-1", "1,1", "1-", "-1"):
        with pytest.raises(ValueError, match="`seeds` must be"):
            SeededSamples(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: StyleMixing(**MIXING),
        lambda: Projector(**{**PROJECTION, "num_images": 6}),
        lambda: LatentInterpolation(**WALK),
        lambda: NoiseLayers(**{**NOISE, "features": None}),
        lambda: LatentProbe(**PROBE),
    ],
    ids=["mixing", "projector", "interpolation", "noise", "probe"],
)
def test_two_processes_score_and_draw_as_one(tmp_path, monkeypatch, make):
    module, seen = rows(noise=0.01), []
    for size in (1, 2):
        scores = scores_on(size, lambda: (make(), module), list(loader()), tmp_path, monkeypatch)
        assert scores == scores[:1] * size
        seen.append((scores[0], {path.name: path.read_bytes() for path in tmp_path.glob("samples/*")}))
    assert seen[0][0] == pytest.approx(seen[1][0], rel=1e-12) and seen[0][1] == seen[1][1]


def test_looking_at_styles_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    kinds = [StyleMixing(**MIXING), Projector(**PROJECTION), LatentInterpolation(**WALK), SeededSamples("0-1")]
    kinds += [NoiseLayers(**NOISE), LatentProbe(**PROBE)]
    states = []
    for name, callbacks in (("alone", []), ("seen", kinds)):
        torch.manual_seed(0)
        generator = StyleGAN2Generator(8, 8, 2, 10, 1, 8, 4, 64)
        judge = StyleGAN2Discriminator(10, 1, 8, 4, 64)
        module = StyleGAN2(generator=generator, discriminator=judge, conditional=True)
        run = trainer(tmp_path / name, 2, callbacks=callbacks)
        for verb in (run.fit, run.test, run.predict, run.fit):
            verb(module, loader())
        states.append(({**module.state_dict()}, torch.get_rng_state()))
    assert largest_difference(states[0][0], states[1][0]) == 0
    assert torch.equal(states[0][1], states[1][1])
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("callback", [StyleMixing(), Projector(), SeededSamples(), NoiseLayers()])
def test_a_variant_without_styles_is_refused(tmp_path, callback):
    name = type(callback).__name__
    with pytest.raises(
        ValueError, match=f"`{name}` needs a variant that has styles between latents and images, which GAN"
    ):
        trainer(tmp_path, callbacks=[callback]).predict(tiny(), loader())
