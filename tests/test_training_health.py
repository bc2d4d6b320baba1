import math
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning_gans.callbacks.training_health import judged
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gans import GAN, WGANGP
from lightning_gans.__main__ import main
from lightning_gans.callbacks import TrainingHealth
from lightning_gans.metrics import health
from lightning_gans.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from tests.conftest import RECIPES, Judge, Line, largest_difference, loader, reduced, tiny, trainer

EAGER = {"every_kimg": 0.016, "warmup_kimg": 0.0}  # looks at every second batch of 8


class Shrunk(Line):
    """Draws one image."""

    def forward(self, latent):
        return super().forward(0 * latent)


class Blind(Judge):
    """Sees nothing."""

    def forward(self, image):
        return super().forward(0 * image)


class Memory(Judge):
    """Knows the training images."""

    def forward(self, image):
        known = loader().dataset.tensors[0].flatten(1)
        return 0.01 * super().forward(image) + 10.0 * (torch.cdist(image.flatten(1), known).min(1).values < 0.1) - 5


class Watched(TrainingHealth):
    """Keeps all that was logged."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.logged = []

    def _report(self, trainer, pl_module):
        super()._report(trainer, pl_module)
        self.logged.append(dict(self._looks[-1]))


def sentences(run):
    """What `run` warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return [str(one.message) for one in caught if "thousand images.)" in str(one.message)]


# The checks, one by one.


def test_spread_is_the_mean_distance_between_two_images():
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    assert health.spread(corners.view(3, 1, 1, 2)) == pytest.approx((3 + 4 + 5) / 3)
    assert health.spread(torch.ones(5, 1, 2, 2)) == 0
    assert math.isnan(health.spread(torch.ones(1, 1, 2, 2)))


def test_the_effective_number_of_classes_counts_those_of_equal_share():
    assert health.shares(torch.tensor([0, 0, 2, 2]), 4).tolist() == [0.5, 0, 0.5, 0]
    for share, number in (([1.0, 0, 0], 1), ([0.5, 0.5, 0], 2), ([0.25] * 4, 4)):
        assert health.effective_number(torch.tensor(share)) == pytest.approx(number)


def test_only_a_histogram_that_goes_nowhere_swings():
    one, two = torch.eye(2)
    assert health.swing(torch.stack([one] * 5)) == 0
    assert health.swing(torch.stack([one, 0.75 * one + 0.25 * two, 0.5 * one + 0.5 * two, two])) == pytest.approx(0)
    assert health.swing(torch.stack([one, two, one, two, one])) == pytest.approx(1)


@pytest.mark.parametrize(
    ("objective", "right", "sure"),
    [
        (NonSaturating(), 0.75, 0.5),
        (Minimax(), 0.75, 0.5),
        (Hinge(), 0.75, 0.75),
        (LeastSquares(), 0.75, math.nan),
        (Wasserstein(), math.nan, math.nan),
    ],
)
def test_what_is_right_and_saturated_depends_on_the_objective(objective, right, sure):
    found = health.right_and_sure(torch.tensor([5.0, 2.0]), torch.tensor([-5.0, 0.6]), objective)
    assert found == pytest.approx((right, sure), nan_ok=True)


def test_memorised_is_the_way_of_held_out_images_to_samples():
    train, fake = torch.tensor([3.0, 5.0]), torch.tensor([-5.0, -7.0])
    assert health.memorised(train, train, fake) == 0
    assert health.memorised(train, fake, fake) == pytest.approx(1)
    assert health.memorised(train, torch.tensor([-1.0]), fake) == pytest.approx(0.5)
    close = torch.tensor([3.0, 4.0])  # to training images of mean 4 and deviation 1
    assert health.memorised(train, close, train) == pytest.approx(0.5 / 6)  # of six standard errors, each 1


def test_staleness_counts_standard_deviations():
    torch.manual_seed(0)
    x = 2 * torch.randn(4000, 3, 2, 2) + 5
    mean, var = torch.full((3,), 5.0), torch.full((3,), 4.0)
    assert health.staleness(x, mean, var, 0.0) < 0.05
    assert health.staleness(x, mean - 6, var, 0.0).item() == pytest.approx(3, abs=0.05)
    assert health.staleness(x, mean, var * math.e**2, 0.0).item() == pytest.approx(1, abs=0.05)


def test_a_finding_needs_patience_and_an_explosion_none():
    limits = {"diversity": 0.02, "gradient": 1e-5, "exploding": 1e4}
    limits |= dict.fromkeys(("classes", "swing", "right", "sure", "memorised", "staleness"), 0.5)
    good, bad = {"diversity": 1.0, "right": 0.4}, {"diversity": 0.01, "right": 0.6}
    assert not list(health.findings([bad, bad, good], limits, 3))
    assert not list(health.findings([bad, bad], limits, 3))
    assert not list(health.findings([{"diversity": math.nan}] * 3, limits, 3))
    found = dict(health.findings([bad] * 3, limits, 3))
    assert found.keys() == {"diversity", "right"}
    assert "diversity 0.01 of the real images'" in found["diversity"] and "right on 60%" in found["right"]
    still, huge = {"gradient/generator": 1e-9}, {"gradient/generator": 1e6}
    assert [name for name, _ in health.findings([still] * 3, limits, 3)] == ["vanishing/generator"]
    assert [name for name, _ in health.findings([still, still, huge], limits, 3)] == ["exploding/generator"]


# Runs made to fail, and runs that do not.


def run(folder, module, held_out=None, **kwargs):
    """Trains on 64 images, a look at every second batch of 8."""
    watch = Watched(**EAGER)
    lightning.seed_everything(0)
    ours = trainer(folder, 24, max_epochs=-1, callbacks=[watch], **kwargs)
    return watch, sentences(lambda: ours.fit(module, loader(), held_out or loader()))


def small_dcgan(folder, steps, *options):
    """Trains a narrow DCGAN on digits, a look at every eighth batch of 32, with the default limits."""
    eighth = {"every_kimg": 0.256, "warmup_kimg": 2.0}
    watch = {"class_path": "tests.test_training_health.Watched", "init_args": eighth}
    path = reduced("dcgan_mnist", folder, max_steps=steps, callbacks=[watch], max_epochs=-1, limit_val_batches=0)
    clis = []
    said = sentences(lambda: clis.append(main(["fit", "--config", path, "--data.batch_size=32", *options])))
    return next(callback for callback in clis[0].trainer.callbacks if isinstance(callback, Watched)), said


@pytest.mark.parametrize("variant", [GAN, WGANGP])
def test_a_quiet_game_is_not_warned_of(tmp_path, variant):
    watch, said = run(tmp_path, tiny(variant))
    assert not said and len(watch.logged) >= 3


def test_a_healthy_dcgan_is_not_warned_of(tmp_path):
    watch, said = small_dcgan(tmp_path, 160)
    assert not said and len(watch.logged) == 19


def test_rates_a_hundred_times_too_high_are_warned_of(tmp_path):
    rates = ["--model.generator_optimizer.init_args.lr=0.3", "--model.discriminator_optimizer.init_args.lr=0.1"]
    _, said = small_dcgan(tmp_path, 160, *rates)
    assert "The discriminator's gradient explodes" in said[0]


def test_a_discriminator_fifty_steps_ahead_is_warned_of(tmp_path):
    _, said = small_dcgan(tmp_path, 300, "--model.n_critic=50")
    assert len(said) == 1 and "The discriminator has won (right on 100%" in said[0]


def test_a_generator_of_one_image_is_warned_of_once(tmp_path):
    watch, said = run(tmp_path, GAN(generator=Shrunk(), discriminator=Judge()))
    assert len(watch.logged) > 6 and len(said) == 1
    assert "nearly the same image for every latent (diversity 0 of the real images')" in said[0]


def test_a_generator_that_learns_nothing_is_warned_of(tmp_path):
    _, said = run(tmp_path, GAN(generator=Line(), discriminator=Blind()))
    assert "The generator's gradient has all but vanished" in said[0]


def test_a_discriminator_that_knows_its_images_by_heart_is_warned_of(tmp_path):
    unseen = DataLoader(TensorDataset(torch.rand(64, 1, 8, 8), torch.zeros(64).long()), 8)
    watch, said = run(tmp_path, GAN(generator=Line(), discriminator=Memory()), unseen)
    assert any("knows the training images by heart" in sentence for sentence in said)
    watch, said = run(tmp_path, GAN(generator=Line(), discriminator=Memory()))
    assert not any("by heart" in sentence for sentence in said)


def test_stale_batch_norm_is_warned_of(tmp_path):
    generator = Line()
    generator.layers = nn.Sequential(nn.Linear(4, 64), nn.BatchNorm1d(64, momentum=0.0), *generator.layers[1:])
    generator.layers[1].running_mean.fill_(9.0)
    _, said = run(tmp_path, GAN(generator=generator, discriminator=Judge()))
    assert any("Batch norm's running statistics" in sentence for sentence in said)


# What a look leaves alone.


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_look_changes_nothing_of_the_training_of_any_variant(tmp_path, recipe):
    watch = {"class_path": "tests.test_training_health.Watched", "init_args": {"every_kimg": 0.001}}
    states = []
    for callbacks in ([watch], []):
        changes = {"max_epochs": -1, "max_steps": 10, "val_check_interval": 5, "check_val_every_n_epoch": None}
        cli = main(["fit", "--config", reduced(recipe, tmp_path, callbacks=callbacks, **changes)])
        states.append(cli.model.state_dict())
        modes = [module.training for module in cli.model.modules() if module is not cli.model.generator_ema]
        if callbacks:
            logged, watched_modes = cli.trainer.callbacks[0].logged, modes
            assert "Noting" not in type(getattr(cli.model, "objective", None)).__name__
    assert largest_difference(*states) == 0 and modes == watched_modes
    assert logged and all(
        {"diversity", "gradient/generator", "gradient/discriminator"} <= look.keys() for look in logged
    )


def test_the_logits_of_a_critic_are_those_of_its_images():
    module, batch = tiny(WGANGP), next(iter(loader()))
    real, _ = judged(module, batch, 0)
    assert torch.equal(real, module.discriminator(batch[0]))
    noted, _ = judged(tiny(GAN), batch, 0)
    assert noted.shape == real.shape


def test_numbers_reach_the_logger_at_every_look(tmp_path):
    watch, _ = run(tmp_path, tiny(), logger=CSVLogger(tmp_path, "", ""))
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert "health/diversity" in lines[0] and len(lines) - 1 >= len(watch.logged)


def test_a_resumed_run_goes_on_with_the_looks_and_warns_no_second_time(tmp_path):
    def fit(steps, path=None):
        lightning.seed_everything(0)
        watch, saver = Watched(**EAGER), ModelCheckpoint(tmp_path, f"{steps}", every_n_train_steps=steps)
        module = GAN(generator=Shrunk(), discriminator=Judge())
        ours = trainer(tmp_path, steps, max_epochs=-1, callbacks=[watch, saver], enable_checkpointing=True)
        said = sentences(lambda: ours.fit(module, loader(), ckpt_path=path))
        return watch, said

    straight, said = fit(30)
    first, said_first = fit(16)  # where an epoch ends
    second, said_second = fit(30, tmp_path / "16.ckpt")
    assert said == said_first and len(said) == 1 and not said_second
    assert first.logged + second.logged == straight.logged


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [("every_kimg", 0.0, "positive"), ("patience", 0, "at least 1"), ("num_images", 1, "at least 2")],
)
def test_an_impossible_argument_is_refused(name, value, rule):
    with pytest.raises(ValueError, match=f"`{name}` must be {rule}, got {value}"):
        TrainingHealth(**{name: value})


# Two processes.


def one_of_two(folder: Path) -> None:
    """What each of two processes does."""
    notes = []
    for name, discriminator in (("one_image", Judge()), ("quiet", Judge())):
        lightning.seed_everything(0)
        watch = Watched(**EAGER)
        module = GAN(generator=Shrunk() if name == "one_image" else Line(), discriminator=discriminator)
        ours = trainer(folder, 16, max_epochs=-1, callbacks=[watch], devices=2, strategy="ddp", log_every_n_steps=1)
        said = sentences(lambda ours=ours, module=module: ours.fit(module, loader(batch_size=4), loader()))
        notes.append((watch.logged, said))
    torch.save(notes, folder / f"{os.environ['LOCAL_RANK']}.pt")


def test_two_processes_see_the_same_and_the_first_one_warns(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    command = "from pathlib import Path; from tests.test_training_health import one_of_two; "
    command += f"one_of_two(Path({str(tmp_path)!r}))"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", command],
            cwd=Path(__file__).parent.parent,
            env={**environment, "LOCAL_RANK": str(rank)},
            stderr=(tmp_path / f"log_{rank}").open("w"),
        )
        for rank in (0, 1)
    ]
    try:
        codes = [process.wait(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], (tmp_path / "log_0").read_text()[-3000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    for (logged, _), (also_logged, said_by_second) in zip(first, second, strict=True):
        assert logged == also_logged and len(logged) >= 6 and not said_by_second
    (_, said_of_one_image), (_, said_of_quiet) = first
    assert "nearly the same image" in said_of_one_image[0] and len(said_of_one_image) == 1 and not said_of_quiet
