import pytest
import torch
from torch import nn

from lightning_gans import GAN
from lightning_gans.networks import DiffAugment
from lightning_gans.networks.wrappers.diff_augment import (
    POLICIES,
    augment,
    contrast,
    cutout,
    flip,
    saturation,
    translation,
)
from tests.conftest import Judge, Line, loader, trainer

IMAGE = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("name", POLICIES)
def test_gradients_pass_and_each_image_is_changed_by_itself(name):
    image = IMAGE.clone().requires_grad_()
    changed = augment(image, [name])
    assert changed.shape == image.shape and not torch.equal(changed, image)
    (gradient,) = torch.autograd.grad(changed.sum(), image)
    assert gradient.abs().sum() > 0
    copies = augment(IMAGE[:1].expand(16, -1, -1, -1), [name])
    assert len(copies.unique(dim=0)) > 1


def test_a_translation_moves_by_at_most_an_eighth():
    ramp = torch.arange(1.0, 257).view(1, 1, 16, 16).expand(500, 1, 16, 16)
    moved = translation(ramp)
    center = moved[:, 0, 8, 8] - 1
    rows, columns = center // 16 - 8, center % 16 - 8
    assert set(rows.tolist()) == set(columns.tolist()) == {-2, -1, 0, 1, 2}
    assert torch.equal((moved[:, 0] == 0).all(2).sum(1), rows.abs().long())  # with 0 behind


def test_a_cutout_is_a_box_of_half_of_each_side():
    cut = cutout(torch.ones(500, 1, 16, 16))
    rows = (cut[:, 0] == 0).any(2).sum(1)
    assert rows.max() == 8 and rows.min() >= 4
    assert ((cut[:, 0] == 0).sum((1, 2)) == rows * (cut[:, 0] == 0).any(1).sum(1)).all()


def test_colours_keep_what_they_should():
    assert torch.allclose(saturation(IMAGE).mean(1), IMAGE.mean(1), atol=1e-6)
    assert torch.allclose(contrast(IMAGE).mean((1, 2, 3)), IMAGE.mean((1, 2, 3)), atol=1e-6)
    flipped = flip(IMAGE)
    mirrored = [not torch.equal(a, b) for a, b in zip(flipped, IMAGE, strict=True)]
    assert 10 < sum(mirrored) < 54
    assert all(torch.equal(a, b.flip(2)) for a, b, m in zip(flipped, IMAGE, mirrored, strict=True) if m)


def test_in_evaluation_images_are_not_changed():
    wrapped = DiffAugment(nn.Flatten()).eval()
    assert torch.equal(wrapped(IMAGE), IMAGE.flatten(1))
    assert not torch.equal(wrapped.train()(IMAGE), IMAGE.flatten(1))


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="`policy` must name some of color, translation, cutout, flip, got .'colour'."):
        DiffAugment(nn.Flatten(), ["colour"])


def test_a_discriminator_of_augmented_images_trains(tmp_path):
    module = GAN(generator=Line(), discriminator=DiffAugment(Judge(), ["translation", "cutout"]))
    trainer(tmp_path, steps=4).fit(module, loader())
