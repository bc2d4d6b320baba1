"""What every shipped recipe keeps."""

from pathlib import Path

import pytest
import torch
import yaml
from lightning import LightningModule

import lightning_gans
from lightning_gans.__main__ import main
from tests.conftest import RECIPES, largest_difference, reduced


@pytest.fixture(params=RECIPES)
def recipe(request):
    return request.param


def test_the_end_of_training_is_scored_and_kept(recipe):
    config = yaml.safe_load((Path(lightning_gans.__file__).parent / "configs" / f"{recipe}.yaml").read_text())
    callbacks = {entry["class_path"]: entry.get("init_args", {}) for entry in reversed(config["trainer"]["callbacks"])}
    steps, batch_size = config["trainer"]["max_steps"], config["data"]["init_args"]["batch_size"]
    if "GenerativeMetrics" in callbacks:
        assert steps % round(1000 * callbacks["GenerativeMetrics"]["every_kimg"] / batch_size) == 0
    assert "NewestCheckpoint" in callbacks


def test_a_checkpoint_rebuilds_the_model_without_arguments(recipe, tmp_path):
    cli = main(["fit", "--config", reduced(recipe, tmp_path, max_epochs=-1, max_steps=6, log_every_n_steps=1)])
    terms = {name: value for name, value in cli.trainer.callback_metrics.items() if "_loss/" in name}
    assert terms and all(value.isfinite() for value in terms.values())
    cli.trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = LightningModule.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert type(loaded) is type(cli.model) and loaded.images_seen == cli.model.images_seen
    assert largest_difference(loaded.state_dict(), cli.model.state_dict()) == 0
    batch = next(iter(cli.datamodule.val_dataloader()))
    assert torch.equal(loaded.draw(batch, 1)["fake"], cli.model.draw(batch, 1)["fake"])
