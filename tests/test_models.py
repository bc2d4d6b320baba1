"""What each player of a variant minimises, against formulas written another way."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_gans import ACGAN, GAN, WGAN, WGANGP, CatGAN, InfoGAN, RelativisticGAN
from lightning_gans.models.catgan import conditional_entropy, marginal_entropy
from lightning_gans.networks.catgan import GaussianNoise
from lightning_gans.objectives import Hinge
from tests.conftest import Line, loader, tiny

REAL = torch.tensor([[0.5, 1.0, -1.0, 0.2], [-0.3, 0.0, 2.0, 0.1], [1.5, -2.0, 0.3, -0.4]])
FAKE = torch.tensor([[-0.7, 0.1, 0.6, 1.2], [0.9, -1.0, 0.4, 0.3], [0.2, 0.8, -0.6, -1.1]])
LABEL = torch.tensor([1, 2, 0])


class Marked(nn.Module):
    """A generator whose pictures are recognised: all ones, and after them the label or the code they are of."""

    latent_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        self.latent, self.label = latent, label
        return self.weight * torch.ones(len(latent), 1, 2, 2)


class Known(nn.Module):
    """A discriminator that gives known logits to real pictures, which are zero, and to generated ones."""

    def __init__(self, real: Tensor, fake: Tensor) -> None:
        super().__init__()
        self.real, self.fake = real, fake
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        self.label = label
        return (self.fake if image.mean() > 0.5 else self.real) + self.weight


def build(variant, real=REAL, fake=FAKE, **kwargs):
    return variant(generator=Marked(), discriminator=Known(real, fake), **kwargs)


BATCH = (torch.zeros(3, 1, 2, 2), LABEL)


def values(terms):
    return {name: pytest.approx(term.item(), rel=1e-5) for name, term in terms.items()}


def log_sigmoid(logits):
    return np.log(1 / (1 + np.exp(-np.asarray(logits, dtype=float))))


def log_softmax(logits):
    logits = np.asarray(logits, dtype=float)
    return np.log(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))


def entropy(p):
    p = np.asarray(p, dtype=float)
    return -(p * np.log(p)).sum(-1)


def test_a_conditional_gan_is_equation_2_with_the_class_in_both_networks():
    module = build(GAN, REAL[:, 0], FAKE[:, 0], conditional=True)
    expected = -log_sigmoid(REAL[:, 0]).mean() - log_sigmoid(-FAKE[:, 0]).mean()
    assert values(module.discriminator_loss(BATCH)) == {"adversarial": expected}
    assert torch.equal(module.generator.label, LABEL) and torch.equal(module.discriminator.label, LABEL)
    module.discriminator.label = None
    assert values(module.generator_loss(BATCH)) == {"adversarial": -log_sigmoid(FAKE[:, 0]).mean()}
    assert torch.equal(module.discriminator.label, LABEL)


def test_ac_gan_is_equations_2_and_3():
    module = build(ACGAN, class_weight=0.5)
    adversarial = -log_sigmoid(REAL[:, 0]).mean() - log_sigmoid(-FAKE[:, 0]).mean()
    of_real, of_fake = (-log_softmax(x[:, 1:])[range(3), LABEL].mean() for x in (REAL, FAKE))
    assert values(module.discriminator_loss(BATCH)) == {"adversarial": adversarial, "class": 0.5 * (of_real + of_fake)}
    expected = {"adversarial": -log_sigmoid(FAKE[:, 0]).mean(), "class": 0.5 * of_fake}
    assert values(module.generator_loss(BATCH)) == expected


@pytest.mark.parametrize("variant", [partial(GAN, conditional=True), ACGAN])
def test_samples_are_of_the_labels_asked_for(variant):
    module = build(variant)
    drawn = module.samples(BATCH)
    assert torch.equal(module.generator.label, LABEL) and torch.equal(drawn["label"], LABEL)


def test_infogan_adds_the_information_of_its_code_to_both_losses():
    module = build(InfoGAN, num_categories=2, num_factors=1, category_weight=2.0, factor_weight=0.3)
    for player in ("discriminator", "generator"):
        terms = getattr(module, f"{player}_loss")(BATCH)
        given = module.generator.latent
        category, factor = given[:, :2].argmax(1), given[:, 2].numpy()
        assert given[:, :2].sum(1).tolist() == [1, 1, 1] and abs(factor).max() <= 1
        expected = {
            "category": 2.0 * -log_softmax(FAKE[:, 1:3])[range(3), category].mean(),
            "factors": 0.3 * ((FAKE[:, 3].numpy() - factor) ** 2).mean() / 2,
        }
        real = -log_sigmoid(REAL[:, 0]).mean() - log_sigmoid(-FAKE[:, 0]).mean()
        expected["adversarial"] = real if player == "discriminator" else -log_sigmoid(FAKE[:, 0]).mean()
        assert values(terms) == expected


def test_infogan_varies_one_code_at_a_time():
    module = build(InfoGAN, num_categories=2, num_factors=1)
    latents = []
    module.generator.forward = lambda latent: latents.append(latent) or torch.zeros(len(latent), 1, 2, 2)
    names = list(module.samples((torch.zeros(20, 1, 2, 2),)))
    assert names == ["fake", "category", "factor_0"]
    _, category, factor = latents
    for row in (slice(0, 10), slice(10, 20)):
        assert len(category[row, 2:].unique(dim=0)) == 1 and len(category[row, :2].unique(dim=0)) == 2
        rest = torch.cat([factor[row, :2], factor[row, 3:]], dim=1)
        assert len(rest.unique(dim=0)) == 1 and torch.allclose(factor[row, 2], torch.linspace(-2, 2, 10))


def test_catgan_is_equations_7_and_9_and_knows_no_label_of_minus_one():
    module = build(CatGAN, supervised_weight=0.7)
    real, fake = np.exp(log_softmax(REAL)), np.exp(log_softmax(FAKE))
    label = torch.tensor([1, -1, 0])
    terms = module.discriminator_loss((BATCH[0], label))
    assert values(terms) == {
        "balance": -entropy(real.mean(0)),
        "certainty": entropy(real).mean(),
        "uncertainty": -entropy(fake).mean(),
        "class": 0.7 * -(log_softmax(REAL)[0, 1] + log_softmax(REAL)[2, 0]) / 2,
    }
    expected = {"balance": -entropy(fake.mean(0)), "certainty": entropy(fake).mean()}
    assert values(module.generator_loss(BATCH)) == expected
    assert module.discriminator_loss((BATCH[0], torch.full((3,), -1)))["class"] == 0


def test_catgan_classifies_with_the_statistics_of_real_images_without_noise(fit):
    linear, norm, frozen = nn.Linear(64, 10), nn.BatchNorm1d(10), nn.BatchNorm1d(10)
    module = CatGAN(
        generator=Line(), discriminator=nn.Sequential(nn.Flatten(), GaussianNoise(5.0), linear, norm, frozen)
    )
    module.discriminator_optimizer = partial(torch.optim.SGD, lr=0.0)
    frozen.eval()
    fit(module, steps=1)
    real = next(iter(loader()))[0]
    seen = linear(real.flatten(1))
    assert torch.allclose(norm.running_mean, 0.1 * seen.mean(0))
    assert torch.allclose(norm.running_var, 0.9 + 0.1 * seen.var(0))
    assert frozen.running_mean.eq(0).all() and not frozen.training and norm.training


def test_entropies_of_certain_and_of_even_classes():
    certain = 1000 * torch.eye(4)
    assert conditional_entropy(certain).item() == 0
    assert marginal_entropy(certain).item() == pytest.approx(math.log(4))
    assert conditional_entropy(torch.zeros(3, 4)).item() == pytest.approx(math.log(4))


def test_relativistic_players_compare_with_the_mean_of_the_others():
    real, fake = REAL[:, 0], FAKE[:, 0]
    module = build(RelativisticGAN, real, fake)
    of_real, of_fake = real - fake.mean(), fake - real.mean()
    expected = -log_sigmoid(of_real).mean() - log_sigmoid(-of_fake).mean()
    assert values(module.discriminator_loss(BATCH)) == {"adversarial": expected}
    expected = -log_sigmoid(of_fake).mean() - log_sigmoid(-of_real).mean()
    assert values(module.generator_loss(BATCH)) == {"adversarial": expected}


def test_relativistic_hinge_is_that_of_the_paper():
    real, fake = REAL[:, 0], FAKE[:, 0]
    module = build(RelativisticGAN, real, fake, objective=Hinge())
    of_real, of_fake = (real - fake.mean()).numpy(), (fake - real.mean()).numpy()
    expected = np.maximum(0, 1 + of_real).mean() + np.maximum(0, 1 - of_fake).mean()
    assert values(module.generator_loss(BATCH)) == {"adversarial": expected}


def test_wgan_minimises_minus_the_distance_and_minus_the_samples_mean():
    module = build(WGAN, REAL[:, 0], FAKE[:, 0])
    means = REAL[:, 0].mean().item(), FAKE[:, 0].mean().item()
    assert values(module.discriminator_loss(BATCH)) == {"wasserstein": means[1] - means[0]}
    assert values(module.generator_loss(BATCH)) == {"wasserstein": -means[1]}


@pytest.mark.parametrize("weight", [10.0, 3.0])
def test_wgan_gp_adds_the_squared_distance_of_the_gradients_norm_from_1(weight):
    class Plane(nn.Module):
        def __init__(self):
            super().__init__()
            self.slope, self.height = nn.Parameter(torch.tensor(0.8)), nn.Parameter(torch.tensor(0.3))

        def forward(self, image):
            return self.slope * image.flatten(1).sum(1) + self.height

    module = WGANGP(generator=Marked(), discriminator=Plane(), penalty_weight=weight)
    terms = values(module.discriminator_loss(BATCH))  # the real picture has four pixels of 0, the generated one of 1
    assert terms == {"wasserstein": 4 * 0.8, "penalty": weight * (0.8 * math.sqrt(4) - 1) ** 2}
    assert values(module.generator_loss(BATCH)) == {"wasserstein": -(4 * 0.8 + 0.3)}


def test_wgan_clips_the_critic_after_its_step_and_nothing_else(fit):
    module = tiny(WGAN, weight_limit=0.005, n_critic=2)
    before = {name: weight.clone() for name, weight in module.generator.named_parameters()}
    fit(module, steps=2)
    assert max(weight.abs().max() for weight in module.discriminator.parameters()).item() == pytest.approx(0.005)
    assert max(weight.abs().max() for weight in module.generator.parameters()) > 0.1
    assert all(not torch.equal(before[name], weight) for name, weight in module.generator.named_parameters())


@pytest.mark.parametrize("variant", [CatGAN, RelativisticGAN])
def test_a_loss_of_the_whole_batch_refuses_to_be_cut(variant):
    with pytest.raises(
        ValueError, match="`micro_batches` must be 1 for .*, whose loss is one of the whole batch, got 2"
    ):
        tiny(variant, micro_batches=2)


def test_a_weight_limit_must_be_positive():
    with pytest.raises(ValueError, match="`weight_limit` must be positive, got 0.0"):
        tiny(WGAN, weight_limit=0.0)
