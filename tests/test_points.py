"""Mixtures of Gaussians, their scores and their picture."""

import json
import math

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lightning_gans import GAN
from lightning_gans.callbacks import Landscape
from lightning_gans.callbacks.looks.landscape import DATA, HIGH, LOW, SAMPLES, draw_landscape
from lightning_gans.datamodules import GaussianMixtureDataModule, MNISTDataModule
from lightning_gans.metrics import gaussian_modes
from lightning_gans.networks import PointDiscriminator, PointGenerator
from tests.conftest import trainer


def small(**changes: object) -> GaussianMixtureDataModule:
    arguments = {"num_points": 96, "num_evaluation_points": 64, "batch_size": 16, **changes}
    return GaussianMixtureDataModule(**arguments)  # type: ignore[arg-type]


def test_the_centres_of_a_ring_are_the_roots_of_one():
    centers = GaussianMixtureDataModule("ring", 8, radius=2.0).centers
    roots = torch.view_as_complex(centers / 2)
    torch.testing.assert_close(roots**8, torch.ones(8, dtype=torch.complex64), atol=1e-5, rtol=0)
    assert torch.cdist(centers, centers).fill_diagonal_(9.0).min().item() == pytest.approx(4 * math.sin(math.pi / 8))


def test_the_centres_of_a_grid_fill_its_square():
    centers = GaussianMixtureDataModule("grid", 25, radius=4.0).centers
    assert {tuple(center.tolist()) for center in centers} == {
        (float(x), float(y)) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)
    }


def test_points_lie_around_the_mode_that_their_label_names():
    data = GaussianMixtureDataModule("grid", 9, std=0.05, num_points=9000)
    data.setup("fit")
    offset = (data.training.point - data.centers[data.training.label]) / 0.05
    assert offset.mean().abs() < 0.05 and offset.std().item() == pytest.approx(1, abs=0.03)
    assert data.training.label.bincount().min() > 850


def test_points_are_a_function_of_the_data_seed_alone():
    draws = []
    for seed, data_seed in ((1, 0), (2, 0), (1, 1)):
        torch.manual_seed(seed)
        data = small(data_seed=data_seed)
        data.setup("fit")
        draws.append(data.training.point)
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_evaluation_points_are_other_points():
    data = small()
    data.setup("fit")
    assert torch.cdist(data.training.point, data.evaluation.point).min() > 0
    assert sum(len(point) for point, _ in data.val_dataloader()) == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "grid", "num_modes": 8}, "`num_modes` must be a square number from 4 on for the grid, got 8"),
        ({"num_modes": 1}, "`num_modes` must be at least 2, got 1"),
        ({"std": 0.0}, "`std` must be positive, got 0.0"),
        ({"num_points": 0}, "`num_points` must be at least 1, got 0"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixtureDataModule(**change)


def test_networks_have_orthogonal_weights_of_the_given_gain():
    for network in (PointGenerator(latent_dim=8, width=4, gain=1.4), PointDiscriminator(width=4, gain=1.4)):
        for layer in network.layers:
            if isinstance(layer, nn.Linear):
                singular = torch.linalg.svdvals(layer.weight)
                torch.testing.assert_close(singular, torch.full_like(singular, 1.4))
                assert layer.bias.eq(0).all()


def test_a_mode_is_covered_by_enough_samples_within_three_standard_deviations():
    centers = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    fake = torch.tensor([[0.0, 0.29], [-0.29, 0.0], [1.0, 0.1], [0.0, 0.69], [0.31, 0.0]])
    scores = gaussian_modes(fake, centers, 0.1, 2)
    assert scores == {"modes_covered": 1.0, "high_quality_share": pytest.approx(3 / 5)}
    assert gaussian_modes(fake, centers, 0.1, 1)["modes_covered"] == 2
    assert gaussian_modes(fake, centers, 0.2, 1)["modes_covered"] == 3


def test_the_data_scores_best_and_one_point_worst():
    data = GaussianMixtureDataModule()
    data.setup("fit")
    scores = gaussian_modes(data.evaluation.point, data.centers, data.std, 20)
    assert scores["modes_covered"] == 8  # the share within three standard deviations of a plane's Gaussian is known
    assert scores["high_quality_share"] == pytest.approx(1 - math.exp(-4.5), abs=0.006)
    collapsed = gaussian_modes(data.centers[:1].repeat(100, 1), data.centers, data.std, 20)
    assert collapsed == {"modes_covered": 1.0, "high_quality_share": 1.0}


def test_the_picture_shows_logits_data_and_samples_where_they_are():
    def upwards(points: Tensor) -> Tensor:
        return points[:, 1]

    picture = draw_landscape(upwards, torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), torch.tensor([[1.0, 0.0]]), 31)
    assert picture[0, 0].tolist() == list(HIGH) and picture[30, 30].tolist() == list(LOW)
    assert picture[5, 15].tolist() == list(DATA)  # 2/3 of the way from the centre upwards
    assert picture[15, 5].tolist() == list(DATA) and picture[15, 25].tolist() == list(SAMPLES)


def test_landscape_scores_and_draws_at_its_times_and_at_the_end(tmp_path):
    gan = GAN(generator=PointGenerator(width=4), discriminator=PointDiscriminator(width=4), ema_halflife=0.0)
    landscape = Landscape(every_kimg=0.064, min_count=1, size=16)
    fitting = trainer(tmp_path, 10, max_epochs=-1, callbacks=[landscape], limit_val_batches=0)
    fitting.fit(gan, datamodule=small(std=0.5))
    entries = json.loads((tmp_path / "metrics.json").read_text())
    assert [(entry["stage"], entry["step"]) for entry in entries] == [("validation", s) for s in (4, 8, 10)]
    data = small(std=0.5)
    assert entries[-1]["scores"] == {
        "modes_covered": fitting.callback_metrics["modes_covered"].item(),
        "high_quality_share": pytest.approx(fitting.callback_metrics["high_quality_share"].item()),
    }
    assert entries[-1]["protocol"]["num_fake"] == 64 and entries[-1]["protocol"]["reference"] == data.reference
    pictures = sorted((tmp_path / "samples").iterdir())
    assert [picture.name for picture in pictures] == [f"landscape_00000.{n}kimg.png" for n in ("064", "128", "160")]
    assert Image.open(pictures[0]).size == (16, 16)


def test_landscape_leaves_training_as_it_was(tmp_path):
    def weights(callbacks: list) -> Tensor:
        torch.manual_seed(0)
        gan = GAN(generator=PointGenerator(width=4), discriminator=PointDiscriminator(width=4))
        fitting = trainer(tmp_path, 8, max_epochs=-1, callbacks=callbacks, limit_val_batches=0)
        fitting.fit(gan, datamodule=small())
        return torch.cat([parameter.flatten() for parameter in gan.parameters()])

    assert torch.equal(weights([]), weights([Landscape(every_kimg=0.016, size=8)]))


def test_landscape_wants_data_with_modes(tmp_path):
    gan = GAN(generator=PointGenerator(width=4), discriminator=PointDiscriminator(width=4))
    with pytest.raises(ValueError, match="needs a data module with `centers`.*got MNISTDataModule"):
        trainer(tmp_path, 1, callbacks=[Landscape()]).fit(gan, datamodule=MNISTDataModule())


class TwoLogits(nn.Module):
    def forward(self, points: Tensor) -> Tensor:
        return points


@pytest.mark.parametrize(
    ("discriminator", "conditional", "sentence"),
    [
        (
            PointDiscriminator(width=4),
            True,
            "needs a variant that judges points alone, got a conditional GAN",
        ),
        (TwoLogits(), False, r"`Landscape` needs one logit \(b,\) of each point, and GAN has \(2,\)."),
    ],
)
def test_landscape_wants_a_logit_of_each_point(tmp_path, discriminator, conditional, sentence):
    gan = GAN(generator=PointGenerator(width=4), discriminator=discriminator, conditional=conditional)
    with pytest.raises(ValueError, match=sentence):
        trainer(tmp_path, 1, callbacks=[Landscape()]).fit(gan, datamodule=small())
