"""Builds and trains shipped recipes for a benchmark."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser
from lightning import LightningDataModule, LightningModule

import lightning_gans.networks  # noqa: F401  a recipe names its networks without their path
from lightning_gans import AdversarialModule
from lightning_gans.__main__ import GANCLI, recipe
from lightning_gans.__main__ import main as program


def module_of(name: str) -> AdversarialModule:
    """Builds the module of a recipe, without its data and its trainer."""
    parser = ArgumentParser()
    parser.add_subclass_arguments(LightningModule, "model")
    model = yaml.safe_load(Path(recipe(name)).read_text())["model"]
    return parser.instantiate_classes(parser.parse_object({"model": model})).model


def data_of(name: str) -> Any:
    """Builds the data module of a recipe."""
    parser = ArgumentParser()
    parser.add_subclass_arguments(LightningDataModule, "data")
    data = yaml.safe_load(Path(recipe(name)).read_text())["data"]
    return parser.instantiate_classes(parser.parse_object({"data": data})).data


def train(name: str, *options: str) -> GANCLI:
    """Trains a recipe with options of the command line."""
    return program(["fit", "--config", name, *options])


def last_scores(cli: GANCLI) -> dict[str, dict[str, Any]]:
    """Returns the last scores of a training with their protocols, by the name of the callback."""
    trainer: Any = cli.trainer
    entries = entries_of(Path(trainer.log_dir))
    return {entry["scorer"]: entry for entry in entries if entry["step"] == trainer.max_steps}


def entries_of(folder: Path) -> list[dict[str, Any]]:
    """Returns the scores of a run; their command is left out, since the record has the benchmark's."""
    entries = json.loads((folder / "metrics.json").read_text())
    for entry in entries:
        entry["protocol"].pop("command", None)
    return entries


def quieten() -> None:
    """Silences what Lightning says of a training."""
    for part in ("pytorch", "fabric"):
        logging.getLogger(f"lightning.{part}").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
