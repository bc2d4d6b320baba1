"""Wrappers of networks: each against values worked out by hand, compiled, and across a checkpoint."""

import copy
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lightning_gans import GAN
from lightning_gans.datamodules import GaussianMixtureDataModule
from lightning_gans.mechanics.schedules import Linear
from lightning_gans.networks import (
    BiGANDiscriminator,
    BigGANDiscriminator,
    BigGANGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    InfoGANDiscriminator,
    LabelledGenerator,
    PointDiscriminator,
    PointGenerator,
)
from lightning_gans.networks.wrappers import (
    InstanceNoise,
    MinibatchDiscrimination,
    MinibatchSimilarity,
    ReferenceNorm,
    SpectrallyNormalized,
    VirtualBatchNorm,
    spectral_norms,
)
from tests.compiled import PLACES, WRAPPERS
from tests.conftest import Judge, Line, resumes

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
def test_the_last_layer_gets_similarities_beside_its_features(discriminator, shape):
    wrapped = MinibatchDiscrimination(copy.deepcopy(discriminator), num_kernels=3, kernel_dim=2)
    x = torch.randn(shape)
    features = discriminator.layers[:-1](x).flatten(1)
    last, replaced = discriminator.layers[-1], wrapped.discriminator.layers[-1]
    both = torch.cat([features, replaced.similarity(features)], 1)
    weight = torch.cat([last.weight.flatten(1), replaced.appended.weight], 1)
    torch.testing.assert_close(wrapped(x), (both @ weight.T + last.bias).flatten(), atol=1e-5, rtol=1e-4)


def test_samples_that_are_alike_get_another_logit_than_the_same_ones_among_others():
    plain = PointDiscriminator(width=6)
    wrapped = MinibatchDiscrimination(copy.deepcopy(plain))
    x = torch.randn(8, 2)
    assert (wrapped(x[:1].expand(8, 2))[0] - wrapped(x)[0]).abs() > 1e-3
    torch.testing.assert_close(plain(x[:1].expand(8, 2))[0], plain(x)[0])


@pytest.mark.parametrize(
    "discriminator",
    [
        InfoGANDiscriminator(1, 8, 2, 4),
        DCGANDiscriminator(1, 16, 4, outputs=3),
        BigGANDiscriminator(10, 1, 28, 4, attention=0),
    ],
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


def test_a_look_before_training_does_not_become_the_reference():
    judge, first, other = VirtualBatchNorm(DCGANDiscriminator(1, 16, 4), 4), *torch.rand(2, 6, 1, 16, 16)
    judge.eval()(other)
    assert not dict(judge.named_buffers())
    judge.train()(first)
    judge.eval()(other)
    assert torch.equal(judge.reference_0, first[:4])


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


@pytest.mark.parametrize("network", [Judge(), BigGANGenerator(width=2), BiGANDiscriminator(width=4)])
def test_virtual_batch_norm_wants_batch_norm_with_scale_and_shift(network):
    with pytest.raises(ValueError, match=f"of its own, got {type(network).__name__} without"):
        VirtualBatchNorm(network)


@pytest.mark.parametrize("shape", [(64, 8), (64, 8, 5, 5)], ids=["rows", "maps"])
@pytest.mark.parametrize("ratio", [5.0, 20.0, 300.0])
def test_virtual_batch_norm_normalizes_a_large_mean_too(ratio, shape):
    """In bf16 numbers around 300 are 2 apart, so the values are such numbers; their statistics must not be."""
    norm = ReferenceNorm(nn.BatchNorm2d(8) if len(shape) > 2 else nn.BatchNorm1d(8))
    x = (ratio + torch.randn(shape)).bfloat16()
    norm(x)
    normal = norm(x)
    assert normal.dtype == torch.bfloat16
    exact = nn.functional.batch_norm(x.double(), None, None, training=True)
    if len(shape) > 2:  # an example of maps moves the statistics a little more than a row does
        torch.testing.assert_close(normal.double(), exact, atol=0.1, rtol=0.1)
    else:
        assert normal.double().std().item() == pytest.approx(exact.std().item(), rel=0.05)


def test_virtual_batch_norm_keeps_its_statistics_in_float32_at_any_mean():
    norm, x = ReferenceNorm(nn.BatchNorm1d(3)), 1e4 + torch.randn(512, 3)
    norm(x)
    mean, variance, _ = norm.statistics
    assert variance.dtype == torch.float32
    torch.testing.assert_close(variance[0, :, 0], x.double().var(0, correction=0).float(), rtol=1e-3, atol=0)
    assert torch.cat([norm(x[i : i + 1]) for i in range(9)]).abs().max() < 5


# Instance noise.


class Echo(nn.Module):
    """Returns the images themselves."""

    def forward(self, image: Tensor) -> Tensor:
        return image


def test_instance_noise_has_its_standard_deviation_and_falls_to_nothing():
    noisy, images, measured = InstanceNoise(Echo(), std=0.5, anneal_kimg=4.0), torch.zeros(1000, 1, 4, 4), []
    for images_seen in (0, 1000, 2000, 3000, 4000, 9000):
        noisy.images_seen = images_seen
        measured.append(noisy(images).std().item())
    assert measured == pytest.approx([0.5, 0.375, 0.25, 0.125, 0.0, 0.0], abs=0.01)


def test_a_look_at_a_discriminator_does_not_age_its_noise():
    noisy = InstanceNoise(Echo(), std=0.5, anneal_kimg=1.0)
    for _ in range(5):
        assert noisy(torch.zeros(1000, 1, 4, 4)).std().item() == pytest.approx(0.5, abs=0.01)


def test_instance_noise_follows_a_schedule():
    noisy = InstanceNoise(Echo(), std=Linear(0.5, 0.1, 1.0))
    noisy.images_seen = 2000
    assert noisy(torch.zeros(1000, 1, 4, 4)).std().item() == pytest.approx(0.1, abs=0.01)


def test_instance_noise_stays_where_it_is_not_annealed_and_goes_in_evaluation():
    noisy, images = InstanceNoise(Echo(), std=0.5, anneal_kimg=0.0), torch.zeros(1000, 1, 4, 4)
    noisy.images_seen = 10**9
    assert noisy(images).std().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(noisy.eval()(images), images)


def test_the_loop_tells_instance_noise_how_far_training_is(fit):
    noisy = InstanceNoise(Judge(), anneal_kimg=4.0)
    fit(GAN(generator=Line(), discriminator=noisy), 3)
    assert noisy.images_seen == 24 and noisy.state_dict().keys() == {f"discriminator.{k}" for k in Judge().state_dict()}


def test_the_noise_makes_overlap_of_what_lies_apart():
    """Two points of the line: without noise a threshold tells them apart always, with noise it errs as known."""
    noisy = InstanceNoise(Echo(), std=1.0, anneal_kimg=0.0)
    real, fake = noisy(torch.full((20000, 1), 0.5)), noisy(torch.full((20000, 1), -0.5))
    right = ((real > 0).float().mean() + (fake < 0).float().mean()).item() / 2
    assert right == pytest.approx(0.5 * (1 + math.erf(0.5 / math.sqrt(2))), abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"std": 0.0}, "`std` must be positive, got 0.0."),
        ({"anneal_kimg": -1.0}, "`anneal_kimg` must be 0 .keeps the noise. or more, got -1.0."),
    ],
)
def test_noise_that_cannot_be_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        InstanceNoise(Echo(), **arguments)


# Spectral normalization.


def test_spectral_norms_settle_at_1_and_batch_norm_free_layers_are_all_normalised():
    network = SpectrallyNormalized(DCGANDiscriminator(1, 32, 4, batch_norm=False))
    for _ in range(100):  # power iterations
        network(torch.rand(2, 1, 32, 32))
    norms = spectral_norms(network.network)
    assert len(norms) == 4 and all(abs(norm - 1) < 0.01 for norm in norms.values())


def test_spectral_normalisation_divides_by_the_largest_singular_value():
    layer = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.5, 0.0]]))
    network = SpectrallyNormalized(nn.Sequential(layer))
    for _ in range(50):
        network(torch.eye(3))
    assert torch.allclose(network(torch.eye(3)), torch.tensor([[1.0, 0.0], [0.0, 1 / 6], [0.0, 0.0]]), atol=1e-5)


def test_a_transposed_convolution_is_divided_by_the_largest_singular_value_of_its_output_channels():
    layer = nn.ConvTranspose2d(6, 3, 4, 2, 1, bias=False)
    weight = layer.weight.detach().clone()
    by_output = weight.transpose(0, 1).flatten(1)
    largest = torch.linalg.matrix_norm(by_output, 2)
    assert largest.item() != pytest.approx(torch.linalg.matrix_norm(weight.flatten(1), 2).item(), rel=0.01)
    network = SpectrallyNormalized(nn.Sequential(layer))
    for _ in range(100):
        network(torch.randn(1, 6, 2, 2))
    torch.testing.assert_close(layer.weight, weight / largest, rtol=1e-3, atol=1e-4)
    assert spectral_norms(network)["network.0"] == pytest.approx(1, abs=1e-3)


def test_every_layer_of_dcgan_s_generator_is_normalized():
    network = SpectrallyNormalized(DCGANGenerator(4, 1, 16, 4))
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.ConvTranspose2d)]
    assert len(spectral_norms(network)) == len(layers) == 3


def test_singular_vectors_are_followed_in_float32_under_autocast():
    network, x = SpectrallyNormalized(nn.Linear(64, 64)), torch.randn(2, 64)
    kept = []
    original = torch.mv
    with torch.autocast("cpu", torch.bfloat16), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "mv", lambda a, b: kept.append(torch.is_autocast_enabled("cpu")) or original(a, b))
        network(x)
    assert kept == [False] * 3


# Compiled networks.


@pytest.fixture(scope="module")
def compared() -> dict[str, str]:
    """For each wrapper inside and around torch.compile "equal", or what went wrong."""
    command = [sys.executable, "-m", "tests.compiled"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_inside_or_around_a_compiled_network_does_what_it_does_plain(wrapper, place, compared):
    assert compared[f"{wrapper} {place}"] == "equal"
