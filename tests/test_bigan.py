"""BiGAN: what its players minimise and move, and what neighbours in its codes say."""

import json
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from lightning_gans import GAN, BiGAN
from lightning_gans.callbacks import NearestNeighborAccuracy
from lightning_gans.datamodules import TensorDataModule, TensorImages
from lightning_gans.metrics import nearest as nearest_of
from lightning_gans.networks import BiGANDecoder, BiGANDiscriminator, BiGANEncoder
from lightning_gans.objectives import LeastSquares
from tests.conftest import Judge, Line, loader, trainer


def small(**kwargs):
    size = {"latent_dim": 4, "size": 8, "width": 16}
    networks = {"decoder": BiGANDecoder(**size), "encoder": BiGANEncoder(**size)}
    return BiGAN(**networks, discriminator=BiGANDiscriminator(**size), **kwargs)


class Means(nn.Module):
    """A discriminator: the mean of the image less twice that of the latent."""

    def forward(self, image, latent):
        return image.mean(dim=(1, 2, 3)) - 2 * latent.mean(dim=1)


class Shades(nn.Module):
    """A decoder: an image as bright as the mean of the latent."""

    latent_dim = 3

    def forward(self, latent):
        return latent.mean(dim=1)[:, None, None, None].expand(-1, 1, 2, 2)


class Corners(nn.Module):
    """An encoder: the first three pixels."""

    def forward(self, image):
        return image.flatten(1)[:, :3]


def by_hand(objective):
    """The module, and its logits of (x, E(x)) and (G(z), z) worked out without it."""
    module = BiGAN(Shades(), Corners(), objective=objective, discriminator=Means())
    image = torch.linspace(-1, 1, 20).view(5, 1, 2, 2)
    torch.manual_seed(3)
    mean = (2 * torch.rand(5, 3) - 1).mean(dim=1)
    torch.manual_seed(3)
    return module, [image], image.mean(dim=(1, 2, 3)) - 2 * image.flatten(1)[:, :3].mean(dim=1), mean - 2 * mean


def test_the_discriminator_takes_real_pairs_for_real_and_the_generator_the_other_way_round():
    ones, zeros = torch.ones(5), torch.zeros(5)
    for loss, real_target, fake_target in (("discriminator_loss", ones, zeros), ("generator_loss", zeros, ones)):
        module, batch, real, fake = by_hand(GAN(generator=Line(), discriminator=Judge()).objective)
        expected = binary_cross_entropy_with_logits(real, real_target)
        expected += binary_cross_entropy_with_logits(fake, fake_target)
        torch.testing.assert_close(getattr(module, loss)(batch)["adversarial"], expected)


def test_another_objective_is_swapped_too():
    module, batch, real, fake = by_hand(LeastSquares())
    expected = (real.square().mean() + (fake - 1).square().mean()) / 2
    torch.testing.assert_close(module.generator_loss(batch)["adversarial"], expected)


def test_the_generators_side_moves_before_the_discriminator_has_seen_the_batch(fit):
    module, moves = small(n_critic=2), []
    descend = module.descend
    module.descend = lambda player, batch: (moves.append(player), descend(player, batch))
    fit(module, steps=2)
    assert moves == ["discriminator", "generator", "discriminator"]


def test_encoder_and_decoder_move_together_and_both_are_averaged(fit):
    module = small(ema_halflife=0.01)
    before = {name: value.clone() for name, value in module.named_parameters()}
    module.play = lambda batch: module.descend("generator", batch)
    with torch.no_grad():  # else the first logits, all 0, have no gradient
        module.discriminator.last[2].weight.normal_()
    fit(module, steps=2)
    changed = {name for name, value in module.named_parameters() if not torch.equal(value, before[name])}
    assert {".".join(name.split(".")[:2]) for name in changed if not name.startswith("discriminator")} == {
        "generator.decoder",
        "generator.encoder",
        "generator_ema.decoder",
        "generator_ema.encoder",
    }
    assert {name for name in changed if name.startswith("discriminator")} <= {"discriminator.last.2.weight"}


def test_latents_are_uniform_between_minus_one_and_one():
    latent = small().latent(5000)
    assert latent.min() >= -1 and latent.max() <= 1
    assert latent.mean().item() == pytest.approx(0, abs=0.02)
    assert latent.std().item() == pytest.approx(1 / math.sqrt(3), abs=0.01)


def test_codes_are_where_latents_are():
    code = BiGANEncoder(latent_dim=4, size=8, width=16)(100 * torch.randn(64, 1, 8, 8))
    assert code.abs().max() <= 1 and code.min() < 0 < code.max()


def test_logits_begin_at_zero():
    size = {"latent_dim": 4, "size": 8, "width": 16}
    logits = BiGANDiscriminator(**size)(torch.randn(6, 1, 8, 8), torch.randn(6, 4))
    assert torch.equal(logits, torch.zeros(6))


def test_codes_come_from_the_averaged_encoder_in_evaluation_mode(fit):
    module = small(ema_halflife=1.0)
    fit(module)
    module.train()
    image = next(iter(loader()))[0]
    average = module.generator_ema["encoder"].eval()
    expected, hidden = average(image), average.features(image)
    average.train()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    torch.testing.assert_close(module.encode(image), expected)
    torch.testing.assert_close(module.features(image), hidden)
    assert average.training and not module.encode(image).requires_grad
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert not torch.allclose(module.generator["encoder"].eval()(image), expected, atol=1e-6)


def test_samples_hold_images_and_their_reconstructions():
    module = small(ema_halflife=0.0)
    image = next(iter(loader()))[0]
    drawn = module.draw([image], seed=0)
    assert torch.equal(drawn["real"], image)
    torch.testing.assert_close(drawn["reconstruction"], module.eval().generator["decoder"](module.encode(image)))
    assert drawn["fake"].shape == image.shape


def test_the_nearest_neighbor_is_the_one_of_all_distances():
    queries, points = torch.randn(700, 3) + 100, torch.randn(900, 3) + 100
    distances = (queries.double()[:, None] - points.double()).square().sum(dim=2)
    nearest = nearest_of(queries, points)[1]
    torch.testing.assert_close(distances.gather(1, nearest[:, None])[:, 0], distances.min(dim=1).values)


def test_no_point_is_its_own_neighbor():
    points = torch.tensor([[0.0], [1.0], [3.0], [3.5]])
    assert nearest_of(points, points)[1].tolist() == [0, 1, 2, 3]
    assert nearest_of(points, points, torch.arange(4))[1].tolist() == [1, 0, 3, 2]
    assert nearest_of(points[[2, 1]], points, torch.tensor([2, 1]))[1].tolist() == [3, 0]


class Pixels(TensorDataModule):
    """Grey images of 8 x 8 pixels to train on, and others, or none, to evaluate on."""

    reference = "grey"

    def __init__(self, images):
        super().__init__(batch_size=2)
        self.grey = [TensorImages(grey[:, None, None, None].expand(-1, 1, 8, 8), label) for grey, label in images]

    def load(self):
        return self.grey[0], self.grey[-1]


def greys(values, labels):
    return torch.tensor(values, dtype=torch.uint8), torch.tensor(labels)


class Flat(GAN):
    def encode(self, image):
        return image.flatten(1)


def score(data, tmp_path):
    ours = trainer(tmp_path, callbacks=[NearestNeighborAccuracy()])
    ours.validate(Flat(generator=Line(), discriminator=Judge()), data, verbose=False)
    entry = json.loads((tmp_path / "metrics.json").read_text())[0]
    return entry["scores"]["nearest_neighbor_encode"], entry["protocol"]


def test_each_evaluation_image_is_judged_by_its_nearest_training_image(tmp_path):
    training = greys([10, 20, 200, 210], [1, 1, 2, 2])
    evaluation = greys([12, 190, 100, 30, 255], [1, 2, 2, 1, 2])  # 100 is nearer to 20
    share, protocol = score(Pixels([training, evaluation]), tmp_path)
    assert share == pytest.approx(4 / 5)
    assert protocol["leave_one_out"] is False


def test_where_training_images_are_evaluated_each_is_left_out_of_its_neighbors(tmp_path):
    share, protocol = score(Pixels([greys([10, 20, 200, 210, 90], [1, 1, 2, 3, 1])]), tmp_path)
    assert share == pytest.approx(3 / 5)
    assert protocol["leave_one_out"] is True


def test_what_cannot_be_scored_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`spaces` must name at least one method of the variant, got none"):
        NearestNeighborAccuracy(spaces=[])
    with pytest.raises(ValueError, match="`NearestNeighborAccuracy` needs a TensorDataModule, got NoneType"):
        trainer(tmp_path, callbacks=[NearestNeighborAccuracy()]).fit(small(), loader())
    data = Pixels([greys([10, 20, 200, 210], [1, 1, 2, 2])])
    with pytest.raises(ValueError, match="needs a variant that has a method `encode`, which GAN does not"):
        trainer(tmp_path, callbacks=[NearestNeighborAccuracy()]).fit(GAN(generator=Line(), discriminator=Judge()), data)
