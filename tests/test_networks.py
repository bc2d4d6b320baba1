import re

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_gans.networks import (
    AAEEncoder,
    BiGANDiscriminator,
    BiGANEncoder,
    BigGANDeepDiscriminator,
    BigGANDeepGenerator,
    BigGANDiscriminator,
    BigGANGenerator,
    CatGANDiscriminator,
    DCGANDiscriminator,
    DCGANGenerator,
    DiffAugment,
    GRANGenerator,
    InfoGANDiscriminator,
    LabelledDiscriminator,
    LabelledGenerator,
    LAPGANDiscriminator,
    LAPGANGenerator,
    MinibatchDiscrimination,
    MLPDiscriminator,
    MLPGenerator,
    SAGANDiscriminator,
    SAGANGenerator,
    SNGANDiscriminator,
    SNGANGenerator,
    StackGANGenerator,
    TextGenerator,
)
from lightning_gans.networks.catgan import GaussianNoise

LABEL = torch.tensor([0, 1, 0])
# Networks of images of 3 x 28 x 28, and what they take beside an image x.
OF_IMAGES = {
    "aae": (lambda: AAEEncoder(2, 3, 28, 4), lambda x: ()),
    "bigan encoder": (lambda: BiGANEncoder(4, 3, 28, 4), lambda x: ()),
    "bigan": (lambda: BiGANDiscriminator(4, 3, 28, 4), lambda x: (torch.randn(3, 4),)),
    "biggan": (lambda: BigGANDiscriminator(2, 3, 28, 2, 14), lambda x: (LABEL,)),
    "biggan deep": (lambda: BigGANDeepDiscriminator(2, 3, 28, 4, 14), lambda x: (LABEL,)),
    "catgan": (lambda: CatGANDiscriminator(3, 28, 4, 8), lambda x: ()),
    "dcgan": (lambda: DCGANDiscriminator(3, 28, 4), lambda x: ()),
    "infogan": (lambda: InfoGANDiscriminator(3, 28, 4, 8), lambda x: ()),
    "lapgan": (lambda: LAPGANDiscriminator(3, 28, 4), lambda x: (torch.randn_like(x),)),
    "lapgan generator": (lambda: LAPGANGenerator(3, 4, 3), lambda x: (torch.randn_like(x[:, :1]),)),
    "mlp": (lambda: MLPDiscriminator(3, 28, 4), lambda x: ()),
    "sagan": (lambda: SAGANDiscriminator(2, 3, 28, 2, 14), lambda x: (LABEL,)),
    "sngan": (lambda: SNGANDiscriminator(2, 3, 28, 2), lambda x: (LABEL,)),
    "augmented": (
        lambda: DiffAugment(DCGANDiscriminator(3, 28, 4), ["color", "translation", "cutout", "flip"]),
        lambda x: (),
    ),
    "compared": (lambda: MinibatchDiscrimination(DCGANDiscriminator(3, 28, 4), 3, 2), lambda x: ()),
}
OF_LATENTS = {
    "biggan": (lambda: BigGANGenerator(6, 2, 3, 28, 2, 4, attention=14), lambda x: (LABEL,)),
    "biggan deep": (lambda: BigGANDeepGenerator(6, 2, 3, 28, 4, 4, attention=14), lambda x: (LABEL,)),
    "dcgan": (lambda: DCGANGenerator(6, 3, 28, 4), lambda x: ()),
    "gran": (lambda: GRANGenerator(6, 3, 28, 4), lambda x: ()),
    "mlp": (lambda: MLPGenerator(6, 3, 28, 4), lambda x: ()),
    "sagan": (lambda: SAGANGenerator(6, 2, 3, 28, 2, 14), lambda x: (LABEL,)),
    "sngan": (lambda: SNGANGenerator(6, 2, 3, 28, 2), lambda x: (LABEL,)),
    "stackgan": (lambda: StackGANGenerator(5, 4, 2, 3, 16, 2), lambda x: (torch.randn(3, 5),)),
    "text": (lambda: TextGenerator(5, 6, 2, 3, 16, 2), lambda x: (torch.randn(3, 5),)),
}
# What torch's `use_deterministic_algorithms` refuses on CUDA in some version that the package works with, by name.
REFUSED = re.compile(
    "cumsum|kthvalue|median|histc|bincount|(?<!index_)put_|adaptive_|fractional_|max_unpool|pool3d|linear[123]d|bicubic|"
    "reflection_pad|replication_pad|nll_loss|grid_sampler"
)


class Operators(TorchDispatchMode):
    """Notes the names of all operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", OF_IMAGES)
def test_images_of_other_channels_are_refused(name):
    (make, others), image = OF_IMAGES[name], torch.randn(3, 1, 28, 28)
    with pytest.raises(ValueError, match="`channels` of network and images must agree, got 3 and images with 1."):
        make()(image, *others(image))


@pytest.mark.parametrize("name", sorted(OF_IMAGES.keys() - {"lapgan generator"}))  # which takes images of any size
def test_images_of_another_size_are_refused(name):
    (make, others), image = OF_IMAGES[name], torch.randn(3, 3, 28, 32)
    with pytest.raises(ValueError, match="`size` of network and images must agree, got 28 and images of 28 x 32."):
        make()(image, *others(image))


@pytest.mark.parametrize("name", [*OF_IMAGES, *(f"{name} of latents" for name in OF_LATENTS)])
def test_no_network_runs_an_operator_that_is_refused_when_algorithms_must_be_deterministic(name):
    of_latents = name.endswith(" of latents")
    make, others = OF_LATENTS[name.removesuffix(" of latents")] if of_latents else OF_IMAGES[name]
    network, x = make(), torch.randn(3, 6) if of_latents else torch.randn(3, 3, 28, 28)
    with Operators() as ran:
        network(x.requires_grad_(), *others(x)).square().sum().backward()
        if isinstance(network, GRANGenerator):
            network.canvases(x)
    assert len(ran.names) > 10 and not any(REFUSED.search(name) for name in ran.names)


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
