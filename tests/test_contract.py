"""The seam: variants that are not there yet train, resume, run on two processes, and are looked at by everything."""

import pytest
import torch

from tests.conftest import largest_difference, trainer
from tests.toys import TOYS, ToyData


@pytest.fixture(params=TOYS)
def toy(request):
    return request.param


def fitted(toy, folder, steps=6, path=None, **options):
    torch.manual_seed(0)
    module = TOYS[toy]()
    run = trainer(folder, steps, max_epochs=-1, **options)
    run.fit(module, ToyData(toy), ckpt_path=path)
    return module, run


def test_every_player_of_a_toy_variant_moves(toy, tmp_path):
    torch.manual_seed(0)
    before = TOYS[toy]().state_dict()
    module, run = fitted(toy, tmp_path, log_every_n_steps=1)
    state = module.state_dict()
    moved = {name.split(".")[0] for name, _ in module.named_parameters() if not torch.equal(state[name], before[name])}
    assert moved == {"generator", "discriminator", "generator_ema"}
    assert all(value.isfinite() for value in run.callback_metrics.values())


def test_a_toy_variant_resumes_bit_for_bit_in_mid_epoch(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    straight, _ = fitted(toy, tmp_path, 8)
    fitted(toy, tmp_path, 3)[1].save_checkpoint(tmp_path / "3.ckpt")
    resumed, _ = fitted(toy, tmp_path, 8, tmp_path / "3.ckpt")
    assert largest_difference(straight.state_dict(), resumed.state_dict()) == 0
