import hashlib
import json
import math
from importlib.metadata import version
from importlib.resources import files

import numpy as np
import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.image import FrechetInceptionDistance, InceptionScore, KernelInceptionDistance

from lightning_gans.callbacks import GenerativeMetrics
from lightning_gans.callbacks.scores.score_card import append_entry
from lightning_gans.metrics.digits import WEIGHTS, DigitClassifier
from lightning_gans.metrics.features import as_8_bit
from lightning_gans.metrics.scores import SCORES, SEED, Features, compute_scores
from lightning_gans.variant import Variant

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice about workers, loggers and checkpoint folders


@pytest.fixture(scope="module")
def embedded():
    """The 10,000 embedded digits in [-1, 1] and their labels."""
    with np.load(files("lightning_gans.datamodules") / "embedded" / "mnist_10k.npz") as data:
        return torch.from_numpy(data["image"])[:, None] / 127.5 - 1, torch.from_numpy(data["label"]).long()


@pytest.fixture(scope="module")
def digits(embedded):
    return embedded[0][:384]


@pytest.fixture(scope="module")
def classifier():
    return DigitClassifier.pretrained()


class Toy(Variant):
    """Trains one number; its samples are given images, the same at each validation, plus that validation's noise."""

    def __init__(self, fake, noise=(0.0,)):
        super().__init__()
        self.fake, self.noise = fake, list(noise)
        self.weight = nn.Parameter(torch.zeros(()))
        self.generator_ema = nn.Identity()
        self.conditional = False
        self.images_seen = self.steps_taken = 0

    def training_step(self, batch, batch_idx):
        self.images_seen += len(batch[0])
        return self.weight

    def validation_step(self, batch, batch_idx):
        fake = self.fake[batch_idx * 64 : (batch_idx + 1) * 64]
        return {"fake": (fake + self.noise[0] * torch.randn_like(fake)).to(self.weight.dtype)}

    test_step = validation_step

    def on_validation_end(self):
        if not self.trainer.sanity_checking:
            self.noise = self.noise[1:] or self.noise

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


class Plain(nn.Module):
    """Features without logits; counts the images that it sees."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(784, 16)
        self.seen = 0

    def forward(self, image):
        self.seen += len(image)
        return self.project(image.flatten(1))


@pytest.fixture
def trainer(tmp_path):
    def make(**kwargs):
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        quiet |= {"enable_checkpointing": False, "num_sanity_val_steps": 0, "accelerator": "cpu"}
        return Trainer(default_root_dir=tmp_path, **(quiet | kwargs))

    return make


def loader(image, batch_size=64):
    return DataLoader(TensorDataset(image), batch_size)


def entries(tmp_path):
    return json.loads((tmp_path / "metrics.json").read_text())


def test_the_shipped_classifier_reads_the_embedded_digits(classifier, embedded):
    """It was trained on these. On the 10,000 test digits, which do not ship, 99.58 % are right, as measured by
    `python benchmarks/train_digit_classifier.py ROOT`."""
    image, label = embedded[0][::4], embedded[1][::4]
    predicted = torch.cat([classifier(part).argmax(dim=1) for part in image.split(1000)])
    assert (predicted == label).float().mean() >= 0.99


def test_the_classifier_ships_frozen_and_small(classifier):
    assert not classifier.training and not any(value.requires_grad for value in classifier.parameters())
    assert WEIGHTS.stat().st_size < 1_000_000
    assert classifier.weights_hash == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:16]


def test_a_black_border_changes_no_digit(classifier, digits):
    padded = nn.functional.pad(digits, (2, 2, 2, 2), value=-1)
    assert torch.equal(classifier(padded), classifier(digits))


def test_one_pass_gives_the_features_and_the_logits(classifier, digits):
    features, logits = classifier.features_and_logits(digits)
    assert torch.equal(features, classifier.features(digits)) and torch.equal(logits, classifier(digits))


def test_the_classifier_refuses_other_sizes(classifier):
    with pytest.raises(
        ValueError, match=r"`image` must be \(b, 1, 28, 28\) or \(b, 1, 32, 32\), got \(2, 1, 64, 64\)."
    ):
        classifier(torch.zeros(2, 1, 64, 64))


def test_noise_is_no_confident_digit(classifier, digits):
    shuffled = digits.flatten(1)[:, torch.randperm(784)].view_as(digits)
    assert classifier(digits).softmax(dim=1).amax(dim=1).median() > 0.95
    assert classifier(shuffled).softmax(dim=1).amax(dim=1).median() < 0.3


def test_a_set_has_no_distance_to_itself(classifier, digits):
    features = Features(classifier.features(digits))
    fid = compute_scores(["fid"], features, features)["fid"]
    assert fid < 1e-3
    assert compute_scores(["fid"], features, Features(classifier.features(-digits)))["fid"] > 100 * fid


def test_the_scores_of_a_validation_are_those_of_torchmetrics_fed_with_the_images(trainer, classifier, digits):
    real, fake = digits[:192], digits[192:] + 0.3 * torch.randn(192, 1, 28, 28)
    run = trainer(callbacks=[GenerativeMetrics()])
    run.validate(Toy(fake), loader(real), verbose=False)

    class OurFeatures(nn.Module):
        num_features = 128

        def forward(self, image):
            return classifier.features(image)

    fid, kid = FrechetInceptionDistance(OurFeatures()), KernelInceptionDistance(nn.Identity(), subset_size=96)
    inception_score = InceptionScore(nn.Identity())
    both = [Features(*classifier.features_and_logits(as_8_bit(image))).in_order() for image in (real, fake)]
    for image, rows, is_real in ((real, both[0], True), (fake, both[1], False)):
        fid.update(as_8_bit(image), real=is_real)
        kid.update(rows.features.double(), real=is_real)
    inception_score.update(both[1].logits.double())
    torch.manual_seed(SEED)
    kid_value = kid.compute()
    torch.manual_seed(SEED)
    expected = torch.stack([value.float() for value in (fid.compute(), *kid_value, *inception_score.compute())])
    names = ("fid", "kid", "kid_std", "inception_score", "inception_score_std")
    torch.testing.assert_close(
        torch.stack([run.callback_metrics[name] for name in names]), expected, rtol=1e-4, atol=1e-6
    )


def test_images_are_scored_as_8_bits_would_store_them():
    levels = (torch.arange(256.0) / 127.5 - 1).view(1, 1, 16, 16)
    assert torch.equal(as_8_bit(levels + 0.4 / 127.5), as_8_bit(levels))
    torch.testing.assert_close(as_8_bit(levels), levels)
    assert as_8_bit(torch.tensor([[[[-3.0, 3.0]]]])).flatten().tolist() == [-1, 1]


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_the_precision_of_the_trainer_changes_no_score(trainer, digits, tmp_path, precision):
    image, scores = digits.bfloat16().float(), []  # the same in both
    for used, autocast in (("32-true", False), (precision, True)):
        run = trainer(callbacks=[GenerativeMetrics()], precision=used)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            run.test(Toy(image[192:]), loader(image[:192]), verbose=False)
        scores.append(entries(tmp_path)[0]["scores"])
    assert scores[0] == scores[1]


def test_the_shares_name_the_missing_and_the_commonest_digit(trainer, embedded, digits, tmp_path):
    image, label = embedded
    fake = torch.cat([image[label == 3][:48], image[label == 7][:16]])
    run = trainer(callbacks=[GenerativeMetrics()])
    run.test(Toy(fake), loader(digits[:64]), verbose=False)
    assert run.callback_metrics["class_share_min"] == 0
    assert run.callback_metrics["class_share_max"] == pytest.approx(48 / 64)


def test_a_network_without_logits_has_no_inception_score(trainer, digits, tmp_path):
    trainer(callbacks=[GenerativeMetrics(Plain())]).validate(Toy(digits[192:]), loader(digits[:192]), verbose=False)
    assert set(entries(tmp_path)[0]["scores"]) == {"fid", "kid", "kid_std"}


def test_real_images_are_seen_once_in_a_run(trainer, digits):
    network = Plain()
    run = trainer(callbacks=[GenerativeMetrics(network)], max_epochs=3)
    run.fit(Toy(digits[192:256]), loader(digits), loader(digits[:64]))
    assert network.seen == 64 + 3 * 64


def test_the_sanity_check_is_not_scored(trainer, digits):
    network = Plain()
    run = trainer(callbacks=[GenerativeMetrics(network)], max_steps=0, num_sanity_val_steps=1)
    run.fit(Toy(digits[:64]), loader(digits), loader(digits[:64]))
    assert network.seen == 0


def test_the_network_is_in_no_checkpoint(trainer, digits, tmp_path):
    run = trainer(callbacks=[GenerativeMetrics()], max_epochs=1)
    run.fit(Toy(digits[:64]), loader(digits), loader(digits[64:128]))
    run.save_checkpoint(tmp_path / "saved.ckpt")
    assert set(torch.load(tmp_path / "saved.ckpt")["state_dict"]) == {"weight"}


def test_an_entry_of_the_same_stage_and_step_is_replaced(tmp_path):
    path = tmp_path / "run" / "metrics.json"
    for stage, step, fid in [("validation", 1, 9.0), ("validation", 2, 8.0), ("test", 2, 7.0), ("validation", 2, 6.0)]:
        append_entry(path, {"stage": stage, "step": step, "scores": {"fid": fid}})
    found = [(entry["stage"], entry["step"], entry["scores"]["fid"]) for entry in json.loads(path.read_text())]
    assert found == [("validation", 1, 9.0), ("test", 2, 7.0), ("validation", 2, 6.0)]
    assert [file.name for file in path.parent.iterdir()] == ["metrics.json"]


def test_each_validation_leaves_its_scores_and_protocol(trainer, digits, tmp_path):
    run = trainer(callbacks=[GenerativeMetrics()], max_epochs=2)
    run.fit(Toy(digits[:64], noise=[0.5, 0.0]), loader(digits), loader(digits[64:128]))
    first, last = entries(tmp_path)
    assert [(entry["stage"], entry["step"], entry["kimg"]) for entry in (first, last)] == [
        ("validation", 6, 0.384),
        ("validation", 12, 0.768),
    ]
    assert last["scores"]["fid"] == pytest.approx(run.callback_metrics["fid"].item())
    protocol = last["protocol"]
    assert (protocol["num_real"], protocol["num_fake"], protocol["reference"]) == (64, 64, "validation dataloader")
    assert (protocol["features"], protocol["features_hash"]) == (
        "DigitClassifier",
        DigitClassifier.pretrained().weights_hash,
    )
    assert protocol["versions"]["torch"] == version("torch")


def test_a_resumed_run_keeps_the_entries(trainer, digits, tmp_path):
    run = trainer(callbacks=[GenerativeMetrics(Plain())], max_epochs=2)
    run.fit(Toy(digits[:64]), loader(digits), loader(digits[64:128]))
    run.save_checkpoint(tmp_path / "saved.ckpt")
    longer = trainer(callbacks=[GenerativeMetrics(Plain())], max_epochs=3)
    longer.fit(Toy(digits[:64]), loader(digits), loader(digits[64:128]), ckpt_path=tmp_path / "saved.ckpt")
    assert [entry["step"] for entry in entries(tmp_path)] == [6, 12, 18]


def test_the_hash_names_the_weights(trainer, digits, tmp_path):
    hashes = []
    network = Plain()
    for weight in (0.1, 0.2, 0.1):
        nn.init.constant_(network.project.weight, weight)
        trainer(callbacks=[GenerativeMetrics(network)]).test(Toy(digits[:64]), loader(digits[64:128]), verbose=False)
        hashes.append(entries(tmp_path)[0]["protocol"]["features_hash"])
    assert hashes[0] == hashes[2] != hashes[1]


@pytest.mark.parametrize("end", ["fit", "test"])
def test_the_end_prints_scores_with_their_protocol(trainer, digits, capsys, end):
    run, module = trainer(callbacks=[GenerativeMetrics()], max_epochs=1), Toy(digits[:64])
    if end == "fit":
        run.fit(module, loader(digits), loader(digits[64:128]))
    else:
        run.test(module, loader(digits[64:128]), verbose=False)
    printed = capsys.readouterr().out
    assert printed.count("GenerativeMetrics (") == 1
    assert f"fid                      {run.callback_metrics['fid']:.4g}" in printed
    card = " ".join(printed.split())
    assert "generator: moving average (EMA), eval mode; truncation: none; sample seed: 0" in card
    assert "num real: 64; num fake: 64" in card


def test_a_trial_run_writes_no_scores(trainer, digits, tmp_path):
    run = trainer(callbacks=[GenerativeMetrics(every_kimg=10.0)], fast_dev_run=True)
    run.fit(Toy(digits[:64]), loader(digits), loader(digits[64:128]))
    assert "fid" in run.callback_metrics and not (tmp_path / "metrics.json").exists()


class Validations(Callback):
    """Notes after which steps the trainer validates."""

    def __init__(self):
        self.steps = []

    def on_validation_end(self, trainer, pl_module):
        self.steps.append(trainer.global_step)


@pytest.mark.parametrize(
    "every_kimg, steps",
    [(0.032, [4, 8, 12, 16, 20]), (0.052, [6, 12, 18]), (0.08, [10, 20]), (0.0001, list(range(1, 21)))],
)
@pytest.mark.parametrize("reload", [0, 1])
def test_every_kimg_counts_training_images_across_epochs(trainer, digits, every_kimg, steps, reload):
    """Batches of 8, in each epoch 4 and a smaller one."""
    noted = Validations()
    run = trainer(
        callbacks=[GenerativeMetrics(Plain(), every_kimg=every_kimg), noted],
        max_steps=20,
        reload_dataloaders_every_n_epochs=reload,
    )
    run.fit(Toy(digits[:8]), loader(digits[:36], 8), loader(digits[:8]))
    assert noted.steps == steps


def test_every_kimg_takes_batches_that_are_bare_images(trainer, digits):
    class Bare(Toy):
        def training_step(self, batch, batch_idx):
            self.images_seen += len(batch)
            return self.weight

    noted = Validations()
    run = trainer(callbacks=[GenerativeMetrics(Plain(), every_kimg=0.016), noted], max_steps=6)
    run.fit(Bare(digits[:8]), DataLoader(digits[:48], 8), DataLoader(digits[:8], 8))
    assert noted.steps == [2, 4, 6]


def test_without_every_kimg_the_trainers_interval_stands(trainer, digits):
    noted = Validations()
    run = trainer(callbacks=[GenerativeMetrics(Plain()), noted], max_steps=20, check_val_every_n_epoch=2)
    run.fit(Toy(digits[:8]), loader(digits[:40], 8), loader(digits[:8]))
    assert noted.steps == [10, 20]


def test_every_kimg_must_be_above_0():
    with pytest.raises(ValueError, match="`every_kimg` must be above 0, got 0.0."):
        GenerativeMetrics(every_kimg=0.0)


@pytest.mark.parametrize("missing", ["dataloader", "limit"])
def test_training_without_real_images_to_compare_with_is_refused(trainer, digits, missing):
    run = trainer(callbacks=[GenerativeMetrics()], limit_val_batches=0 if missing == "limit" else 1.0)
    with pytest.raises(ValueError, match="needs real images to compare with: give a validation dataloader"):
        run.fit(Toy(digits[:8]), loader(digits), loader(digits) if missing == "limit" else None)


@pytest.mark.parametrize("every_kimg", [None, 0.192])
def test_the_checkpoint_with_the_lowest_fid_is_kept(trainer, digits, tmp_path, every_kimg):
    best = ModelCheckpoint(tmp_path, monitor="fid", filename="{step}")
    run = trainer(
        callbacks=[GenerativeMetrics(every_kimg=every_kimg), best],
        enable_checkpointing=True,
        max_epochs=4,
    )
    run.fit(Toy(digits[192:], noise=[0.5, 0.2, 0.0, 0.3]), loader(digits[:192]), loader(digits[:192]))
    found = {entry["step"]: entry["scores"]["fid"] for entry in entries(tmp_path)}
    assert list(found) == [3, 6, 9, 12] and min(found, key=found.get) == 9
    assert best.best_model_path == str(tmp_path / "step=9.ckpt")
    assert best.best_model_score.item() == pytest.approx(found[9])


class Deterministic(TorchFunctionMode):
    """Refuses the functions without gradients that torch refuses on a GPU under `deterministic=True`."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        with_indices = name in ("median", "nanmedian") and len(args) + len(kwargs) > 1
        weighted = name == "bincount" and (len(args) > 1 or kwargs.get("weights") is not None)
        if name in ("kthvalue", "histc", "put_", "nll_loss", "cross_entropy") or with_indices or weighted:
            raise RuntimeError(f"{name} does not have a deterministic implementation")
        return func(*args, **kwargs)


@pytest.mark.parametrize("name", SCORES)
def test_no_score_needs_what_torch_refuses_under_deterministic(name):
    real, fake = (Features(torch.randn(60, 8), logits=torch.randn(60, 3), label=torch.arange(60) % 3) for _ in range(2))
    with Deterministic():
        assert all(math.isfinite(score) for score in compute_scores([name], real, fake).values())
