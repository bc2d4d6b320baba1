import re

import numpy as np
import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.loggers.logger import Logger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gans import GAN
from lightning_gans.callbacks import NewestCheckpoint, ProgressBar, SampleGrid, SampleWriter
from lightning_gans.callbacks.progress_bar import whole_terms
from lightning_gans.callbacks.sample_writer import in_order
from lightning_gans.datamodules import OpenMojiDataModule
from lightning_gans.mechanics.randomness import seeded
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator
from lightning_gans.variant import Variant

BATCH = 32


class Toy(Variant):
    """All that the callbacks ask of a variant, and nothing else: 3x8x8 images from latents."""

    def __init__(self, lr: float = 0.1):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Linear(4, 3 * 8 * 8)
        self.lr = lr
        self.conditional = False
        self.images_seen = 0
        self.drawn = []

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return (batch,) if isinstance(batch, torch.Tensor) else batch

    def training_step(self, batch, batch_idx):
        self.images_seen += len(batch[0])
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = self.net.weight.square().mean()
        self.manual_backward(loss)
        optimizer.step()
        self.log_dict({"discriminator_loss/adversarial": loss.detach(), "generator_loss/cycle": 150.4})

    def validation_step(self, batch, batch_idx):
        pass

    def predict_step(self, batch, batch_idx):
        labels = {"label": batch[1]} if len(batch) > 1 else {}
        return self.draw(batch, batch_idx) | labels

    def draw(self, batch, seed):
        self.drawn.append(batch)
        with torch.no_grad(), seeded(seed, self.device):
            return {"fake": self.net(torch.randn(len(batch[0]), 4)).view(-1, 3, 8, 8)}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr)

    def on_save_checkpoint(self, checkpoint):
        checkpoint["images_seen"] = self.images_seen

    def on_load_checkpoint(self, checkpoint):
        self.images_seen = checkpoint["images_seen"]


class ImageLogger(Logger):
    """Takes images as the logger of Weights & Biases does."""

    name, version = "images", 0

    def __init__(self):
        super().__init__()
        self.logged = []

    def log_metrics(self, metrics, step=None):
        pass

    def log_hyperparams(self, params, *args, **kwargs):
        pass

    def log_image(self, key, images, step=None):
        self.logged.append((key, step, images[0].size))


def loader(count=320, batch_size=BATCH, labels=True):
    images = torch.rand(count, 3, 8, 8) * 2 - 1
    return DataLoader(TensorDataset(images, torch.arange(count) % 10) if labels else images, batch_size=batch_size)


def trainer(folder, *callbacks, **options):
    quiet = {"enable_model_summary": False, "enable_checkpointing": False, "logger": False, "accelerator": "cpu"}
    bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
    options = quiet | {"max_epochs": 1, "enable_progress_bar": bar, "log_every_n_steps": 1} | options
    return Trainer(default_root_dir=folder, callbacks=list(callbacks), **options)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# Sample grids.


@pytest.mark.parametrize(("lr", "same"), [(0.0, True), (50.0, False)])
def test_grids_are_equal_exactly_if_the_weights_are(tmp_path, lr, same):
    trainer(tmp_path, SampleGrid()).fit(Toy(lr), loader(), loader())
    first, last = ((tmp_path / "samples" / f"fake_{kimg}kimg.png").read_bytes() for kimg in ("00000.000", "00000.320"))
    assert (first == last) is same


def test_grids_are_drawn_at_the_start_whenever_a_multiple_is_crossed_and_at_the_end(tmp_path):
    trainer(tmp_path, SampleGrid(every_kimg=0.1), max_steps=11, max_epochs=2).fit(Toy(), loader())
    kimgs = ["00000.000", "00000.128", "00000.224", "00000.320", "00000.352"]
    assert files(tmp_path / "samples") == [*(f"fake_{kimg}kimg.png" for kimg in kimgs), "real.png"]


def test_a_resumed_run_writes_the_files_that_the_straight_run_does(tmp_path):
    start = Toy().state_dict()
    models = Toy(), Toy(), Toy()
    for model in models:
        model.load_state_dict(start)
    train, validation = loader(), loader()
    trainer(tmp_path / "straight", SampleGrid(0.1), max_epochs=2).fit(models[0], train, validation)
    first = trainer(tmp_path / "first", SampleGrid(0.1))
    first.fit(models[1], train, validation)
    first.save_checkpoint(tmp_path / "middle.ckpt")
    second = trainer(tmp_path / "second", SampleGrid(0.1), max_epochs=2, check_val_every_n_epoch=5)
    second.fit(models[2], train, validation, ckpt_path=tmp_path / "middle.ckpt")
    straight, resumed = tmp_path / "straight" / "samples", tmp_path / "second" / "samples"
    assert files(resumed) == [name for name in files(straight) if name > "fake_00000.320kimg.png"]
    assert all((resumed / name).read_bytes() == (straight / name).read_bytes() for name in files(resumed))


def test_real_images_are_the_first_of_the_validation_data(tmp_path):
    validation = loader()
    options = {"num_sanity_val_steps": 0, "check_val_every_n_epoch": 5}
    trainer(tmp_path, SampleGrid(num_images=40), **options).fit(Toy(), loader(), validation)
    picture = np.asarray(Image.open(tmp_path / "samples" / "real.png"))
    assert picture.shape == (2 + 10 * 6, 2 + 10 * 7, 3)  # 40 images, 7 in a row
    bytes_of = ((validation.dataset.tensors[0] + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(picture[2:10, 2:10], bytes_of[0])
    np.testing.assert_array_equal(picture[52:60, 42:50], bytes_of[39])  # of the second batch


def test_labels_of_the_fixed_images_are_those_of_the_validation_data(tmp_path):
    model = Toy()
    trainer(tmp_path, SampleGrid(num_images=40)).fit(model, loader(), loader())
    assert len(model.drawn) == 2
    for batch in model.drawn:
        assert batch[1].tolist() == [i % 10 for i in range(40)]


def test_without_validation_data_the_first_training_batch_is_drawn_and_may_be_smaller(tmp_path):
    model = Toy()
    train = loader(labels=False)
    trainer(tmp_path, SampleGrid(num_images=64), max_epochs=2).fit(model, train)
    assert all(torch.equal(batch[0], train.dataset[:BATCH]) for batch in model.drawn)
    assert Image.open(tmp_path / "samples" / "real.png").size == (62, 62)  # 32 images, 6 in a row


def test_a_grid_shows_every_class_of_data_that_stand_class_by_class(tmp_path):
    model, data = Toy(), OpenMojiDataModule(size=16, batch_size=32)
    trainer(tmp_path, SampleGrid(num_images=50), max_steps=1).fit(model, datamodule=data)
    image, label = model.drawn[0]
    assert image.shape == (50, 3, 16, 16) and set(label.tolist()) == set(range(10))
    assert data.evaluation.label[:50].unique().numel() == 1


def test_grids_go_to_a_logger_that_takes_images(tmp_path):
    logger = ImageLogger()
    trainer(tmp_path, SampleGrid(num_images=4), logger=logger).fit(Toy(), loader())
    size = (22, 22)
    assert logger.logged == [("samples/real", 0, size), ("samples/fake", 0, size), ("samples/fake", 10, size)]


def test_grids_go_to_tensorboard_and_to_its_folder(tmp_path):
    trainer(tmp_path, SampleGrid(), logger=TensorBoardLogger(tmp_path, "run", "one")).fit(Toy(), loader())
    events = EventAccumulator(str(tmp_path / "run" / "one")).Reload()
    assert [event.step for event in events.Images("samples/fake")] == [0, 10]
    assert [event.step for event in events.Images("samples/real")] == [0]
    assert len(files(tmp_path / "run" / "one" / "samples")) == 3


def test_grids_are_files_beside_a_table_of_numbers(tmp_path):
    trainer(tmp_path, SampleGrid(), logger=CSVLogger(tmp_path, "run", "one")).fit(Toy(), loader())
    assert len(files(tmp_path / "run" / "one" / "samples")) == 3


def test_drawing_grids_changes_no_random_number_of_training(tmp_path):
    after = []
    for callbacks in ([SampleGrid(0.1)], []):
        torch.manual_seed(0)
        trainer(tmp_path, *callbacks, num_sanity_val_steps=0, limit_val_batches=1).fit(Toy(), loader(), loader())
        after.append(torch.rand(()))
    assert after[0] == after[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every_kimg": 0.0}, "`every_kimg` must be positive, got 0.0."),
        ({"num_images": 0}, "`num_images` must be at least 1, got 0."),
    ],
)
def test_a_grid_of_nothing_is_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SampleGrid(**arguments)


# Samples as files.


def test_samples_come_back_from_the_file_in_order_with_their_labels(tmp_path, capsys):
    model = Toy()
    trainer(tmp_path, SampleWriter()).predict(model, loader(150, batch_size=40))
    samples = np.load(tmp_path / "samples.npz")
    images = torch.cat(
        [model.draw((torch.empty(n, 3, 8, 8),), seed)["fake"] for seed, n in enumerate((40, 40, 40, 30))]
    )
    expected = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    assert sorted(samples) == ["image", "label"]
    assert samples["image"].dtype == np.uint8 and samples["label"].dtype == np.int64
    np.testing.assert_array_equal(samples["image"], expected)
    np.testing.assert_array_equal(samples["label"], np.arange(150) % 10)
    assert files(tmp_path) == ["samples.npz", "samples.png"]
    assert Image.open(tmp_path / "samples.png").size == (102, 102)  # 10 x 10
    assert f"150 samples are in {tmp_path / 'samples.npz'}" in capsys.readouterr().out


class Translator(Toy):
    def draw(self, batch, seed):
        values = torch.tensor([-2.0, -1.0, 0.999, 1.0, -0.999, 2 * 77.4 / 255 - 1, 2 * 77.6 / 255 - 1])
        return {name: values.repeat(len(batch[0])).view(-1, 1, 1, 7) for name in ("x_to_y", "y_to_x")}


def test_translations_have_arrays_and_pictures_of_their_names_and_are_rounded(tmp_path):
    folder = tmp_path / "new" / "folder"
    trainer(tmp_path, SampleWriter(str(folder))).predict(Translator(), loader(2, labels=False))
    assert files(folder) == ["samples.npz", "samples_x_to_y.png", "samples_y_to_x.png"]
    samples = np.load(folder / "samples.npz")
    assert sorted(samples) == ["x_to_y", "y_to_x"]
    assert samples["x_to_y"].shape == (2, 1, 7, 1)
    assert samples["x_to_y"][1].flatten().tolist() == [0, 0, 255, 255, 0, 77, 78]


def test_samples_are_never_overwritten_and_that_is_said_before_any_is_drawn(tmp_path):
    model = Toy()
    (tmp_path / "samples.npz").write_text("precious")
    with pytest.raises(FileExistsError, match="samples.npz` exists already: delete it, or give another `folder`."):
        trainer(tmp_path, SampleWriter()).predict(model, loader())
    assert not model.drawn
    assert (tmp_path / "samples.npz").read_text() == "precious"


def test_batches_of_several_processes_are_put_in_the_order_of_one():
    batches = [{"image": np.full(1, j)} for j in range(5)]
    assert in_order([batches[0::3], batches[1::3], batches[2::3]]) == batches


# The progress bar.


def shown(capsys):
    """The lines of the bar as (images, all images)."""
    return re.findall(r"\| ([\d.k]+)/([\d.k]+) ", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({"max_epochs": 3}, "960"),
        ({"max_epochs": 3, "limit_train_batches": 4}, "384"),
        ({"max_steps": 14, "max_epochs": -1}, "448"),
        ({"max_steps": 14, "max_epochs": 1}, "320"),
    ],
)
def test_the_bar_counts_the_images_of_the_whole_training(tmp_path, capsys, options, total):
    trainer(tmp_path, ProgressBar(), **options).fit(Toy(), loader(), loader())
    assert shown(capsys) == [("32.0", total), (total, total)]


def test_the_bar_ends_full_when_epochs_end_with_a_smaller_batch(tmp_path, capsys):
    trainer(tmp_path, ProgressBar(), max_epochs=3).fit(Toy(), loader(300))
    assert shown(capsys)[-1] == ("900", "900")


def test_the_bar_of_a_resumed_run_starts_at_the_images_already_seen(tmp_path, capsys):
    first = trainer(tmp_path, max_steps=15, max_epochs=-1)
    first.fit(Toy(), loader())
    first.save_checkpoint(tmp_path / "middle.ckpt")
    capsys.readouterr()
    second = trainer(tmp_path, ProgressBar(), max_steps=30, max_epochs=-1)
    second.fit(Toy(), loader(), ckpt_path=tmp_path / "middle.ckpt")
    assert shown(capsys) == [("512", "960"), ("960", "960")]


class Stop(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop = trainer.global_step == 15


def test_the_bar_of_an_endless_run_counts_images(tmp_path, capsys):
    trainer(tmp_path, ProgressBar(), Stop(), max_epochs=-1).fit(Toy(), loader())
    assert re.findall(r"([\d.k]+img) [\d.k]+img/s in", capsys.readouterr().err) == ["32.0img", "480img"]


def test_the_bar_shows_the_players_losses(tmp_path, capsys):
    model = Toy(lr=0.0)
    nn.init.constant_(model.net.weight, 0.5)
    trainer(tmp_path, ProgressBar()).fit(model, loader())
    assert capsys.readouterr().err.rstrip().endswith("D adversarial 0.25  G cycle 150")


def test_only_terms_that_fit_whole_are_shown():
    terms = {"D adversarial": 1.234, "G adversarial": -0.5678}
    assert whole_terms(terms, 37) == "D adversarial 1.2"
    assert whole_terms(terms, 38) == "D adversarial 1.2  G adversarial -0.57"


def test_a_disabled_bar_prints_nothing(tmp_path, capsys):
    bar = ProgressBar()
    bar.disable()
    trainer(tmp_path, bar).fit(Toy(), loader())
    assert "img" not in capsys.readouterr().err


def test_predict_has_a_bar_of_batches(tmp_path, capsys):
    trainer(tmp_path, ProgressBar()).predict(Toy(), loader())
    assert "predict: 100%|##########| 10/10" in capsys.readouterr().err


def test_a_fast_dev_run_writes_nothing(tmp_path):
    callbacks = [SampleGrid(), NewestCheckpoint()]
    module = GAN(generator=DCGANGenerator(4, 1, 8, 4), discriminator=DCGANDiscriminator(1, 8, 4))
    images = DataLoader(TensorDataset(torch.rand(16, 1, 8, 8)), 8)
    trainer(tmp_path, *callbacks, fast_dev_run=2, enable_checkpointing=True).fit(module, images, images)
    assert not list(tmp_path.rglob("*.*"))
