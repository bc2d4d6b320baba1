"""Networks of ProGAN, StyleGAN, StyleGAN2 and R3GAN: sizes, filters, equalized rates, growth and styles."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, leaky_relu, pad

from lightning_gans.mechanics.schedules import Growth
from lightning_gans.networks import (
    ProGANDiscriminator,
    ProGANGenerator,
    R3GANDiscriminator,
    R3GANGenerator,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
    StyleGANDiscriminator,
    StyleGANGenerator,
)
from lightning_gans.networks.equalized import EqualizedConv2d, EqualizedLinear, MinibatchDeviation, PixelNorm
from lightning_gans.networks.filters import blurred, doubled, halved
from lightning_gans.networks.stylegan2 import HalvingBlock, ModulatedConv2d

IMAGENET = {"num_classes": 1000, "width": 1536, "group": 32}
COUNTS = {  # of the authors' networks
    "ProGAN 1024": (ProGANGenerator, ProGANDiscriminator, {}, {}, 23_079_115, 23_087_249),
    "ProGAN 256": (ProGANGenerator, ProGANDiscriminator, {"size": 256}, {"size": 256}, 23_044_309, 23_052_353),
    "StyleGAN 1024": (StyleGANGenerator, StyleGANDiscriminator, {}, {}, 26_219_627, 23_087_249),
    "StyleGAN2 1024": (StyleGAN2Generator, StyleGAN2Discriminator, {}, {}, 30_370_060, 29_012_513),
    "StyleGAN2 256": (
        StyleGAN2Generator,
        StyleGAN2Discriminator,
        {"size": 256, "base": 16384},
        {"size": 256, "base": 16384},
        24_767_458,
        24_001_089,
    ),
    "StyleGAN2 CIFAR-10": (
        StyleGAN2Generator,
        StyleGAN2Discriminator,
        {"size": 32, "depth": 2},
        {"size": 32, "residual": False},
        19_947_539,
        20_720_641,
    ),
    "R3GAN CIFAR-10": (R3GANGenerator, R3GANDiscriminator, *[{"num_classes": 10}] * 2, 20_781_952, 21_280_512),
    "R3GAN 64": (R3GANGenerator, R3GANDiscriminator, {"size": 64}, {"size": 64}, 22_429_824, 22_381_440),
    "R3GAN 256": (R3GANGenerator, R3GANDiscriminator, {"size": 256}, {"size": 256}, 23_057_952, 23_009_568),
    "R3GAN ImageNet 32": (
        R3GANGenerator,
        R3GANDiscriminator,
        *[{**IMAGENET, "base": 49152}] * 2,
        82_914_304,
        86_548_992,
    ),
}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_networks_have_the_parameters_of_the_authors(name):
    generator, discriminator, options, other_options, expected, other = COUNTS[name]
    with torch.device("meta"):
        assert (count(generator(**options)), count(discriminator(**other_options))) == (expected, other)


@pytest.mark.parametrize("layer", [EqualizedLinear(64, 512), EqualizedConv2d(64, 512, 1)])
def test_an_equalized_layer_has_weights_of_variance_1_and_outputs_of_the_gain(layer):
    x = torch.randn(512, 64, *[1] * (layer.weight.ndim - 2))
    assert layer.weight.std().item() == pytest.approx(1, abs=0.02)
    assert layer(x).std().item() == pytest.approx(math.sqrt(2), abs=0.03)
    assert layer.bias.abs().max() == 0


def test_a_rate_scales_what_a_step_changes_and_not_what_comes_out():
    torch.manual_seed(1)
    slow, fast = EqualizedLinear(16, 16, rate=0.01), EqualizedLinear(16, 16)
    fast.weight.data.copy_(slow.weight * 0.01)
    x = torch.randn(4, 16)
    torch.testing.assert_close(slow(x), fast(x))
    for layer in (slow, fast):
        layer(x).square().sum().backward()
    torch.testing.assert_close(slow.bias.grad, 0.01 * fast.bias.grad)
    torch.testing.assert_close(slow.weight.grad, 0.01 * fast.weight.grad)


def reference(x: torch.Tensor, up: int = 1, down: int = 1, before: int = 0, after: int = 0, gain: float = 1.0):
    """FIR by zero insertion, padding, a filter and every n-th value."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype)
    kernel = taps[:, None] * taps * gain / 64
    b, c, h, w = x.shape
    y = x.new_zeros(b, c, h, up, w, up)
    y[:, :, :, 0, :, 0] = x
    y = pad(y.reshape(b, c, h * up, w * up), (before, after, before, after))
    y = conv2d(y.flatten(0, 1)[:, None], kernel[None, None]).unflatten(0, (b, c))[:, :, 0]
    return y[..., ::down, ::down]


def test_filters_are_those_of_zero_insertion_and_fir():
    x = torch.randn(2, 3, 6, 6, dtype=torch.double)
    torch.testing.assert_close(doubled(x), reference(x, up=2, before=2, after=1, gain=4))
    torch.testing.assert_close(halved(x), reference(x, down=2, before=1, after=1))
    impulse = torch.zeros(1, 1, 5, 5)
    impulse[0, 0, 2, 2] = 16
    line = torch.tensor([0.0, 1, 2, 1, 0])
    torch.testing.assert_close(blurred(impulse)[0, 0], line[:, None] * line)


@pytest.mark.parametrize("doubles", [False, True])
def test_a_modulated_convolution_is_the_grouped_one_with_weights_of_each_image(doubles):
    layer = ModulatedConv2d(4, 6, 5, doubles=doubles).double()
    x, style = torch.randn(3, 4, 8, 8, dtype=torch.double), torch.randn(3, 5, dtype=torch.double)
    weight = layer.weight * layer.style(style)[:, None, :, None, None]
    weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    if doubles:  # a convolution, and so with weights turned round, on the map with zeros between
        zeros = x.new_zeros(3, 4, 8, 2, 8, 2)
        zeros[:, :, :, 0, :, 0] = x
        maps = pad(zeros.reshape(3, 4, 16, 16)[..., :15, :15], (2, 2, 2, 2))
        maps, weight = maps.reshape(1, 12, 19, 19), weight.flip(3, 4)
        expected = conv2d(maps, weight.flatten(0, 1), groups=3).reshape(3, 6, 17, 17)
        expected = reference(expected, before=1, after=1, gain=4)
    else:
        expected = conv2d(x.reshape(1, 12, 8, 8), weight.flatten(0, 1), padding=1, groups=3).reshape(3, 6, 8, 8)
    torch.testing.assert_close(layer(x, style), expected, rtol=1e-9, atol=1e-9)


def test_a_halving_block_is_two_convolutions_beside_a_skip():
    block = HalvingBlock(3, 5, residual=True).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.double)
    first, second, skip = block.first[0], block.second, block.skip
    y = leaky_relu(conv2d(x, first.weight / math.sqrt(27), padding=1), 0.2) * math.sqrt(2)
    y = conv2d(reference(y, before=2, after=2), second.weight / math.sqrt(27), stride=2)
    y = leaky_relu(y, 0.2) * math.sqrt(2)
    beside = conv2d(reference(x, down=2, before=1, after=1), skip.weight / math.sqrt(3))
    torch.testing.assert_close(block(x), (y + beside) / math.sqrt(2))


@pytest.mark.parametrize(
    "change", [doubled, halved, lambda x: ModulatedConv2d(2, 2, 2, doubles=True).double()(x, x[:, :, 0, 0])]
)
def test_second_derivatives_exist(change):
    torch.manual_seed(0)
    state = torch.get_rng_state()

    def same(x: torch.Tensor) -> torch.Tensor:
        torch.set_rng_state(state)
        return change(x)

    x = torch.randn(1, 2, 4, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradgradcheck(same, x)


def test_the_deviation_is_that_of_groups_of_neighbors():
    x = torch.randn(8, 2, 3, 3)
    plane = MinibatchDeviation(4)(x)[:, 2]
    for start in (0, 4):
        expected = x[start : start + 4].std(0, correction=0).mean()
        torch.testing.assert_close(plane[start : start + 4], expected.expand(4, 3, 3))
    assert MinibatchDeviation(4)(x[:7])[:, 2].abs().max() < 1e-3  # of groups of one


def test_pixel_norm_gives_features_a_mean_square_of_1():
    torch.testing.assert_close(PixelNorm()(torch.randn(4, 16, 2, 2)).square().mean(1), torch.ones(4, 2, 2))


@pytest.mark.parametrize(
    ("images", "finest", "share"),
    [
        (0, 0, 1),
        (600_000, 0, 1),
        (600_001, 1, 1 / 600_000),
        (900_000, 1, 0.5),
        (1_200_000, 1, 1),
        (1_900_000, 2, 1 / 6),
    ],
)
def test_sizes_hold_and_fade_in_as_the_authors_have_it(images, finest, share):
    generator = ProGANGenerator(size=32, width=4, level=Growth(600.0))
    generator.images_seen = images
    assert generator.stage() == (finest, pytest.approx(share))


def networks(name: str, images: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    if name == "ProGAN":
        generator, discriminator = ProGANGenerator(8, 1, 16, 4), ProGANDiscriminator(1, 16, 4)
        growing = generator
    else:
        generator, discriminator = StyleGANGenerator(8, 8, 2, 1, 16, 4), StyleGANDiscriminator(1, 16, 4)
        growing = generator.synthesis
    growing.level = discriminator.level = Growth(1.0)
    growing.images_seen = discriminator.images_seen = images
    return generator.eval(), discriminator, growing


@pytest.mark.parametrize("name", ["ProGAN", "StyleGAN"])
def test_a_new_size_begins_as_the_old_one_enlarged(name):
    latent, real = torch.randn(4, 8), torch.randn(4, 1, 16, 16)
    generator, discriminator, growing = networks(name, 1000)
    torch.manual_seed(0)
    before = generator(latent), discriminator(real), growing.seen(real)
    growing.images_seen = discriminator.images_seen = 1001
    growing.level = discriminator.level = 1e-9
    torch.manual_seed(0)
    after = generator(latent), discriminator(real), growing.seen(real)
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(old, new)


@pytest.mark.parametrize("name", ["ProGAN", "StyleGAN"])
def test_what_is_not_on_the_way_gets_no_gradient(name):
    generator, discriminator, growing = networks(name, 2000)  # 8 of 16 pixels, without fading
    discriminator(generator(torch.randn(4, 8))).sum().backward()
    assert growing.stage() == (1, 1)
    for ends in (growing.to_image, discriminator.from_image):
        assert [any(p.grad is not None for p in end.parameters()) for end in ends] == [False, True, False]


def test_classes_of_stylegan_have_a_logit_and_a_vector_that_is_scaled_with_the_latent():
    judge = StyleGANDiscriminator(1, 8, 4, level=1.0, num_classes=3)
    image, label = torch.randn(4, 1, 8, 8), torch.tensor([0, 2, 1, 2])
    shares = nn.functional.one_hot(label, 3).float()
    all_of_them = torch.stack([judge(image, torch.full((4,), c)) for c in range(3)], 1)
    torch.testing.assert_close(judge(image, label), all_of_them[range(4), label])
    torch.testing.assert_close(judge(image, shares), judge(image, label))
    mapping, latent = StyleGANGenerator(8, 8, 2, 1, 8, 4, num_classes=3).mapping, torch.randn(4, 8)
    assert mapping.embedding.weight.shape == (8, 3)
    both = torch.cat([latent, mapping.embedding.weight.T[label]], 1)
    expected = mapping.layers(both / (both.square().mean(1, keepdim=True) + 1e-8).sqrt())
    torch.testing.assert_close(mapping(latent, label), expected)


def test_styles_change_at_a_random_layer_in_training_alone():
    torch.manual_seed(0)
    generator = StyleGAN2Generator(8, 8, 2, 0, 1, 16, 4, 64, mixing=0.5)
    styles = generator.styles(torch.randn(200, 8))
    changes = (styles[:, 1:] != styles[:, :-1]).any(2)
    assert (changes.sum(1) <= 1).all() and changes.any(0).all()
    assert 0.35 < changes.any(1).float().mean() < 0.65
    assert (generator.eval().styles(torch.randn(20, 8)).diff(dim=1) == 0).all()


def test_the_rate_of_a_mapping_scales_what_a_step_changes_and_not_what_comes_out():
    made, steps = [], []
    for rate in (0.01, 1.0):
        torch.manual_seed(0)
        mapping = StyleGANGenerator(8, 8, 3, 1, 8, 4, level=1.0, mapping_rate=rate).mapping
        styles = mapping(torch.ones(2, 8))
        styles.square().sum().backward()
        weight = mapping.layers[0].weight
        made.append(styles.detach())
        steps.append((weight.grad.norm() / weight.detach().norm()).item())
    assert torch.allclose(*made, atol=1e-5)
    assert steps[0] / steps[1] == pytest.approx(1e-4)  # by gradients; by Adam, whose steps have one size, 0.01


def test_psi_draws_styles_to_their_mean_in_the_layers_that_it_is_for():
    generator = StyleGAN2Generator(8, 8, 2, 0, 1, 16, 4, 64).eval()
    latent = torch.randn(4, 8)
    full, center = generator.styles(latent), generator.center()
    generator.psi = 0.5
    torch.testing.assert_close(generator.styles(latent), (full + center) / 2)
    generator.psi, generator.psi_layers = 0.0, 2
    styles = generator.styles(latent)
    torch.testing.assert_close(styles[:, :2], center.expand(4, 2, -1))
    torch.testing.assert_close(styles[:, 2:], full[:, 2:])


def test_a_residual_network_without_norms_is_linear_at_first():
    generator = R3GANGenerator(8, 0, 1, 16, 16, 256)
    one, two = torch.randn(2, 3, 8)
    torch.testing.assert_close(generator(one + two), generator(one) + generator(two), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("network", [R3GANGenerator, R3GANDiscriminator])
def test_first_weights_are_scaled_by_the_number_of_all_blocks(network, blocks):
    stages = network(size=8, width=64, base=1024, blocks=blocks).stages
    first = torch.cat([block.layers[0].weight.flatten() for stage in stages for block in stage])
    assert [len(stage) for stage in stages] == [blocks] * 2
    expected = math.sqrt(2 / 1.04) * (2 * blocks) ** -0.25 / math.sqrt(64)
    assert first.std().item() == pytest.approx(expected, rel=0.04)
