import struct

import numpy as np
import pytest
import torch
from jaxtyping import config
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, OnExceptionCheckpoint
from PIL import Image
from torchvision.datasets import MNIST
from torchvision.transforms import CenterCrop, InterpolationMode, Resize
from torchvision.transforms.functional import pil_to_tensor

from lightning_gans import GAN
from lightning_gans.datamodules import (
    GaussianMixtureDataModule,
    ImageFolderDataModule,
    MNISTDataModule,
    TensorDataModule,
    TensorImages,
    TensorPoints,
)
from lightning_gans.datamodules.batches import EvaluationBatches, TrainingBatches
from lightning_gans.networks import MLPDiscriminator, MLPGenerator
from tests import conftest


class Counted(TensorDataModule):
    """21 images whose labels are their numbers."""

    reference = "21 numbers"

    def load(self):
        images = TensorImages(torch.arange(21, dtype=torch.uint8).view(21, 1, 1, 1), torch.arange(21))
        return images, images


NUMBERS = TensorPoints(torch.zeros(21, 1), torch.arange(21))


class Witness(LightningModule):
    """Writes down the labels of all batches; a training step fails once the given number of them is through."""

    def __init__(self, fails_after: int | None = None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.fails_after = fails_after
        self.trained, self.evaluated = [], []

    def training_step(self, batch, batch_idx):
        if len(self.trained) == self.fails_after:
            raise RuntimeError("power cut")
        self.trained.append(batch[1].tolist())
        return self.weight * batch[0].mean()

    def validation_step(self, batch, batch_idx):
        self.evaluated.append(batch[1].tolist())

    test_step = validation_step

    def predict_step(self, batch, batch_idx):
        return batch[1].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(autouse=True)
def no_seed_is_left_behind(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")


@pytest.fixture
def trainer(tmp_path):
    """Makes quiet trainers."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return lambda **settings: Trainer(
        accelerator="cpu", devices=1, default_root_dir=tmp_path, max_epochs=2, **quiet, **settings
    )


@pytest.fixture
def untyped():
    """Switches the run-time types off, so that a wrong value meets the check that users meet."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def ready(data):
    data.setup("fit")
    return data


def batches(sampler, epoch=0):
    sampler.set_epoch(epoch)
    return [index.tolist() for index in sampler]


def labels(loader):
    return [label.tolist() for _, label in loader]


# Batches in memory


def test_bytes_become_floats_from_minus_one_to_one():
    images = TensorImages(torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1), torch.tensor([7, 8, 9]))
    image, label = images[torch.tensor([2, 0, 1])]
    torch.testing.assert_close(image.flatten(), torch.tensor([1.0, -1.0, -0.6]))
    assert label.tolist() == [9, 7, 8]


def test_training_order_is_a_function_of_seed_and_epoch_alone():
    choices = [(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    orders = {(seed, epoch): batches(TrainingBatches(NUMBERS, 4, seed=seed), epoch) for seed, epoch in choices}
    assert len({str(order) for order in orders.values()}) == 4
    torch.manual_seed(1)
    again = TrainingBatches(NUMBERS, 4, seed=1)
    assert batches(again, 1) == orders[1, 1]
    assert batches(again, 0) == orders[1, 0]


def test_seed_everything_chooses_the_training_order():
    data = ready(Counted(4))
    seed_everything(5, verbose=False)
    assert labels(data.train_dataloader()) == batches(TrainingBatches(NUMBERS, 4, seed=5))


def test_a_training_epoch_repeats_nothing_and_drops_the_incomplete_batch():
    loader = ready(Counted(4)).train_dataloader()
    seen = labels(loader)
    assert [len(batch) for batch in seen] == [4] * 5 and len(loader) == 5
    assert len(set(sum(seen, []))) == 20


def test_the_sampler_of_a_loader_takes_the_epoch():
    loader = ready(Counted(4)).train_dataloader()
    first = labels(loader)
    loader.sampler.set_epoch(1)
    assert labels(loader) != first


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_batch_of_one_process(processes):
    one = batches(TrainingBatches(NUMBERS, 8, seed=3), epoch=2)
    ranks = [batches(TrainingBatches(NUMBERS, 8 // processes, processes, r, seed=3), 2) for r in range(processes)]
    assert [sum(shares, []) for shares in zip(*ranks, strict=True)] == one


def test_evaluation_batches_are_dealt_to_processes_in_turn():
    assert batches(EvaluationBatches(range(7), 2, 2, 0)) == [[0, 1], [4, 5]]
    assert batches(EvaluationBatches(range(7), 2, 2, 1)) == [[2, 3], [6]]


@pytest.mark.parametrize("size", [5, 8, 21])
@pytest.mark.parametrize("processes", [1, 3, 5])
def test_evaluation_sees_each_image_once_and_leaves_no_process_idle(size, processes):
    ranks = [EvaluationBatches(range(size), 4, processes, rank) for rank in range(processes)]
    assert sorted(sum((sum(batches(rank), []) for rank in ranks), [])) == list(range(size))
    assert all(len(rank) == len(batches(rank)) > 0 for rank in ranks)


def test_loading_draws_nothing_from_the_global_generator():
    data = ready(Counted(4))
    before = torch.get_rng_state()
    labels(data.train_dataloader())
    labels(data.val_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_batch_size_must_be_positive():
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, got 0."):
        Counted(0)


def test_batches_of_all_processes_must_fit_into_the_training_set():
    with pytest.raises(ValueError, match=r"at most the 21 training images, got 11 x 2 = 22: lower `batch_size`\."):
        TrainingBatches(NUMBERS, 11, num_replicas=2)


# With a trainer


def test_validation_test_and_prediction_see_all_images_in_order(trainer):
    expected = torch.arange(21).split(4)
    expected = [batch.tolist() for batch in expected]
    for stage in ("validate", "test"):
        witness = Witness()
        getattr(trainer(), stage)(witness, Counted(4), verbose=False)
        assert witness.evaluated == expected
    assert trainer().predict(Witness(), Counted(4)) == expected


@pytest.fixture
def straight(trainer, tmp_path):
    """What a run of two epochs of 5 batches trains on; it leaves a checkpoint of each step."""
    witness = Witness()
    each_step = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    trainer(callbacks=[each_step]).fit(witness, Counted(4))
    return witness.trained


def test_a_trainer_runs_the_epochs_in_their_orders(straight):
    sampler = TrainingBatches(NUMBERS, 4)
    assert straight == batches(sampler, 0) + batches(sampler, 1)


@pytest.mark.parametrize("step", [3, 5, 7])
@pytest.mark.filterwarnings("error::lightning.pytorch.utilities.warnings.PossibleUserWarning")
def test_a_resumed_run_goes_on_with_the_next_batch_and_no_warning(step, straight, trainer, tmp_path):
    witness = Witness()
    trainer(enable_checkpointing=False).fit(witness, Counted(4), ckpt_path=tmp_path / f"step={step}.ckpt")
    assert witness.trained == straight[step:]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_run_resumed_with_another_batch_size_goes_on_with_the_next_image(
    batch_size, step, straight, trainer, tmp_path
):
    witness, done = Witness(), step * 4
    trainer(enable_checkpointing=False).fit(witness, Counted(batch_size), ckpt_path=tmp_path / f"step={step}.ckpt")
    left = (21 - done) // batch_size
    sampler = TrainingBatches(NUMBERS, batch_size)
    order = torch.cat(list(TrainingBatches(NUMBERS, 21)))[done:].tolist()
    assert witness.trained[:left] == [order[i * batch_size : (i + 1) * batch_size] for i in range(left)]
    assert witness.trained[left:] == batches(sampler, 1)


def changed(path, **facts):
    """A copy of a checkpoint whose data module had other facts."""
    checkpoint = torch.load(path, weights_only=False)
    checkpoint["Counted"] = {"seed": checkpoint["Counted"]["seed"], **facts}
    torch.save(checkpoint, path.with_name("changed.ckpt"))
    return path.with_name("changed.ckpt")


def test_a_run_of_two_processes_goes_on_with_the_next_image_on_one(straight, trainer, tmp_path):
    witness, of_two = Witness(), changed(tmp_path / "step=2.ckpt", images_per_step=8)
    trainer(enable_checkpointing=False).fit(witness, Counted(4), ckpt_path=of_two)
    assert witness.trained == straight[4:]


def test_a_checkpoint_without_the_size_of_a_step_is_taken_as_one_of_this_size(straight, trainer, tmp_path):
    witness, old = Witness(), changed(tmp_path / "step=3.ckpt")
    trainer(enable_checkpointing=False).fit(witness, Counted(4), ckpt_path=old)
    assert witness.trained == straight[3:]


@pytest.mark.filterwarnings("error::lightning.pytorch.utilities.warnings.PossibleUserWarning")
def test_a_machine_with_many_cores_is_not_advised_to_use_workers(trainer, monkeypatch):
    monkeypatch.setattr("lightning.pytorch.trainer.connectors.data_connector.suggested_max_num_workers", lambda _: 8)
    witness = Witness()
    trainer(limit_train_batches=1).fit(witness, Counted(4))
    assert len(witness.trained) == 2


@pytest.mark.parametrize("step", [2, 4])
def test_a_batch_that_failed_in_its_step_is_taken_again(step, straight, trainer, tmp_path):
    failed, resumed = Witness(fails_after=step), Witness()
    with pytest.raises(RuntimeError, match="power cut"):
        trainer(callbacks=[OnExceptionCheckpoint(tmp_path, "failed")]).fit(failed, Counted(4))
    trainer(enable_checkpointing=False).fit(resumed, Counted(4), ckpt_path=tmp_path / "failed.ckpt")
    assert failed.trained + resumed.trained == straight


# The sentence about what was taken


def test_a_data_module_says_once_what_it_took(caplog):
    data = MNISTDataModule()
    with caplog.at_level("INFO", "lightning.pytorch"):
        data.setup("fit"), data.setup("test")
    said = [record.message for record in caplog.records if "MNISTDataModule" in record.message]
    digits = "0: 1,001; 1: 1,127; 2: 991; 3: 1,032; 4: 980; 5: 863; 6: 1,014; 7: 1,070; 8: 944; 9: 978"
    assert said == [data.summary]
    assert data.summary == (
        f"MNISTDataModule trains on 10,000 images of 10 classes ({digits}) from the package, and evaluates on the same "
        "(embedded MNIST, first 10,000 training digits)."
    )
    assert data.classes == list("0123456789")


def test_images_without_a_label_are_counted_apart():
    assert "of 10 classes (0: 2; 1: 2; 2: 2; " in (said := ready(MNISTDataModule(num_labels=20)).summary)
    assert "9: 2; 9,980 without a label)" in said


def test_of_many_classes_the_first_are_named():
    class Many(Counted):
        def load(self):
            self.classes = [f"class {number}" for number in range(21)]
            return super().load()

    assert "of 21 classes (class 0: 1; class 1: 1; " in (said := ready(Many()).summary)
    assert said.endswith("class 9: 1; 11 more), and evaluates on the same (21 numbers).")


def test_data_without_classes_are_counted():
    assert ready(Counted()).summary == "Counted trains on 21 images, and evaluates on the same (21 numbers)."
    assert ready(GaussianMixtureDataModule(num_points=1000, num_evaluation_points=10)).summary == (
        "GaussianMixtureDataModule trains on 1,000 points, and evaluates on 10 points (ring of 8 Gaussians, radius 1, "
        "std 0.01)."
    )


# MNIST


def test_the_shipped_digits_are_the_first_of_the_training_set():
    data = ready(MNISTDataModule(size=28))
    assert data.training is data.evaluation and len(data.training) == 10_000
    assert data.training.label[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.training.label.bincount().tolist() == [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
    assert data.reference == "embedded MNIST, first 10,000 training digits"


@pytest.mark.parametrize("size", [28, 32])
def test_digits_have_the_size_and_range_of_the_batch(size):
    image, label = next(iter(ready(MNISTDataModule(size=size)).train_dataloader()))
    assert image.shape == (64, 1, size, size) and image.dtype == torch.float32
    assert (image.min(), image.max()) == (-1, 1)
    assert label.shape == (64,) and label.dtype == torch.int64


def test_size_32_frames_the_digit_in_black():
    small, large = (next(iter(ready(MNISTDataModule(size=size)).val_dataloader()))[0] for size in (28, 32))
    assert torch.equal(large[:, :, 2:-2, 2:-2], small)
    large[:, :, 2:-2, 2:-2] = -1
    assert (large == -1).all()


def idx(array):
    """The bytes of an idx file, MNIST's own format."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def raw(tmp_path):
    """The `MNIST/raw` folder with 6 training and 4 test digits."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split, size in {"train": 6, "t10k": 4}.items():
        image = np.random.default_rng(size).integers(0, 256, (size, 28, 28), dtype=np.uint8)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(idx(image))
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(idx(np.arange(size, dtype=np.uint8)))
    return folder


def test_a_folder_of_idx_files_is_read_back(raw):
    data = MNISTDataModule(str(raw.parents[1]), size=28, batch_size=4)
    data.prepare_data()
    data.setup("fit")
    assert len(data.training) == 6
    image, label = next(iter(data.test_dataloader()))
    expected = np.random.default_rng(4).integers(0, 256, (4, 1, 28, 28), dtype=np.uint8)
    assert torch.equal(((image + 1) * 127.5).round(), torch.from_numpy(expected).float())
    assert label.tolist() == [0, 1, 2, 3]
    assert data.reference == "MNIST test, 10,000 digits"


def test_missing_digits_are_named_with_the_remedy(raw):
    (raw / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="raw has no t10k-labels-idx1-ubyte: pass `download=true`, or put"):
        MNISTDataModule(str(raw.parents[1])).setup("fit")


def test_a_failed_download_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(MNIST, "mirrors", [(tmp_path / "nowhere").as_uri() + "/"])
    with pytest.raises(FileNotFoundError, match="the download failed, so try again, or put MNIST's four unpacked"):
        MNISTDataModule(str(tmp_path), download=True).prepare_data()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[:-1],
        lambda data: b"\x1f\x8b" + data[2:],
        lambda data: idx(np.zeros((5, 28, 28), np.uint8)),
        lambda data: idx(np.zeros((6, 27, 28), np.uint8)),
    ],
    ids=["empty", "header only", "cut", "packed", "fewer than labels", "other size"],
)
@pytest.mark.parametrize("download", [False, True])
def test_damaged_digits_are_refused(damage, download, raw):
    images = raw / "train-images-idx3-ubyte"
    images.write_bytes(damage(images.read_bytes()))
    data = MNISTDataModule(str(raw.parents[1]), download=download)
    with pytest.raises(ValueError, match="The train files in .*raw are damaged: delete them and pass `do.*`") as raised:
        data.prepare_data()
        data.setup("fit")
    assert len(raised.getrepr().chain) == 1, "the reader's own error is shown as well"


def test_digits_come_in_two_sizes(untyped):
    with pytest.raises(ValueError, match="`size` must be 28 or 32, got 64."):
        MNISTDataModule(size=64)


def test_a_download_needs_a_folder():
    with pytest.raises(ValueError, match="`download` needs a `folder` to download to, got none."):
        MNISTDataModule(download=True)


# A folder of images


def paint(path, size=(8, 8), color=(255, 0, 0)):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, color).save(path)


def test_sub_folders_are_classes_by_sorted_name(tmp_path):
    paint(tmp_path / "zebra" / "1.png", color=(255, 0, 0))
    paint(tmp_path / "ant" / "2.JPG", color=(255, 255, 255))
    (tmp_path / "ant" / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    data = ready(ImageFolderDataModule(str(tmp_path), size=4, batch_size=2))
    image, label = next(iter(data.val_dataloader()))
    assert label.tolist() == [0, 1]
    assert (image[0] == 1).all()
    assert torch.equal(image[1], torch.tensor([1.0, -1.0, -1.0]).view(3, 1, 1).expand(3, 4, 4))
    assert data.training is data.evaluation and data.classes == ["ant", "zebra"]
    assert f"2 images of 2 classes (ant: 1; zebra: 1) from {tmp_path}, and evaluates on the same" in data.summary


def test_without_sub_folders_every_label_is_zero(tmp_path):
    paint(tmp_path / "1.png")
    paint(tmp_path / "2.png")
    data = ready(ImageFolderDataModule(str(tmp_path), size=4))
    assert data.training.label.tolist() == [0, 0] and data.classes == []


@pytest.mark.parametrize("size", [(24, 8), (8, 24)])
def test_the_shorter_side_is_resized_and_the_centre_kept(tmp_path, size):
    noise = Image.effect_noise(size, 40)
    noise.save(tmp_path / "noise.png")
    image = ready(ImageFolderDataModule(str(tmp_path), size=4, channels=1)).training.image
    expected = pil_to_tensor(CenterCrop(4)(Resize(4, InterpolationMode.LANCZOS)(noise)))
    torch.testing.assert_close(image[0], expected, atol=1, rtol=0)


def test_a_resize_averages_what_it_shrinks(tmp_path):
    board = np.indices((64, 64)).sum(0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save(tmp_path / "board.png")
    image = ready(ImageFolderDataModule(str(tmp_path), size=4, channels=1)).training.image
    assert ((image > 120) & (image < 136)).all()


@pytest.mark.parametrize("content", [b"", b"no image at all"], ids=["empty", "text"])
def test_an_unreadable_image_is_named(tmp_path, content):
    paint(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"2\.png is not a readable image \(.*\): repair or remove it\."):
        ImageFolderDataModule(str(tmp_path)).setup("fit")


def test_a_cut_image_is_refused(tmp_path):
    paint(tmp_path / "1.png", size=(64, 64))
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"1\.png is not a readable image"):
        ImageFolderDataModule(str(tmp_path)).setup("fit")


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"holds no image: expected files that end in \.jpg, "):
        ImageFolderDataModule(str(tmp_path)).setup("fit")


def test_images_beside_classes_are_refused(tmp_path):
    paint(tmp_path / "1.png")
    paint(tmp_path / "ant" / "2.png")
    with pytest.raises(ValueError, match="holds images beside sub-folders of images: move them into one"):
        ImageFolderDataModule(str(tmp_path)).setup("fit")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`folder` must be an existing folder or zip file of images, got .*now"):
        ImageFolderDataModule(str(tmp_path / "nowhere"))


def test_images_have_at_least_one_pixel(tmp_path):
    with pytest.raises(ValueError, match="`size` must be at least 1, got 0."):
        ImageFolderDataModule(str(tmp_path), size=0)


def test_images_have_one_or_three_channels(tmp_path, untyped):
    with pytest.raises(ValueError, match="`channels` must be 1 or 3, got 4."):
        ImageFolderDataModule(str(tmp_path), channels=4)


def test_a_resumed_run_keeps_the_order_of_its_seed(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    first, second = MNISTDataModule(batch_size=64), MNISTDataModule(batch_size=64)
    first.setup("fit"), second.setup("fit")
    labels = next(iter(first.train_dataloader()))[1]
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    second.load_state_dict(first.state_dict())
    assert torch.equal(next(iter(second.train_dataloader()))[1], labels)
    other = MNISTDataModule(batch_size=64)
    other.setup("fit")
    assert not torch.equal(next(iter(other.train_dataloader()))[1], labels)


def test_few_labels_are_known_in_equal_numbers_and_repeated():
    data = MNISTDataModule(num_labels=20, label_repeats=3)
    data.setup("fit")
    label, all_labels = data.training.label, data.evaluation.label
    assert len(label) == 10_000 + 2 * 20 and len(all_labels) == 10_000
    assert label[label >= 0].bincount(minlength=10).tolist() == [6] * 10
    assert torch.equal(label[:10_000][label[:10_000] >= 0], all_labels[label[:10_000] >= 0])
    first = (all_labels == 7).nonzero()[:2].flatten()
    assert label[first].tolist() == [7, 7] and (label[:10_000] == 7).sum() == 2
    assert torch.equal(data.training.image[label == 7][2:4], data.evaluation.image[first])


@pytest.mark.parametrize("number", [15, -10, 8010])
def test_a_number_of_labels_that_classes_cannot_share_is_refused(number):
    with pytest.raises(ValueError, match=f"`num_labels` must be a multiple of the 10 classes .*, got {number}"):
        MNISTDataModule(num_labels=number)


def test_repeating_no_label_is_refused():
    with pytest.raises(ValueError, match="`label_repeats` must be at least 1, got 0"):
        MNISTDataModule(num_labels=10, label_repeats=0)


def test_overfitting_goes_through_the_same_first_batches(tmp_path):
    seen = []

    class Look(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(batch[1])

    data = MNISTDataModule(size=28, batch_size=8)
    module = GAN(generator=MLPGenerator(width=4), discriminator=MLPDiscriminator(width=4))
    conftest.trainer(tmp_path, -1, max_epochs=2, overfit_batches=3, callbacks=[Look()]).fit(module, data)
    first = data.evaluation.label[:24].view(3, 8)
    assert torch.equal(torch.stack(seen), torch.cat([first, first]))
