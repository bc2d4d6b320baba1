import math

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

from lightning_gans import LAPGAN
from lightning_gans.models.lapgan import down, laplacian_pyramid, reconstruct, up
from lightning_gans.networks import LAPGANDiscriminator, LAPGANGenerator


class Coarsest(nn.Module):
    """A 4 x 4 image from a latent of 3."""

    latent_dim = 3

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 16), nn.Unflatten(1, (1, 4, 4)))

    def forward(self, latent):
        return self.layers(latent)


class Judge(nn.Module):
    """A logit from an image, or from detail and enlarged image."""

    def __init__(self, size):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(size * size, 1), nn.Flatten(0))

    def forward(self, band, low=0):
        return self.layers(band + low)


def small(**kwargs):
    """Levels of 4, 8 and 16 pixels."""
    generator = nn.ModuleList([Coarsest(), LAPGANGenerator(1, 2, 3), LAPGANGenerator(1, 2, 3)])
    return LAPGAN(generator, nn.ModuleList([Judge(4), Judge(8), Judge(16)]), **kwargs)


def images(count=6):
    return torch.rand(count, 1, 16, 16) * 2 - 1


# The pyramid


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_a_pyramid_gives_its_image_back_to_rounding(levels):
    image = torch.rand(2, 3, 16, 24) * 2 - 1
    pyramid = laplacian_pyramid(image, levels)
    assert [tuple(part.shape[2:]) for part in pyramid] == [(16 >> k, 24 >> k) for k in reversed(range(levels))]
    torch.testing.assert_close(reconstruct(pyramid), image, rtol=0, atol=5e-7)


def test_down_takes_means_of_blocks():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert down(image).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_up_interpolates_between_the_centres_of_pixels():
    image = torch.tensor([[[[0.0, 1.0]]]])
    torch.testing.assert_close(up(image)[0, 0, 0], torch.tensor([0.0, 0.25, 0.75, 1.0]))


def test_a_plain_image_has_no_detail():
    coarse, *bands = laplacian_pyramid(torch.full((1, 3, 16, 16), 0.3), 3)
    assert all(band.abs().max() < 1e-6 for band in bands) and (coarse - 0.3).abs().max() < 1e-6


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="that 4 divides for 3 levels, got 16 x 18."):
        laplacian_pyramid(torch.zeros(1, 1, 16, 18), 3)


# The networks


def test_a_generator_of_detail_keeps_any_size():
    generator = LAPGANGenerator(3, 4, 5)
    for size in (8, 13):
        assert generator(torch.zeros(2, 3, size, size), torch.zeros(2, 1, size, size)).shape == (2, 3, size, size)


def test_detail_has_either_sign_and_follows_the_noise():
    generator, low = LAPGANGenerator(3, 8), torch.zeros(2, 3, 12, 12)
    one, two = generator(low, torch.ones(2, 1, 12, 12)), generator(low, -torch.ones(2, 1, 12, 12))
    assert one.min() < 0 < one.max() and not torch.allclose(one, two)


@pytest.mark.parametrize("size", [9, 10, 11, 32])
def test_a_discriminator_of_detail_sees_the_sum(size):
    discriminator = LAPGANDiscriminator(3, size, 4).eval()
    band, low = torch.randn(2, 3, size, size), torch.randn(2, 3, size, size)
    torch.testing.assert_close(discriminator(band, low), discriminator(band + low, torch.zeros_like(low)))


def test_bad_sizes_of_the_networks_are_refused():
    with pytest.raises(ValueError, match="`kernel_size` must be odd, got 4."):
        LAPGANGenerator(kernel_size=4)
    with pytest.raises(ValueError, match="`size` must be at least 9, got 8."):
        LAPGANDiscriminator(size=8)


# The games


def by_hand(module, image):
    """The logits of real and generated of each level, coarsest first, in the order in which noise is drawn."""
    g, d = module.generator, module.discriminator
    middle, coarse = down(image), down(down(image))
    logits = [(d[0](coarse), d[0](g[0](2 * torch.rand(len(image), 3) - 1)))]
    for k, (finer, coarser) in enumerate([(middle, coarse), (image, middle)], 1):
        low = nn.Upsample(scale_factor=2, mode="bilinear")(coarser)
        z = 2 * torch.rand(len(image), 1, *low.shape[2:]) - 1
        logits.append((d[k](finer - low, low), d[k](g[k](low, z), low)))
    return logits


def test_the_losses_are_cross_entropies_of_each_level():
    module, image = small(), images()
    names = ["level_4", "level_8", "level_16"]
    torch.manual_seed(3)
    discriminator = module.discriminator_loss([image])
    torch.manual_seed(3)
    generator = module.generator_loss([image])
    torch.manual_seed(3)
    logits = by_hand(module, image)
    assert list(discriminator) == list(generator) == names
    for name, (real, fake) in zip(names, logits, strict=True):
        one, zero = torch.ones(len(image)), torch.zeros(len(image))
        expected = binary_cross_entropy_with_logits(real, one) + binary_cross_entropy_with_logits(fake, zero)
        torch.testing.assert_close(discriminator[name], expected)
        torch.testing.assert_close(generator[name], binary_cross_entropy_with_logits(fake, one))


def test_a_discriminator_that_knows_nothing_loses_twice_log_2_at_each_level():
    module = small()
    for parameter in module.discriminator.parameters():
        nn.init.zeros_(parameter)
    for loss in module.discriminator_loss([images()]).values():
        assert loss.item() == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_game_of_a_level_is_its_own(level):
    module = small()
    list(module.generator_loss([images()]).values())[level].backward()
    for player in (module.generator, module.discriminator):
        moved = [any(parameter.grad is not None for parameter in network.parameters()) for network in player]
        assert moved == [k == level for k in range(3)]


def test_samples_go_from_coarse_to_fine():
    module, image = small(), images()
    torch.manual_seed(3)
    samples = module.samples([image])
    torch.manual_seed(3)
    coarse = module.generator[0](2 * torch.rand(6, 3) - 1)
    low = up(coarse)
    middle = low + module.generator[1](low, 2 * torch.rand(6, 1, 8, 8) - 1)
    low = up(middle)
    fine = low + module.generator[2](low, 2 * torch.rand(6, 1, 16, 16) - 1)
    assert list(samples) == ["fake", "level_4", "level_8"]
    for name, expected in zip(samples, (fine, coarse, middle), strict=True):
        assert torch.equal(samples[name], expected), name


def test_a_pyramid_of_one_level_is_a_gan():
    module = LAPGAN(nn.ModuleList([Coarsest()]), nn.ModuleList([Judge(4)]))
    assert list(module.samples([torch.zeros(2, 1, 4, 4)])) == ["fake"]
    assert list(module.generator_loss([torch.zeros(2, 1, 4, 4)])) == ["level_4"]


def test_players_must_have_the_same_levels():
    with pytest.raises(ValueError, match="as many levels as `generator`, got 1 and 2."):
        LAPGAN(nn.ModuleList([Coarsest(), LAPGANGenerator(1, 2, 3)]), nn.ModuleList([Judge(4)]))


def test_a_finer_level_learns_to_sharpen_the_edges_of_the_coarse_image(fit):
    edge = 2 * torch.randint(6, (128, 1, 1, 1)) + 1  # amid a block, so that halving blurs it
    image = torch.where(torch.arange(12) < edge, -0.5, 0.5).expand(-1, 1, 12, 12)

    def slow(parameters):
        return torch.optim.Adam(parameters, 1e-3, betas=(0.5, 0.9))

    coarsest = nn.Sequential(nn.Linear(3, 36), nn.Unflatten(1, (1, 6, 6)))
    coarsest.latent_dim = 3
    module = LAPGAN(
        nn.ModuleList([coarsest, LAPGANGenerator(1, 16, 3)]),
        nn.ModuleList([Judge(6), LAPGANDiscriminator(1, 12, 16, 0.0)]),
        generator_optimizer=slow,
        discriminator_optimizer=slow,
        ema_halflife=0.5,
    )

    def error():
        """Squared error of the generated bands as a share of that of no detail at all."""
        coarse, band = laplacian_pyramid(image, 2)
        with torch.no_grad(), module.averaged():
            fake = module.generator[1](up(coarse), 2 * torch.rand(128, 1, 12, 12) - 1)
        return ((fake - band).square().mean() / band.square().mean()).item()

    assert error() > 0.9
    fit(module, 300, DataLoader(TensorDataset(image), 16), max_epochs=-1)
    assert error() < 0.5
