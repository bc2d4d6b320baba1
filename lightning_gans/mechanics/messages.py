"""Sentences about what went wrong."""

import difflib
import inspect
import re
import traceback
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from lightning import Trainer

PACKAGE = Path(__file__).parents[1]
TOP = ("config", "seed_everything", "trainer", "model", "data", "ckpt_path", "print_config")
GO_ON = (  # from a checkpoint of a run whose losses or weights became infinite
    "go on from it with a lower rate (`--model.generator_optimizer.lr`, and so for each player) or a clipped gradient "
    "(`--model.generator_clip`)"
)
PLACES = ("models", "networks", "objectives", "regularizers", "datamodules", "callbacks")


def usage_message(message: str) -> str:
    """Says in a sentence which option was refused and which one is nearest.

    Args:
        message: The error of jsonargparse.
    """
    if match := re.search(r"(?:Option '|option '|unrecognized arguments: -*)([\w.]+)(?:'| |=|$)", message):
        option = match[1]
        classes = re.findall(r"class_path '([\w.]+)'|class_path='([\w.]+)'", message)
        owner = next((path for pair in reversed(classes) for path in pair if path), None)
        known = parameters(load(owner)) if owner else [*TOP, *(f"trainer.{name}" for name in parameters(Trainer))]
        where = f" of {owner.rsplit('.', 1)[-1]}" if owner else ""
        return f"`{option}` is not an accepted option{where}{nearest(option, known)}."
    if match := re.search(r"Expected a dot import path string: (\w+)", message):
        return f"`{match[1]}` is no class of this package{nearest(match[1], class_names())}."
    dropped = ("Does not validate", "Subtypes:", "Errors:", "- Expected a <class 'NoneType'>", "Given value")
    lines = [line.strip() for line in message.splitlines()]
    return " ".join(line.removeprefix("- ") for line in lines if line and not line.startswith(dropped))


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns the end of a sentence that names the known word nearest to a word, or nothing if none is near."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f", the nearest is `{close[0]}`" if close else ""


def parameters(owner: type) -> list[str]:
    """Lists the parameters that a class and its bases take by keyword."""
    inits = [vars(base)["__init__"] for base in owner.__mro__ if "__init__" in vars(base)]
    return [name for init in inits for name in inspect.signature(init).parameters if name != "self"]


def class_names() -> list[str]:
    """Lists the classes that a recipe can name without their path."""
    modules = [import_module(f"lightning_gans.{place}") for place in PLACES]
    return [name for module in modules for name, value in vars(module).items() if inspect.isclass(value)]


def load(path: str) -> type:
    """Imports a class by its path."""
    module, name = path.rsplit(".", 1)
    return getattr(import_module(module), name)


def own_error(error: BaseException | None) -> BaseException | None:
    """Returns the error, or the one that caused it, if this package raised it; its sentence is for the user."""
    while error and not raised_here(error):
        error = error.__cause__ or error.__context__
    return error


def raised_here(error: BaseException) -> bool:
    """Tells whether an error was raised in this package: in the innermost frame of its traceback."""
    return any(PACKAGE in Path(frame.filename).parents for frame in traceback.extract_tb(error.__traceback__)[-1:])
