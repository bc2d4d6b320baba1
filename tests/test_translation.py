"""Variants that draw images from images: their losses, what they show to each other, and their scores."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus
from torch.utils.data import DataLoader, TensorDataset

from lightning_gans import CUT, CycleGAN, Pix2Pix, Restoration, StarGAN
from lightning_gans.callbacks import RestorationScores, TranslationScores
from lightning_gans.contents import Pixels
from lightning_gans.datamodules import MNISTDataModule
from lightning_gans.datamodules.degradations import rain
from lightning_gans.mechanics.image_pool import ImagePool
from lightning_gans.mechanics.schedules import Steps
from lightning_gans.metrics.fidelity import (
    gradient_energy,
    intersection,
    lab,
    lab_histograms,
    laplacian_energy,
    psnr,
    residual,
    ssim,
    stored,
)
from lightning_gans.models.cut import patch_nce
from lightning_gans.models.stargan import label_loss
from lightning_gans.networks import PatchDiscriminator, ResNetGenerator
from lightning_gans.translation import beside
from tests.conftest import trainer
from tests.toys import ToyData


def layer(channels: int = 1, out: int = 1) -> nn.Module:
    return nn.Conv2d(channels, out, 3, padding=1)


class Beside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.judge = layer(2)

    def forward(self, image, source):
        return self.judge(torch.cat([image, source], 1))


class Edits(nn.Module):
    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.draw = layer()

    def forward(self, image, label):
        label = label.argmax(1) if label.ndim == 2 else label
        return self.draw(image) + label.view(-1, 1, 1, 1)


class Reads(nn.Module):
    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.judge, self.classify = layer(), nn.Linear(64, num_classes)

    def forward(self, image):
        return self.judge(image), self.classify(image.flatten(1))


def images(count: int = 4, channels: int = 1) -> torch.Tensor:
    return torch.rand(count, channels, 8, 8) * 2 - 1


def pix2pix(**options) -> Pix2Pix:
    torch.manual_seed(0)
    return Pix2Pix(generator=layer(), discriminator=Beside(), **options)


def cyclegan(**options) -> CycleGAN:
    torch.manual_seed(0)
    return CycleGAN(layer(), layer(), layer(), layer(), **options)


def test_pix2pix_has_the_losses_of_its_paper():
    module, target, source = pix2pix(), images(), images()
    fake = module.generator(source)
    real_logits, fake_logits = module.discriminator(target, source), module.discriminator(fake, source)
    (judged,) = module.discriminator_loss((target, source)).values()
    expected = -(real_logits.sigmoid().log().mean() + (1 - fake_logits.sigmoid()).log().mean()) / 2
    torch.testing.assert_close(judged, expected)
    terms = module.generator_loss((target, source))
    torch.testing.assert_close(terms["pixels"], 100 * (target - fake).abs().mean())
    torch.testing.assert_close(terms["adversarial"], -fake_logits.sigmoid().log().mean())


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_the_discriminator_is_shown_what_the_generator_drew_before_its_step(tmp_path, monkeypatch, micro_batches):
    module, shown, drawn = pix2pix(micro_batches=micro_batches), [], []
    translate, loss = module.translate, module.discriminator_loss
    monkeypatch.setattr(module, "translate", lambda batch: drawn.append(translate(batch)) or drawn[-1])
    monkeypatch.setattr(module, "discriminator_loss", lambda batch: shown.append(batch[2]) or loss(batch))
    trainer(tmp_path, 2, limit_val_batches=0).fit(module, ToyData("image_to_image"))
    assert len(shown) == len(drawn) == 2 * micro_batches  # one pass for both players
    assert all(torch.equal(image, fake) for image, (fake,) in zip(shown, drawn, strict=True))
    assert not any(image.requires_grad for image in shown)


def test_the_discriminator_rests_while_its_weight_is_zero(tmp_path):
    module = Restoration(layer(), [Pixels()], layer(), adversarial_weight=Steps([0.0, 1.0], kimg=0.024))
    before = [p.clone() for p in module.discriminator.parameters()]
    run = trainer(tmp_path, 2, max_epochs=-1, limit_val_batches=0)
    run.fit(module, ToyData("image_to_image"))
    assert all(map(torch.equal, before, module.discriminator.parameters()))
    assert {*run.callback_metrics} == set() and {*module._losses.latest} == {"generator_loss/pixels"}
    trainer(tmp_path, 2, max_epochs=-1, limit_val_batches=0).fit(module, ToyData("image_to_image"))
    assert not any(map(torch.equal, before, module.discriminator.parameters()))
    assert "generator_loss/adversarial" in module._losses.latest


def test_a_restoration_without_a_discriminator_trains_on_its_contents(tmp_path):
    module = Restoration(layer(), contents=[Pixels(p=1)], adversarial_weight=0.0)
    before = [p.clone() for p in module.generator.parameters()]
    trainer(tmp_path, 2, limit_val_batches=0).fit(module, ToyData("image_to_image"))
    assert not any(map(torch.equal, before, module.generator.parameters()))
    with pytest.raises(ValueError, match="`TrainingHealth` needs a variant that has a discriminator of images"):
        module.require("TrainingHealth", "discriminate")
    with pytest.raises(ValueError, match="`adversarial_weight` must be 0 without a `discriminator`"):
        Restoration(layer(), [Pixels()])


def test_cyclegan_has_the_losses_of_its_paper():
    module, x, y = cyclegan(identity_weight=5.0), images(), images()
    g, f = module.generator["xy"], module.generator["yx"]
    judge_x, judge_y = module.discriminator["x"], module.discriminator["y"]
    terms = module.generator_loss((x, y))
    expected = {
        "adversarial_y": (judge_y(g(x)) - 1).square().mean(),
        "adversarial_x": (judge_x(f(y)) - 1).square().mean(),
        "cycle_x": 10 * (f(g(x)) - x).abs().mean(),
        "cycle_y": 10 * (g(f(y)) - y).abs().mean(),
        "identity": 5 * ((g(y) - y).abs().mean() + (f(x) - x).abs().mean()),
    }
    assert terms.keys() == expected.keys()
    for name, term in expected.items():
        torch.testing.assert_close(terms[name], term, msg=name)
    judged = module.discriminator_loss((x, y))
    torch.testing.assert_close(
        judged["adversarial_y"], ((judge_y(y) - 1).square().mean() + judge_y(g(x)).square().mean()) / 2
    )
    older_y, older_x = images(), images()
    judged = module.discriminator_loss((x, y, older_y, older_x))
    torch.testing.assert_close(
        judged["adversarial_x"], ((judge_x(x) - 1).square().mean() + judge_x(older_x).square().mean()) / 2
    )


@pytest.mark.parametrize("weight", ["forward_weight", "backward_weight"])
def test_a_cycle_of_weight_zero_is_not_drawn(weight):
    terms = cyclegan(**{weight: 0.0}).generator_loss((images(), images()))
    assert len(terms) == 3


def test_a_pool_hands_out_what_it_was_given_and_each_image_at_most_once():
    pool, generator = ImagePool(5), torch.Generator().manual_seed(0)
    given = torch.arange(1.0, 41).view(-1, 1, 1, 1)
    shown = torch.cat([pool(part, generator) for part in given.split(4)]).flatten()
    assert torch.equal(shown[:5], given[:5].flatten())
    assert len(shown[5:].unique()) == 35
    older = int((shown != given.flatten()).sum())
    assert 8 < older < 27  # of 35 tosses of a coin
    assert all(old < new for old, new in zip(shown.tolist(), given.flatten().tolist(), strict=True) if old != new)
    kept = pool.kept.flatten().tolist()
    assert len(kept) == 5 and not {*kept} & {*shown[5:].tolist()}
    other = ImagePool(5)
    other.load_state_dict(pool.state_dict())
    again = torch.Generator().set_state(generator.get_state())
    assert torch.equal(other(given[:8], again), pool(given[:8], generator))
    assert torch.equal(ImagePool(0)(given, generator), given)


def test_the_pool_is_saved_and_differs_from_the_latest_images(tmp_path):
    module = cyclegan(pool_size=4)
    run = trainer(tmp_path, 4, max_epochs=-1, limit_val_batches=0)
    run.fit(module, ToyData("two_sided"))
    state = module.state_dict()
    assert state["pool.y._extra_state"].shape == (4, 1, 8, 8)
    loaded = cyclegan(pool_size=4)
    loaded.load_state_dict(state)
    assert torch.equal(loaded.pool["x"].kept, module.pool["x"].kept)


def cut(**options) -> CUT:
    torch.manual_seed(0)
    generator = ResNetGenerator(1, 1, width=2, blocks=1, antialiased=True)
    discriminator = PatchDiscriminator(1, width=2, receptive_field=1, affine=False)
    return CUT(generator, discriminator, num_features=4, **options)


def test_patch_nce_is_that_of_the_authors():
    """Its products of a query with its own key stand first, and are left out of the others by -10."""
    queries, keys = torch.randn(2, 3, 6, 5).div(2)
    losses = []
    for q, k in zip(queries, keys, strict=True):
        own = (q * k).sum(1, keepdim=True)
        others = (q @ k.T).masked_fill(torch.eye(6, dtype=torch.bool), -10)
        losses.append(cross_entropy(torch.cat([own, others], 1) / 0.07, torch.zeros(6, dtype=torch.long)))
    torch.testing.assert_close(patch_nce(queries, keys, 0.07), torch.stack(losses).mean())


def test_cut_pulls_queries_to_keys_and_keys_nowhere():
    module, x = cut(), images()
    still = torch.zeros(4, dtype=torch.bool)
    source, image = x.clone().requires_grad_(), images().requires_grad_()
    module.nce(source, image, still).backward()
    assert source.grad is None and image.grad.abs().sum() > 0


def test_cut_has_both_terms_and_fastcut_one_with_half_of_the_images_turned(monkeypatch):
    batch = images(64), images(64)
    assert {*cut().generator_loss(batch)} == {"adversarial", "nce", "nce_identity"}
    fast, seen = cut(nce_weight=10.0, identity_weight=0.0, flips=True), []
    translate = fast.translate
    monkeypatch.setattr(fast, "translate", lambda batch: seen.append(batch[0]) or translate(batch))
    assert {*fast.generator_loss(batch)} == {"adversarial", "nce"}
    turned = [torch.equal(image, other.flip(2)) for image, other in zip(seen[0], batch[0], strict=True)]
    assert 16 < sum(turned) < 48
    assert all(t or torch.equal(i, o) for t, i, o in zip(turned, seen[0], batch[0], strict=True))


def test_features_of_turned_images_are_turned_back():
    module, x = cut(num_places=64), images()
    turned = torch.tensor([True, False, True, False])
    mirrored = torch.where(turned.view(-1, 1, 1, 1), x.flip(3), x)
    straight, back = module.nce(x, x, torch.zeros(4, dtype=torch.bool)), module.nce(x, mirrored, turned)
    wrong = module.nce(x, mirrored, ~turned)
    assert abs(back - straight) < abs(wrong - straight)


def stargan(**options) -> StarGAN:
    torch.manual_seed(0)
    return StarGAN(generator=Edits(), discriminator=Reads(), **options)


def test_stargan_has_the_losses_of_its_paper():
    module, image = stargan(), images()
    label, target = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 1, 0, 2])
    fake = module.generator(image, target)
    logits, guess = module.discriminator(fake)
    terms = module.generator_loss((image, label, target))
    torch.testing.assert_close(terms["wasserstein"], -logits.mean())
    torch.testing.assert_close(terms["class"], cross_entropy(guess, target))
    torch.testing.assert_close(terms["cycle"], 10 * (module.generator(fake, label) - image).abs().mean())
    real_logits, real_guess = module.discriminator(image)
    judged = module.discriminator_loss((image, label, target))
    torch.testing.assert_close(judged["wasserstein"], logits.mean() - real_logits.mean())
    torch.testing.assert_close(judged["class"], cross_entropy(real_guess, label))
    kernel = module.discriminator.judge.weight  # the judge is linear: its gradient is the same at every point
    points = torch.zeros(1, 1, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(nn.functional.conv2d(points, kernel, padding=1).sum(), points)
    torch.testing.assert_close(judged["penalty"], 10 * (gradient.norm() - 1).square())


def test_attributes_count_by_the_sum_of_their_entropies():
    logits, label = torch.randn(4, 3), torch.tensor([[0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 0]])
    expected = torch.where(label == 1, softplus(-logits), softplus(logits)).sum() / 4
    torch.testing.assert_close(label_loss(logits, label), expected)


def test_targets_are_the_labels_of_the_batch_in_another_order():
    module, label = stargan(), torch.arange(100)
    first = module.targets(label)
    assert torch.equal(first.sort().values, label) and (first != label).sum() > 80
    assert torch.equal(module.targets(label), first)  # for both players
    module.images_seen = 100
    assert not torch.equal(module.targets(label), first)


def test_stargan_shows_each_domain_beside_the_image():
    module, image = stargan(), images()
    edits = module.samples((image, torch.tensor([0, 1, 2, 0])))["edits"]
    assert edits.shape == (4, 4, 1, 8, 8)
    assert torch.equal(edits[:, 0], image)
    torch.testing.assert_close(edits[:, 3] - edits[:, 1], torch.full_like(image, 2.0))


def test_images_stand_beside_each_other_in_color_at_the_size_of_the_last():
    rows = beside(torch.rand(2, 1, 4, 4), torch.rand(2, 3, 8, 8))
    assert rows.shape == (2, 2, 3, 8, 8)
    assert torch.equal(rows[:, 0, 0], rows[:, 0, 2])


# Scores.


def test_scores_of_restorations_look_at_what_their_protocol_says():
    white, black = torch.ones(1, 3, 32, 32), -torch.ones(1, 3, 32, 32)
    assert stored(white).unique().item() == pytest.approx(235, abs=1e-3)
    assert stored(black).unique().item() == 16
    assert stored(white, luma=False).unique().item() == 255
    assert stored(white, crop=4).shape == (1, 1, 24, 24)
    grey = torch.full((1, 1, 32, 32), 100 / 127.5 - 1)
    assert psnr(stored(grey), stored(grey + 1 / 127.5)).item() == pytest.approx(20 * math.log10(255), abs=1e-3)
    noisy = (grey + 0.3 * torch.randn(1, 1, 32, 32)).clamp(-1, 1)
    assert ssim(stored(noisy), stored(noisy)).item() == pytest.approx(1)
    assert ssim(stored(grey), stored(noisy)).item() < 0.3
    with pytest.raises(ValueError, match="`crop` must leave something of 32 x 32 pixels, got 16"):
        stored(grey, crop=16)


def test_what_is_left_of_rain_is_its_correlation_with_the_error():
    target = torch.zeros(2, 3, 32, 32)
    source = target + torch.stack([rain((32, 32), number) for number in (3, 4)])
    torch.testing.assert_close(residual(0.5 * source, target, source), torch.ones(2))
    assert residual(target, target, source).tolist() == [0, 0]
    assert residual(torch.randn(2, 3, 32, 32), target, source).abs().max() < 0.2


def test_what_is_left_is_scored_where_something_was_added(tmp_path):
    untouched = layer()
    nn.init.dirac_(untouched.weight)
    nn.init.zeros_(untouched.bias)
    module = Restoration(untouched, [Pixels()], adversarial_weight=0.0)
    target = torch.zeros(3, 1, 16, 16)
    source = target + torch.stack([rain((16, 16), number) for number in range(3)])
    run = trainer(tmp_path, callbacks=[RestorationScores(crop=0, residual=True)])
    (scores,) = run.validate(module, DataLoader(TensorDataset(target, source), 2), verbose=False)
    assert scores["residual"] == pytest.approx(1, abs=1e-3)
    larger = Restoration(nn.Sequential(nn.Upsample(scale_factor=2), layer()), [Pixels()], adversarial_weight=0.0)
    with pytest.raises(ValueError, match="`RestorationScores` needs a source as large as its target, .* `residual`"):
        run.validate(larger, DataLoader(TensorDataset(target, source[:, :, ::2, ::2])), verbose=False)


def test_colors_have_the_lab_values_of_the_standard():
    colors = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1], [-1, -1, -1]])
    known = [[100, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [0, 0, 0]]
    torch.testing.assert_close(lab(colors.view(5, 3, 1, 1)).flatten(1), torch.tensor(known).double(), atol=0.02, rtol=0)


def test_the_digit_classifier_looks_at_colored_translations_in_grey():
    data = MNISTDataModule(size=32)
    data.setup("fit")
    digits, label = data.evaluation[torch.arange(50)]
    batch = [digits.expand(-1, 3, -1, -1), digits.expand(-1, 3, -1, -1), label]
    scores = TranslationScores(classifier="digits", grey=True)
    scores.begin("validation", None, cyclegan())
    scores.add("validation", None, cyclegan(), {"fake": batch[1]}, batch, 0)
    assert torch.cat(scores._rows["class_accuracy"]).mean() > 0.9


def test_histograms_have_in_common_what_images_have():
    one, two = torch.rand(2, 4, 3, 16, 16) * 2 - 1
    assert lab_histograms(one).sum(1).tolist() == [4 * 256] * 3
    assert torch.allclose(intersection(lab_histograms(one), lab_histograms(one)), torch.ones(3, dtype=torch.double))
    grey = one.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    lightness, a, b = intersection(lab_histograms(grey), lab_histograms(two))
    assert a < 0.2 and b < 0.2 and lightness > a
    tinted = torch.ones(1, 3, 16, 16) - torch.tensor([1 / 127.5, 0, 0]).view(3, 1, 1)
    assert intersection(lab_histograms(tinted), lab_histograms(torch.ones(1, 3, 16, 16))).tolist() == [1, 1, 1]
    blurred = nn.functional.avg_pool2d(one, 3, 1, 1)
    assert (gradient_energy(blurred) < 0.2 * gradient_energy(one)).all()


def test_laplacian_energy_is_that_of_the_second_differences_and_falls_most_with_blur():
    columns = torch.arange(6.0).square().expand(1, 1, 6, 6)  # whose second difference is 2
    assert laplacian_energy(columns).tolist() == [4.0]
    image = torch.rand(3, 1, 16, 16)
    blurred = nn.functional.avg_pool2d(image, 2, 1)
    shares = [energy(blurred) / energy(image) for energy in (laplacian_energy, gradient_energy)]
    assert (shares[0] < 0.7 * shares[1]).all()
