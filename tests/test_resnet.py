"""Residual networks of SNGAN, SAGAN, BigGAN and BigGAN-deep, and their blocks."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from lightning_gans.networks import (
    BigGANDeepDiscriminator,
    BigGANDeepGenerator,
    BigGANDiscriminator,
    BigGANGenerator,
    SAGANDiscriminator,
    SAGANGenerator,
    SNGANDiscriminator,
    SNGANGenerator,
)
from lightning_gans.networks.biggan_deep import DeepDiscriminatorBlock, DeepGeneratorBlock
from lightning_gans.networks.resnet import MULTIPLES, ConditionalBatchNorm, SelfAttention, multiples
from lightning_gans.regularizers import OrthogonalRegularization
from tests.conftest import tiny


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def small_biggan(**changes) -> BigGANGenerator:
    """A generator of three parts of the latent."""
    settings = {"latent_dim": 9, "channels": 1, "size": 28, "width": 2, "shared_dim": 8, "attention": 0, **changes}
    return BigGANGenerator(**settings)


def attentions(network: nn.Module) -> int:
    return sum(isinstance(module, SelfAttention) for module in network.modules())


def test_biggan_has_the_parameters_of_the_authors():
    """70.4 and 88.0 million, as their PyTorch code prints for 128 pixels and ch 96, and 158.3 in table 1 together."""
    with torch.device("meta"):
        generator, discriminator = BigGANGenerator(num_classes=1000), BigGANDiscriminator(num_classes=1000)
    assert (count(generator), count(discriminator)) == (70_433_988, 87_982_370)


@pytest.mark.parametrize("size", MULTIPLES)
def test_biggan_s_networks_of_each_size_fit_together(size):
    dim = 4 * len(multiples(size))
    generator = small_biggan(latent_dim=dim, size=size, width=1)
    discriminator = BigGANDiscriminator(10, 1, size, width=1, attention=0)
    latent, label = torch.randn(2, dim), torch.tensor([3, 7])
    image = generator(latent, label)
    assert image.shape == (2, 1, size, size) and image.abs().max() <= 1
    assert discriminator(image, label).shape == (2,)


@pytest.mark.parametrize("classes", [0, 10])
@pytest.mark.parametrize(
    ("generator", "discriminator"), [(SNGANGenerator, SNGANDiscriminator), (SAGANGenerator, SAGANDiscriminator)]
)
def test_networks_fit_together_with_and_without_classes(generator, discriminator, classes):
    attention = {"attention": 16} if generator is SAGANGenerator else {}
    label = [torch.tensor([3, 7])] if classes else []
    image = generator(16, classes, 3, 32, 4, **attention)(torch.randn(2, 16), *label)
    assert discriminator(classes, 3, 32, 4, **attention)(image, *label).shape == (2,)


@pytest.mark.parametrize("network", [SAGANGenerator, SAGANDiscriminator, BigGANGenerator, BigGANDiscriminator])
def test_attention_follows_the_map_of_its_size(network):
    with torch.device("meta"):
        blocks = network(size=128, width=8, attention=32).blocks
    sizes = [8, 16, 32, 64, 128] if "Generator" in network.__name__ else [64, 32, 16, 8, 4, 4]
    assert sizes[blocks.place] == 32 and attentions(blocks) == 1


def test_without_classes_a_network_refuses_a_label_and_with_classes_it_needs_one():
    latent, label = torch.randn(2, 4), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="`num_classes` of the network is 0, but it was given a label"):
        SNGANGenerator(4, 0, 1, 28, 1)(latent, label)
    with pytest.raises(ValueError, match="`num_classes` of the network is 2, but it was given no label: set .*conditi"):
        SNGANGenerator(4, 2, 1, 28, 1)(latent)
    with pytest.raises(ValueError, match="`num_classes` of network and labels must agree, got 2 and shares of 3"):
        SNGANGenerator(4, 2, 1, 28, 1)(latent, torch.rand(2, 3))


def glorot(weight: torch.Tensor) -> float:
    """The bound of a uniform weight with gain 1."""
    fan_in, fan_out = weight[0].numel(), weight[:, 0].numel()
    return (6 / (fan_in + fan_out)) ** 0.5


def test_sngan_begins_with_the_weights_of_the_authors_code():
    generator, discriminator = SNGANGenerator(8, 5, 3, 32, 8), SNGANDiscriminator(5, 3, 32, 8)
    originals = {name: p for network in (generator, discriminator) for name, p in network.named_parameters()}
    for name, weight in originals.items():
        gain = 2**0.5 if "conv" in name else 1.0
        if "scale" in name or "shift" in name or "bias" in name:
            assert weight.eq(0).all() or "last.0" in name
        elif weight.ndim > 1 and weight.numel() > 500:
            assert weight.abs().max().item() == pytest.approx(gain * glorot(weight), rel=0.02)
    assert discriminator.head.linear.bias is None


def test_classes_of_sngan_begin_with_scale_1_and_shift_0():
    norm = SNGANGenerator(8, 5, 3, 32, 8).blocks[0].norm1
    x = torch.randn(4, 32, 4, 4)
    assert isinstance(norm, ConditionalBatchNorm)
    torch.testing.assert_close(norm(x, torch.eye(5)[:4]), nn.functional.batch_norm(x, None, None, training=True))


def test_classes_given_as_shares_are_those_given_as_numbers():
    generator = small_biggan().eval()
    latent, label = torch.randn(3, 9), torch.tensor([0, 5, 9])
    drawn = generator(latent, label)
    torch.testing.assert_close(generator(latent, one_hot(label, 10).float()), drawn)
    assert not torch.allclose(generator(latent, label.flip(0)), drawn)


def test_each_block_gets_its_own_part_of_the_latent():
    generator = small_biggan().eval()
    latent, label = torch.randn(1, 9, requires_grad=True), torch.tensor([1])
    conditions = []
    for block in generator.blocks.blocks:
        block.register_forward_pre_hook(lambda module, args: conditions.append(args[1]))
    generator(latent, label)
    assert all(torch.equal(own[0, 8:], latent[0, 3 * i + 3 : 3 * i + 6]) for i, own in enumerate(conditions))
    assert torch.equal(conditions[0][0, :8], conditions[1][0, :8])


@pytest.mark.parametrize(("shared_dim", "size"), [(8, 8), (0, 10)])
def test_without_a_hierarchy_every_block_gets_the_class_alone(shared_dim, size):
    generator = small_biggan(shared_dim=shared_dim, hierarchical=False).eval()
    conditions = []
    for block in generator.blocks.blocks:
        block.register_forward_pre_hook(lambda module, args: conditions.append(args[1]))
    generator(torch.randn(2, 9), torch.tensor([1, 4]))
    assert [condition.shape for condition in conditions] == [(2, size)] * 2


def test_the_projection_is_the_inner_product_with_the_class():
    discriminator = BigGANDiscriminator(10, 1, 28, width=2, attention=0).eval()
    image, head = torch.randn(2, 1, 28, 28), discriminator.head
    features = []
    head.linear.register_forward_pre_hook(lambda module, args: features.append(args[0]))
    logits = discriminator(image, torch.tensor([4, 4]))
    expected = head.linear(features[0])[:, 0] + features[0] @ head.classes.weight[:, 4]
    torch.testing.assert_close(logits, expected)


def test_attention_is_the_softmax_of_the_paper():
    attention = SelfAttention(16)
    nn.init.ones_(attention.gamma)
    x = torch.randn(2, 16, 6, 6)
    pool = nn.functional.max_pool2d
    f, g, h = attention.query(x), pool(attention.key(x), 2), pool(attention.value(x), 2)
    expected = torch.empty(2, 8, 36)
    for b, place in itertools.product(range(2), range(36)):
        weights = (g[b].flatten(1).T @ f[b].flatten(1)[:, place]).softmax(0)
        expected[b, :, place] = h[b].flatten(1) @ weights
    torch.testing.assert_close(attention(x), x + attention.out(expected.view(2, 8, 6, 6)))
    assert torch.equal(SelfAttention(16)(x), x)  # gamma starts at 0


def test_every_layer_of_the_discriminator_has_norm_1():
    discriminator = BigGANDiscriminator(10, 1, 28, width=4, attention=0)
    for _ in range(100):
        discriminator(torch.randn(2, 1, 28, 28), torch.tensor([0, 1]))
    for module in discriminator.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            assert torch.linalg.matrix_norm(module.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("network", "plain"),
    [
        (small_biggan(), {"embedding"}),
        (small_biggan(shared_dim=0, hierarchical=False), {"scale", "shift"}),
        (SAGANGenerator(4, 5, 1, 28, 2, attention=14), {"scale", "shift"}),
        (SNGANGenerator(4, 5, 1, 28, 2), {"scale", "shift", "0", "2", "conv1", "conv2", "shortcut"}),
    ],
    ids=["biggan", "biggan without an embedding", "sagan", "sngan"],
)
def test_tables_of_classes_are_not_normalized_and_all_other_layers_are(network, plain):
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    unnormalized = {n for n, m in layers.items() if not nn.utils.parametrize.is_parametrized(m)}
    assert {name.rsplit(".", 1)[-1] for name in unnormalized} == plain


def test_orthogonality_is_the_squared_cosines_and_lengths_off_the_diagonal():
    module = tiny()
    weight = next(parameter for parameter in module.generator.parameters() if parameter.ndim > 1)
    terms = OrthogonalRegularization(0.5).terms("generator", module, (), {})
    product = weight @ weight.T
    expected = 0.5 * (product - product.diag().diag()).square().sum()
    assert terms["orthogonality"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert OrthogonalRegularization().terms("discriminator", module, (), {"a": weight}) == {"a": weight}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SNGANGenerator(size=48), "`size` must be one of 28, 32, 64, 128, 256, 512, got 48."),
        (
            lambda: small_biggan(latent_dim=10, size=32),
            "`latent_dim` must be a multiple of 4 and `shared_dim` above 0",
        ),
        (lambda: small_biggan(shared_dim=0), "for a hierarchical latent at 28 px, got 9 and 0"),
        (lambda: small_biggan(num_classes=0), "`num_classes` must be at least 1, got 0."),
        (
            lambda: small_biggan(attention=64),
            "`attention` must be 0 or the size of a map, which are 14, 28, got 64.",
        ),
        (
            lambda: BigGANDeepDiscriminator(10, 1, 32, 2, attention=7),
            "`attention` must be 0 or the size of a map, which are 16, 8, 4, got 7.",
        ),
    ],
)
def test_what_does_not_fit_is_said(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_biggan_deep_has_about_the_parameters_of_the_paper():
    """34.6 million in the discriminator; of the generator's 50.4 all but 0.2.

    In the authors' PyTorch code the last convolution has 128 channels, of which 3 are used: 0.14 million more.
    """
    with torch.device("meta"):
        generator, discriminator = BigGANDeepGenerator(128, 1000), BigGANDeepDiscriminator(1000)
    assert count(discriminator) / 1e6 == pytest.approx(34.6, abs=0.05)
    assert count(generator) / 1e6 == pytest.approx(50.4, abs=0.2)


@pytest.mark.parametrize("size", [28, 32, 128])
def test_deep_networks_fit_together(size):
    generator = BigGANDeepGenerator(4, 10, 1, size, width=4, shared_dim=3, attention=size // 2)
    discriminator = BigGANDeepDiscriminator(10, 1, size, width=4, attention=size // 2)
    image = generator(torch.randn(2, 4), torch.tensor([0, 9]))
    assert image.shape == (2, 1, size, size)
    assert discriminator(image, torch.tensor([0, 9])).shape == (2,)
    assert attentions(generator) == attentions(discriminator) == 1


@pytest.mark.parametrize("network", [BigGANDeepGenerator, BigGANDeepDiscriminator])
def test_deep_attention_follows_the_second_block_of_its_size(network):
    with torch.device("meta"):
        blocks = network(size=32, width=8, attention=8).blocks
    assert blocks.place == (1 if network is BigGANDeepGenerator else 3)


def test_deep_shortcuts_keep_what_they_can():
    down, up = DeepGeneratorBlock(8, 4, 5, doubles=False), DeepDiscriminatorBlock(4, 8, halve=False)
    for block in (down, up):
        nn.init.zeros_(block.convolutions[3].weight)
        nn.init.zeros_(block.convolutions[3].bias)
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(down(x, torch.randn(2, 5)), x[:, :4])
    assert torch.equal(up(x[:, :4])[:, :4], x[:, :4])
