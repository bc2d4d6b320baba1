"""The checkpoint that a command names, and how it differs from the configuration that is given beside it."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

from lightning_gans.mechanics.checkpoints import counters_of

WORDS = ("last", "best")
LOGGERS_FOLDER = "lightning_logs"  # of a logger without a name


class Difference(NamedTuple):
    """An option whose value in the configuration is not the checkpoint's."""

    option: str
    here: Any
    there: Any

    def __str__(self) -> str:
        return f"`{self.option}` is {in_a_word(self.here)} and was {in_a_word(self.there)}"


def locate(path: str, trainer: Any) -> str:
    """Returns the path of the checkpoint that a command means, and refuses a name that is no file.

    Args:
        path: A path; or `last` for the newest state of the newest run that has one, or `best` for the state that the
            run's ModelCheckpoint monitors as the best.
        trainer: The trainer's part of the configuration, whose logger says where the recipe's runs are.
    """
    if Path(path).is_file():
        return os.path.join(os.curdir, path) if os.path.basename(path) == path else path  # not a word for Lightning
    if path not in WORDS:
        raise FileNotFoundError(f"The checkpoint {path} does not exist: give a path, `last` or `best`.")
    folder = runs_folder(trainer)
    for run in newest_runs(folder):
        if found := (last_of if path == "last" else best_of)(run / "checkpoints"):
            return str(found)
    raise FileNotFoundError(
        f"`--ckpt_path {path}` finds no such checkpoint in {folder / 'version_*' / 'checkpoints'}: give its path."
    )


def newest(path: str) -> Path | None:
    """Returns a checkpoint's file, or the newest checkpoint of a folder, if any.

    Args:
        path: The file, or the folder of checkpoints, of a run, or of the runs of a recipe, the newest of which that has
            a checkpoint then counts.
    """
    folder = Path(path)
    if folder.is_file():
        return folder
    places = [folder, folder / "checkpoints", *(run / "checkpoints" for run in newest_runs(folder))]
    return next((found for place in places if (found := last_of(place))), None)


def newest_runs(folder: Path) -> list[Path]:
    """Returns the runs of a recipe, the newest first."""
    return sorted(folder.glob("version_*"), key=version, reverse=True)


def runs_folder(trainer: Any) -> Path:
    """Returns the folder in which the configured logger makes a folder for each run."""
    logger = trainer.logger[0] if isinstance(trainer.logger, list) else trainer.logger
    arguments = {} if logger is None or isinstance(logger, bool) else logger.get("init_args", {})
    root = arguments.get("save_dir") or trainer.default_root_dir or "."
    return Path(root) / (arguments.get("name") or LOGGERS_FOLDER)


def version(run: Path) -> int:
    """Returns the number of a run's folder; one without a number counts as the oldest."""
    number = re.fullmatch(r"version_(\d+)", run.name)
    return int(number[1]) if number else -1


def last_of(folder: Path) -> Path | None:
    """Returns the newest `last.ckpt` of a folder, which may be numbered, otherwise the newest checkpoint, if any."""
    files = newest_first(folder.glob("last*.ckpt")) or newest_first(folder.glob("*.ckpt"))
    return next(iter(files), None)


def best_of(folder: Path) -> Path | None:
    """Returns the checkpoint that the folder's newest one with such an entry names as the best, if any."""
    for path in newest_first(folder.glob("*.ckpt")):
        states = read(path).get("callbacks", {}).values()
        names = {Path(s["best_model_path"]).name for s in states if isinstance(s, dict) and s.get("monitor")}
        found = sorted(folder / name for name in names if name and (folder / name).is_file())
        if len(found) > 1:
            raise ValueError(f"`--ckpt_path best` can mean any of {', '.join(map(str, found))}: give one as the path.")
        if found:
            return found[0]
    return None


def newest_first(paths: Iterator[Path]) -> list[Path]:
    """Sorts files by the time at which they were written."""
    return sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def read(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint whose tensors stay in the file, and refuses a file that is none."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        checkpoint["pytorch-lightning_version"]
    except Exception as error:
        raise ValueError(
            f"The checkpoint {path} cannot be read ({type(error).__name__}): it is damaged, or no checkpoint; "
            "use another one from the run's folder `checkpoints`."
        ) from None
    return checkpoint


def model_differences(model: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> list[Difference]:
    """Compares the model's configuration with the one in a checkpoint, and refuses a checkpoint of another class.

    A checkpoint that was written in Python holds plain arguments only, and only they are compared.
    """
    there = dict(checkpoint.get("hyper_parameters", {}))
    class_path = there.pop("_class_path", model["class_path"])
    if class_path != model["class_path"]:
        raise ValueError(
            f"The checkpoint holds a {class_path}, and the configuration asks for a {model['class_path']}: "
            "give the recipe that it was trained with, or the run's config.yaml."
        )
    here = {**model.get("init_args", {}), **model.get("dict_kwargs", {})}
    return list(differences(here, there, "model"))


def data_differences(data: Any, checkpoint_path: str | Path) -> list[Difference]:
    """Compares the data's configuration with the one that the checkpoint's run saved, if that is still beside it."""
    folder = Path(checkpoint_path).absolute().parent
    saved = (folder.parent if folder.name == "checkpoints" else folder) / "config.yaml"
    if not saved.is_file():
        return []
    return list(differences(data, (yaml.safe_load(saved.read_text()) or {}).get("data"), "data"))


def differences(here: Any, there: Any, option: str) -> Iterator[Difference]:
    """Yields the options in which two configurations differ; an option that only one of them knows is passed over."""
    if isinstance(here, dict) and isinstance(there, dict) and here.get("class_path") == there.get("class_path"):
        for key in (key for key in here if key in there):
            yield from differences(here[key], there[key], option if key == "init_args" else f"{option}.{key}")
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there) and here and is_class(here[0]):
        for index, (item, other) in enumerate(zip(here, there, strict=True)):
            yield from differences(item, other, f"{option}[{index}]")
    elif here != there:
        yield Difference(option, here, there)


def is_class(value: Any) -> bool:
    """Tells whether a configuration's value names a class."""
    return isinstance(value, dict) and "class_path" in value


def in_a_word(value: Any) -> str:
    """Writes a configuration's value in short: a class without its arguments, anything else as in a recipe."""
    if is_class(value):
        return value["class_path"]
    if isinstance(value, list) and value and is_class(value[0]):
        return f"[{', '.join(map(in_a_word, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


def misfit(found: list[Difference], error: str) -> str:
    """Says which options make a checkpoint not fit, given torch's error, which names the modules."""
    found = [each for each in found if re.search(rf"\b{each.option.split('.')[1]}\.", error)] or found
    if not found:
        reason = error.splitlines()[1].strip()
        return f"The checkpoint does not fit: give the recipe and options it was trained with ({reason})."
    facts = [f"`{each.option}` is {in_a_word(each.here)} here and {in_a_word(each.there)} in it" for each in found]
    options = [f"`--{each.option} {in_a_word(each.there)}`" for each in found if is_short(each)]
    advice = f"add {' '.join(options)}, or give" if options else "give"
    return f"The checkpoint does not fit: {', '.join(facts)}; {advice} the run's config.yaml."


def is_short(change: Difference) -> bool:
    """Tells whether an option and its value in the checkpoint can be written on the command line."""
    return "[" not in change.option and isinstance(change.there, bool | int | float | str)


def check_length(trainer: Any, checkpoint: Mapping[str, Any]) -> None:
    """Refuses to go on from a checkpoint when the trainer would stop at once."""
    for option, taken in (("max_steps", checkpoint["global_step"]), ("max_epochs", epochs_finished(checkpoint))):
        if trainer[option] not in (None, -1) and taken >= trainer[option]:
            raise ValueError(
                f"`trainer.{option}` is {trainer[option]} and the checkpoint is at {taken}, so that nothing is left to "
                f"train: add `--trainer.{option}` with a number above {taken}."
            )


def epochs_finished(checkpoint: Mapping[str, Any]) -> int:
    """Returns how many epochs were over when a checkpoint was written."""
    if not (fit := checkpoint.get("loops", {}).get("fit_loop")):
        return 0
    begun, at_its_end = fit["epoch_progress"]["current"]["ready"], fit["epoch_loop.batch_progress"]["is_last_batch"]
    return begun if at_its_end else max(0, begun - 1)


def keep_seed(config: Any, checkpoint: Mapping[str, Any], args: Sequence[str]) -> list[str]:
    """Sets the configuration's seed to the checkpoint's, which a resumed run draws from, and says so if it was another.

    Args:
        config: The configuration of `fit`, whose `seed_everything` may be true, for any seed, or false, for none.
        checkpoint: The checkpoint from which the run goes on.
        args: The words of the command, in which another seed than the checkpoint's is refused.
    """
    given, (_, kept) = config.seed_everything, counters_of(checkpoint)
    if kept is None or given is False:
        return []
    config.seed_everything = kept
    if given is True or given == kept:
        return []
    if any(arg.split("=")[0] == "--seed_everything" for arg in args):
        raise ValueError(f"`seed_everything` is {given}, and a resumed run keeps the seed {kept}: leave it out.")
    return [f"`seed_everything` stays {kept} and is not {given}"]
