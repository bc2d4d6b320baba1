import copy
import json

import pytest
import torch
from lightning import Callback
from torch import Tensor, nn

from lightning_gans import GAN
from lightning_gans.callbacks import GenerativeMetrics, StandingStatistics
from lightning_gans.datamodules import TensorDataModule, TensorImages
from lightning_gans.mechanics.randomness import mix, seeded
from tests.conftest import Judge, largest_difference, loader, tiny, trainer


class Normed(nn.Module):
    """A generator of one layer and batch norm."""

    latent_dim = 4

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 64), nn.BatchNorm1d(64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))

    def forward(self, latent):
        return self.layers(latent)


class Note(Callback):
    """Notes the statistics in use while samples are drawn."""

    def on_test_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        norm = (pl_module.generator if pl_module.generator_ema is None else pl_module.generator_ema).layers[1]
        self.mean, self.var = norm.running_mean.clone(), norm.running_var.clone()


def test_the_statistics_are_those_of_many_samples_and_are_given_back(tmp_path):
    module, note = GAN(generator=Normed(), discriminator=Judge()), Note()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    run = trainer(tmp_path, callbacks=[StandingStatistics(8), note])
    run.test(module, loader(), verbose=False)
    linear = module.generator_ema.layers[0]
    torch.testing.assert_close(note.mean, linear.bias, atol=0.4, rtol=0)  # latents have mean 0
    torch.testing.assert_close(note.var, linear.weight.square().sum(1), atol=0.5, rtol=0.8)
    assert note.var.max() < 0.9  # not the 1 that batch norm begins with
    assert largest_difference(module.state_dict(), before) == 0


def test_the_protocol_says_so(tmp_path):
    module = GAN(generator=Normed(), discriminator=Judge())
    metrics = GenerativeMetrics(nn.Flatten(), test_scores=["kid"])
    trainer(tmp_path, callbacks=[StandingStatistics(4), metrics]).test(module, loader(), verbose=False)
    (entry,) = json.loads(next(tmp_path.rglob("metrics.json")).read_text())
    assert entry["protocol"]["generator"] == "moving average (EMA), batch norm's standing statistics of 4 batches"


def test_a_run_with_validations_goes_on_as_one_without(tmp_path):
    states = []
    for callbacks in ([], [StandingStatistics(2)]):
        torch.manual_seed(0)
        module = GAN(generator=Normed(), discriminator=Judge())
        run = trainer(tmp_path, callbacks=callbacks, steps=8, val_check_interval=2, limit_val_batches=1)
        torch.manual_seed(1)
        run.fit(module, loader(), loader())
        states.append(module.state_dict())
    assert largest_difference(*states) == 0


class Stop(Callback):
    def on_test_batch_start(self, *args):
        raise InterruptedError


def test_the_statistics_are_given_back_also_after_an_error(tmp_path):
    module = GAN(generator=Normed(), discriminator=Judge())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(InterruptedError):
        trainer(tmp_path, callbacks=[StandingStatistics(2), Stop()]).test(module, loader(), verbose=False)
    assert largest_difference(module.state_dict(), before) == 0


def test_the_statistics_are_those_that_batch_norm_takes_in_training(tmp_path):
    module, note = GAN(generator=Normed(), discriminator=Judge(), ema_halflife=0.0), Note()
    trained, batch = copy.deepcopy(module).train(), next(iter(loader()))
    with torch.no_grad(), seeded(mix(0, 0, 2), module.device):
        trained.generator.layers[1].momentum = 1.0
        trained.samples(batch)
    trainer(tmp_path, callbacks=[StandingStatistics(1), note]).test(module, loader(), verbose=False)
    torch.testing.assert_close(note.mean, trained.generator.layers[1].running_mean)
    torch.testing.assert_close(note.var, trained.generator.layers[1].running_var)


def test_a_generator_without_batch_norm_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs a generator with batch norm, which GAN does not have: leave it out."):
        trainer(tmp_path, callbacks=[StandingStatistics()]).test(tiny(), loader(), verbose=False)
    with pytest.raises(ValueError, match="`num_batches` must be at least 1, got 0."):
        StandingStatistics(0)


def test_labels_are_those_of_all_evaluation_images(tmp_path):
    class Noting(GAN):
        def samples(self, batch):
            seen.append(batch[1])
            return super().samples(batch)

    class Sorted(TensorDataModule):
        reference = "three classes, one after the other as in folders"

        def load(self):
            images = TensorImages(torch.zeros(60, 1, 8, 8, dtype=torch.uint8), torch.arange(60) // 20)
            return images, images

    seen: list[Tensor] = []
    module = Noting(generator=Normed(), discriminator=Judge())
    data = Sorted(batch_size=8)
    trainer(tmp_path, callbacks=[StandingStatistics(4)]).test(module, datamodule=data, verbose=False)
    assert [len(labels.unique()) for labels in seen[:4]] == [3, 3, 3, 3]
    assert torch.cat(seen[:4]).bincount().tolist() == [11, 11, 10]
