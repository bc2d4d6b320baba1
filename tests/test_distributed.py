"""Two processes on plain `ddp` against one; a pair of processes walks through all recipes once."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import RECIPES, largest_difference
from tests.toys import TOYS
from tests.two_processes import GROWTH, STEPS, WITH_BATCH_NORM, compare, compare_toy, cuts, variant_of


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Reads what a process of the pair noted: `pair(name, rank)`, or the text of a file."""
    folder = tmp_path_factory.mktemp("pair")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    walk = f"from pathlib import Path; from tests.two_processes import walk; walk(Path({str(folder)!r}))"
    command = [sys.executable, "-c", walk]
    root = Path(__file__).parent.parent
    logs = [open(folder / f"log_{rank}", "w") for rank in (0, 1)]
    processes = [
        subprocess.Popen(command, cwd=root, env={**environment, "LOCAL_RANK": str(rank)}, stdout=log, stderr=log)
        for rank, log in enumerate(logs)
    ]
    try:
        codes = [process.wait(timeout=1500) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], (folder / "log_0").read_text()[-3000:] + (folder / "log_1").read_text()[-3000:]

    def read(name: str, rank: int = 0):
        if name.endswith(".txt"):
            return (folder / name).read_text()
        return torch.load(folder / f"{name}_{rank}.pt", weights_only=True)

    return read


def test_a_loss_that_is_not_finite_on_one_process_stops_both(pair):
    for rank in (0, 1):
        assert "`discriminator_loss/adversarial` is nan at step 2" in pair(f"poisoned_{rank}.txt")


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_processes_take_the_steps_of_one(pair, tmp_path, recipe):
    alone = compare(recipe, tmp_path, 1, 1).states["end"]
    for micro_batches in cuts(recipe):
        _, _, states = pair(f"{recipe}_{micro_batches}")
        # StyleGAN's norm divides the rounding errors of its first, constant map by 1e-4.
        assert largest_difference(states["end"], alone) < (1e-8 if recipe == "stylegan_mnist" else 1e-10), micro_batches


def test_tensors_that_travel_alone_are_averaged_in_their_own_layout(pair, tmp_path):
    reduced, _, states = pair("uncopied")
    assert len(reduced) > 4 * STEPS  # several in each of the two moves
    assert largest_difference(states["end"], compare("dcgan_mnist", tmp_path, 1, 1).states["end"]) < 1e-10


def test_two_processes_grow_as_one_while_the_optimizers_forget(pair, tmp_path):
    (_, _, states), alone = pair("growing"), compare("progan_mnist", tmp_path, 1, 1, more=GROWTH).states
    steps = {int(value) for name, value in states["optimizers"].items() if name.endswith(" step")}
    assert steps == {STEPS - 3}  # since the fourth batch, where the fade ends
    assert largest_difference(states["end"], alone["end"]) < 1e-10


@pytest.mark.parametrize("toy", TOYS)
def test_two_processes_take_the_steps_of_one_with_a_variant_to_come(pair, tmp_path, toy):
    _, _, states = pair(toy)
    assert largest_difference(states["end"], compare_toy(toy, tmp_path, 1).states["end"]) < 1e-10


@pytest.mark.parametrize("variant", ["GAN", "RelativisticGAN", "StarGAN"])
def test_batches_of_unequal_size_are_refused_on_both_processes(pair, variant):
    for rank in (0, 1):
        assert "The processes' batches must be of equal size, and were not" in pair(f"{variant}_uneven_{rank}.txt")


def test_processes_agree_on_batch_norm_within_a_wrapper(pair):
    assert any("running_mean" in name for name in pair("noisy", 0))
    assert largest_difference(pair("noisy", 0), pair("noisy", 1)) == 0


def test_processes_agree_on_integer_buffers_when_they_are_scored(pair):
    assert pair("counting", 0) == pair("counting", 1) > 0


@pytest.mark.parametrize("recipe", WITH_BATCH_NORM)
def test_synchronised_batch_norm_on_two_processes_is_that_of_one(pair, tmp_path, recipe):
    _, _, states = pair(f"{recipe}_synchronised")
    alone = compare(recipe, tmp_path, 1, 1, synchronised=True).states["end"]
    assert any("running_var" in name for name in alone)
    assert largest_difference(states["end"], alone) < 1e-10


def test_synchronised_norms_do_not_wait_for_each_other_where_batches_are_unequal(pair):
    (_, _, first), (_, _, second) = pair("standing", 0), pair("standing", 1)
    for when in ("scoring", "end"):
        assert largest_difference(first[when], second[when]) == 0


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_player_is_reduced_once_a_step(pair, recipe):
    for micro_batches in cuts(recipe):
        reduced, _, states = pair(f"{recipe}_{micro_batches}")
        moves = {player: STEPS for player in states["reduced"]}
        moves["generator"] //= int(states["n_critic"]["n_critic"])
        expected = [int(size) for player, size in states["reduced"].items() for _ in range(moves[player])]
        expected += states["once"]["once"].tolist() * STEPS
        assert sorted(reduced) == sorted(expected)


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if variant_of(recipe).generate is not None])
def test_every_process_draws_its_own_latents(pair, recipe):
    (_, first, _), (_, second, _) = pair(f"{recipe}_straight", 0), pair(f"{recipe}_straight", 1)
    assert len(first) == len(second) > 8
    drawn = torch.cat([*first, *second])
    assert len(drawn.unique(dim=0)) == len(drawn)


@pytest.mark.parametrize("recipe", RECIPES)
def test_processes_agree_on_parameters_and_buffers(pair, recipe):
    (_, _, first), (_, _, second) = pair(f"{recipe}_straight", 0), pair(f"{recipe}_straight", 1)
    assert {"scoring", "saving 5", "end"} <= first.keys()
    for when, state in first.items():
        assert largest_difference(state, second[when]) == 0, when


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_processes_resume_bit_for_bit(pair, recipe):
    for rank in (0, 1):
        (_, _, straight), (_, _, resumed) = pair(f"{recipe}_straight", rank), pair(f"{recipe}_resumed", rank)
        assert largest_difference(straight["end"], resumed["end"]) == 0
        assert largest_difference(straight["optimizers"], resumed["optimizers"]) == 0
