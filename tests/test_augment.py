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
from lightning_gans.objectives import Hinge, LeCam, NonSaturating
from lightning_gans.regularizers import ConsistencyRegularization
from tests.conftest import Judge, Line, largest_difference, loader, tiny, trainer

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


@pytest.mark.parametrize(("real_weight", "fake_weight"), [(10.0, 0.0), (10.0, 5.0)])
def test_consistency_is_the_squared_difference_of_logits(real_weight, fake_weight):
    module = tiny()
    batch = (torch.randn(8, 1, 8, 8),)
    shown = []
    module.discriminator.register_forward_pre_hook(lambda _, args: shown.append(args[0]))
    regularizer = ConsistencyRegularization(real_weight, fake_weight, ["flip"])
    terms = regularizer.terms("discriminator", module, batch, {})
    judged = module.discriminator
    pairs = [(shown[i], shown[i + 1]) for i in range(2, len(shown), 2)]  # after the two of the loss
    expected = sum(
        weight * (judged(a) - judged(b)).square().mean()
        for weight, (a, b) in zip((real_weight, fake_weight), pairs, strict=False)
    )
    assert terms["consistency"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert any(torch.equal(a, batch[0]) for pair in pairs[:1] for a in pair)
    assert ConsistencyRegularization().terms("generator", module, batch, {}) == {}


def test_lecam_holds_logits_to_the_averages_of_the_other_side():
    objective = LeCam(Hinge(), weight=0.5, decay=0.9)
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-2.0, 0.0])
    first = objective.discriminator(real, fake)
    assert first.item() == pytest.approx(Hinge().discriminator(real, fake).item() + 0.5 * (5 + 2))
    assert (objective.real_mean.item(), objective.fake_mean.item()) == pytest.approx((0.2, -0.1))
    second = objective.discriminator(real, fake)
    held = ((1.1**2 + 3.1**2) + (2.2**2 + 0.2**2)) / 2
    assert second.item() == pytest.approx(Hinge().discriminator(real, fake).item() + 0.5 * held)
    assert objective.generator(fake) == Hinge().generator(fake)


def test_the_averages_of_lecam_are_resumed(tmp_path):
    module = tiny(objective=LeCam(NonSaturating()))
    run = trainer(tmp_path, steps=4)
    run.fit(module, loader())
    run.save_checkpoint(tmp_path / "saved.ckpt")
    again = tiny(objective=LeCam(NonSaturating()))
    trainer(tmp_path, steps=4).fit(again, loader(), ckpt_path=tmp_path / "saved.ckpt")
    assert module.objective.real_mean != 0
    assert largest_difference(module.state_dict(), again.state_dict()) == 0


def test_weights_of_nothing_are_refused():
    with pytest.raises(ValueError, match="`real_weight` and `fake_weight` must be at least 0, one of them above"):
        ConsistencyRegularization(0.0, 0.0)
    with pytest.raises(ValueError, match="`weight` must be above 0 and `decay` from 0 to below 1, got 0.3 and 1.0."):
        LeCam(Hinge(), decay=1.0)
