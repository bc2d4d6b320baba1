"""Unrolled GAN: its losses, and the steps of the discriminator inside the generator's."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.optim import Adam

from lightning_gans import UnrolledGAN
from lightning_gans.networks import PointDiscriminator, PointGenerator
from tests.conftest import trainer


def adam(parameters):
    return Adam(parameters, lr=0.01, betas=(0.5, 0.9), eps=1e-6)


def value(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss in the words of the authors' code."""
    real_logits, fake_logits = discriminator(real), discriminator(fake)
    return cross_entropy(real_logits, torch.ones_like(real_logits)) + cross_entropy(
        fake_logits, torch.zeros_like(fake_logits)
    )


@pytest.fixture
def unrolled():
    """Makes a module in float64 whose discriminator's optimizer has taken two steps."""

    def make(steps: int, make_optimizer=adam) -> UnrolledGAN:
        torch.manual_seed(0)
        networks = {"generator": PointGenerator(3, width=5), "discriminator": PointDiscriminator(width=5)}
        module = UnrolledGAN(unrolled_steps=steps, ema_halflife=0.0, **networks).double()
        optimizer = make_optimizer(module.discriminator.parameters())
        module.optimizer_of = lambda player: optimizer  # type: ignore[method-assign]
        for _ in range(2):
            optimizer.zero_grad()
            value(module.discriminator, torch.randn(6, 2).double(), torch.randn(6, 2).double()).backward()
            optimizer.step()
        optimizer.zero_grad()
        module.discriminator.requires_grad_(False)
        return module

    return make


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_the_generator_meets_the_discriminator_that_torchs_adam_makes(unrolled, steps):
    module = unrolled(steps)
    real, fake = torch.randn(7, 2).double(), torch.randn(7, 2).double()
    ours = module.unrolled_loss(real, fake)
    discriminator = copy.deepcopy(module.discriminator).requires_grad_(True)
    optimizer = adam(discriminator.parameters())
    optimizer.load_state_dict(module.optimizer_of("discriminator").state_dict())
    for _ in range(steps):
        optimizer.zero_grad()
        value(discriminator, real, fake).backward()
        optimizer.step()
    torch.testing.assert_close(ours, value(discriminator, real, fake))


@pytest.mark.parametrize("steps", [1, 3])
def test_the_gradient_goes_through_the_steps(unrolled, steps):
    module = unrolled(steps)
    real, fake = torch.randn(4, 2).double(), torch.randn(4, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda fake: module.unrolled_loss(real, fake), fake)
    (through,) = torch.autograd.grad(module.unrolled_loss(real, fake), fake)
    (without,) = torch.autograd.grad(unrolled(0).unrolled_loss(real, fake), fake)
    assert (through - without).norm() > 0.01 * without.norm()


def test_unrolling_leaves_the_discriminator_and_its_optimizer_alone(unrolled):
    module = unrolled(4)
    before = copy.deepcopy(
        (module.discriminator.state_dict(), module.optimizer_of("discriminator").state_dict()["state"])
    )
    module.unrolled_loss(torch.randn(4, 2).double(), torch.randn(4, 2).double())
    after = module.discriminator.state_dict(), module.optimizer_of("discriminator").state_dict()["state"]
    assert all(torch.equal(before[0][name], after[0][name]) for name in after[0])
    assert all(torch.equal(before[1][i][key], after[1][i][key]) for i in after[1] for key in after[1][i])


def test_unrolling_leaves_batch_norms_statistics_alone(unrolled):
    module = unrolled(0)
    module.unrolled_steps = 2
    norm = nn.BatchNorm1d(2).double().requires_grad_(False)
    judge = module.discriminator.layers
    module.discriminator.layers = nn.Sequential(norm, *judge)
    module.unrolled_loss(torch.randn(4, 2).double(), torch.randn(4, 2).double())
    assert norm.running_mean.eq(0).all() and norm.num_batches_tracked == 0


def test_the_generators_loss_is_the_negative_of_the_discriminators_without_steps(unrolled):
    module = unrolled(0)
    batch = (torch.randn(6, 2).double(),)
    module.latent = lambda size: torch.ones(size, 3).double()
    torch.testing.assert_close(
        module.generator_loss(batch)["adversarial"], -module.discriminator_loss(batch)["adversarial"]
    )


def test_unrolled_steps_find_the_point_that_a_plain_generator_circles(tmp_path):
    """Data at 0, one point for a generator, a linear discriminator: the plain game turns about its equilibrium."""

    class Point(nn.Module):
        latent_dim = 1

        def __init__(self):
            super().__init__()
            self.point = nn.Parameter(torch.tensor([[1.0]]))

        def forward(self, latent):
            return self.point.expand(len(latent), 1)

    class Slope(nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return (x * self.slope).flatten()

    def distance(steps: int) -> float:
        torch.manual_seed(0)
        rates = {
            "generator_optimizer": lambda p: torch.optim.SGD(p, lr=0.02),
            "discriminator_optimizer": lambda p: Adam(p, lr=0.05, betas=(0.0, 0.999)),
        }
        module = UnrolledGAN(unrolled_steps=steps, generator=Point(), discriminator=Slope(), ema_halflife=0.0, **rates)
        data = torch.utils.data.DataLoader(torch.zeros(1200, 1), 4)
        trainer(tmp_path, 300).fit(module, data)
        return module.generator.point.abs().item()

    assert distance(5) < 0.2 < distance(0)


@pytest.mark.parametrize("make_optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_only_adams_steps_are_unrolled(tmp_path, make_optimizer):
    module = UnrolledGAN(
        generator=PointGenerator(width=4),
        discriminator=PointDiscriminator(width=4),
        discriminator_optimizer=lambda parameters: make_optimizer(parameters, lr=0.1),
    )
    with pytest.raises(ValueError, match="must be torch.optim.Adam without .*got " + make_optimizer.__name__):
        trainer(tmp_path, 1).fit(module, torch.utils.data.DataLoader(torch.zeros(8, 2), 4))


def test_a_negative_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="`unrolled_steps` must be 0 or more, got -1"):
        UnrolledGAN(unrolled_steps=-1, generator=PointGenerator(), discriminator=PointDiscriminator())
