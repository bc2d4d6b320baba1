"""Runs that start from the weights of another one."""

import pytest
import torch
from torch import nn

from lightning_gans import GAN, WGAN
from lightning_gans.callbacks import StartFrom
from tests.conftest import Judge, Line, largest_difference, loader, tiny, trainer


@pytest.fixture
def other(fit, tmp_path):
    """The checkpoint of another run, and its module."""
    module = tiny()
    fit(module, 4).save_checkpoint(tmp_path / "other.ckpt")
    return tmp_path / "other.ckpt", module


@pytest.mark.parametrize("part", ["generator_ema", "generator"])
def test_a_generator_and_its_average_start_from_another_run(fit, other, part):
    path, theirs = other
    module = tiny(WGAN)
    before = [p.clone() for p in module.discriminator.parameters()]
    fit(module, 0, callbacks=[StartFrom(str(path), part)])
    for own in (module.generator, module.generator_ema):
        assert largest_difference(own.state_dict(), getattr(theirs, part).state_dict()) == 0
    assert all(map(torch.equal, before, module.discriminator.parameters())) and module.images_seen == 0


def test_a_discriminator_may_start_from_another_run(fit, other):
    path, theirs = other
    module = tiny(ema_halflife=0.0)
    before = [p.clone() for p in module.generator.parameters()]
    fit(module, 0, callbacks=[StartFrom(str(path), "discriminator")])
    assert largest_difference(module.discriminator.state_dict(), theirs.discriminator.state_dict()) == 0
    assert all(map(torch.equal, before, module.generator.parameters()))


def test_a_resumed_run_goes_on_from_its_own_weights(fit, other, tmp_path):
    gone = StartFrom(str(tmp_path / "gone.ckpt"))  # is not even read
    straight, resumed = tiny(), tiny()
    fit(straight, 2).save_checkpoint(tmp_path / "own.ckpt")
    trainer(tmp_path, 2, callbacks=[gone]).fit(resumed, loader(), ckpt_path=tmp_path / "own.ckpt", weights_only=True)
    assert largest_difference(resumed.state_dict(), straight.state_dict()) == 0


class Wider(Line):
    def __init__(self) -> None:
        super().__init__()
        self.layers[0] = nn.Linear(4, 64, bias=False)


def test_what_cannot_be_started_from_is_said_in_a_sentence(fit, other, tmp_path):
    path = str(other[0])
    with pytest.raises(
        FileNotFoundError,
        match="`checkpoint` of `StartFrom` must be a file, or a folder of runs, and .*none.ckpt is none.",
    ):
        fit(tiny(), 0, callbacks=[StartFrom(str(tmp_path / "none.ckpt"))])
    with pytest.raises(ValueError, match=r"got encoder: .*ckpt holds discriminator, generator, generator_ema\.$"):
        fit(tiny(), 0, callbacks=[StartFrom(path, "encoder")])
    with pytest.raises(ValueError, match=r"does not fit this run's generator \(.*layers\.0\.bias.*\): give both"):
        fit(GAN(generator=Wider(), discriminator=Judge()), 0, callbacks=[StartFrom(path)])
    (tmp_path / "damaged.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match=r"damaged.ckpt cannot be read"):
        fit(tiny(), 0, callbacks=[StartFrom(str(tmp_path / "damaged.ckpt"))])
