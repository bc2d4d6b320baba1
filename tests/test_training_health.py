import math
import os
import socket
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import lightning
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gans import GAN, WGANGP
from lightning_gans.__main__ import main
from lightning_gans.callbacks import TrainingHealth
from lightning_gans.callbacks.health.training_health import buffers_put_back
from lightning_gans.metrics import health
from lightning_gans.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from lightning_gans.regularizers import LeCam
from tests.conftest import CONFIGS, RECIPES, Judge, Line, largest_difference, loader, reduced, tiny, trainer

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


class Times(nn.Module):
    """Enlarges logits."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, logits):
        return self.factor * logits


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


def test_memorized_is_the_way_of_held_out_images_to_samples():
    train, fake = torch.tensor([3.0, 5.0]), torch.tensor([-5.0, -7.0])
    assert health.memorized(train, train, fake) == 0
    assert health.memorized(train, fake, fake) == pytest.approx(1)
    assert health.memorized(train, torch.tensor([-1.0]), fake) == pytest.approx(0.5)
    close = torch.tensor([3.0, 4.0])  # to training images of mean 4 and deviation 1
    assert health.memorized(train, close, train) == pytest.approx(0.5 / 6)  # of six standard errors, each 1


def test_staleness_counts_standard_deviations():
    torch.manual_seed(0)
    x = 2 * torch.randn(4000, 3, 2, 2) + 5
    mean, var = torch.full((3,), 5.0), torch.full((3,), 4.0)
    assert health.staleness(x, mean, var, 0.0) < 0.05
    assert health.staleness(x, mean - 6, var, 0.0).item() == pytest.approx(3, abs=0.05)
    assert health.staleness(x, mean, var * math.e**2, 0.0).item() == pytest.approx(1, abs=0.05)


def test_a_finding_needs_patience_and_an_explosion_none():
    limits = {"diversity": 0.02, "gradient": 1e-5, "exploding": 1e4}
    limits |= dict.fromkeys(("classes", "swing", "right", "sure", "memorized", "staleness"), 0.5)
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


WELL = {"diversity": 0.06, "classes": 0.32, "swing": 0.45, "right": 0.8, "sure": 0.07, "memorized": 0.47}
WELL |= {"staleness": 0.16, "gradient/discriminator": 60.0, "gradient/generator": 0.001}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("diversity", 0.0, "nearly the same image for every latent (diversity 0 of the real images')"),
        ("classes", 0.1, "few of the classes (its effective number of classes is 0.1 of the real images')"),
        ("swing", 0.6, "swing to and fro"),
        ("right", 1.0, "The discriminator has won (right on 100%"),
        ("sure", 0.6, "The discriminator has won (right and saturated on 60%"),
        ("memorized", 0.9, "knows the training images by heart (held-out images lie 90%"),
        ("staleness", 2.0, "are stale (2 standard deviations"),
        ("gradient/generator", 7e-5, None),
        ("gradient/generator", 1e-6, "The generator's gradient has all but vanished (norm 1e-06)"),
        ("gradient/discriminator", 2e4, "The discriminator's gradient explodes (norm 2e+04)"),
    ],
)
def test_the_default_limits_let_healthy_numbers_pass_and_others_not(name, value, sentence):
    watch = TrainingHealth()
    assert not list(health.findings([WELL] * 3, watch.limits, watch.patience))
    found = [said for _, said in health.findings([WELL | {name: value}] * 3, watch.limits, watch.patience)]
    assert len(found) == (sentence is not None) and all(sentence in said for said in found)


# Runs made to fail, and one that is not. Nothing moves, so that what they show holds on any arithmetic.


def still(parameters):
    """An optimizer that moves nothing."""
    return torch.optim.SGD(parameters, 0.0)


STILL = {"generator_optimizer": still, "discriminator_optimizer": still}


def run(folder, module, held_out=None, steps=16, **kwargs):
    """Trains on 64 images, a look at every second batch of 8."""
    watch = Watched(**EAGER)
    lightning.seed_everything(0)
    ours = trainer(folder, steps, max_epochs=-1, callbacks=[watch], **kwargs)
    return watch, sentences(lambda: ours.fit(module, loader(), held_out or loader()))


@pytest.mark.parametrize("variant", [GAN, WGANGP])
def test_a_quiet_game_is_not_warned_of(tmp_path, variant):
    watch, said = run(tmp_path, tiny(variant, **STILL))
    assert not said and len(watch.logged) >= 3


def test_a_generator_of_one_image_is_warned_of_once(tmp_path):
    watch, said = run(tmp_path, GAN(generator=Shrunk(), discriminator=Judge(), **STILL))
    assert len(watch.logged) > 6 and len(said) == 1
    assert "nearly the same image for every latent (diversity 0 of the real images')" in said[0]


def test_a_generator_that_learns_nothing_is_warned_of(tmp_path):
    _, said = run(tmp_path, GAN(generator=Line(), discriminator=Blind(), **STILL))
    assert any("The generator's gradient has all but vanished" in sentence for sentence in said)


def test_a_gradient_that_explodes_is_warned_of_at_the_first_look(tmp_path):
    judge = Judge()
    judge.layers.append(Times(1e6))
    watch, said = run(tmp_path, GAN(generator=Line(), discriminator=judge, **STILL), steps=2)
    assert len(watch.logged) == 1 and any("The discriminator's gradient explodes" in sentence for sentence in said)


def test_a_discriminator_that_knows_its_images_by_heart_is_warned_of(tmp_path):
    unseen = DataLoader(TensorDataset(torch.rand(64, 1, 8, 8), torch.zeros(64).long()), 8)
    for held_out, known in ((unseen, True), (None, False)):
        _, said = run(tmp_path, GAN(generator=Line(), discriminator=Memory(), **STILL), held_out)
        assert any("knows the training images by heart" in sentence for sentence in said) is known


def test_a_discriminator_that_has_won_is_warned_of(tmp_path):
    _, said = run(tmp_path, GAN(generator=Line(), discriminator=Memory(), **STILL))
    assert any("The discriminator has won (right and saturated on 100%" in sentence for sentence in said)


def test_stale_batch_norm_is_warned_of(tmp_path):
    _, said = run(tmp_path, GAN(generator=stale_generator(), discriminator=Judge(), **STILL))
    assert any("Batch norm's running statistics" in sentence for sentence in said)


def stale_generator():
    """A generator whose running statistics never follow."""
    generator = Line()
    generator.layers = nn.Sequential(nn.Linear(4, 64), nn.BatchNorm1d(64, momentum=0.0), *generator.layers[1:])
    generator.layers[1].running_mean.fill_(9.0)
    return generator


# What a look sees of a variant.


class Modal(Judge):
    """Is right in training, and wrong in evaluation."""

    def forward(self, image):
        known = loader().dataset.tensors[0].flatten(1)
        logits = 20.0 * (torch.cdist(image.flatten(1), known).min(1).values < 0.1) - 10 + 0 * super().forward(image)
        return logits if self.training else -logits


def test_the_discriminator_is_right_as_it_trains(tmp_path):
    watch, _ = run(tmp_path, GAN(generator=Line(), discriminator=Modal(), **STILL))
    assert all(look["right"] == 1 and look["sure"] == 1 for look in watch.logged)


def test_buffers_are_put_back_whatever_becomes_of_them():
    class Counting(nn.BatchNorm1d):
        def forward(self, x):
            self.running_mean = self.running_mean + 1
            self.register_buffer("new", x)
            return super().forward(x)

    norm = Counting(3).train()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with buffers_put_back(norm):
        norm(torch.randn(4, 3))
        assert largest_difference({"mean": norm.running_mean}, {"mean": before["running_mean"]}) > 0.5
    assert largest_difference(norm.state_dict(), before) == 0


def test_a_critic_has_no_right_side_and_a_variant_without_logits_none_at_all(tmp_path):
    class Silent(GAN):
        logits = None

        def discriminator_loss(self, batch):
            return {"nothing": self.discriminator(batch[0]).mean()}

    critic, silent = (run(tmp_path, tiny(variant))[0].logged[-1] for variant in (WGANGP, Silent))
    assert "memorized" in critic and "right" not in critic
    assert not {"memorized", "right"} & silent.keys() and "diversity" in silent


@pytest.mark.parametrize("n_critic", [3, 5])
def test_a_look_waits_for_every_player(tmp_path, n_critic):
    watch, _ = run(tmp_path, tiny(n_critic=n_critic))
    assert watch.logged and all(
        {"gradient/generator", "gradient/discriminator"} <= look.keys() for look in watch.logged
    )


class TwoSided(GAN):
    """Draws two kinds of images, none of them called fake, and shows its discriminator old ones too."""

    logits = None

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.pool = torch.zeros(8, 1, 8, 8)

    def samples(self, batch):
        image = self.fake(batch)
        return {"x_to_y": image, "y_to_x": -image}

    def discriminator_loss(self, batch):
        old, self.pool = self.pool, self.fake(batch).detach()
        logits = self.discriminate(self.real(batch), batch), self.discriminate(old, batch)
        return {"adversarial": self.objective.discriminator(*logits)}


def test_of_a_variant_that_draws_no_fake_gradients_are_watched(tmp_path):
    watch, _ = run(tmp_path, tiny(TwoSided))
    assert watch.logged and all(
        look.keys() == {"gradient/generator", "gradient/discriminator"} for look in watch.logged
    )


# What a look leaves alone.


def with_lecam():
    return tiny(regularizers=[LeCam()])


def with_a_compiled_generator():
    return GAN(generator=torch.compile(Line(), backend="eager"), discriminator=Judge())


@pytest.mark.parametrize("make", [with_lecam, with_a_compiled_generator, partial(tiny, TwoSided)])
def test_a_look_changes_nothing_of_the_training(tmp_path, make):
    states = []
    for callbacks in ([], [Watched(**EAGER)]):
        lightning.seed_everything(0)
        module = make()
        trainer(tmp_path, 8, callbacks=callbacks).fit(module, loader(), loader())
        states.append((module.state_dict(), torch.rand(())))
    assert largest_difference(states[0][0], states[1][0]) == 0 and states[0][1] == states[1][1]
    assert callbacks[0].logged


class Unmoved(Watched):
    """Asserts that a look leaves weights, buffers, optimizers, modes and random numbers as they are."""

    def on_train_batch_start(self, trainer, pl_module, *args):
        before = state_of(trainer, pl_module)
        super().on_train_batch_start(trainer, pl_module, *args)
        assert largest_difference(before, state_of(trainer, pl_module)) == 0

    def on_train_batch_end(self, trainer, pl_module, *args):
        before = state_of(trainer, pl_module)
        super().on_train_batch_end(trainer, pl_module, *args)
        assert largest_difference(before, state_of(trainer, pl_module)) == 0


def state_of(trainer, module):
    """All that a look could change, as tensors by name."""
    modes = [part.training for part in module.modules()]
    state = {"modes": torch.tensor(modes), "random": torch.get_rng_state()} | module.state_dict()
    for index, optimizer in enumerate(trainer.optimizers):
        for number, own in optimizer.state_dict()["state"].items():
            state |= {f"{index} {number} {name}": torch.as_tensor(value) for name, value in own.items()}
    return {name: value.clone().double() for name, value in state.items()}


def one_recipe_of_each_variant():
    """Names of recipes, and of those with networks that keep more than weights."""
    variants = {}
    for name in RECIPES:
        model = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["model"]
        variants.setdefault((model["class_path"], model["init_args"].get("conditional")), name)
    return sorted({*variants.values(), "biggan_mnist", "gran_mnist", "sngan_mnist"})


@pytest.mark.parametrize("recipe", one_recipe_of_each_variant())
def test_a_look_changes_nothing_of_any_variant(tmp_path, recipe):
    watch = {"class_path": "tests.test_training_health.Unmoved", "init_args": {"every_kimg": 0.001}}
    changes = {"max_epochs": -1, "max_steps": 5, "limit_val_batches": 1, "callbacks": [watch]}
    cli = main(["fit", "--config", reduced(recipe, tmp_path, **changes)])
    logged = cli.trainer.callbacks[0].logged
    assert logged and all(
        {"diversity", "gradient/generator", "gradient/discriminator"} <= look.keys() for look in logged
    )


def test_numbers_reach_the_logger_at_every_look(tmp_path):
    watch, _ = run(tmp_path, tiny(), logger=CSVLogger(tmp_path, "", ""))
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert "health/diversity" in lines[0] and len(lines) - 1 >= len(watch.logged)


@pytest.mark.parametrize(("n_critic", "cut"), [(1, 8), (3, 10)])  # between two looks, and within one
def test_a_resumed_run_goes_on_with_the_looks_and_warns_no_second_time(tmp_path, n_critic, cut):
    def fit(steps, path=None):
        lightning.seed_everything(0)
        watch, saver = Watched(**EAGER), ModelCheckpoint(tmp_path, f"{steps}", every_n_train_steps=steps)
        module = GAN(generator=Shrunk(), discriminator=Judge(), n_critic=n_critic, **STILL)
        ours = trainer(tmp_path, steps, max_epochs=-1, callbacks=[watch, saver], enable_checkpointing=True)
        said = sentences(lambda: ours.fit(module, loader(8 * cut), ckpt_path=path))
        return watch, said

    straight, said = fit(20)
    first, said_first = fit(cut)
    second, said_second = fit(20, tmp_path / f"{cut}.ckpt")
    assert said == said_first + said_second and len(said) == 1
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
    rank, notes = os.environ["LOCAL_RANK"], []
    uneven = DataLoader(loader(30 if rank == "0" else 27).dataset, 4)  # the last batch has 2 images, or 3
    for generator, data, every in ((Shrunk(), loader(batch_size=4), 1), (Line(), uneven, 50)):
        lightning.seed_everything(0)
        watch = Watched(**EAGER)
        module = GAN(generator=generator, discriminator=Judge(), **STILL)
        options = {"devices": 2, "strategy": "ddp", "log_every_n_steps": every, "use_distributed_sampler": False}
        ours = trainer(folder, 16, max_epochs=-1, callbacks=[watch], **options)
        problem = ""

        def fit(ours=ours, module=module, data=data):
            nonlocal problem
            try:
                ours.fit(module, data, loader())
            except ValueError as error:
                problem = str(error)

        said = sentences(fit)
        notes.append((watch.logged, said, problem))
    torch.save(notes, folder / f"{rank}.pt")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The notes of both processes."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    command = "from pathlib import Path; from tests.test_training_health import one_of_two; "
    command += f"one_of_two(Path({str(folder)!r}))"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", command],
            cwd=Path(__file__).parent.parent,
            env={**environment, "LOCAL_RANK": str(rank)},
            stderr=(folder / f"log_{rank}").open("w"),
        )
        for rank in (0, 1)
    ]
    try:
        codes = [process.wait(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], (folder / "log_0").read_text()[-3000:]
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def test_two_processes_see_the_same_and_the_first_one_warns(two):
    (logged, said, _), (also_logged, said_by_second, _) = (notes[0] for notes in two)
    assert logged == also_logged and len(logged) >= 6 and not said_by_second
    assert "nearly the same image" in said[0] and len(said) == 1


def test_two_processes_whose_batches_differ_look_at_the_same_steps_until_they_are_refused(two):
    (logged, _, problem), (also_logged, _, also_problem) = (notes[1] for notes in two)
    assert logged == also_logged and len(logged) >= 2
    assert "batches must be of equal size" in problem and "batches must be of equal size" in also_problem
