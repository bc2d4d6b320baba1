"""The loop: who moves, what is counted, logged, averaged, clipped, accumulated and refused."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins import MixedPrecision
from torch import nn

from lightning_gans import GAN, WGANGP
from lightning_gans.callbacks import NewestCheckpoint
from lightning_gans.mechanics.randomness import mix
from lightning_gans.mechanics.schedules import Linear
from lightning_gans.networks import SpectrallyNormalized
from lightning_gans.objectives import LeastSquares
from tests.conftest import Judge, Line, largest_difference, loader, make_comparable, tiny, trainer


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items() if name != "_extra_state"}


class Moves(Callback):
    """Notes which player takes each optimizer step, at which batch."""

    def __init__(self):
        self.moves = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        players = list(pl_module.players())
        self.moves.append((trainer.fit_loop.total_batch_idx, players[trainer.optimizers.index(optimizer)]))


def test_the_generator_moves_on_every_n_th_batch_counted_across_epochs(fit):
    moves = Moves()
    fit(tiny(n_critic=3), steps=10, data=loader(length=32), callbacks=[moves])  # 4 batches an epoch
    assert [batch for batch, player in moves.moves if player == "generator"] == [2, 5, 8]
    assert [batch for batch, player in moves.moves if player == "discriminator"] == list(range(10))


@pytest.mark.parametrize("player, other", [("discriminator", "generator"), ("generator", "discriminator")])
@pytest.mark.parametrize("variant", [GAN, WGANGP])
def test_a_move_changes_only_its_player(fit, variant, player, other):
    class OneMove(variant):
        def play(self, batch):
            self.descend(player, batch)

    module = OneMove(generator=Line(), discriminator=Judge())
    before = weights(module)
    fit(module, steps=1)
    changed = {name.split(".")[0] for name, value in weights(module).items() if not torch.equal(value, before[name])}
    assert changed - {"generator_ema"} == {player}
    assert all(parameter.grad is None for parameter in getattr(module, other).parameters())
    assert all(parameter.requires_grad for parameter in getattr(module, other).parameters())  # thawed afterwards


@pytest.mark.parametrize("n_critic", [1, 5])
def test_max_steps_counts_batches(fit, n_critic):
    module = tiny(n_critic=n_critic)
    assert fit(module, steps=100).global_step == 100
    assert module.images_seen == 800


def test_checkpoints_are_at_the_steps_asked_for(fit, tmp_path):
    saver = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=50, save_top_k=-1)
    fit(tiny(WGANGP), steps=150, callbacks=[saver], enable_checkpointing=True)  # n_critic 5
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["step=100.ckpt", "step=150.ckpt", "step=50.ckpt"]


@pytest.mark.parametrize("limits", [{"steps": 13}, {"steps": -1, "max_epochs": 2}])
def test_the_newest_checkpoint_is_of_the_last_step(fit, tmp_path, limits):
    newest = NewestCheckpoint(every_n_train_steps=5)
    steps = fit(tiny(), callbacks=[newest], enable_checkpointing=True, **limits).global_step
    assert torch.load(newest.best_model_path, weights_only=True)["global_step"] == steps
    assert [path.name for path in tmp_path.rglob("*.ckpt")] == ["last.ckpt"]


@pytest.mark.parametrize("variant", [GAN, WGANGP])
@pytest.mark.parametrize("micro_batches", [2, 3, 8])
def test_micro_batches_equal_one_batch(tmp_path, variant, micro_batches):
    modules = []
    for parts in (1, micro_batches):
        torch.manual_seed(0)
        module = tiny(variant, micro_batches=parts, n_critic=2)
        make_comparable(module)
        trainer(tmp_path, precision="64-true").fit(module, loader())
        modules.append(weights(module))
    assert largest_difference(*modules) < 1e-12


def test_micro_batches_log_the_loss_of_the_batch(fit):
    logged = []
    for parts in (1, 4):
        torch.manual_seed(0)
        module = tiny(micro_batches=parts)
        make_comparable(module)
        logged.append(fit(module, log_every_n_steps=1, precision="64-true").callback_metrics)
    for name in ("discriminator_loss/adversarial", "generator_loss/adversarial"):
        assert logged[0][name].item() == pytest.approx(logged[1][name].item())


class Norms:
    """Makes optimizers that note the norm of the gradient with which they step."""

    def __init__(self):
        self.by_optimizer = {}

    def sgd(self, parameters):
        optimizer = torch.optim.SGD(parameters, lr=1e-3)
        norms = self.by_optimizer.setdefault(optimizer, [])

        def note(optimizer, *step):  # after clipping, which comes before the step
            gradients = [p.grad for p in optimizer.param_groups[0]["params"]]
            norms.append(nn.utils.get_total_norm(gradients).item())

        optimizer.register_step_post_hook(note)
        return optimizer


def test_clipping_acts_on_its_player_alone(fit):
    norms = Norms()
    fit(tiny(discriminator_clip=1e-3, discriminator_optimizer=norms.sgd, generator_optimizer=norms.sgd))
    discriminator, generator = norms.by_optimizer.values()
    assert max(discriminator) == pytest.approx(1e-3, rel=1e-3)
    assert min(generator) > 2e-3


def test_each_schedule_steps_with_its_player(fit):
    halve = lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)  # noqa: E731
    metrics = fit(tiny(n_critic=4, generator_scheduler=halve), steps=8, log_every_n_steps=1).callback_metrics
    assert metrics["generator_lr"].item() == pytest.approx(2e-4 / 4)
    assert metrics["discriminator_lr"].item() == pytest.approx(2e-4)


@pytest.mark.parametrize("halflife", [0.016, Linear(0.0, 0.016, kimg=0.1)])
def test_the_average_has_its_half_life_in_images(fit, halflife):
    module = tiny(ema_halflife=halflife)  # 16 images, 2 batches; a number is at most 5 % of the images so far

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.before = weights(pl_module.generator_ema)

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen = pl_module.images_seen
            images = 1000 * halflife(seen) if isinstance(halflife, Linear) else min(16, 0.05 * seen)
            decay = 0.5 ** (8 / images)
            for name, latest in pl_module.generator.state_dict().items():
                expected = decay * self.before[name] + (1 - decay) * latest
                torch.testing.assert_close(pl_module.generator_ema.state_dict()[name], expected)

    fit(module, steps=60, callbacks=[Watch()])
    assert not torch.equal(module.generator_ema.layers[0].weight, module.generator.layers[0].weight)


def test_samples_come_from_the_average_and_leave_no_trace(fit):
    module = tiny()
    fit(module)
    with torch.no_grad():
        module.generator_ema.layers[0].weight.zero_(), module.generator_ema.layers[0].bias.fill_(0.5)
    module.train()
    batch = next(iter(loader()))
    state = torch.get_rng_state()
    drawn = module.draw(batch, seed=3)["fake"]
    assert torch.equal(drawn, torch.full((8, 1, 8, 8), math.tanh(0.5)))
    assert torch.equal(torch.get_rng_state(), state) and all(part.training for part in module.modules())
    assert module.generator is not module.generator_ema


def test_without_an_average_samples_come_from_the_last_weights(fit):
    module = tiny(ema_halflife=0.0)
    fit(module)
    assert module.generator_ema is None
    batch = next(iter(loader()))
    assert torch.equal(module.draw(batch, 3)["fake"], module.draw(batch, 3)["fake"])
    assert not torch.equal(module.draw(batch, 3)["fake"], module.draw(batch, 4)["fake"])


def test_terms_rates_and_images_are_logged_every_so_many_batches(fit, tmp_path):
    logger = CSVLogger(tmp_path, "logs")
    fit(tiny(WGANGP), steps=20, logger=logger, log_every_n_steps=10)
    rows = (tmp_path / "logs/version_0/metrics.csv").read_text().splitlines()
    names = {"discriminator_loss/wasserstein", "discriminator_loss/penalty", "generator_loss/wasserstein"}
    assert set(rows[0].split(",")) == names | {"discriminator_lr", "generator_lr", "kimg", "epoch", "step"}
    assert len(rows) == 3


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_term(fit, tmp_path, player):
    class Broken(GAN):
        def break_at_5(self, terms):
            return {
                **terms,
                "odd": terms["adversarial"] * (math.nan if self.trainer.fit_loop.total_batch_idx == 5 else 1),
            }

        def discriminator_loss(self, batch):
            terms = super().discriminator_loss(batch)
            return self.break_at_5(terms) if player == "discriminator" else terms

        def generator_loss(self, batch):
            terms = super().generator_loss(batch)
            return self.break_at_5(terms) if player == "generator" else terms

    module = Broken(generator=Line(), discriminator=Judge())
    saver = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    with pytest.raises(FloatingPointError, match=f"`{player}_loss/odd` is nan at step 5"):
        fit(module, steps=20, callbacks=[saver], enable_checkpointing=True)
    assert all(value.isfinite().all() for value in module.state_dict().values())
    assert torch.load(tmp_path / "step=5.ckpt", weights_only=True)["global_step"] == 5
    assert not (tmp_path / "step=6.ckpt").exists()


def test_weights_that_are_not_finite_are_never_saved(fit, tmp_path):
    class Overflow(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx == 2:
                with torch.no_grad():
                    pl_module.generator.layers[0].weight[0, 0] = math.inf

    saver = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    with pytest.raises(FloatingPointError, match="`generator.layers.0.weight` is no longer finite after 24 images"):
        fit(tiny(), callbacks=[Overflow(), saver], enable_checkpointing=True)
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["step=1.ckpt", "step=2.ckpt"]


def test_batches_of_images_alone_are_welcome(fit):
    images = torch.utils.data.DataLoader(torch.rand(32, 1, 8, 8), 8)
    module = tiny(micro_batches=2)
    fit(module, data=images)
    assert module.images_seen == 64


def test_a_module_built_in_python_loads_from_its_checkpoint(fit, tmp_path):
    module = tiny(WGANGP, penalty_weight=3.0, n_critic=2)
    fit(module).save_checkpoint(tmp_path / "a.ckpt")
    loaded = WGANGP.load_from_checkpoint(
        tmp_path / "a.ckpt", generator=Line(), discriminator=Judge(), weights_only=True
    )
    assert (loaded.penalty_weight, loaded.n_critic, loaded.images_seen) == (3.0, 2, 64)
    assert largest_difference(loaded.state_dict(), module.state_dict()) == 0


def test_a_module_built_with_more_than_networks_asks_for_it_again(fit, tmp_path):
    fit(tiny(objective=LeastSquares())).save_checkpoint(tmp_path / "a.ckpt")
    networks = {"generator": Line(), "discriminator": Judge()}
    with pytest.raises(ValueError, match="was built with objective: hand them in again"):
        GAN.load_from_checkpoint(tmp_path / "a.ckpt", **networks)
    loaded = GAN.load_from_checkpoint(tmp_path / "a.ckpt", objective=LeastSquares(), **networks)
    assert isinstance(loaded.objective, LeastSquares)


def test_a_number_of_another_library_does_not_spoil_the_checkpoint(fit, tmp_path):
    fit(tiny(WGANGP, penalty_weight=np.float64(3))).save_checkpoint(tmp_path / "a.ckpt")
    assert "penalty_weight" not in torch.load(tmp_path / "a.ckpt", weights_only=True)["hyper_parameters"]


def test_denormals_are_flushed_on_every_thread():
    script = (
        "import torch; torch.set_num_threads(2); from lightning_gans import GAN; "
        "from lightning_gans.networks import DCGANGenerator; DCGANGenerator(size=32, width=32); "
        "print((torch.full((4_000_000,), 1e-40) * 1.0).count_nonzero().item())"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert result.stdout.split() == ["0"], result.stderr


def test_latents_differ_from_batch_to_batch_and_epoch_to_epoch(fit):
    class Latents(GAN):
        drawn: list = []

        def latent(self, size):
            self.drawn.append(super().latent(size))
            return self.drawn[-1]

    fit(Latents(generator=Line(), discriminator=Judge()), steps=8, data=loader(length=32))
    assert len({tuple(latent.flatten().tolist()) for latent in Latents.drawn}) == 16


def test_mixed_precision_trains_and_keeps_weights_in_float32(fit):
    module = tiny(WGANGP, n_critic=2, discriminator_clip=1.0)
    before = weights(module)
    fit(module, precision="bf16-mixed")
    changed = [not torch.equal(value, before[name]) for name, value in weights(module).items() if "weight" in name]
    assert all(changed)
    assert {value.dtype for value in weights(module).values()} == {torch.float32}


def test_gradients_are_clipped_and_judged_unscaled(fit):
    norms, scaler = Norms(), torch.amp.GradScaler("cpu", init_scale=2.0**10)
    module = tiny(discriminator_clip=1e-3, discriminator_optimizer=norms.sgd)
    fit(module, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    assert max(max(values) for values in norms.by_optimizer.values()) == pytest.approx(1e-3, rel=1e-2)
    assert all(value.isfinite().all() for value in module.state_dict().values())


def test_a_gradient_that_overflows_under_a_scaler_skips_the_step(fit):
    module, scaler = tiny(), torch.amp.GradScaler("cpu", init_scale=2.0**127)
    before = weights(module)
    fit(module, steps=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    assert largest_difference(before, weights(module)) == 0
    assert scaler.get_scale() < 2.0**127


def test_a_schedule_that_waits_for_a_metric_is_refused(fit):
    with pytest.raises(ValueError, match="`generator_scheduler` must not wait for a metric"):
        fit(tiny(generator_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau))


@pytest.mark.parametrize(
    "argument, message",
    [
        ({"n_critic": 0}, "`n_critic` must be at least 1, got 0"),
        ({"micro_batches": 0}, "`micro_batches` must be at least 1, got 0"),
        ({"generator_clip": 0.0}, "`generator_clip` must be positive, or null to clip nothing, got 0.0"),
        ({"ema_halflife": -1.0}, "`ema_halflife` must be 0 .no average. or more thousands of images, got -1.0"),
    ],
)
def test_impossible_arguments_are_refused(argument, message):
    with pytest.raises(ValueError, match=message):
        tiny(**argument)


def test_seeds_are_spread_and_stable():
    assert mix(0) == mix(0) and len({mix(a, b) for a in range(100) for b in range(100)}) == 10_000
    assert mix(1, 2) != mix(2, 1)


def test_a_truncated_normal_is_drawn_again_not_clipped():
    module = tiny()
    with module.truncated(0.5):
        drawn = module.normal(20000, 2).flatten()
    assert drawn.abs().max() <= 0.5 and (drawn.abs() > 0.499).float().mean() < 0.01
    expected = torch.tensor([-0.25, 0.0, 0.25])  # the density is nearly flat: quantiles as of the cut distribution
    torch.testing.assert_close(drawn.quantile(torch.tensor([0.246, 0.5, 0.754])), expected, atol=0.01, rtol=0)
    assert module.normal(20000).abs().max() > 2


def test_a_draw_takes_the_latents_it_is_given():
    module = tiny()
    latent = torch.randn(3, 4)
    batch = (torch.zeros(3, 1, 8, 8),)
    drawn = module.draw(batch, 0, latent)["fake"]
    with module.evaluating():
        assert torch.equal(drawn, module.generator(latent))
    assert not torch.equal(module.draw(batch, 0)["fake"], drawn)


def test_the_average_has_the_singular_vectors_of_the_latest_weights(tmp_path):
    """Their mean would be shorter than 1, and the weights then larger than their norm says."""
    module = GAN(generator=SpectrallyNormalized(Line()), discriminator=Judge(), ema_halflife=0.1)
    module.generator.latent_dim = 4
    trainer(tmp_path, steps=8).fit(module, loader())
    latest, average = (dict(network.named_buffers()) for network in (module.generator, module.generator_ema))
    assert len(latest) == 2 and all(torch.equal(average[name], latest[name]) for name in latest)
