"""A run that was killed and resumed is the run that was not, bit for bit, from the command line."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_gans import GAN
from lightning_gans.datamodules import MNISTDataModule
from lightning_gans.mechanics.schedules import Growth
from lightning_gans.networks import MLPDiscriminator, MLPGenerator
from tests.conftest import RECIPES, largest_difference, trainer


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder with the checkpoints of all runs."""
    folder = tmp_path_factory.mktemp("runs")
    walk = f"from pathlib import Path; from tests.killed import walk; walk(Path({str(folder)!r}))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # a fork has none of its parent's threads
    root = Path(__file__).parent.parent
    result = subprocess.run([sys.executable, "-c", walk], cwd=root, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-4000:]
    return folder


def equal(one: Any, two: Any) -> bool:
    """Whether all tensors and numbers in two checkpoints are the same bits."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(equal, one, two))
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two


def assert_resumed(folder: Path) -> None:
    """Asserts that the resumed run of a folder is at the end what the other one is."""
    straight, resumed = (
        torch.load(folder / kind / "step=12.ckpt", weights_only=True) for kind in ("killed", "resumed")
    )
    assert straight["global_step"] == resumed["global_step"] == 12
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert equal(straight[part], resumed[part]), part


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_killed_run_resumes_bit_for_bit_from_the_middle_of_an_epoch(runs, recipe):
    assert_resumed(runs / recipe)


def test_a_run_killed_while_it_grows_resumes_bit_for_bit_from_the_middle_of_a_fade(runs):
    assert [Growth(0.04)(8 * step) for step in (8, 10)] == pytest.approx([0.6, 1.0])
    assert_resumed(runs / "growing")
    steps = [
        {int(state["step"]) for state in optimizer["state"].values()}
        for optimizer in torch.load(runs / "growing" / "resumed" / "step=12.ckpt", weights_only=True)[
            "optimizer_states"
        ]
    ]
    assert steps == [{3}, {3}]  # the optimizers forgot what was before the fade's end


def test_a_kill_in_the_middle_of_writing_leaves_the_previous_checkpoint(runs):
    last = torch.load(runs / "torn" / "last.ckpt", weights_only=True)
    whole = torch.load(runs / RECIPES[0] / "killed" / "step=4.ckpt", weights_only=True)
    assert last["global_step"] == 4 and equal(last["state_dict"], whole["state_dict"])


@pytest.mark.parametrize("stop", [10, 16])
def test_a_checkpoint_of_an_epochs_end_resumes_also_where_max_steps_ended_it(tmp_path, stop):
    def train(steps: int, path: Path | None = None) -> dict[str, torch.Tensor]:
        seed_everything(0)
        gan = GAN(generator=MLPGenerator(width=8), discriminator=MLPDiscriminator(width=8))
        saver = ModelCheckpoint(tmp_path, f"{steps}", every_n_epochs=1, save_on_train_epoch_end=True)
        options = {"limit_train_batches": 8, "limit_val_batches": 0, "enable_checkpointing": True, "callbacks": [saver]}
        data = MNISTDataModule(size=28, batch_size=16)
        trainer(tmp_path, steps, max_epochs=-1, **options).fit(gan, data, ckpt_path=path)
        return gan.state_dict()

    straight = train(20)
    train(stop)
    assert largest_difference(straight, train(20, tmp_path / f"{stop}.ckpt")) == 0
