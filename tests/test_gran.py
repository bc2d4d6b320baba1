import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from lightning_gans import GAN
from lightning_gans.networks import DCGANDiscriminator, GRANGenerator


def small(**settings):
    return GRANGenerator(**{"latent_dim": 5, "channels": 1, "size": 8, "width": 3, "steps": 3, **settings})


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (64, 3)])
def test_images_and_canvases_have_their_shapes(size, channels):
    generator, latent = small(size=size, channels=channels, steps=2), torch.randn(2, 5)
    assert generator(latent).shape == (2, channels, size, size)
    assert generator.canvases(latent).shape == (2, 2, channels, size, size)


def test_a_canvas_is_tanh_of_the_sum_of_the_updates_so_far():
    generator, latent = small().eval(), torch.randn(4, 5)
    updates, canvases = generator.updates(latent), generator.canvases(latent)
    for step in range(3):
        total = sum(updates[i] for i in range(step + 1))
        torch.testing.assert_close(canvases[step], total.tanh())


def test_the_last_canvas_is_the_image():
    generator, latent = small().eval(), torch.randn(4, 5)
    torch.testing.assert_close(generator.canvases(latent)[-1], generator(latent))


def test_the_first_canvas_does_not_depend_on_what_comes_after():
    three = small().eval()
    one = small(steps=1).eval()
    one.load_state_dict({name: three.state_dict()[name] for name in one.state_dict()})
    latent = torch.randn(4, 5)
    torch.testing.assert_close(three.canvases(latent)[0], one(latent))


def test_steps_follow_the_equations():
    generator, z = small().eval(), torch.randn(4, 5)
    linear, norm = generator.latent_code
    h_z = torch.tanh(norm.weight * (z @ linear.weight.T) / (1 + norm.eps) ** 0.5)  # statistics of mean 0, variance 1
    h_c, total = torch.zeros(4, 5), 0
    for step in range(3):
        update = generator.decode(h_z, h_c, step)
        total = total + update
        h_c = generator.encode(update, step) if step < 2 else None
    torch.testing.assert_close(generator(z), torch.tanh(total))


def test_the_code_of_the_canvas_is_within_tanh_and_follows_the_canvas():
    generator = small().eval()
    one, two = (generator.encode(100 * torch.randn(4, 1, 8, 8), 0) for _ in range(2))
    assert one.abs().max() <= 1 and not torch.allclose(one, two)


def test_steps_share_weights_but_not_batch_statistics():
    one, three = (dict(small(steps=steps).named_parameters()) for steps in (1, 3))
    assert {name.split(".")[0] for name in three.keys() - one.keys()} == {
        "decoder_norms",
        "encoder_norms",
        "canvas_code_norms",
    }
    generator = small().train()
    generator(torch.randn(16, 5))
    means = [norm.running_mean for norm in generator.decoder_norms[0]]
    assert len(means) == 3 and not torch.allclose(means[0], means[1])


def test_every_weight_of_several_steps_learns():
    generator = small()
    generator(torch.randn(8, 5)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in generator.parameters())


def test_losses_are_those_of_a_gan():
    module = GAN(generator=small(), discriminator=DCGANDiscriminator(1, 8, 4, batch_norm=False))
    real = torch.rand(6, 1, 8, 8)
    torch.manual_seed(1)
    loss = module.generator_loss([real])["adversarial"]
    torch.manual_seed(1)
    fake = module.discriminator(module.generator(torch.randn(6, 5)))
    torch.testing.assert_close(loss, binary_cross_entropy_with_logits(fake, torch.ones(6)))


def test_there_must_be_a_step():
    with pytest.raises(ValueError, match="`steps` must be at least 1, got 0."):
        small(steps=0)
