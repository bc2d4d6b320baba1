"""Command line: `lightning-gans fit --config dcgan_mnist`, or `python -m lightning_gans`."""

import glob
import shlex
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_only

import lightning_gans.callbacks
import lightning_gans.contents
import lightning_gans.datamodules
import lightning_gans.models
import lightning_gans.networks
import lightning_gans.regularizers  # noqa: F401  importing a class lets a config name it without its path
from lightning_gans.callbacks import ImageWriter, SampleWriter
from lightning_gans.callbacks.scores.scorer import Scorer
from lightning_gans.datamodules import OwnImagesDataModule, TextDataModule
from lightning_gans.mechanics.files import atomic_write
from lightning_gans.mechanics.messages import nearest, own_error, usage_message
from lightning_gans.mechanics.precision import fast_precision
from lightning_gans.mechanics.resume import (
    WORDS,
    Difference,
    check_length,
    data_differences,
    keep_seed,
    locate,
    misfit,
    model_differences,
    read,
)

RECIPES = Path(__file__).parent / "configs"
VERBS = ("fit", "validate", "test", "predict")
DEFAULTS = RECIPES / "defaults" / "trainer.yaml"

ONE_PLAYER = {  # options of the trainer for one optimizer, their only value here, and what to use instead
    "gradient_clip_val": (None, "`model.generator_clip` and `model.discriminator_clip`"),
    "accumulate_grad_batches": (1, "`model.micro_batches`"),
}


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint files that a kill leaves whole: each is written under another name in its folder, and then renamed.

    Lightning writes to the system's temporary folder first; moving from there may copy, which a kill can cut short.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with atomic_write(path) as file:
            torch.save(checkpoint, file)


class SaveNewConfig(SaveConfigCallback):
    """The callback that saves a run's configuration in the folder that its logger names, and overwrites none."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not trainer.loggers:
            return
        path = Path(trainer.log_dir or trainer.default_root_dir) / self.config_filename
        if not self.already_saved and trainer.strategy.broadcast(path.exists()):
            raise FileExistsError(f"{path} exists already and is not overwritten: give the run another folder.")
        super().setup(trainer, pl_module, stage)


class GANCLI(LightningCLI):
    """Lightning's command line with shipped recipes, a fast precision, a summary, and options that always hold."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        self.changes: list[Difference] = []
        if verb := self.config.get("subcommand"):
            self.take_checkpoint(verb, self.config[verb], args)

    def take_checkpoint(self, verb: str, config: Any, args: Sequence[str]) -> None:
        """Finds the checkpoint, refuses one that the command cannot use, and prints what has changed since."""
        if config.ckpt_path is None:
            if verb != "fit":
                raise ValueError(f"`{verb}` needs a trained model: add --ckpt_path with a path, `last` or `best`.")
            return
        word, config.ckpt_path = config.ckpt_path, locate(config.ckpt_path, config.trainer)
        if word in WORDS:
            say(f"checkpoint: {config.ckpt_path}")
        checkpoint = read(config.ckpt_path)
        self._dump_config()  # as `config_dump`, in which everything is plain
        self.changes = model_differences(self.config_dump["model"], checkpoint)
        data = data_differences(self.config_dump["data"], config.ckpt_path)
        changes = [str(change) for change in (*self.changes, *data)]
        if verb == "fit":
            check_length(config.trainer, checkpoint)
            changes += keep_seed(config, checkpoint, args)
        if changes:
            say(f"changed since {config.ckpt_path}: {'; '.join(changes)}")

    def _parse_ckpt_path(self) -> None:
        """Leaves the configuration as it was given: Lightning would lay the checkpoint's over it."""

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except RuntimeError as error:
            if "Error(s) in loading state_dict" not in str(error):
                raise
            raise ValueError(misfit(self.changes, str(error))) from None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self.config_init[self.subcommand] if self.subcommand else self.config_init
        if config.trainer.precision is None:
            kwargs["precision"], why = fast_precision(config.trainer.accelerator)
            say(f"precision: {kwargs['precision']}, since {why} (--trainer.precision overrides this)")
        for name, (only, instead) in ONE_PLAYER.items():
            if config.trainer[name] != only:
                raise ValueError(f"`trainer.{name}` is for one optimizer, and here are several: use {instead}.")
        trainer = super().instantiate_trainer(**kwargs)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        return trainer

    def before_predict(self) -> None:
        self.config_init["predict"]["return_predictions"] = False  # callbacks take them; memory may not
        own_images = isinstance(self.datamodule, OwnImagesDataModule)
        if own_images or (isinstance(self.datamodule, TextDataModule) and self.datamodule.texts is not None):
            trainer: Any = self.trainer
            # Nothing is scored, and some scores would ask for the training images.
            trainer.callbacks = [callback for callback in trainer.callbacks if not isinstance(callback, Scorer)]
            if own_images and not any(isinstance(callback, ImageWriter) for callback in trainer.callbacks):
                trainer.callbacks.append(ImageWriter())

    def before_test(self, verb: str = "test") -> None:
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        scorers = [callback for callback in callbacks if isinstance(callback, Scorer)]
        self.config_init[verb]["verbose"] = not scorers  # scorers print the scores themselves

    def before_validate(self) -> None:
        self.before_test("validate")

    def after_fit(self) -> None:
        trainer: Any = self.trainer
        if trainer.fast_dev_run:
            return
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        checkpoint = getattr(trainer.checkpoint_callback, "last_model_path", "") or getattr(
            trainer.checkpoint_callback, "best_model_path", ""
        )
        lines = [
            f"Trained on {self.model.images_seen / 1000:g} thousand images."
            if hasattr(self.model, "images_seen")
            else "Trained."
        ]
        if (folder / "metrics.json").exists():
            lines += [f"  scores   {folder / 'metrics.json'}, the last ones above"]
        if (folder / "samples").exists():
            lines += [f"  samples  {folder / 'samples'}"]
        if checkpoint:
            run = f"--config {shlex.quote(str(folder / 'config.yaml'))} --ckpt_path {shlex.quote(checkpoint)}"
            more = (
                f"--trainer.max_epochs {2 * max(1, trainer.current_epoch)}"
                if trainer.max_steps == -1
                else f"--trainer.max_steps {2 * trainer.max_steps}"
            )
            lines += [f"  go on    lightning-gans fit {run} {more}"]
            if any(isinstance(callback, SampleWriter) for callback in trainer.callbacks):
                lines += [f"  draw     lightning-gans predict {run}"]
                if isinstance(self.datamodule, TextDataModule):
                    lines += [f"  of text  lightning-gans predict {run} --data.text 'YOUR TEXT'"]
            if getattr(self.model, "convert", None):
                own = "--data OwnImagesDataModule --data.folder YOUR_FOLDER"
                lines += [f"  convert  lightning-gans predict {run} {own}"]
        say("\n".join(lines))


def main(args: Sequence[str] | None = None) -> GANCLI:
    """Runs the command line.

    Args:
        args: The words after the program's name; None takes them from the command that started this process.
    """
    args = sys.argv[1:] if args is None else list(args)
    warnings.filterwarnings("ignore", "LightningCLI's args parameter")
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", "The dirpath has changed from")  # each run has its own folder
    strict: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}
    files = [glob.escape(str(DEFAULTS))]
    try:
        return GANCLI(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            save_config_callback=SaveNewConfig,
            parser_kwargs={**strict, **{verb: {**strict, "default_config_files": files} for verb in VERBS}},
            args=[*with_paths(args)],
        )
    except ArgumentError as error:
        fail(usage_message(str(error)), 2)
    except MisconfigurationException as error:  # what Lightning refuses, such as an accelerator that is not there
        fail(" ".join(str(error).split()), 1)
    except (ValueError, OSError, FloatingPointError) as error:
        if not (own := own_error(error)):
            raise
        fail(str(own), 1)
    raise AssertionError  # not reached, since `fail` ends the program


def with_paths(args: Sequence[str]) -> list[str]:
    """Replaces the names of shipped recipes after `--config` by their paths."""
    paths = []
    for previous, arg in zip(["", *args], args, strict=False):
        if previous in ("--config", "-c"):
            arg = recipe(arg)
        elif arg.startswith("--config="):
            arg = f"--config={recipe(arg.removeprefix('--config='))}"
        paths.append(arg)
    return paths


def recipe(name: str) -> str:
    """Returns the path of a recipe that is given by its path or, if it is a shipped one, by its name."""
    if Path(name).is_file():
        return name
    shipped = sorted(path.stem for path in RECIPES.glob("*.yaml"))
    if name not in shipped:
        raise ValueError(
            f"`--config` must be a file or a shipped recipe, got {name}{nearest(name, shipped)}; "
            f"shipped are {', '.join(shipped)}."
        )
    return str(RECIPES / f"{name}.yaml")


@rank_zero_only
def say(text: str) -> None:
    print(text, flush=True)


def fail(sentence: str, code: int) -> None:
    print(f"lightning-gans: {sentence}", file=sys.stderr)
    raise SystemExit(code)


def program() -> None:
    """Runs the command `lightning-gans`, whose exit code would be what this returns."""
    main()


if __name__ == "__main__":
    program()
