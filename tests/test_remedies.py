"""Remedies: each against values worked out by hand, in a variant, and across a checkpoint."""

import math

import pytest
import torch
from torch import Tensor, nn

from lightning_gans import GAN, RelativisticGAN
from lightning_gans.__main__ import main
from lightning_gans.networks import (
    PointDiscriminator,
    PointGenerator,
)
from lightning_gans.objectives import Minimax, NonSaturating
from lightning_gans.regularizers import FeatureMatching, HistoricalAveraging
from tests.conftest import Judge, Line, loader, reduced, resumes, tiny

ALPHA = 0.9


# The objectives at their optimum.


def optimal_logits(objective, p: Tensor, q: Tensor) -> Tensor:
    """What gradient descent on the logits of each outcome finds, data being p and samples q."""
    logits = torch.zeros_like(p, requires_grad=True)
    descent = torch.optim.LBFGS([logits], max_iter=300, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:  # the means over an infinite batch, one outcome at a time
        descent.zero_grad()
        total = sum(
            p[i] * (objective.discriminator(logits[i : i + 1], none) - objective.discriminator(none, none))
            + q[i] * (objective.discriminator(none, logits[i : i + 1]) - objective.discriminator(none, none))
            for i in range(len(p))
        )
        total.backward()
        return total

    none = torch.zeros(1, dtype=p.dtype)
    descent.step(loss)
    return logits.detach()


def gaussians() -> tuple[Tensor, Tensor]:
    """Two known densities on a line, as masses of 21 cells."""
    x = torch.linspace(-3, 3, 21).double()
    p, q = (-(x - 0.5).square() / 2).exp(), (-(x + 1).square() / 0.8).exp()
    return p / p.sum(), q / q.sum()


@pytest.mark.parametrize("objective", [NonSaturating(), Minimax()], ids=lambda o: type(o).__name__)
def test_the_best_discriminator_is_the_share_of_data(objective):
    p, q = gaussians()
    torch.testing.assert_close(optimal_logits(objective, p, q).sigmoid(), p / (p + q), atol=1e-4, rtol=0)


def test_the_value_is_minus_log_four_where_samples_are_like_data():
    p, _ = gaussians()
    logits = optimal_logits(Minimax(), p, p)
    loss = sum(p[i] * Minimax().discriminator(logits[i : i + 1], logits[i : i + 1]) for i in range(len(p)))
    assert -loss.item() == pytest.approx(-math.log(4))
    p, q = gaussians()
    logits = optimal_logits(Minimax(), p, q)
    value = (p * logits.sigmoid().log() + q * (-logits).sigmoid().log()).sum().item()
    mixture = (p + q) / 2
    divergence = (p * (p / mixture).log() + q * (q / mixture).log()).sum().item() / 2
    assert value == pytest.approx(-math.log(4) + 2 * divergence, abs=1e-6)  # theorem 1: Jensen-Shannon


@pytest.mark.parametrize("kind", [NonSaturating, Minimax])
def test_one_sided_smoothing_scales_the_share_of_data(kind):
    p, q = gaussians()
    best = optimal_logits(kind(real_label=ALPHA), p, q).sigmoid()
    torch.testing.assert_close(best, ALPHA * p / (p + q), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [NonSaturating, Minimax])
def test_smoothing_is_cross_entropy_with_a_soft_label(kind):
    real, fake = torch.randn(5), torch.randn(4)
    by_hand = nn.functional.binary_cross_entropy_with_logits(real, torch.full((5,), ALPHA))
    by_hand += nn.functional.binary_cross_entropy_with_logits(fake, torch.zeros(4))
    torch.testing.assert_close(kind(real_label=ALPHA).discriminator(real, fake), by_hand)
    assert kind(real_label=ALPHA).generator(fake) == kind().generator(fake)


@pytest.mark.parametrize("label", [0.0, 1.1])
def test_a_label_of_data_is_a_probability(label):
    with pytest.raises(ValueError, match=f"`real_label` must be above 0 and at most 1, got {label}"):
        NonSaturating(real_label=label)


# Feature matching.


def matched(variant, layer: str = "layers.1", **kwargs) -> tuple[dict, GAN, list[Tensor]]:
    """The generator's terms by a variant under feature matching, and the batch."""
    module = tiny(variant, **kwargs)
    module.discriminator.requires_grad_(False)
    batch = next(iter(loader()))
    latent = torch.randn(len(batch[0]), 4)
    module.latent = lambda size: latent  # type: ignore[method-assign]
    terms = FeatureMatching(layer).terms("generator", module, batch, module.generator_loss(batch))
    module.fixed = latent
    return terms, module, batch


@pytest.mark.parametrize("variant", [GAN, RelativisticGAN])
def test_feature_matching_is_the_distance_of_mean_features(variant):
    terms, module, batch = matched(variant)
    features = module.discriminator.layers[:2]  # flattened, and the first linear layer
    difference = features(batch[0]).mean(0) - features(module.generator(module.fixed)).mean(0)
    assert terms.keys() == {"feature_matching"}
    torch.testing.assert_close(terms["feature_matching"], difference @ difference)


def test_feature_matching_reaches_the_generator():
    terms, module, _ = matched(GAN)
    terms["feature_matching"].backward()
    assert all(p.grad.abs().sum() > 0 for p in module.generator.parameters())


def test_feature_matching_shows_a_conditional_discriminator_its_labels():
    class Conditional(Judge):
        def forward(self, image, label):
            return super().forward(image + label.view(-1, 1, 1, 1))

    class Labelled(GAN):
        def generator_loss(self, batch):
            fake = self.generator(self.latent(len(batch[0])))
            return {"adversarial": self.discriminator(fake, batch[1]).mean(), "other": fake.mean()}

    module = Labelled(generator=Line(), discriminator=Conditional())
    module.discriminator.requires_grad_(False)
    batch = next(iter(loader()))
    latent = torch.randn(8, 4)
    module.latent = lambda size: latent
    terms = FeatureMatching("layers.1").terms("generator", module, batch, module.generator_loss(batch))
    features, shift = module.discriminator.layers[:2], batch[1].view(-1, 1, 1, 1)
    difference = features(batch[0] + shift).mean(0) - features(module.generator(latent) + shift).mean(0)
    torch.testing.assert_close(terms["feature_matching"], difference @ difference)
    assert terms.keys() == {"feature_matching", "other"}


def test_feature_matching_leaves_the_discriminator_its_loss():
    terms = {"adversarial": torch.zeros(())}
    assert FeatureMatching("layers.1").terms("discriminator", tiny(), next(iter(loader())), terms) is terms


def test_feature_matching_names_what_is_wrong():
    with pytest.raises(ValueError, match="`layer` must be a layer of the discriminator, got layers.9"):
        matched(GAN, "layers.9")
    with pytest.raises(ValueError, match="`replaces` must be one of the terms adversarial, got wasserstein"):
        FeatureMatching("layers.1", replaces="wasserstein").terms(
            "generator", tiny(), next(iter(loader())), {"adversarial": torch.zeros(())}
        )


@pytest.mark.parametrize(
    ("recipe", "term"), [("aae_mnist", "adversarial"), ("bigan_mnist", "adversarial"), ("lapgan_openmoji", "level_16")]
)
def test_feature_matching_refuses_a_discriminator_of_other_things_than_images(recipe, term, tmp_path):
    cli = main(["fit", "--config", reduced(recipe, tmp_path), "--trainer.max_steps", "0"])
    module, batch = cli.model, next(iter(cli.datamodule.train_dataloader()))
    module.discriminator.requires_grad_(False)
    layer = [name for name, part in module.discriminator.named_modules() if isinstance(part, nn.Linear)][-1]
    with pytest.raises(
        ValueError, match=f"of images by themselves or .* that of {type(module).__name__} is not: leave"
    ):
        FeatureMatching(layer, term).terms("generator", module, batch, module.generator_loss(batch))


def test_feature_matching_trains(fit):
    module = tiny(regularizers=[FeatureMatching("layers.2")])
    metrics = fit(module, 4, log_every_n_steps=1).callback_metrics
    assert "generator_loss/feature_matching" in metrics
    assert "generator_loss/adversarial" not in metrics


# Historical averaging.


class Noting(HistoricalAveraging):
    """Also notes what it was asked about and what it said."""

    def __init__(self, weight: float = 1.0):
        super().__init__(weight)
        self.noted: list[tuple[str, Tensor, Tensor]] = []

    def terms(self, player, module, batch, terms):
        terms = super().terms(player, module, batch, terms)
        theta = nn.utils.parameters_to_vector(module.players()[player].parameters()).detach().clone()
        self.noted.append((player, theta, terms["historical_averaging"].detach()))
        return terms


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_historical_averaging_is_the_distance_to_the_mean_so_far(fit, micro_batches):
    remedy = Noting(weight=0.5)
    fit(tiny(regularizers=[remedy], micro_batches=micro_batches), 5)
    for player in ("discriminator", "generator"):
        thetas = [theta for name, theta, _ in remedy.noted if name == player]
        penalties = [penalty for name, _, penalty in remedy.noted if name == player]
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
