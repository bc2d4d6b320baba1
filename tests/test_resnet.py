import itertools

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from lightning_gans.networks import BigGANDeepDiscriminator, BigGANDeepGenerator, ResNetDiscriminator, ResNetGenerator
from lightning_gans.networks.biggan_deep import DeepDiscriminatorBlock, DeepGeneratorBlock
from lightning_gans.networks.resnet import MULTIPLES, SelfAttention, multiples
from lightning_gans.regularizers import OrthogonalRegularization
from tests.conftest import tiny

BIGGAN = {"num_classes": 10, "shared_dim": 8, "hierarchical": True, "spectral": True}


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_biggan_has_the_parameters_of_the_authors():
    """70.4 and 88.0 million, as their PyTorch code prints for 128 pixels and ch 96, and 158.3 in table 1 together."""
    with torch.device("meta"):
        generator = ResNetGenerator(120, 1000, 3, 128, 96, 128, hierarchical=True, attention=64)
        discriminator = ResNetDiscriminator(1000, 3, 128, 96, attention=64)
    assert (count(generator), count(discriminator)) == (70_433_988, 87_982_370)


@pytest.mark.parametrize("size", MULTIPLES)
def test_networks_of_each_size_fit_together(size):
    dim = 4 * len(multiples(size))
    generator = ResNetGenerator(dim, channels=1, size=size, width=1, attention=0, **BIGGAN)
    discriminator = ResNetDiscriminator(10, 1, size, width=1)
    latent, label = torch.randn(2, dim), torch.tensor([3, 7])
    image = generator(latent, label)
    assert image.shape == (2, 1, size, size) and image.abs().max() <= 1
    assert discriminator(image, label).shape == (2,)


def test_sngan_s_networks_know_no_classes():
    generator = ResNetGenerator(16, channels=3, size=32, width=4)
    discriminator = ResNetDiscriminator(0, 3, 32, width=4)
    assert discriminator(generator(torch.randn(2, 16))).shape == (2,)


def test_classes_given_as_shares_are_those_given_as_numbers():
    generator = ResNetGenerator(9, channels=1, size=28, width=2, **BIGGAN).eval()
    latent, label = torch.randn(3, 9), torch.tensor([0, 5, 9])
    drawn = generator(latent, label)
    torch.testing.assert_close(generator(latent, one_hot(label, 10).float()), drawn)
    assert not torch.allclose(generator(latent, label.flip(0)), drawn)


def test_each_block_sees_its_own_part_of_the_latent():
    generator = ResNetGenerator(9, channels=1, size=28, width=2, **BIGGAN).eval()
    latent, label = torch.randn(1, 9, requires_grad=True), torch.tensor([1])
    told = []
    for block in generator.blocks:
        block.register_forward_pre_hook(lambda module, args: told.append(args[1]))
    generator(latent, label)
    assert all(torch.equal(own[0, 8:], latent[0, 3 * i + 3 : 3 * i + 6]) for i, own in enumerate(told))
    assert torch.equal(told[0][0, :8], told[1][0, :8])


def test_the_projection_is_the_inner_product_with_the_class():
    discriminator = ResNetDiscriminator(10, 1, 28, width=2).eval()
    image = torch.randn(2, 1, 28, 28)
    seen = []
    discriminator.linear.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    logits = discriminator(image, torch.tensor([4, 4]))
    expected = discriminator.linear(seen[0])[:, 0] + seen[0] @ discriminator.classes.weight[:, 4]
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
    discriminator = ResNetDiscriminator(10, 1, 28, width=4)
    for _ in range(100):
        discriminator(torch.randn(2, 1, 28, 28), torch.tensor([0, 1]))
    for module in discriminator.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            assert torch.linalg.matrix_norm(module.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.01)


def test_orthogonality_is_the_squared_cosines_and_lengths_off_the_diagonal():
    module = tiny()
    weight = next(parameter for parameter in module.generator.parameters() if parameter.ndim > 1)
    terms = OrthogonalRegularization(0.5).terms("generator", module, (), {})
    product = weight @ weight.T
    expected = 0.5 * (product - product.diag().diag()).square().sum()
    assert terms["orthogonality"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert OrthogonalRegularization().terms("discriminator", module, (), {"a": weight}) == {"a": weight}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": 48}, "`size` must be one of 28, 32, 64, 128, 256, 512, got 48."),
        ({"initial": "he"}, "`initial` must be 'orthogonal' or 'xavier', got 'he'."),
        ({"latent_dim": 10, **BIGGAN}, "`latent_dim` must be a multiple of 4 and `shared_dim` above 0"),
        ({"shared_dim": 8}, "`num_classes` must be above 0 for a shared class embedding, got 0."),
    ],
)
def test_what_does_not_fit_is_said(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        ResNetGenerator(**{"width": 1, **arguments})


def test_biggan_deep_has_about_the_parameters_of_the_paper():
    """34.6 million in the discriminator; of the generator's 50.4, as remembered, all but 0.2."""
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
    assert sum(isinstance(layer, SelfAttention) for layer in [*generator.layers, *discriminator.layers]) == 2


def test_deep_shortcuts_keep_what_they_can():
    down, up = DeepGeneratorBlock(8, 4, 5, doubles=False), DeepDiscriminatorBlock(4, 8, halve=False)
    for block in (down, up):
        nn.init.zeros_(block.convolutions[3].weight)
        nn.init.zeros_(block.convolutions[3].bias)
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(down(x, torch.randn(2, 5)), x[:, :4])
    assert torch.equal(up(x[:, :4])[:, :4], x[:, :4])
