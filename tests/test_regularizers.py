"""Regularizers: each against values worked out by hand, with every network and variant, and across a checkpoint."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from lightning_gans import ACGAN, GAN, WGANGP, InfoGAN, RelativisticGAN, networks
from lightning_gans.networks import PointDiscriminator, PointGenerator
from lightning_gans.regularizers import (
    ConsistencyRegularization,
    FeatureMatching,
    HistoricalAveraging,
    LeCam,
    OrthogonalRegularization,
)
from tests.conftest import Judge, Line, loader, resumes, tiny


class Fixed(Line):
    """A generator of one latent, so that its samples are known."""

    def forward(self, latent: Tensor) -> Tensor:
        return super().forward(latent[:1].expand_as(latent) * 0 + 1)


def module_of(variant=GAN, **kwargs):
    return variant(generator=Fixed(), discriminator=Judge(), **kwargs)


# Feature matching.


@pytest.mark.parametrize("variant", [GAN, RelativisticGAN])
def test_feature_matching_is_the_distance_of_mean_features(variant):
    module, batch = module_of(variant), next(iter(loader()))
    terms = FeatureMatching("layers.1").terms("generator", module, batch, module.generator_loss(batch))
    features = module.discriminator.layers[:2]  # flattened, and the first linear layer
    difference = features(batch[0]).mean(0) - features(module.fake(batch)).mean(0)
    assert terms.keys() == {"feature_matching"}
    torch.testing.assert_close(terms["feature_matching"], difference @ difference)


def test_feature_matching_reaches_the_generator():
    module, batch = tiny(), next(iter(loader()))
    FeatureMatching("layers.1").terms("generator", module, batch, module.generator_loss(batch))[
        "feature_matching"
    ].backward()
    assert all(p.grad.abs().sum() > 0 for p in module.generator.parameters())


def test_feature_matching_gives_a_conditional_discriminator_its_condition():
    class Conditional(Judge):
        def forward(self, image, label):
            return super().forward(image + label.view(-1, 1, 1, 1))

    class Drawn(Fixed):
        def forward(self, latent, label):
            return super().forward(latent)

    module = GAN(generator=Drawn(), discriminator=Conditional(), conditional=True)
    batch = next(iter(loader()))
    terms = {"adversarial": torch.zeros(()), "other": torch.zeros(())}
    terms = FeatureMatching("layers.1").terms("generator", module, batch, terms)
    features, shift = module.discriminator.layers[:2], batch[1].view(-1, 1, 1, 1)
    difference = features(batch[0] + shift).mean(0) - features(module.fake(batch) + shift).mean(0)
    torch.testing.assert_close(terms["feature_matching"], difference @ difference)
    assert terms.keys() == {"feature_matching", "other"}


def test_feature_matching_leaves_the_discriminator_its_loss():
    terms = {"adversarial": torch.zeros(())}
    assert FeatureMatching("layers.1").terms("discriminator", tiny(), next(iter(loader())), terms) is terms


def test_feature_matching_names_what_is_wrong():
    ask = partial(FeatureMatching("layers.9").terms, "generator", tiny(), next(iter(loader())))
    with pytest.raises(ValueError, match="`layer` must be a layer of the discriminator, got layers.9"):
        ask({"adversarial": torch.zeros(())})
    ask = partial(FeatureMatching("layers.1", "wasserstein").terms, "generator", tiny(), next(iter(loader())))
    with pytest.raises(ValueError, match="`replaces` must be one of the terms adversarial, got wasserstein"):
        ask({"adversarial": torch.zeros(())})


def test_feature_matching_refuses_a_layer_that_is_not_called():
    class Without(Judge):
        def __init__(self):
            super().__init__()
            self.spare = nn.Linear(2, 2)

    module, terms = GAN(generator=Line(), discriminator=Without()), {"adversarial": torch.zeros(())}
    with pytest.raises(ValueError, match="`layer` must be one that the discriminator calls, not compiled, got spare"):
        FeatureMatching("spare").terms("generator", module, next(iter(loader())), terms)


def test_feature_matching_trains(fit):
    module = tiny(regularizers=[FeatureMatching("layers.2")])
    metrics = fit(module, 4, log_every_n_steps=1).callback_metrics
    assert "generator_loss/feature_matching" in metrics
    assert "generator_loss/adversarial" not in metrics


@pytest.mark.parametrize("regularizer", [FeatureMatching("layers.1"), LeCam()], ids=lambda r: type(r).__name__)
def test_a_regularizer_of_the_whole_batch_refuses_to_be_cut(regularizer):
    name = type(regularizer).__name__
    with pytest.raises(ValueError, match=f"`micro_batches` must be 1 for {name}, .* got 2"):
        tiny(regularizers=[regularizer], micro_batches=2)


# Historical averaging.


class Noting(HistoricalAveraging):
    """Also notes what it was asked about and what it said."""

    def __init__(self, weight: float = 1.0):
        super().__init__(weight)
        self.noted: list[tuple[str, Tensor, Tensor]] = []

    def terms(self, player, module, batch, terms):
        terms = super().terms(player, module, batch, terms)
        theta = nn.utils.parameters_to_vector(module.players()[player].module.parameters()).detach().clone()
        self.noted.append((player, theta, terms["historical_averaging"].detach()))
        return terms


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_historical_averaging_is_the_distance_to_the_mean_so_far(fit, micro_batches):
    regularizer = Noting(weight=0.5)
    fit(tiny(regularizers=[regularizer], micro_batches=micro_batches), 5)
    for player in ("discriminator", "generator"):
        thetas = [theta for name, theta, _ in regularizer.noted if name == player]
        penalties = [penalty for name, _, penalty in regularizer.noted if name == player]
        assert len(thetas) == 5 * micro_batches and not torch.equal(thetas[0], thetas[-1])
        for index, penalty in enumerate(penalties):
            mean = torch.stack(thetas[: index + 1 : micro_batches]).double().mean(0)
            by_hand = 0.5 * (thetas[index].double() - mean).square().sum().float()
            torch.testing.assert_close(penalty, by_hand, atol=1e-9, rtol=1e-3)


def test_historical_averaging_resumes_bit_for_bit(tmp_path):
    def make() -> GAN:
        networks = {"generator": PointGenerator(width=4), "discriminator": PointDiscriminator(width=4)}
        return GAN(**networks, regularizers=[HistoricalAveraging(0.1)])

    state = resumes(tmp_path, make).state_dict()
    assert state["regularizers.0.discriminator_count"] == 8
    assert len(state["regularizers.0.generator_mean"]) == 256 * 4 + 4 + 4 * 4 + 4 + 4 * 2 + 2


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_the_weight_of_historical_averaging_is_positive(weight):
    with pytest.raises(ValueError, match=f"`weight` must be positive, got {weight}"):
        HistoricalAveraging(weight)


# Consistency.


@pytest.mark.parametrize("weights", [(10.0, 0.0), (10.0, 5.0), (0.0, 5.0)])
def test_consistency_is_the_squared_difference_of_logits(weights):
    module, batch = module_of(), (torch.randn(8, 1, 8, 8),)
    judged: list[Tensor] = []
    module.discriminator.register_forward_pre_hook(lambda _, args: judged.append(args[0]))
    terms = ConsistencyRegularization(*weights, ["flip"]).terms("discriminator", module, batch, {})
    of_both = [(weight, image) for weight, image in zip(weights, (batch[0], module.fake(batch)), strict=True) if weight]
    pairs = list(zip(judged[::2], judged[1::2], strict=True))  # the augmented image, then the image itself
    expected = 0.0
    for (weight, image), (changed, plain) in zip(of_both, pairs, strict=True):
        assert torch.equal(plain, image) and not torch.equal(changed, image)
        expected += weight * (module.discriminator(plain) - module.discriminator(changed)).square().mean().item()
    assert terms["consistency"].item() == pytest.approx(expected, rel=1e-5)


def test_consistency_leaves_the_generator_its_loss():
    assert ConsistencyRegularization().terms("generator", tiny(), next(iter(loader())), {}) == {}


def test_consistency_refuses_points():
    module = GAN(generator=PointGenerator(width=4), discriminator=PointDiscriminator(width=4))
    with pytest.raises(
        ValueError, match="`ConsistencyRegularization` needs images .* and GAN has .3, 2.: leave it out"
    ):
        ConsistencyRegularization().terms("discriminator", module, (torch.randn(3, 2),), {})


@pytest.mark.parametrize("regularizer", [ConsistencyRegularization(10.0, 10.0), LeCam()], ids=["bCR", "LeCam"])
def test_a_gradient_penalty_and_a_regularizer_train_together(fit, regularizer):
    metrics = fit(tiny(WGANGP, regularizers=[regularizer]), 2, log_every_n_steps=1).callback_metrics
    assert {"discriminator_loss/penalty", "discriminator_loss/wasserstein"} < metrics.keys()


def test_weights_of_nothing_are_refused():
    with pytest.raises(ValueError, match="`real_weight` and `fake_weight` must be at least 0, one of them above"):
        ConsistencyRegularization(0.0, 0.0)
    with pytest.raises(ValueError, match="`weight` must be above 0 and `decay` from 0 to below 1, got 0.3 and 1.0."):
        LeCam(decay=1.0)


# LeCam.


class Numbers(GAN):
    """A GAN whose discriminator says known numbers of real images and of samples."""

    real_logits, fake_logits = torch.tensor([1.0, 3.0]), torch.tensor([-2.0, 0.0])

    def logits(self, batch):
        return self.real_logits, self.fake_logits


def test_lecam_holds_logits_to_the_averages_of_the_other_side():
    module, lecam = tiny(Numbers), LeCam(weight=0.5, decay=0.9)
    ask = partial(lecam.terms, "discriminator", module, (torch.zeros(2, 1, 8, 8),), {})
    first = ask()["lecam"].item()
    assert (lecam.real_mean.item(), lecam.fake_mean.item()) == (2, -1)  # begins with the first batch
    assert first == pytest.approx(0.5 * ((2**2 + 4**2) / 2 + (4**2 + 2**2) / 2))
    module.real_logits = module.real_logits + 10
    second = ask()["lecam"].item()
    assert lecam.real_mean.item() == pytest.approx(3)  # a tenth of the way from 2 to 12
    assert second == pytest.approx(0.5 * ((12**2 + 14**2) / 2 + (5**2 + 3**2) / 2))


@pytest.mark.parametrize("variant", [GAN, RelativisticGAN, WGANGP])
def test_the_averages_of_lecam_move_once_a_batch_and_are_resumed(tmp_path, variant):
    def build():
        networks = {"generator": PointGenerator(width=4), "discriminator": PointDiscriminator(width=4)}
        return variant(**networks, regularizers=[LeCam()])

    (lecam,) = resumes(tmp_path, build).regularizers
    assert lecam.moves == 8 and lecam.real_mean != 0


def test_lecam_leaves_the_generator_its_loss():
    assert LeCam().terms("generator", tiny(), next(iter(loader())), {}) == {}


# Orthogonal regularization.


def test_filters_of_a_transposed_convolution_are_its_outputs():
    class Up(nn.Module):
        latent_dim = 4

        def __init__(self):
            super().__init__()
            self.layer = nn.ConvTranspose2d(4, 3, 2, bias=False)

    module = GAN(generator=Up(), discriminator=Judge())
    term = OrthogonalRegularization(weight=1.0).terms("generator", module, (torch.zeros(2, 1),), {})["orthogonality"]
    filters = [module.generator.layer.weight[:, k].flatten() for k in range(3)]
    expected = sum((filters[i] @ filters[j]).square() for i in range(3) for j in range(3) if i != j)
    torch.testing.assert_close(term, expected, atol=1e-7, rtol=1e-4)


# Every regularizer, on every network of the package.


def dcgan(outputs=1):
    discriminator = networks.DCGANDiscriminator(1, 16, 4, outputs=outputs)
    return {"generator": networks.DCGANGenerator(16, 1, 16, 4), "discriminator": discriminator}


def perceptrons():
    return {
        "generator": networks.MLPGenerator(8, size=16, width=8),
        "discriminator": networks.MLPDiscriminator(1, 16, 8),
    }


def conditional():
    generator = networks.LabelledGenerator(networks.DCGANGenerator(18, 1, 16, 4))
    discriminator = networks.LabelledDiscriminator(networks.DCGANDiscriminator(11, 16, 4))
    return {"generator": generator, "discriminator": discriminator}


def augmented():
    return dcgan() | {"discriminator": networks.DiffAugment(networks.DCGANDiscriminator(1, 16, 4))}


def critic():
    return dcgan() | {"discriminator": networks.DCGANDiscriminator(1, 16, 4, batch_norm=False)}


SETTINGS = {
    "dcgan": lambda **more: GAN(**dcgan(), **more),
    "gran": lambda **more: GAN(**dcgan() | {"generator": networks.GRANGenerator(8, 1, 16, 4)}, **more),
    "mlp": lambda **more: GAN(**perceptrons(), **more),
    "conditional": lambda **more: GAN(**conditional(), conditional=True, **more),
    "ac_gan": lambda **more: ACGAN(**dcgan(11) | {"generator": conditional()["generator"]}, **more),
    "infogan": lambda **more: InfoGAN(**dcgan(13), **more),
    "wgan_gp": lambda **more: WGANGP(**critic(), n_critic=1, **more),
    "relativistic": lambda **more: RelativisticGAN(**dcgan(), **more),
    "augmented": lambda **more: GAN(
        **dcgan() | {"discriminator": networks.DiffAugment(dcgan()["discriminator"])}, **more
    ),
}
ALL = {
    "consistency": partial(ConsistencyRegularization, 10.0, 10.0),
    "historical_averaging": HistoricalAveraging,
    "lecam": LeCam,
    "orthogonality": OrthogonalRegularization,
}


@pytest.mark.parametrize("term", ALL)
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_regularizer_trains_every_kind_of_network(fit, setting, term):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(16, 1, 16, 16, generator=generator) * 2 - 1
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(image, torch.arange(16) % 10), 8)
    metrics = fit(SETTINGS[setting](regularizers=[ALL[term]()]), 2, data, log_every_n_steps=1).callback_metrics
    assert all(value.isfinite() for value in metrics.values())
    assert any(name.endswith(f"/{term}") for name in metrics)
