"""The augmentations of StyleGAN2-ADA, and the probability that adapts."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import grid_sample

from lightning_gans import GAN
from lightning_gans.mechanics.schedules import Linear
from lightning_gans.networks import Augment
from lightning_gans.networks.wrappers.augment import (
    KINDS,
    Draws,
    Sample,
    augmented,
    bands,
    colored,
    filtered,
    placed,
    turned,
)
from lightning_gans.regularizers import AdaptiveAugmentation
from tests.conftest import Judge, Line, tiny

ALL = dict.fromkeys(KINDS, 1.0)


def images(n: int = 64, channels: int = 3, size: int = 8, **options) -> torch.Tensor:
    return torch.randn(n, channels, size, size, **options)


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_changes_where_p_is_0_and_each_image_by_itself_where_it_is_not(channels):
    image = images(channels=channels)
    torch.testing.assert_close(augmented(image, torch.tensor(0.0), ALL), image)
    same = image[:1].expand(64, -1, -1, -1)
    for kind in KINDS:
        changed = augmented(same, torch.tensor(0.5), {kind: 1.0})
        assert changed.isfinite().all()
        assert len(changed.flatten(1).unique(dim=0)) > 2, kind
    few = (augmented(same, torch.tensor(0.4), {"cutout": 0.25}) - same).flatten(1).abs().amax(1) > 0
    assert 0 < few.sum() < 24


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_second_derivatives_pass_through(kind, channels):
    image = images(2, channels, 5, dtype=torch.double, requires_grad=True)
    state = torch.get_rng_state()

    def same(image: torch.Tensor) -> torch.Tensor:
        torch.set_rng_state(state)
        return augmented(image, torch.tensor(0.9), {kind: 1.0}).square()

    assert torch.autograd.gradcheck(same, image)
    assert torch.autograd.gradgradcheck(same, image)


def test_whole_pixels_and_quarter_turns_leave_values_as_they_are():
    torch.manual_seed(3)
    image = images(32, 1, 8)
    changed = augmented(image, torch.tensor(0.7), {"blit": 1.0})
    distance = (changed.flatten(1)[:, :, None] - image.flatten(1)[:, None]).abs().amin(2)
    assert distance.max() < 1e-4


@pytest.mark.parametrize("sides", [(8, 8), (6, 10)])
def test_a_half_turn_is_both_mirrors(sides):
    image = torch.randn(2, 3, *sides)
    torch.testing.assert_close(placed(image, turned(torch.full((2,), math.pi))), image.flip(2, 3), rtol=0, atol=1e-4)


def test_a_quarter_turn_of_a_square_is_torchs():
    image = images(2)
    torch.testing.assert_close(
        placed(image, turned(torch.full((2,), math.pi / 2))), image.rot90(1, (2, 3)), rtol=0, atol=1e-4
    )


def test_the_sample_is_that_of_grid_sample_and_so_is_its_gradient():
    one, two = images(2, dtype=torch.double).requires_grad_(), images(2, dtype=torch.double)
    two.data.copy_(one.data)
    two.requires_grad_()
    grid = torch.rand(2, 8, 8, 2, dtype=torch.double) * 3 - 1.5
    ours = Sample.apply(one, grid)
    theirs = grid_sample(two, grid, padding_mode="reflection", align_corners=False)
    torch.testing.assert_close(ours, theirs)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    torch.testing.assert_close(one.grad, two.grad)


def test_colors_turn_about_gray():
    gray = images(32, 1).expand(-1, 3, -1, -1)
    changed = colored(Draws(gray, torch.tensor(1.0)), gray)
    torch.testing.assert_close(changed[:, :1].expand(-1, 3, -1, -1), changed, rtol=1e-4, atol=1e-4)


def test_bands_add_up_to_the_image_and_gains_keep_its_power():
    bank = bands()
    whole = torch.zeros(bank.shape[1], dtype=torch.double)
    whole[bank.shape[1] // 2] = 1
    torch.testing.assert_close(bank.sum(0), whole, rtol=0, atol=1e-6)
    flat = torch.ones(8, 1, 32, 32)
    low = filtered(Draws(flat, torch.tensor(1.0)), flat)  # a flat image has the lowest band alone
    assert (low - low[:, :, :1, :1]).abs().max() < 1e-4 and low[:, 0, 0, 0].unique().numel() == 8


def test_p_follows_a_schedule_and_evaluation_changes_nothing():
    judge = Augment(Judge(), Linear(0.0, 0.4, kimg=1.0), ["cutout"])
    judge.images_seen = 500
    image = images(4, 1)
    judge(image)
    assert judge.p.item() == pytest.approx(0.2)
    assert torch.equal(judge.eval()(image), judge.discriminator(image))


def test_places_are_computed_in_full_precision():
    judge = Augment(Judge(), 0.9)
    with torch.autocast("cpu", torch.bfloat16):
        judge(images(4, 1).bfloat16().requires_grad_()).sum().backward()
    assert judge.p.dtype == torch.float32


class Sure(nn.Module):
    """A discriminator that takes all images for real, or none."""

    def __init__(self, logit: float):
        super().__init__()
        self.logit, self.slope = logit, nn.Parameter(torch.zeros(()))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.logit + self.slope * image.mean((1, 2, 3))


@pytest.mark.parametrize(
    ("logit", "start", "end"), [(9.0, 0.0, 0.256), (-9.0, 0.3, 0.044), (9.0, 0.7, 0.8), (-9.0, 0.1, 0.0)]
)
def test_p_grows_while_images_are_known_and_falls_while_they_are_not(fit, logit, start, end):
    control = AdaptiveAugmentation(kimg=0.25, every=2)
    gan = GAN(generator=Line(), discriminator=Augment(Sure(logit), start), regularizers=[control])
    fit(gan, steps=10, max_epochs=-1)  # four measurements that count, each for 16 images of 250
    assert gan.discriminator.p.item() == pytest.approx(end)


def test_a_regularizer_without_its_wrapper_is_refused(fit):
    with pytest.raises(ValueError, match="`AdaptiveAugmentation` needs one `Augment` around the discriminator"):
        fit(tiny(regularizers=[AdaptiveAugmentation()]))
