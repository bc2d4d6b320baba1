"""`lightning-gans test` on one process and on two, with all that it writes."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import scipy.stats
import torch
import yaml
from PIL import Image
from torch import nn

from lightning_gans import GAN
from lightning_gans.__main__ import main
from lightning_gans.callbacks import GenerativeMetrics, TruncationSweep
from lightning_gans.callbacks.intervals import batches_of
from lightning_gans.callbacks.scores.truncation_sweep import draw_curves
from lightning_gans.datamodules import MNISTDataModule, TensorImages
from lightning_gans.metrics import FeatureDistance, FeatureScores
from lightning_gans.metrics.images import image_statistics, within_class_diversity
from lightning_gans.metrics.scores import table_of_scores
from lightning_gans.networks import MLPDiscriminator, MLPGenerator
from tests.conftest import loader, reduced, tiny, trainer

pytestmark = pytest.mark.filterwarnings("ignore")
CALLBACKS = [
    {"class_path": "GenerativeMetrics"},
    {"class_path": "StandingStatistics", "init_args": {"num_batches": 3}},
    {"class_path": "TruncationSweep", "init_args": {"thresholds": [0.5, 2.0], "num_images": 4}},
    {"class_path": "LatentInterpolation", "init_args": {"num_paths": 40, "num_walks": 4}},
    {"class_path": "NearestNeighbours"},
]


class FewDigits(MNISTDataModule):
    """The first 320 digits."""

    def load(self):
        digits, _ = super().load()
        few = TensorImages(digits.image[:320], digits.label[:320])
        return few, few


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """The folders of one checkpoint, tested by one process and by two, and what they printed."""
    folder = tmp_path_factory.mktemp("evaluation")
    path = Path(reduced("cgan_mnist", folder, max_epochs=-1, max_steps=3, callbacks=[], limit_val_batches=0))
    recipe = yaml.safe_load(path.read_text())
    recipe["data"]["class_path"] = "tests.test_evaluation.FewDigits"
    path.write_text(yaml.safe_dump(recipe))
    cli = main(["fit", "--config", str(path)])
    recipe["trainer"]["callbacks"] = CALLBACKS
    path.write_text(yaml.safe_dump(recipe))
    folders, printed = [], []
    for devices in (1, 2):
        run = folder / f"run_{devices}"
        cli.trainer.save_checkpoint(run / "checkpoints" / "last.ckpt")
        arguments = ["test", "--config", str(path), "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
        arguments += [f"--trainer.devices={devices}", "--trainer.strategy=ddp", "--data.batch_size=40"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}
        command = [sys.executable, "-m", "lightning_gans", *arguments]
        done = subprocess.run(
            command, cwd=Path(__file__).parent.parent, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        folders.append(run)
        printed.append(done.stdout)
    return folders, printed


def test_two_processes_give_the_scores_of_one(tested):
    one, two = (json.loads((folder / "metrics.json").read_text()) for folder in tested[0])
    names = ["GenerativeMetrics", "TruncationSweep", "LatentInterpolation", "NearestNeighbours"]
    assert [entry["scorer"] for entry in one] == names
    assert [entry["protocol"]["num_processes"] for entry in two] == [2] * 4
    for alone, together in zip(one, two, strict=True):
        assert together["scores"] == pytest.approx(alone["scores"], rel=1e-9, abs=1e-9)
    expected = {"fid", "kid", "precision", "recall", "density", "coverage", "two_sample_accuracy", "inception_score"}
    expected |= {"class_accuracy", "intra_class_fid", "classifier_accuracy_score", "class_share_min"}
    assert expected <= set(one[0]["scores"])


def test_two_processes_sweep_as_one(tested):
    tables = []
    for folder in tested[0]:
        lines = (folder / "truncation.csv").read_text().splitlines()
        assert any(line.startswith("# features_hash: ") for line in lines)
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        tables.append([{name: float(value) for name, value in row.items()} for row in rows])
    for one, two in zip(*tables, strict=True):
        assert two == pytest.approx(one, rel=1e-9, abs=1e-9, nan_ok=True)  # a class that is never guessed
    assert [row["threshold"] for row in tables[0]] == [0.5, 2.0]


def test_the_same_pictures_come_of_one_process_and_of_two(tested):
    names = ["interpolation_classes", "interpolation_linear", "interpolation_spherical", "nearest_neighbors"]
    for name in ["truncation.png", "truncation_samples.png", *(f"samples/{name}.png" for name in names)]:
        one, two = (Image.open(folder / name).convert("RGB") for folder in tested[0])
        assert one.tobytes() == two.tobytes()


def test_what_is_printed_is_what_is_saved(tested):
    for folder, printed in zip(*tested, strict=True):
        text = " ".join(printed.split())
        for entry in json.loads((folder / "metrics.json").read_text()):
            for name, score in entry["scores"].items():
                assert f"{name} {score:.4g}" in text
            for name, fact in entry["protocol"].items():
                assert isinstance(fact, dict) or f"{name.replace('_', ' ')}: {fact}" in text
        first = json.loads((folder / "metrics.json").read_text())[0]["protocol"]
        named = {
            "features",
            "features_hash",
            "reference",
            "num_real",
            "num_fake",
            "sample_seed",
            "generator",
            "command",
        }
        assert named | {"truncation", "images", "resize", "precision", "versions", "num_processes"} <= set(first)
        assert printed.count("GenerativeMetrics (test, step 3,") == 1


def test_the_command_of_the_protocol_gives_the_same_digits(tested, tmp_path):
    folder = tested[0][0]
    shutil.copy(folder / "metrics.json", tmp_path / "first.json")
    entry = json.loads((folder / "metrics.json").read_text())[0]
    (folder / "metrics.json").unlink()
    program = f"{sys.executable} -m lightning_gans"
    command = entry["protocol"]["command"].replace("python -m lightning_gans", program)
    subprocess.run(command, shell=True, check=True, capture_output=True, cwd=Path(__file__).parent.parent)
    again = json.loads((folder / "metrics.json").read_text())
    first = json.loads((tmp_path / "first.json").read_text())
    assert [entry["scores"] for entry in again] == [entry["scores"] for entry in first]


def test_a_generator_of_uniform_latents_cannot_be_truncated(tmp_path):
    class Uniform(type(tiny())):
        def latent(self, size):
            return self.uniform(size, 4)

    module = Uniform(generator=tiny().generator, discriminator=tiny().discriminator)
    sweep = TruncationSweep([0.5, 1.0], features=nn.Flatten())
    with pytest.raises(ValueError, match="needs samples of normal latents, and Uniform draws the same"):
        trainer(tmp_path, callbacks=[sweep]).test(module, loader(), verbose=False)


@pytest.mark.parametrize("thresholds", [[1.0], [-1.0, 1.0], [1.0, 0.5], [1.0, 1.0]])
def test_thresholds_rise_from_zero_on(thresholds):
    with pytest.raises(ValueError, match="`thresholds` must be at least 2 rising numbers from 0 on, got"):
        TruncationSweep(thresholds)


def test_latents_have_no_threshold_of_zero(tmp_path):
    sweep = TruncationSweep([0.0, 1.0], features=nn.Flatten())
    with pytest.raises(ValueError, match="`threshold` must be above 0 for latents, got 0.0."):
        trainer(tmp_path, callbacks=[sweep]).test(tiny(), loader(), verbose=False)


@pytest.mark.parametrize("threshold", [0.1, 1.0, 2.0, 8.0])
def test_truncated_latents_have_the_truncated_normal_distribution(threshold):
    module = tiny()
    with module.truncated(threshold):
        drawn = module.normal(100_000).numpy()
    assert scipy.stats.kstest(drawn, scipy.stats.truncnorm(-threshold, threshold).cdf).statistic < 0.006


def test_the_same_latents_lie_nearer_to_the_mean_at_a_lower_threshold(tmp_path):
    module = tiny()
    latents = []
    for threshold in (0.2, 2.0):
        with module.truncated(threshold):
            torch.manual_seed(1)
            latents.append(module.latent(100))
    assert torch.equal(latents[0].sign(), latents[1].sign())
    assert (latents[0].abs() < latents[1].abs()).all()


def test_curves_are_drawn_also_without_a_classifier(tmp_path):
    row = {"fid": 1.0, "precision": 0.5, "recall": 0.2, "density": 0.5, "coverage": 0.4}
    row |= {"brightness": 0.1, "contrast": 0.2, "sharpness": 0.3}
    draw_curves(tmp_path / "curves.png", [{"threshold": t} | row for t in (0.5, 1.0)])
    assert Image.open(tmp_path / "curves.png").size == (1210, 880)


def test_statistics_of_images():
    flat, board = torch.zeros(1, 8, 8), torch.ones(1, 8, 8)
    board[0, ::2, ::2] = board[0, 1::2, 1::2] = -1
    seen = image_statistics(torch.stack([flat, board]))
    assert seen["brightness"].tolist() == [0.5, 0.5]
    assert seen["contrast"].tolist() == [0, 0.5]
    assert seen["sharpness"].tolist() == [0, 4]


def test_diversity_within_classes_is_the_mean_squared_distance_of_two():
    features, label = torch.randn(40, 3, dtype=torch.float64), torch.arange(40) % 2
    parts = [torch.cdist(features[c::2], features[c::2]).square().sum() / (20 * 19) for c in (0, 1)]
    assert within_class_diversity(features, label) == pytest.approx((sum(parts) / 2).item())


def validated(folder, module):
    """The FID of a module by digits, whose features are cached in a folder."""
    run = trainer(folder, callbacks=[GenerativeMetrics(scores=["fid"], cache=str(folder))])
    run.validate(module, datamodule=FewDigits(batch_size=80), verbose=False)
    return run.callback_metrics["fid"].item()


def digits_gan(variant=GAN):
    generator, discriminator = MLPGenerator(4, width=8), MLPDiscriminator(width=8)
    return variant(generator=generator, discriminator=discriminator)


def test_real_features_are_cached_and_a_damaged_cache_is_refused(tmp_path):
    module = digits_gan()
    first = validated(tmp_path, module)
    (file,) = tmp_path.glob("FewDigits-*_evaluation_320_1x32x32_DigitClassifier-*.safetensors")
    made = file.stat().st_mtime_ns
    assert validated(tmp_path, module) == first and file.stat().st_mtime_ns == made
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(ValueError, match="are damaged and are not used: delete the file"):
        validated(tmp_path, module)


class Negative(GAN):
    """Draws negatives of digits."""

    def real(self, batch):
        return -batch[0]


def test_samples_are_compared_with_the_real_images_of_the_variant(tmp_path):
    plain, negative = digits_gan(), digits_gan(Negative)
    negative.load_state_dict(plain.state_dict())
    assert validated(tmp_path, plain) != validated(tmp_path, negative)  # which has no use for the file of the digits
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    metrics = GenerativeMetrics(nn.Flatten(), scores=["fid"])

    class Copying(Negative):
        def samples(self, batch):
            return {"fake": -batch[0]}

    run = trainer(tmp_path, callbacks=[metrics])
    run.validate(tiny(Copying), loader(), verbose=False)
    assert run.callback_metrics["fid"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("drawn", "what"),
    [
        ({"x_to_y": torch.zeros(8, 1, 8, 8)}, r"x_to_y \(8, 1, 8, 8\)"),
        ({"fake": torch.zeros(8, 2)}, r"fake \(8, 2\)"),
        ({}, "nothing"),
    ],
)
def test_a_variant_that_draws_no_fake_images_is_refused_before_training(tmp_path, drawn, what):
    class Odd(GAN):
        def samples(self, batch):
            return drawn

    sentence = rf"`GenerativeMetrics` needs images `fake` \(b, c, h, w\) .*, and Odd draws {what}: leave it out."
    run = trainer(tmp_path, callbacks=[GenerativeMetrics(nn.Flatten())])
    with pytest.raises(ValueError, match=sentence):
        run.fit(tiny(Odd), loader(), loader())
    assert run.global_step == 0


def test_a_network_that_refuses_the_images_is_named_with_its_callback(tmp_path):
    with pytest.raises(ValueError, match="`GenerativeMetrics` cannot look at these images with DigitClassifier: `im"):
        trainer(tmp_path, callbacks=[GenerativeMetrics()]).validate(tiny(), loader(), verbose=False)


@pytest.mark.parametrize("sizes", [(16, 9), (9, 16)])
def test_an_interval_is_the_same_on_all_processes(sizes):
    intervals = []
    for size in sizes:
        first = Mock(world_size=2)
        first.strategy.broadcast = lambda own: sizes[0]
        intervals.append(batches_of(0.128, torch.zeros(size, 1), first))
    assert intervals == [round(128 / (2 * sizes[0]))] * 2


def test_the_documentation_has_the_table_of_scores():
    assert table_of_scores() in (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text()


def test_a_score_that_cannot_be_had_is_refused():
    with pytest.raises(ValueError, match="A score must be one of fid, kid, .* got 'sFID'."):
        GenerativeMetrics(scores=["sFID"])


def test_two_networks_score_under_two_names(tmp_path):
    scores = ["fid"]
    two = [GenerativeMetrics(nn.Flatten(), scores=scores, prefix=prefix) for prefix in ("", "pixel_")]
    run = trainer(tmp_path, callbacks=two)
    run.validate(tiny(), loader(), verbose=False)
    assert run.callback_metrics["fid"] == run.callback_metrics["pixel_fid"]
    entries = json.loads(next(tmp_path.rglob("metrics.json")).read_text())
    assert [entry["scorer"] for entry in entries] == ["GenerativeMetrics", "GenerativeMetrics pixel_"]
    with pytest.raises(ValueError, match="`prefix` must differ between the run's `GenerativeMetrics`"):
        trainer(tmp_path, callbacks=[*two, GenerativeMetrics()]).validate(tiny(), loader(), verbose=False)


def test_diversity_is_the_distance_of_two_draws_of_a_batch(tmp_path):
    metrics = GenerativeMetrics(nn.Flatten(), scores=["fid"], distance=FeatureDistance(nn.Flatten()))
    run = trainer(tmp_path, callbacks=[metrics])
    run.validate(tiny(), loader(), verbose=False)
    (entry,) = json.loads(next(tmp_path.rglob("metrics.json")).read_text())
    assert entry["scores"]["diversity"] > 0
    assert entry["protocol"]["diversity_distance"].startswith("FeatureDistance of Flatten")


def test_a_score_that_few_images_do_not_allow_is_left_out_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="The score density_coverage is left out: `neighbors` must be"):
        run = trainer(tmp_path, callbacks=[GenerativeMetrics(nn.Flatten())])
        run.test(tiny(), loader(length=4, batch_size=4), verbose=False)
    assert "fid" in run.callback_metrics and "density" not in run.callback_metrics


def test_a_trial_run_draws_no_curves(tmp_path):
    run = trainer(tmp_path, callbacks=[TruncationSweep([0.5, 1.0], features=nn.Flatten())], fast_dev_run=True)
    run.test(tiny(), loader(batch_size=32), verbose=False)
    assert not list(tmp_path.rglob("truncation*"))


def gather_metric(rank, folder):
    """What a process of two makes of its share of the images, in batches of other sizes."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(scored(torch.load(f"{folder}/images.pt"), rank, 2), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def scored(images, rank, world_size):
    metric = FeatureScores(["fid", "kid", "precision_recall", "two_sample_accuracy"], features=nn.Flatten())
    for real, part in zip((True, False), images, strict=True):
        for batch in part.split(7)[rank::world_size]:
            metric.update(batch, real=real)
    return metric.compute()


def test_the_metric_has_the_value_of_one_process_on_two(tmp_path):
    images = [torch.rand(60, 1, 2, 2), torch.rand(45, 1, 2, 2)]
    torch.save(images, tmp_path / "images.pt")
    torch.multiprocessing.spawn(gather_metric, (str(tmp_path),), nprocs=2)
    alone = {name: value.item() for name, value in scored(images, 0, 1).items()}
    for rank in (0, 1):
        found = {name: value.item() for name, value in torch.load(tmp_path / f"{rank}.pt").items()}
        assert found == pytest.approx(alone, rel=1e-9)
