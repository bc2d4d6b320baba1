import pytest
import torch
from torch import nn

from lightning_gans.networks import (
    CatGANDiscriminator,
    DCGANDiscriminator,
    DCGANGenerator,
    InfoGANDiscriminator,
    LabelledDiscriminator,
    LabelledGenerator,
    MLPDiscriminator,
    MLPGenerator,
    SpectrallyNormalized,
)
from lightning_gans.networks.catgan import GaussianNoise
from lightning_gans.networks.wrappers.spectral import spectral_norms


@pytest.mark.parametrize("size", [8, 28, 32, 48, 64])
def test_dcgan_makes_and_judges_images_of_its_size(size):
    image = DCGANGenerator(latent_dim=5, channels=2, size=size, width=4)(torch.randn(3, 5))
    assert image.shape == (3, 2, size, size) and image.abs().max() <= 1
    assert DCGANDiscriminator(channels=2, size=size, width=4)(image).shape == (3,)


def test_dcgan_has_the_layers_of_the_paper():
    generator = DCGANGenerator(width=128)
    assert generator.project.weight.shape == (4 * 4 * 1024, 100)  # figure 1: project and reshape
    layers = [layer for layer in generator.layers if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.in_channels for layer in layers] == [1024, 512, 256, 128]
    assert [layer.out_channels for layer in layers] == [512, 256, 128, 3]


@pytest.mark.parametrize("network", [DCGANGenerator(), DCGANDiscriminator()], ids=["generator", "discriminator"])
def test_dcgan_weights_are_drawn_from_a_normal_of_0_02(network):
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d) and module.weight.numel() > 10_000:
            assert module.weight.mean().abs() < 0.001 and module.weight.std().item() == pytest.approx(0.02, rel=0.03)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.01)
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.4)
            assert module.bias.eq(0).all()


def test_batch_norm_stands_where_the_paper_puts_it():
    generator, discriminator = DCGANGenerator().layers, DCGANDiscriminator().layers
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in generator) == 4  # all but the output
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in discriminator) == 3  # all but input and output
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in DCGANDiscriminator(batch_norm=False).layers)


@pytest.mark.parametrize("size", [4, 30, 100])
def test_a_size_that_halving_does_not_reach_is_refused(size):
    with pytest.raises(ValueError, match=f"`size` must be 4, 5, 6 or 7 doubled at least once.*got {size}"):
        DCGANGenerator(size=size)


@pytest.mark.parametrize("size", [8, 28])
def test_catgan_sorts_images_with_noise_in_training_alone(size):
    image = torch.randn(3, 2, size, size)
    discriminator = CatGANDiscriminator(channels=2, size=size, width=4, outputs=7)
    assert discriminator(image).shape == (3, 7)
    assert not torch.equal(discriminator(image), discriminator(image))
    discriminator.eval()
    assert torch.equal(discriminator(image), discriminator(image))


def test_catgan_refuses_images_that_pooling_leaves_nothing_of():
    with pytest.raises(ValueError, match="`size` must be at least 8, got 7"):
        CatGANDiscriminator(size=7)


def test_noise_has_its_standard_deviation_in_training_alone():
    noise, x = GaussianNoise(0.3), torch.ones(20, 8, 30, 30)
    assert (noise(x) - x).std().item() == pytest.approx(0.3, rel=0.02)
    assert torch.equal(noise.eval()(x), x)


def test_perceptrons_make_and_judge_images():
    image = MLPGenerator(latent_dim=5, channels=3, size=6, width=8)(torch.randn(2, 5))
    assert image.shape == (2, 3, 6, 6) and image.abs().max() <= 1
    assert MLPDiscriminator(channels=3, size=6, width=8)(image).shape == (2,)


def test_maxout_takes_the_largest_of_its_pieces():
    maxout = MLPDiscriminator(channels=1, size=2, width=3, pieces=4).layers[1]
    x = torch.randn(5, 4)
    pieces = (x @ maxout.linear.weight.T + maxout.linear.bias).view(5, 3, 4)
    torch.testing.assert_close(maxout(x), torch.stack([pieces[:, i].max(1).values for i in range(3)], 1))


def test_a_labelled_generator_puts_the_label_behind_the_latent():
    network = nn.Identity()
    network.latent_dim = 5
    generator = LabelledGenerator(network, num_classes=3)
    assert generator.latent_dim == 2
    network.forward = lambda latent: latent[:, :, None, None]
    drawn = generator(torch.tensor([[0.5, -0.5], [1.0, 2.0]]), torch.tensor([2, 0]))
    assert drawn.flatten(1).tolist() == [[0.5, -0.5, 0, 0, 1], [1.0, 2.0, 1, 0, 0]]


def test_a_labelled_generator_needs_room_for_the_classes():
    with pytest.raises(ValueError, match="`network.latent_dim` holds the 10 classes too and must be larger, got 10"):
        LabelledGenerator(DCGANGenerator(10, 1, 32, 4))


def test_a_labelled_discriminator_sees_a_plane_of_ones_for_the_label():
    class Sums(nn.Module):
        def forward(self, image):
            return image.sum((1, 2, 3)) + 100 * image[:, 2].mean((1, 2))  # the plane of class 1

    judge = LabelledDiscriminator(Sums(), num_classes=3)
    assert judge(torch.zeros(2, 1, 2, 2), torch.tensor([1, 0])).tolist() == [104, 4]


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


@pytest.mark.parametrize("size", [28, 32])
def test_infogan_judges_an_image_and_reads_its_code(size):
    discriminator = InfoGANDiscriminator(size=size, width=4, hidden=8, code_outputs=12)
    assert discriminator(torch.rand(3, 1, size, size)).shape == (3, 13)


def test_hidden_layers_of_dcgan_are_those_of_the_authors_code_for_mnist():
    generator = DCGANGenerator(100, 1, 28, 64, hidden=1024)
    first, _, _, second = generator.project
    assert first.weight.shape == (1024, 100) and second.weight.shape == (7 * 7 * 128, 1024)
    discriminator = DCGANDiscriminator(1, 28, 64, hidden=1024)
    shapes = [tuple(layer.weight.shape) for layer in discriminator.layers if isinstance(layer, nn.Conv2d)]
    assert shapes == [(64, 1, 4, 4), (128, 64, 4, 4), (1024, 128, 7, 7), (1, 1024, 1, 1)]
    image = generator(torch.randn(2, 100))
    assert image.shape == (2, 1, 28, 28) and discriminator(image).shape == (2,)


def test_more_outputs_of_a_discriminator_are_logits_per_image():
    image = torch.rand(3, 1, 32, 32)
    assert DCGANDiscriminator(1, 32, 4)(image).shape == (3,)
    assert DCGANDiscriminator(1, 32, 4, outputs=11)(image).shape == (3, 11)
