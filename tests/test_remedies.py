"""Remedies: each against values worked out by hand, in a variant, and across a checkpoint."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from lightning_gans import GAN
from lightning_gans.datamodules import GaussianMixtureDataModule
from lightning_gans.networks import (
    BiGANDiscriminator,
    DCGANDiscriminator,
    DCGANGenerator,
    InfoGANDiscriminator,
    LabelledGenerator,
    PointDiscriminator,
    PointGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
)
from lightning_gans.networks.wrappers import (
    InstanceNoise,
    MinibatchDiscrimination,
    MinibatchSimilarity,
    VirtualBatchNorm,
)
from lightning_gans.objectives import Minimax, NonSaturating
from tests.conftest import Judge, Line, resumes

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


# Minibatch discrimination.


def test_minibatch_similarity_is_the_papers_sum():
    layer = MinibatchSimilarity(3, 4, 2)
    features = torch.randn(5, 3)
    rows = (features @ layer.project.weight.T).view(5, 4, 2)
    for i in range(5):
        for b in range(4):
            by_hand = sum(math.exp(-(rows[i, b] - rows[j, b]).abs().sum().item()) for j in range(5) if j != i)
            assert layer(features)[i, b].item() == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.parametrize(
    ("discriminator", "shape"),
    [(PointDiscriminator(width=6), (5, 2)), (DCGANDiscriminator(channels=1, size=16, width=4), (5, 1, 16, 16))],
    ids=["points", "dcgan"],
)
def test_the_last_layer_sees_similarities_beside_its_features(discriminator, shape):
    wrapped = MinibatchDiscrimination(copy.deepcopy(discriminator), num_kernels=3, kernel_dim=2)
    x = torch.randn(shape)
    features = discriminator.layers[:-1](x).flatten(1)
    last = discriminator.layers[-1]
    both = torch.cat([features, wrapped.similarity(features)], 1)
    weight = torch.cat([last.weight.flatten(1), wrapped.last.weight], 1)
    torch.testing.assert_close(wrapped(x), (both @ weight.T + last.bias).flatten(), atol=1e-5, rtol=1e-4)


def test_samples_that_are_alike_get_another_logit_than_the_same_ones_among_others():
    wrapped = MinibatchDiscrimination(PointDiscriminator(width=6))
    x = torch.randn(8, 2)
    assert (wrapped(x[:1].expand(8, 2))[0] - wrapped(x)[0]).abs() > 1e-3
    plain = wrapped.discriminator
    torch.testing.assert_close(plain(x[:1].expand(8, 2))[0], plain(x)[0])


@pytest.mark.parametrize(
    "discriminator",
    [InfoGANDiscriminator(1, 8, 2, 4), DCGANDiscriminator(1, 16, 4, outputs=3), ResNetDiscriminator(10, 1, 28, 4)],
)
def test_minibatch_discrimination_refuses_several_logits(discriminator):
    with pytest.raises(ValueError, match="to one logit, which .*Discriminator does not: leave"):
        MinibatchDiscrimination(discriminator)


def test_minibatch_discrimination_trains(fit):
    before = MinibatchDiscrimination(Judge(), 4, 2)
    module = GAN(generator=Line(), discriminator=copy.deepcopy(before))
    fit(module, 4)
    state = module.discriminator.state_dict()
    assert all(not torch.equal(state[name], value) for name, value in before.state_dict().items())


# Virtual batch normalization.


def test_what_virtual_batch_norm_says_of_an_example_is_no_matter_of_its_batch():
    network = VirtualBatchNorm(DCGANGenerator(4, 1, 16, 4), reference_size=8)
    latent = torch.randn(6, 4)
    torch.testing.assert_close(network(latent)[:2], network(latent[:2]), atol=1e-5, rtol=1e-4)
    plain = DCGANGenerator(4, 1, 16, 4)
    assert (plain(latent)[:2] - plain(latent[:2])).abs().max() > 1e-3


def test_virtual_batch_norm_normalises_by_the_reference_and_the_example():
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            return self.norm(x)

    network = VirtualBatchNorm(Norm())
    first, x = torch.randn(5, 3), torch.randn(2, 3)
    torch.testing.assert_close(
        network(first)[0],
        (first[0] - torch.cat([first, first[:1]]).mean(0))
        / (torch.cat([first, first[:1]]).var(0, correction=0) + 1e-5).sqrt(),
    )
    for i in range(2):  # the reference is still the first batch
        six = torch.cat([first, x[i : i + 1]])
        torch.testing.assert_close(network(x)[i], (x[i] - six.mean(0)) / (six.var(0, correction=0) + 1e-5).sqrt())


def test_virtual_batch_norm_resumes_with_its_reference(tmp_path):
    def make() -> GAN:
        line, judge = PointGenerator(width=4), PointDiscriminator(width=4)
        for network in (line, judge):
            network.layers.insert(1, nn.BatchNorm1d(4))
        return GAN(generator=VirtualBatchNorm(line, 8), discriminator=VirtualBatchNorm(judge, 8))

    straight = resumes(tmp_path, make)
    data = GaussianMixtureDataModule(num_points=96)
    data.setup("fit")
    reference = straight.discriminator.reference_0
    assert len(reference) == 8 and torch.cdist(reference, data.training.point).min(1).values.max() < 1e-3


def test_virtual_batch_norm_refuses_a_generator_that_is_given_labels():
    with pytest.raises(ValueError, match="must be given latents alone, .* got LabelledGenerator"):
        VirtualBatchNorm(LabelledGenerator(DCGANGenerator(14, 1, 16, 4)))


@pytest.mark.parametrize("network", [Judge(), ResNetGenerator(num_classes=10, width=2), BiGANDiscriminator(width=4)])
def test_virtual_batch_norm_wants_batch_norm_with_scale_and_shift(network):
    with pytest.raises(ValueError, match=f"of its own, got {type(network).__name__} without"):
        VirtualBatchNorm(network)


# Instance noise.


class Echo(nn.Module):
    """Says the images themselves."""

    def forward(self, image: Tensor) -> Tensor:
        return image


def test_instance_noise_has_its_standard_deviation_and_falls_to_nothing():
    noisy = InstanceNoise(Echo(), std=0.5, anneal_kimg=4.0)
    images = torch.zeros(1000, 1, 4, 4)
    measured = [noisy(images).std().item() for _ in range(6)]
    assert measured == pytest.approx([0.5, 0.375, 0.25, 0.125, 0.0, 0.0], abs=0.01)
    assert noisy.shown == 6000


def test_instance_noise_stays_where_it_is_not_annealed_and_goes_in_evaluation():
    noisy = InstanceNoise(Echo(), std=0.5, anneal_kimg=0.0)
    images = torch.zeros(1000, 1, 4, 4)
    assert [noisy(images).std().item() for _ in range(3)] == pytest.approx([0.5] * 3, abs=0.02)
    assert torch.equal(noisy.eval()(images), images) and noisy.shown == 3000


def test_instance_noise_counts_on_from_its_state():
    noisy = InstanceNoise(Echo(), std=0.5, anneal_kimg=4.0)
    noisy(torch.zeros(3000, 1))
    resumed = InstanceNoise(Echo(), std=0.5, anneal_kimg=4.0)
    resumed.load_state_dict(noisy.state_dict())
    assert resumed(torch.zeros(100, 1, 10, 10)).std().item() == pytest.approx(0.125, abs=0.01)


def test_the_noise_makes_overlap_of_what_lies_apart():
    """Two points of the line: without noise a threshold tells them apart always, with noise it errs as known."""
    noisy = InstanceNoise(Echo(), std=1.0, anneal_kimg=0.0)
    real, fake = noisy(torch.full((20000, 1), 0.5)), noisy(torch.full((20000, 1), -0.5))
    right = ((real > 0).float().mean() + (fake < 0).float().mean()).item() / 2
    assert right == pytest.approx(0.5 * (1 + math.erf(0.5 / math.sqrt(2))), abs=0.01)
