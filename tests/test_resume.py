"""A run that was killed and resumed is the run that was not, bit for bit, from the command line."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import RECIPES


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


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_killed_in_mid_epoch_resumes_bit_for_bit(runs, recipe):
    straight, resumed = (
        torch.load(runs / recipe / kind / "step=12.ckpt", weights_only=True) for kind in ("straight", "killed")
    )
    assert straight["global_step"] == resumed["global_step"] == 12
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "images_seen", "seed"):
        assert equal(straight[part], resumed[part]), part


def test_a_kill_in_the_middle_of_writing_leaves_the_previous_checkpoint(runs):
    last = torch.load(runs / "torn" / "last.ckpt", weights_only=True)
    whole = torch.load(runs / RECIPES[0] / "straight" / "step=4.ckpt", weights_only=True)
    assert last["global_step"] == 4 and equal(last["state_dict"], whole["state_dict"])
