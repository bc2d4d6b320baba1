"""The command line: its runs, the files that it writes, and its refusals."""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from jsonargparse import Namespace
from PIL import Image

from lightning_gans.__main__ import main
from lightning_gans.mechanics.messages import GO_ON, nearest, own_error
from lightning_gans.mechanics.resume import WORDS, locate
from tests.conftest import ALL_RECIPES, parsed, reduced


class Run(NamedTuple):
    """A run of two steps: its recipe, its folder, its last checkpoint and its output."""

    recipe: str
    folder: Path
    checkpoint: Path
    printed: str


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("a folder with spaces")
    last, best = (
        {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": init_args}
        for init_args in ({"save_last": True}, {"monitor": "fid", "filename": "best-{step}"})
    )
    recipe = reduced(
        "gan_mnist",
        folder,
        max_steps=2,
        precision=None,
        logger={"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(folder)}},
        callbacks=[
            {"class_path": "SampleGrid", "init_args": {"num_images": 4}},
            {"class_path": "GenerativeMetrics", "init_args": {"every_kimg": 0.016}},
            {"class_path": "SampleWriter"},
            last,
            best,
        ],
        enable_checkpointing=True,
        limit_predict_batches=2,
        limit_test_batches=2,
    )
    with redirect_stdout(io.StringIO()) as printed:
        main(["fit", "--config", recipe])
    run_folder = folder / "lightning_logs" / "version_0"
    return Run(recipe, run_folder, run_folder / "checkpoints" / "last.ckpt", printed.getvalue())


@pytest.fixture
def small(tmp_path) -> str:
    return reduced("gan_mnist", tmp_path, max_steps=1)


@pytest.fixture
def refused(capsys) -> Callable[..., str]:
    """Runs the command line, which must refuse, and returns its sentence."""

    def refused(*args: str, code: int) -> str:
        with pytest.raises(SystemExit) as exit:
            main(args)
        assert exit.value.code == code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        lines = captured.err.strip().splitlines()
        assert sum(line.startswith("lightning-gans: ") for line in lines) == 1
        assert lines[-1].startswith("lightning-gans: ") and lines[-1].endswith(".")
        return lines[-1]

    return refused


def edited(recipe: str, place: str, value: Any) -> str:
    """Sets one entry of a recipe, named by its dotted place in the file."""
    content = yaml.safe_load(Path(recipe).read_text())
    *parents, last = place.split(".")
    node = content
    for parent in parents:
        node = node[parent]
    node[last] = value
    Path(recipe).write_text(yaml.safe_dump(content))
    return recipe


# Recipes.


def test_a_shipped_recipe_is_found_by_its_name_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parsed("dcgan_mnist")["trainer"]["logger"]["init_args"]["name"] == "dcgan_mnist"


def callbacks(config: dict) -> list[str]:
    """Names the classes of a configuration's callbacks."""
    return [entry["class_path"].removeprefix("lightning_gans.callbacks.") for entry in config["trainer"]["callbacks"]]


DEFAULTS = ["ProgressBar", "SampleWriter", "NewestCheckpoint", "Report"]


def test_a_recipe_without_a_trainer_gets_the_defaults(small):
    content = yaml.safe_load(Path(small).read_text())
    del content["trainer"]
    Path(small).write_text(yaml.safe_dump(content))
    config = parsed(small)
    assert callbacks(config) == DEFAULTS
    assert config["trainer"]["logger"]["init_args"]["save_dir"] == "runs"
    assert config["trainer"]["max_epochs"] is None  # Lightning stops after 1000, with a warning


def test_a_recipe_with_all_of_its_callbacks_has_no_others(small):
    recipe = edited(small, "trainer.callbacks", [{"class_path": "SampleGrid"}, {"class_path": "ClassAccuracy"}])
    assert callbacks(parsed(recipe)) == ["SampleGrid", "ClassAccuracy"]


def test_a_recipe_adds_to_the_default_callbacks(small):
    content = yaml.safe_load(Path(small).read_text())
    del content["trainer"]["callbacks"]
    content["trainer"]["callbacks+"] = [{"class_path": "SampleGrid"}]
    Path(small).write_text(yaml.safe_dump(content))
    assert callbacks(parsed(small)) == [*DEFAULTS, "SampleGrid"]


def test_callbacks_on_the_command_line_replace_the_recipes():
    chosen = parsed("dcgan_mnist", "--trainer.callbacks", "SampleGrid")["trainer"]["callbacks"]
    assert chosen["class_path"] == "lightning_gans.callbacks.SampleGrid"


def test_callbacks_on_the_command_line_can_be_added_to_the_recipes():
    before, after = parsed("dcgan_mnist"), parsed("dcgan_mnist", "--trainer.callbacks+", "TruncationSweep")
    assert callbacks(after) == [*callbacks(before), "TruncationSweep"]


def test_the_defaults_are_no_recipe(refused):
    assert "shipped are" in refused("fit", "--config", "trainer", code=1)


def test_a_regularizer_is_named_without_its_path(small):
    recipe = edited(small, "model.init_args.regularizers", [{"class_path": "OrthogonalRegularization"}])
    (regularizer,) = parsed(recipe)["model"]["init_args"]["regularizers"]
    assert regularizer["class_path"] == "lightning_gans.regularizers.OrthogonalRegularization"


def test_an_unknown_recipe_lists_the_shipped_ones_and_the_nearest(refused):
    sentence = refused("fit", "--config", "dcgan_mnits", code=1)
    assert "got dcgan_mnits, the nearest is `dcgan_mnist`;" in sentence
    assert f"shipped are {', '.join(ALL_RECIPES)}." in sentence


def test_a_word_that_is_like_nothing_has_no_nearest():
    assert nearest("xyzzy", ["generator", "discriminator"]) == ""


def test_a_printed_recipe_is_a_recipe(small, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--config", small, "--model.n_critic", "3", "--print_config"])
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    assert main(["fit", f"--config={printed}"]).model.n_critic == 3


def test_the_recipe_that_a_run_saved_runs_again(run, tmp_path):
    again = main(
        ["fit", "--config", str(run.folder / "config.yaml"), "--trainer.logger.save_dir", str(tmp_path)]
    ).model.generator.state_dict()
    checkpoint = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(value, checkpoint[f"generator.{name}"]) for name, value in again.items())


# Refusals: one sentence, no traceback, a code that is not 0.


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--model.n_critc=2", "`n_critc` is not an accepted option of GAN, the nearest is `n_critic`."),
        (
            "--model.generator.widths=2",
            "`widths` is not an accepted option of MLPGenerator, the nearest is `width`.",
        ),
        ("--data.sizes=28", "`sizes` is not an accepted option of MNISTDataModule, the nearest is `size`."),
        ("--trainer.max_step=2", "`trainer.max_step` is not an accepted option, the nearest is `trainer.max_steps`."),
        ("--seed_evrything=2", "`seed_evrything` is not an accepted option, the nearest is `seed_everything`."),
        ("--model=WGANPG", "`WGANPG` is no class of this package, the nearest is `WGANGP`."),
        ("--model.objective=Hing", "`Hing` is no class of this package, the nearest is `Hinge`."),
    ],
)
def test_a_misspelt_word_on_the_command_line_is_refused_with_the_nearest(option, sentence, small, refused):
    assert refused("fit", "--config", small, option, code=2).endswith(sentence)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("models", "GAN", "`models` is not an accepted option, the nearest is `model`."),
        ("model.init_args.n_critc", 2, "`n_critc` is not an accepted option of GAN, the nearest is `n_critic`."),
        (
            "model.init_args.generator.init_args.widths",
            2,
            "`widths` is not an accepted option of MLPGenerator, the nearest is `width`.",
        ),
        (
            "model.init_args.generator_optimizer.init_args.beta",
            [0.5, 0.9],
            "`beta` is not an accepted option of Adam, the nearest is `betas`.",
        ),
        ("data.init_args.sizes", 28, "`sizes` is not an accepted option of MNISTDataModule, the nearest is `size`."),
        ("trainer.max_step", 2, "`trainer.max_step` is not an accepted option, the nearest is `trainer.max_steps`."),
        (
            "trainer.callbacks",
            [{"class_path": "SampleGrid", "init_args": {"every_kim": 1}}],
            "`every_kim` is not an accepted option of SampleGrid, the nearest is `every_kimg`.",
        ),
        (
            "trainer.callbacks",
            [{"class_path": "SampleGird"}],
            "`SampleGird` is no class of this package, the nearest is `SampleGrid`.",
        ),
        ("model.class_path", "GANN", "`GANN` is no class of this package, the nearest is `GAN`."),
    ],
)
def test_a_misspelt_word_in_a_recipe_is_refused_with_the_nearest(place, value, sentence, small, refused):
    assert refused("fit", "--config", edited(small, place, value), code=2).endswith(sentence)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--model.n_critic=0", "`n_critic` must be at least 1, got 0."),
        ("--data.batch_size=0", "`batch_size` must be at least 1, got 0."),
        ("--data.batch_size=20000", "at most the 10000 training images, got 20000 x 1 = 20000: lower `batch_size`."),
        ("--trainer.gradient_clip_val=1", "use `model.generator_clip` and `model.discriminator_clip`"),
        ("--trainer.accumulate_grad_batches=2", "use `model.micro_batches`"),
    ],
)
def test_an_impossible_value_is_refused_with_its_reason(option, sentence, small, refused):
    assert sentence.rstrip(".") in refused("fit", "--config", small, option, code=1)


def test_an_unreadable_image_is_refused_by_name(small, tmp_path, refused):
    image = tmp_path / "images" / "broken.png"
    image.parent.mkdir()
    image.write_bytes(b"no picture")
    folder = {"folder": str(image.parent), "size": 28, "channels": 1, "batch_size": 1}
    recipe = edited(small, "data", {"class_path": "ImageFolderDataModule", "init_args": folder})
    assert f"{image} is not a readable image" in refused("fit", "--config", recipe, code=1)


def test_a_missing_mnist_folder_is_refused_with_the_remedy(small, tmp_path, refused):
    sentence = refused("fit", "--config", small, "--data.folder", str(tmp_path / "none"), code=1)
    assert str(tmp_path / "none") in sentence and "pass `download=true`" in sentence


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_what_needs_a_trained_model_asks_for_its_checkpoint(verb, small, refused):
    assert f"`{verb}` needs a trained model: add --ckpt_path" in refused(verb, "--config", small, code=1)


@pytest.mark.parametrize("verb", ["fit", "predict"])
def test_a_missing_checkpoint_is_refused(verb, small, refused):
    sentence = refused(verb, "--config", small, "--ckpt_path", "none.ckpt", code=1)
    assert "The checkpoint none.ckpt does not exist" in sentence


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_a_damaged_checkpoint_is_refused(kept, run, tmp_path, refused):
    whole = run.checkpoint.read_bytes()
    damaged = tmp_path / "damaged.ckpt"
    damaged.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    sentence = refused("predict", "--config", run.recipe, "--ckpt_path", str(damaged), code=1)
    assert f"The checkpoint {damaged} cannot be read" in sentence and "damaged" in sentence


def test_a_file_of_weights_alone_is_no_checkpoint(run, tmp_path, refused):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pt")
    sentence = refused("predict", "--config", run.recipe, "--ckpt_path", str(tmp_path / "weights.pt"), code=1)
    assert "or no checkpoint" in sentence


def test_errors_of_other_code_keep_their_traceback(small, tmp_path, monkeypatch):
    (tmp_path / "their_gan.py").write_text(
        "from lightning_gans import GAN\n\n\nclass TheirGAN(GAN):\n"
        "    def generator_loss(self, batch):\n        raise ValueError('theirs')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="theirs"):
        main(["fit", "--config", edited(small, "model.class_path", "their_gan.TheirGAN")])


def test_an_error_is_told_by_where_it_was_raised():
    try:
        int("x")
    except ValueError as error:
        assert own_error(error) is None


# Configurations beside a checkpoint.


@pytest.fixture
def go_on(run, tmp_path, capsys) -> Callable[..., Any]:
    """Trains the run for two more steps with options, and keeps what it printed as `printed`."""

    def go_on(*options: str, recipe: str = run.recipe) -> Any:
        place = ["--ckpt_path", str(run.checkpoint), "--trainer.logger.save_dir", str(tmp_path)]
        cli = main(["fit", "--config", recipe, *place, "--trainer.max_steps", "4", *options])
        assert cli.trainer.global_step == 4
        cli.printed = capsys.readouterr().out
        return cli

    return go_on


def test_a_rate_beside_a_checkpoint_is_the_one_that_trains(go_on):
    cli = go_on("--model.generator_optimizer.lr=1e-5")
    discriminator, generator = (optimizer.param_groups[0]["lr"] for optimizer in cli.trainer.optimizers)
    assert generator == 1e-5 and discriminator != 1e-5


def test_another_optimizer_than_the_checkpoints_is_refused(go_on, capsys):
    with pytest.raises(SystemExit):
        go_on("--model.generator_optimizer=torch.optim.SGD", "--model.generator_optimizer.lr=0.1")
    assert "`generator_optimizer` is SGD and the checkpoint's is Adam" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("discriminator_clip", 0.5, "`model.discriminator_clip` is 0.5 and was null"),
        ("n_critic", 2, "`model.n_critic` is 2 and was 1"),
        ("ema_halflife", 0.1, "`model.ema_halflife` is 0.1 and was 10.0"),
    ],
)
def test_an_option_beside_a_checkpoint_holds_and_is_printed(option, value, line, go_on):
    cli = go_on(f"--model.{option}={value}")
    assert getattr(cli.model, option) == value
    assert line in cli.printed


def test_the_rates_given_beside_a_checkpoint_are_those_of_the_new_optimizer(go_on):
    cli = go_on("--model.generator_optimizer.lr=1e-5")
    assert cli.model.generator_optimizer([torch.nn.Parameter(torch.zeros(1))]).defaults["lr"] == 1e-5
    assert "`model.generator_optimizer.lr` is 1e-05 and was 0.0002" in cli.printed


def test_a_recipe_beside_a_checkpoint_holds_and_its_changes_are_printed(run, tmp_path, go_on):
    recipe = tmp_path / "other.yaml"
    recipe.write_text(Path(run.recipe).read_text())
    edited(str(recipe), "model.init_args.objective", "LeastSquares")
    edited(str(recipe), "model.init_args.regularizers", [{"class_path": "OrthogonalRegularization"}])
    cli = go_on(recipe=str(recipe))
    assert type(cli.model.objective).__name__ == "LeastSquares" and len(cli.model.regularizers) == 1
    assert "`model.objective` is lightning_gans.objectives.LeastSquares and was " in cli.printed
    assert "`model.regularizers` is [lightning_gans.regularizers.OrthogonalRegularization] and was []" in cli.printed


def test_a_change_of_the_data_is_printed(go_on):
    cli = go_on("--data.batch_size=4")
    assert "`data.batch_size` is 4 and was 8" in cli.printed and cli.datamodule.batch_size == 4


def test_nothing_is_said_to_have_changed_where_nothing_has(go_on):
    assert "changed since" not in go_on().printed


@pytest.mark.parametrize("verb", ["fit", "predict"])
def test_a_network_that_does_not_fit_is_refused_with_its_option(verb, run, refused):
    place = ["--config", run.recipe, "--ckpt_path", str(run.checkpoint), "--trainer.logger=false"]
    more = ["--model.generator.width=8", "--model.generator_optimizer.lr=1", "--trainer.max_steps=4"]
    sentence = refused(verb, *place, *more, code=1)
    assert "The checkpoint does not fit: `model.generator.width` is 8 here and 4 in it; " in sentence
    assert sentence.endswith("add `--model.generator.width 4`, or give the run's config.yaml.")


def test_a_missing_average_is_refused_with_its_option(run, refused):
    sentence = refused(
        "predict", "--config", run.recipe, "--ckpt_path", str(run.checkpoint), "--model.ema_halflife=0", code=1
    )
    assert "add `--model.ema_halflife 10.0`" in sentence


def test_a_checkpoint_of_another_class_is_refused(run, tmp_path, refused):
    recipe = tmp_path / "other.yaml"
    recipe.write_text(Path(run.recipe).read_text())
    edited(str(recipe), "model.class_path", "RelativisticGAN")
    sentence = refused("fit", "--config", str(recipe), "--ckpt_path", str(run.checkpoint), code=1)
    assert "holds a lightning_gans.GAN, and the configuration asks for a lightning_gans.RelativisticGAN" in sentence


@pytest.mark.parametrize(("option", "taken"), [("max_steps", 2), ("max_epochs", 1)])
def test_a_trainer_that_would_stop_at_once_is_refused(option, taken, small, tmp_path, refused):
    steps = ["--trainer.limit_train_batches=2", "--trainer.max_steps=-1", "--trainer.max_epochs=1"]
    main(["fit", "--config", small, *steps]).trainer.save_checkpoint(tmp_path / "a.ckpt")
    limits = {"max_steps": -1, "max_epochs": -1, option: taken}
    options = [f"--trainer.{name}={value}" for name, value in limits.items()]
    sentence = refused("fit", "--config", small, "--ckpt_path", str(tmp_path / "a.ckpt"), *options, code=1)
    assert f"`trainer.{option}` is {taken} and the checkpoint is at {taken}" in sentence


def test_a_run_goes_on_with_its_seed(run, tmp_path, go_on):
    recipe = tmp_path / "other.yaml"
    recipe.write_text(Path(run.recipe).read_text())
    cli = go_on(recipe=edited(str(recipe), "seed_everything", 7))
    assert "`seed_everything` stays 0 and is not 7" in cli.printed
    assert cli.config["fit"]["seed_everything"] == cli.model.seed == 0


def test_another_seed_for_a_run_that_goes_on_is_refused(run, refused):
    options = ["--ckpt_path", str(run.checkpoint), "--trainer.max_steps=4", "--seed_everything=7"]
    sentence = refused("fit", "--config", run.recipe, *options, code=1)
    assert "`seed_everything` is 7, and a resumed run keeps the seed 0" in sentence


def test_the_advice_after_a_loss_that_is_not_finite_names_options_that_exist():
    options = [f"--{name}=0.5" for name in re.findall(r"`--([\w.]+)`", GO_ON)]
    assert options and parsed("gan_mnist", *options)


# Words for checkpoints.


def made_up_run(folder: Path, name: str, **checkpoints: dict) -> Path:
    """Writes the checkpoints of a run, one after another, each with its callbacks' states."""
    run = folder / "lightning_logs" / name / "checkpoints"
    run.mkdir(parents=True)
    for second, (name, states) in enumerate(checkpoints.items()):
        torch.save({"pytorch-lightning_version": "2.6.0", "callbacks": states}, run / f"{name}.ckpt")
        os.utime(run / f"{name}.ckpt", (second, second))
    return run


def best(name: str, monitor: str | None = "fid") -> dict:
    return {f"ModelCheckpoint {monitor}": {"monitor": monitor, "best_model_path": f"/moved/{name}.ckpt"}}


def trainer_of(folder: Path) -> Namespace:
    logger = Namespace(class_path="CSVLogger", init_args=Namespace(save_dir=str(folder), name="lightning_logs"))
    return Namespace(logger=logger, default_root_dir=None)


def test_last_is_of_the_newest_run_that_has_a_checkpoint(tmp_path):
    made_up_run(tmp_path, "version_9", last={})
    newest = made_up_run(tmp_path, "version_10", last={})
    made_up_run(tmp_path, "version_11")  # such as of a test
    made_up_run(tmp_path, "version_x", last={})
    assert locate("last", trainer_of(tmp_path)) == str(newest / "last.ckpt")


def test_best_is_what_the_newest_state_of_the_run_calls_best(tmp_path):
    run = made_up_run(tmp_path, "version_0", a=best("a"), c=best("a"), b=best("b"), last=best("b"))
    assert locate("best", trainer_of(tmp_path)) == str(run / "b.ckpt")


def test_a_best_that_was_deleted_is_not_taken(tmp_path):
    run = made_up_run(tmp_path, "version_0", b=best("b"), last=best("a"))
    assert locate("best", trainer_of(tmp_path)) == str(run / "b.ckpt")


def test_what_no_score_monitors_is_not_the_best(tmp_path):
    made_up_run(tmp_path, "version_0", last=best("last", None))
    with pytest.raises(FileNotFoundError, match="`--ckpt_path best` finds no such checkpoint"):
        locate("best", trainer_of(tmp_path))


def test_scores_that_disagree_on_the_best_are_refused(tmp_path):
    made_up_run(tmp_path, "version_0", a={}, b={}, last=best("a", "fid") | best("b", "kid"))
    with pytest.raises(ValueError, match="can mean any of .*a.ckpt, .*b.ckpt"):
        locate("best", trainer_of(tmp_path))


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_a_word_that_finds_no_checkpoint_is_refused(verb, word, small, tmp_path, refused):
    sentence = refused(verb, "--config", small, "--ckpt_path", word, code=1)
    assert f"`--ckpt_path {word}` finds no such checkpoint in {tmp_path}" in sentence


@pytest.mark.parametrize("word", ["hpc", "newest", "registry:some-model", "registry"])
def test_another_word_is_no_checkpoint(word, small, refused):
    assert f"The checkpoint {word} does not exist" in refused("fit", "--config", small, "--ckpt_path", word, code=1)


def test_a_file_that_is_called_like_a_word_is_that_file(run, tmp_path, monkeypatch, go_on):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpc").write_bytes(run.checkpoint.read_bytes())
    assert go_on("--ckpt_path=hpc").model.images_seen == 32


@pytest.mark.parametrize(
    ("verb", "word", "name", "images"), [("fit", "last", "last.ckpt", 32), ("test", "best", "best-step=2.ckpt", 16)]
)
def test_a_word_is_a_checkpoint_of_the_newest_run(verb, word, name, images, run, tmp_path, capsys):
    shutil.copytree(run.folder.parent, tmp_path / "lightning_logs")
    options = ["--trainer.logger.save_dir", str(tmp_path), "--trainer.max_steps=4", f"--ckpt_path={word}"]
    assert main([verb, "--config", run.recipe, *options]).model.images_seen == images
    taken = tmp_path / "lightning_logs" / "version_0" / "checkpoints" / name
    assert f"checkpoint: {taken}\n" in capsys.readouterr().out


# Runs.


def test_a_run_ends_with_its_scores_its_pictures_and_how_to_go_on(run):
    scores = json.loads((run.folder / "metrics.json").read_text())[-1]["scores"]
    assert f"{scores['fid']:.4g}" in run.printed and "metrics.json" in run.printed
    assert "Trained on 0.016 thousand images." in run.printed
    assert str(run.folder / "samples") in run.printed and list((run.folder / "samples").glob("fake_*.png"))
    assert re.search(r"^  go on .*lightning-gans fit ", run.printed, re.MULTILINE)
    assert re.search(r"^  draw .*lightning-gans predict ", run.printed, re.MULTILINE)


def test_the_command_to_go_on_goes_on(run, tmp_path):
    go_on = re.search(r"  go on +lightning-gans (.*)", run.printed)
    more = main([*shlex.split(go_on[1]), "--trainer.logger.save_dir", str(tmp_path)])
    assert (more.trainer.global_step, more.model.images_seen) == (4, 32)


def test_the_precision_that_was_chosen_is_printed_with_its_reason(run):
    assert re.match(r"precision: (bf16-mixed|32-true), since .* \(--trainer.precision overrides this\)\n", run.printed)


def predict(run: Run, folder: Path, *args: str) -> np.ndarray:
    """Draws into a folder with the printed command, and returns the images."""
    draw = re.search(r"  draw +lightning-gans (.*)", run.printed)
    main([*shlex.split(draw[1]), "--trainer.logger.save_dir", str(folder), *args])
    with np.load(folder / "lightning_logs" / "version_0" / "samples.npz") as arrays:
        return arrays["image"]


def test_predict_writes_samples_as_an_array_and_a_picture(run, tmp_path):
    image = predict(run, tmp_path)
    assert (image.shape, image.dtype) == ((16, 28, 28, 1), np.uint8)
    with Image.open(tmp_path / "lightning_logs" / "version_0" / "samples.png") as picture:
        assert picture.size == (4 * 30 + 2, 4 * 30 + 2)


def test_predict_draws_the_same_samples_from_the_same_seed_alone(run, tmp_path):
    first, again = predict(run, tmp_path / "first"), predict(run, tmp_path / "again")
    other = predict(run, tmp_path / "other", "--seed_everything", "1")
    assert (first == again).all() and (first != other).any()


def test_predict_overwrites_nothing(run, tmp_path, refused):
    callbacks = [{"class_path": "SampleWriter", "init_args": {"folder": str(tmp_path)}}]
    recipe = edited(reduced("gan_mnist", tmp_path), "trainer.callbacks", callbacks)
    (tmp_path / "samples.npz").write_bytes(b"precious")
    sentence = refused("predict", "--config", recipe, "--ckpt_path", str(run.checkpoint), code=1)
    assert f"`{tmp_path / 'samples.npz'}` exists already" in sentence
    assert (tmp_path / "samples.npz").read_bytes() == b"precious"
    assert not (tmp_path / "samples.png").exists()


def test_test_scores_a_checkpoint(run, tmp_path):
    args = ["--config", str(run.folder / "config.yaml"), "--ckpt_path", str(run.checkpoint)]
    main(["test", *args, "--trainer.logger.save_dir", str(tmp_path)])
    entries = json.loads((run.folder / "metrics.json").read_text())  # beside the checkpoint
    (entry,) = [entry for entry in entries if entry["stage"] == "test"]
    assert (entry["stage"], entry["kimg"], entry["protocol"]["num_fake"]) == ("test", 0.016, 16)


# Processes of their own: exit codes as a shell sees them.


def test_main_runs_twice_in_a_process_without_a_script(small, tmp_path):
    code = (
        "from lightning_gans.__main__ import main\n"
        f"steps = [main(['fit', '--config', {small!r}]).trainer.global_step for _ in range(2)]\n"
        "print('steps', steps)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "steps [1, 1]" in done.stdout and done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [(["--help"], 0, "fit"), (["fit", "--config", "no_such_recipe"], 1, "shipped are")],
)
def test_the_program_leaves_with_its_code(args, code, words, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lightning_gans", *args], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code
    assert words in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
