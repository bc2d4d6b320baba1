"""ProGAN, StyleGAN, StyleGAN2 and R3GAN: their losses, growth, path lengths and truncation."""

import copy
from functools import partial

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.nn.functional import softplus

from lightning_gans import R3GAN, ProGAN, StyleGAN, StyleGAN2
from lightning_gans.mechanics.schedules import Cosine, Growth, OverImages
from lightning_gans.networks import (
    ProGANDiscriminator,
    ProGANGenerator,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
    StyleGANDiscriminator,
    StyleGANGenerator,
)
from tests.conftest import largest_difference, loader, tiny, trainer

GROWTH = Growth(0.016)  # two batches of 8 a fade and a rest


def progan(level=3.0, num_classes=0, **options) -> ProGAN:
    torch.manual_seed(0)
    networks = {"size": 8, "width": 4, "channels": 1, "level": level, "num_classes": num_classes}
    return ProGAN(generator=ProGANGenerator(8, **networks), discriminator=ProGANDiscriminator(**networks), **options)


def stylegan(level=3.0, mixing=0.0, num_classes=0, **options) -> StyleGAN:
    torch.manual_seed(0)
    generator = StyleGANGenerator(8, 8, 2, 1, 8, 4, level=level, mixing=mixing, num_classes=num_classes)
    discriminator = StyleGANDiscriminator(size=8, width=4, channels=1, level=level, num_classes=num_classes)
    return StyleGAN(generator=generator, discriminator=discriminator, **options)


def stylegan2(**options) -> StyleGAN2:
    torch.manual_seed(0)
    generator = StyleGAN2Generator(8, 8, 2, 0, 1, 8, 4, 64, mixing=0.0)
    return StyleGAN2(generator=generator, discriminator=StyleGAN2Discriminator(0, 1, 8, 4, 64), **options)


def gradient(discriminator, image: torch.Tensor) -> torch.Tensor:
    image = image.detach().requires_grad_()
    return torch.autograd.grad(discriminator(image).sum(), image)[0].flatten(1)


def drawn(module, draws: int = 1) -> torch.Tensor:
    """The images that the next loss will draw, all else from the same seed."""
    state = torch.get_rng_state()
    for _ in range(draws):
        image = module.fake([torch.zeros(4, 1, 8, 8)]).detach()
    torch.set_rng_state(state)
    return image


def test_progan_has_the_losses_of_its_paper():
    module, real = progan(), torch.randn(4, 1, 8, 8)
    judge = module.discriminator
    fake = drawn(module)
    terms = module.discriminator_loss([real])
    logits = judge(real)
    assert terms["wasserstein"].item() == pytest.approx((judge(fake).mean() - logits.mean()).item(), abs=1e-6)
    assert terms["drift"].item() == pytest.approx(0.001 * logits.square().mean().item())
    torch.manual_seed(1)
    fake = drawn(module)
    penalty = module.discriminator_loss([real])["penalty"]
    torch.manual_seed(1)
    module.fake([real])
    points = torch.lerp(real, fake, torch.rand(4, 1, 1, 1))
    expected = 10 * (gradient(judge, points).norm(dim=1) - 1).square().mean()
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-4)
    fake = drawn(module)
    assert module.generator_loss([real])["wasserstein"].item() == pytest.approx(-judge(fake).mean().item(), abs=1e-6)


def test_progan_with_classes_has_both_players_want_the_guess_to_be_right():
    module, plain = progan(num_classes=3, conditional=True, class_weight=0.5), progan()
    real, label = torch.randn(4, 1, 8, 8), torch.tensor([0, 2, 1, 2])
    state = torch.get_rng_state()
    fake = module.fake([real, label]).detach()

    def error(image: torch.Tensor) -> float:
        return -module.discriminator(image)[:, 1:].log_softmax(1)[range(4), label].mean().item()

    for loss, images in ((module.discriminator_loss, [real, fake]), (module.generator_loss, [fake])):
        torch.set_rng_state(state)
        terms = loss([real, label])
        assert terms["class"].item() == pytest.approx(0.5 * sum(map(error, images)), rel=1e-5)
    assert terms["wasserstein"].item() == pytest.approx(-module.discriminator(fake)[:, 0].mean().item(), rel=1e-5)
    assert [logits.shape for logits in module.logits([real, label])] == [(4,), (4,)]
    assert "class" not in plain.discriminator_loss([real, label])


@pytest.mark.parametrize("make", [progan, stylegan])
def test_a_growing_variant_with_classes_trains_and_draws_them(fit, make):
    module = make(num_classes=10, conditional=True)
    before = {name: value.clone() for name, value in module.named_parameters()}
    fit(module, steps=2)
    first = {"ProGAN": "first.1.0.dense.weight", "StyleGAN": "mapping.embedding.weight"}[type(module).__name__]
    assert not torch.equal(module.state_dict()[f"generator.{first}"], before[f"generator.{first}"])
    image, latent = torch.zeros(2, 1, 8, 8), torch.randn(1, 8).expand(2, -1)
    one, two = module.draw([image, torch.tensor([0, 1])], 0, latent)["fake"]
    assert not torch.equal(one, two)
    with pytest.raises(ValueError, match="`num_classes` of the network is 10, but it was given no label"):
        module.generator(latent)


@pytest.mark.parametrize("make", [stylegan, stylegan2])
def test_stylegan_has_r1_and_the_losses_of_its_paper(make):
    module, real = make(gamma=5.0), torch.randn(4, 1, 8, 8)
    module.due = lambda every: True
    fake = drawn(module)
    terms = module.discriminator_loss([real])
    expected = softplus(module.discriminator(fake)).mean() + softplus(-module.discriminator(real)).mean()
    assert terms["adversarial"].item() == pytest.approx(expected.item(), rel=1e-5)
    every = getattr(module, "penalty_every", 1)
    expected = every * 5 / 2 * gradient(module.discriminator, real).square().sum(1).mean()
    assert terms["penalty"].item() == pytest.approx(expected.item(), rel=1e-5)
    fake = drawn(module)
    terms = module.generator_loss([real])
    assert terms["adversarial"].item() == pytest.approx(softplus(-module.discriminator(fake)).mean().item(), rel=1e-5)


@pytest.mark.parametrize("relativistic", [True, False])
def test_r3gan_has_the_losses_of_its_paper(relativistic):
    module, real = tiny(R3GAN, gamma=2.0, relativistic=relativistic), torch.randn(4, 1, 8, 8)
    judge, fake = module.discriminator, drawn(tiny(R3GAN))
    torch.manual_seed(5)
    fake = drawn(module)
    terms = module.discriminator_loss([real])
    pairs = softplus(judge(fake) - judge(real)).mean()
    apart = softplus(judge(fake)).mean() + softplus(-judge(real)).mean()
    assert terms["adversarial"].item() == pytest.approx((pairs if relativistic else apart).item(), rel=1e-5)
    assert terms["r1"].item() == pytest.approx(gradient(judge, real).square().sum(1).mean().item(), rel=1e-5)
    assert terms["r2"].item() == pytest.approx(gradient(judge, fake).square().sum(1).mean().item(), rel=1e-5)
    fake = drawn(module)
    pairs, apart = softplus(judge(real) - judge(fake)).mean(), softplus(-judge(fake)).mean()
    expected = pairs if relativistic else apart
    assert module.generator_loss([real])["adversarial"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_path_lengths_are_those_of_the_jacobian():
    module = stylegan2().double()
    torch.manual_seed(2)
    lengths = module.path_lengths([torch.zeros(2, 1, 8, 8)])
    torch.manual_seed(2)
    latent = module.latent(2)
    styles = module.generator.styles(latent).detach()
    state = torch.get_rng_state()
    image = module.generator.synthesis(styles)
    noise = torch.randn_like(image) / 8

    def draw(styles: torch.Tensor) -> torch.Tensor:
        torch.set_rng_state(state)
        return module.generator.synthesis(styles)

    jacobian = torch.autograd.functional.jacobian(draw, styles)  # (b, 1, 8, 8, b, n, w)
    for row in range(2):
        product = torch.einsum("chw,chwns->ns", noise[row], jacobian[row, :, :, :, row])
        expected = product.square().sum(1).mean().sqrt()
        assert lengths[row].item() == pytest.approx(expected.item(), rel=1e-8)


def test_regularizers_act_on_their_batches_and_the_mean_length_moves(fit):
    module = stylegan2(penalty_every=3, path_every=2)
    seen = []
    for player in ("generator", "discriminator"):
        loss = getattr(module, f"{player}_loss")

        def noting(batch, loss=loss):
            terms = loss(batch)
            seen.append(sorted(terms))
            return terms

        setattr(module, f"{player}_loss", noting)
    fit(module, steps=6)
    alone = ["adversarial"]
    generator = [alone, [*alone, "path"]] * 3
    discriminator = [alone, alone, [*alone, "penalty"]] * 2
    assert seen == [terms for pair in zip(generator, discriminator, strict=True) for terms in pair]
    assert 0 < module.path_mean.item() < 1


class Stages(lightning.Callback):
    """Notes after each batch how far the networks are, and how many steps Adam remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float, int]] = []

    def on_train_batch_end(self, trainer, pl_module, *args):
        steps = {int(state["step"]) for optimizer in trainer.optimizers for state in optimizer.state.values()}
        self.seen.append((*pl_module.discriminator.stage(), max(steps)))


def test_optimizers_forget_where_a_fade_begins_and_ends(fit):
    stages = Stages()
    fit(progan(GROWTH), steps=7, callbacks=[stages])
    assert stages.seen == [(0, 1, 1), (0, 1, 2), (1, 0.5, 1), (1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 1, 4)]


@pytest.mark.parametrize("make", [progan, stylegan])
def test_a_run_resumes_exactly_within_a_fade(tmp_path, make):
    def train(path=None):
        lightning.seed_everything(0)
        module = make(Growth(0.032))
        saver = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1, enable_version_counter=False)
        options = {"max_epochs": -1, "enable_checkpointing": True, "callbacks": [saver]}
        trainer(tmp_path, 9, **options).fit(module, loader(8), ckpt_path=path)
        return module

    straight = train()
    for step in (4, 6):  # the first batch of a fade comes next; in the middle of it
        assert largest_difference(straight.state_dict(), train(tmp_path / f"step={step}.ckpt").state_dict()) == 0
    loaded = make(Growth(0.032))
    loaded.load_state_dict(torch.load(tmp_path / "step=6.ckpt", weights_only=True)["state_dict"])
    assert loaded.discriminator.stage() == (1, 0.5)


def test_players_see_real_images_with_the_detail_of_the_generator_and_scores_see_them_whole(fit):
    module, seen = progan(0.0), []
    loss = module.discriminator_loss

    def noting(batch):
        seen.append(batch[0])
        return loss(batch)

    module.discriminator_loss = noting
    fit(module, steps=1)
    real = next(iter(loader()))[0]
    assert len(seen[0][0].unique()) == 16
    torch.testing.assert_close(seen[0][:, :, :2, :2].mean((2, 3)), real[:, :, :2, :2].mean((2, 3)))
    assert module.real([real]) is real


def test_networks_that_grow_apart_are_refused(fit):
    module = progan(GROWTH)
    module.discriminator.level = Growth(0.008)
    with pytest.raises(ValueError, match="The networks must grow alike: give `level` and `size` the same values"):
        fit(module, steps=4)


@pytest.mark.parametrize("make", [stylegan, stylegan2])
def test_truncation_is_in_the_styles(make):
    module = make()
    module.generator.mapping.layers[0].weight.data.mul_(3)
    batch = [torch.zeros(4, 1, 8, 8)]
    spread = []
    for psi in (0.0, 0.5, 1.0):
        with module.truncated(psi):
            spread.append(module.draw(batch, 0)["fake"].std(0).mean().item())
    assert spread[0] < 1e-6 < spread[1] < spread[2]
    assert module.generator.psi == 1
    with pytest.raises(ValueError, match="`threshold` must be at least 0, got -1.0"):
        with module.truncated(-1.0):
            pass


def test_rate_and_beta_follow_the_images(fit):
    schedule = partial(OverImages, factor=Cosine(1.0, 0.5, kimg=0.032), beta2=Cosine(0.9, 0.99, kimg=0.032))
    adam = partial(torch.optim.Adam, lr=4e-3, betas=(0.0, 0.5))
    seen = []

    class Note(lightning.Callback):
        def on_train_batch_start(self, trainer, *args):
            group = copy.copy(trainer.optimizers[0].param_groups[0])
            seen.append((group["lr"], *group["betas"]))

    module = tiny(discriminator_optimizer=adam, discriminator_scheduler=schedule)
    fit(module, steps=6, callbacks=[Note()])
    assert [rate for rate, _, _ in seen] == pytest.approx([4e-3, 3.7071e-3, 3e-3, 2.2929e-3, 2e-3, 2e-3], rel=1e-4)
    assert [beta for _, _, beta in seen] == pytest.approx([0.9, 0.91318, 0.945, 0.97682, 0.99, 0.99], rel=1e-4)
    assert {first for _, first, _ in seen} == {0.0}
