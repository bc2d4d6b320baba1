"""The adversarial autoencoder: what its three players minimise and move, and what the distance of codes says."""

import json

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from lightning_gans import AAE
from lightning_gans.callbacks import CodeDistance
from lightning_gans.metrics import frechet_distance
from lightning_gans.networks import AAEDiscriminator, AAEEncoder, LabelledGenerator, MLPGenerator
from tests.conftest import largest_difference, loader, trainer

PLAYERS = {"discriminator", "generator", "autoencoder"}


def small(conditional=False, **kwargs):
    decoder = MLPGenerator(latent_dim=13 if conditional else 3, size=8, width=16)
    return AAE(
        encoder=AAEEncoder(latent_dim=3, size=8, width=16),
        decoder=LabelledGenerator(decoder) if conditional else decoder,
        discriminator=AAEDiscriminator(latent_dim=3, width=16),
        conditional=conditional,
        **kwargs,
    )


class Corners(nn.Module):
    """An encoder: the first two pixels, doubled."""

    latent_dim = 2

    def forward(self, image):
        return 2 * image.flatten(1)[:, :2]


class Halves(nn.Module):
    """A decoder: a row of the two places of the code."""

    latent_dim = 2

    def forward(self, code):
        return code[:, None, None, :]


class Difference(nn.Module):
    """A discriminator: the first place less the second."""

    def forward(self, code):
        return code[:, 0] - code[:, 1]


def by_hand():
    """The module, its batch, and the batch's codes worked out without it."""
    image = torch.linspace(-1, 1, 8).view(4, 1, 1, 2)
    return AAE(encoder=Corners(), decoder=Halves(), discriminator=Difference()), [image], 2 * image.view(4, 2)


def test_the_autoencoder_minimises_the_squared_error_of_a_pixel():
    module, batch, _ = by_hand()  # each pixel comes back doubled
    torch.testing.assert_close(module.autoencoder_loss(batch), {"reconstruction": batch[0].square().mean()})


def test_the_discriminator_takes_draws_for_real_and_codes_for_fake():
    module, batch, code = by_hand()
    torch.manual_seed(5)
    prior = torch.randn(4, 2)
    torch.manual_seed(5)
    expected = binary_cross_entropy_with_logits(prior[:, 0] - prior[:, 1], torch.ones(4))
    expected += binary_cross_entropy_with_logits(code[:, 0] - code[:, 1], torch.zeros(4))
    torch.testing.assert_close(module.discriminator_loss(batch), {"adversarial": expected})


def test_the_encoder_wants_its_codes_taken_for_draws():
    module, batch, code = by_hand()
    expected = binary_cross_entropy_with_logits(code[:, 0] - code[:, 1], torch.ones(4))
    torch.testing.assert_close(module.generator_loss(batch), {"adversarial": expected})


def test_a_conditional_decoder_has_the_class_behind_the_code():
    module = small(conditional=True)
    code, label = torch.randn(4, 3), torch.tensor([7, 0, 9, 7])
    inputs = torch.cat([code, one_hot(label, 10)], dim=1)
    expected = module.generator["decoder"].network.layers(inputs)
    assert torch.equal(module.generate(code, [code, label]), expected)
    image = torch.rand(4, 1, 8, 8)
    expected = module.generator["decoder"](module.generator["encoder"](image), label) - image
    torch.testing.assert_close(module.autoencoder_loss([image, label])["reconstruction"], expected.square().mean())


@pytest.mark.parametrize(
    ("player", "moved"),
    [
        ("autoencoder", {"generator.encoder", "generator.decoder"}),
        ("generator", {"generator.encoder"}),
        ("discriminator", {"discriminator.layers"}),
    ],
)
def test_a_move_changes_only_its_player_also_where_two_players_share_parameters(fit, player, moved):
    module = small(ema_halflife=0.0)
    module.play = lambda batch: module.descend(player, batch)
    before = {name: value.clone() for name, value in module.named_parameters()}
    fit(module, steps=3)
    changed = {name for name, value in module.named_parameters() if not torch.equal(value, before[name])}
    assert {".".join(name.split(".")[:2]) for name in changed} == moved
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_each_batch_has_a_move_of_every_player_the_autoencoder_first(fit):
    module, moves = small(n_critic=2), []
    descend = module.descend
    module.descend = lambda player, batch: (moves.append(player), descend(player, batch))
    fit(module, steps=2)
    assert moves == ["autoencoder", "discriminator", "autoencoder", "discriminator", "generator"]


def test_shared_parameters_have_a_state_in_each_optimizer(fit):
    def rate(value):
        return lambda parameters: torch.optim.Adam(parameters, lr=value)

    module = small(autoencoder_optimizer=rate(1e-3), generator_optimizer=rate(1e-4))
    ours = fit(module, steps=4)
    optimizers = dict(zip(module.players(), ours.optimizers, strict=True))
    assert optimizers.keys() == PLAYERS
    weight = module.generator["encoder"].layers[1].weight
    first, second = optimizers["autoencoder"].state[weight], optimizers["generator"].state[weight]
    assert first["step"] == second["step"] == 4 and not torch.equal(first["exp_avg"], second["exp_avg"])
    assert optimizers["autoencoder"].param_groups[0]["lr"] == 1e-3


def test_the_schedule_of_the_autoencoder_steps_with_it(fit):
    def halving(optimizer):
        return torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)

    module = small(autoencoder_scheduler=halving, n_critic=2)
    ours = fit(module, steps=3)
    rates = dict(zip(module.players(), (o.param_groups[0]["lr"] for o in ours.optimizers), strict=True))
    assert rates["autoencoder"] == rates["generator"] / 8


def test_a_plain_autoencoder_is_the_one_whose_encoder_does_not_move_against_the_discriminator(fit):
    def still(parameters):
        return torch.optim.Adam(parameters, lr=0.0)

    torch.manual_seed(1)
    adversarial = small(generator_optimizer=still)
    torch.manual_seed(1)
    plain = small()
    plain.play = lambda batch: plain.descend("autoencoder", batch)
    fit(adversarial)
    fit(plain)
    assert largest_difference(adversarial.generator.state_dict(), plain.generator.state_dict()) == 0


def test_the_average_is_of_encoder_and_decoder(fit):
    module = small(ema_halflife=1.0)
    before = {name: value.clone() for name, value in module.generator_ema.state_dict().items()}
    fit(module)
    after, latest = module.generator_ema.state_dict(), module.generator.state_dict()
    assert all(not torch.equal(value, before[name]) for name, value in after.items() if "weight" in name)
    assert all(not torch.equal(value, latest[name]) for name, value in after.items() if "weight" in name)
    image = next(iter(loader()))[0]
    average = module.generator_ema
    torch.testing.assert_close(module.encode(image), average["encoder"](image))
    drawn = module.draw([image], seed=0)
    torch.testing.assert_close(drawn["reconstruction"], average["decoder"](average["encoder"](image)))


def test_samples_of_a_conditional_decoder_come_with_their_labels():
    image, label = next(iter(loader()))
    drawn = small(conditional=True).draw([image, label], seed=0)
    assert torch.equal(drawn["label"], label) and drawn["fake"].shape == image.shape
    assert "label" not in small().draw([image, label], seed=0)


def test_a_noisy_encoder_draws_from_its_posterior_in_training_and_gives_the_mean_in_evaluation():
    torch.manual_seed(1)
    encoder = AAEEncoder(latent_dim=3, size=8, width=16, noise=0.5)
    image = torch.rand(1, 1, 8, 8).expand(20000, -1, -1, -1)
    plain = AAEEncoder(latent_dim=3, size=8, width=16)
    plain.load_state_dict(encoder.state_dict())
    mean, drawn = encoder.eval()(image[:1]), encoder.train()(image)
    assert torch.equal(mean, plain(image[:1]))
    torch.testing.assert_close(drawn.mean(dim=0), mean[0], atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), 0.25 * torch.eye(3), atol=0.01, rtol=0)


def test_noise_as_large_as_the_prior_is_refused():
    with pytest.raises(ValueError, match="`noise` must be at least 0 and less than the prior's 1, got 1.0"):
        AAEEncoder(noise=1.0)


def test_a_decoder_for_other_codes_is_refused():
    with pytest.raises(ValueError, match="`decoder` must have the encoder's `latent_dim` of 3, got 4"):
        AAE(AAEEncoder(latent_dim=3, size=8), MLPGenerator(latent_dim=4, size=8), discriminator=Difference())


def test_the_distance_of_shifted_and_scaled_codes_is_the_closed_form():
    points = torch.randn(500, 3, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    white = (points - points.mean(dim=0)) @ torch.linalg.inv(torch.linalg.cholesky(points.T.cov())).T
    one = white * torch.tensor([1.0, 2.0, 3.0]) @ rotation
    two = white * torch.tensor([2.0, 2.0, 0.5]) @ rotation + torch.tensor([1.0, -2.0, 0.0])
    expected = 5 + (1 - 2) ** 2 + 0 + (3 - 0.5) ** 2  # of means, and of deviations along common axes
    assert frechet_distance(one, two) == pytest.approx(expected)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one[:, :1], one[:, :1] + 3) == pytest.approx(9)


def test_codes_are_compared_with_draws_from_the_prior(tmp_path):
    class Known(AAE):
        def encode(self, image):
            draws = torch.randn(64, 3, generator=torch.Generator().manual_seed(2))
            return 3 * draws[: len(image)] + torch.tensor([2.0, 0.0, 0.0])

    module = small()
    module.__class__ = Known
    trainer(tmp_path, callbacks=[CodeDistance()]).validate(module, loader(6400, 64), verbose=False)
    entry = json.loads((tmp_path / "metrics.json").read_text())[0]
    draws = torch.randn(64, 3, generator=torch.Generator().manual_seed(2))
    mean = 3 * draws.mean(dim=0) + torch.tensor([2.0, 0.0, 0.0])
    roots = torch.linalg.eigvalsh(9 * draws.T.cov(correction=0)).sqrt()
    expected = mean.square().sum() + (roots - 1).square().sum()  # against N(0, 1)
    assert entry["scores"]["code_distance"] == pytest.approx(expected.item(), rel=0.05)
    assert entry["protocol"]["num_codes"] == entry["protocol"]["num_draws"] == 6400


def test_the_adversary_brings_codes_to_the_prior(tmp_path):
    """The claim of section 2, on little data: without the adversary codes have any scale."""

    def distance(rate, folder):
        def far(parameters):
            return torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.999))

        torch.manual_seed(0)
        module = small(generator_optimizer=far)
        with torch.no_grad():
            module.generator["encoder"].layers[-1].bias.fill_(3.0)  # far away at first
        ours = trainer(folder, 300, callbacks=[CodeDistance()])
        ours.fit(module, loader(64, 32))
        ours.validate(module, loader(64, 32), verbose=False)
        return json.loads((folder / "metrics.json").read_text())[-1]["scores"]["code_distance"]

    with_adversary, without = distance(2e-3, tmp_path / "with"), distance(0.0, tmp_path / "without")
    assert with_adversary < without / 3
