"""The images that a folder or a zip file holds, and their labels."""

import csv
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from torchvision.datasets.folder import IMG_EXTENSIONS

LIST = "dataset.json"  # of labels, in a folder or zip file that NVlabs' dataset_tool wrote
Label = TypeVar("Label", int, str)


def image_names(folder: Path) -> list[str]:
    """Lists the paths, within a folder, of all images in it and its sub-folders, but for names with a leading dot."""
    names = []
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(root).relative_to(folder).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        images = (name for name in files if name.lower().endswith(IMG_EXTENSIONS) and not name.startswith("."))
        names += [f"{prefix}{name}" for name in images]
    return in_order(folder, names)


def archived_names(path: Path) -> list[str]:
    """Lists the names of all images in a zip file, but for those with a leading dot in any part."""
    with archive(path) as members:
        names = [name for name in members.namelist() if name.lower().endswith(IMG_EXTENSIONS)]
    return in_order(path, [name for name in names if not any(part.startswith(".") for part in name.split("/"))])


def in_order(path: Path, names: list[str]) -> list[str]:
    """Sorts the names of the images of a folder or zip file, of which there must be one."""
    if not names:
        raise ValueError(f"{path} holds no image: expected files that end in {', '.join(IMG_EXTENSIONS)}.")
    return sorted(names, key=lambda name: name.split("/"))


@contextmanager
def archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip file to read from it, by a handle of its own.

    Raises:
        ValueError: It, or what is read of it, is damaged.
    """
    try:
        with zipfile.ZipFile(path) as members:
            yield members
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # damaged, unknown compression, encrypted
        raise ValueError(f"{path} is not a readable zip file ({error}): write or fetch it again.") from None


def folder_classes(folder: Path, names: list[str]) -> list[str]:
    """Returns the sub-folder of each image; empty names if there are no sub-folders."""
    classes = [name.partition("/")[0] if "/" in name else "" for name in names]
    if "" in classes and any(classes):
        raise ValueError(f"{folder} holds images beside sub-folders of images: move them into one, or move it away.")
    return classes


def csv_classes(folder: Path, names: list[str], path: Path) -> list[str]:
    """Reads the class of each image from the columns `file`, a path within the folder, and `label` of a CSV file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file: `labels` must be a CSV file with the columns `file` and `label`.")
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"file", "label"} <= set(reader.fieldnames or []):
            found = ", ".join(reader.fieldnames or []) or "nothing"
            raise ValueError(f"The first line of {path} must name the columns `file` and `label`, it has {found}.")
        label_of: dict[str, str] = {}
        for row in reader:
            name, label = Path(row["file"] or "").as_posix(), row["label"]
            if not label:
                raise ValueError(f"Line {reader.line_num} of {path} has no label.")
            if name in label_of:
                raise ValueError(f"Line {reader.line_num} of {path} names {name} a second time: remove one.")
            label_of[name] = label
    return classes_of(names, label_of, folder, path)


def listed_classes(text: str, names: list[str], path: Path) -> list[int] | None:
    """Reads the class of each image from a `dataset.json` as NVlabs' dataset_tool writes it; None if it has no labels.

    Args:
        text: What the file holds, `{"labels": [["00000/img00000000.png", 6], ...]}`, or null for the list.
        names: The images.
        path: The folder or zip file that holds it.
    """
    where = path / LIST
    try:
        labels = json.loads(text)["labels"]
        label_of = None if labels is None else {str(name): label for name, label in labels}
    except (ValueError, TypeError, KeyError):
        raise ValueError(f'{where} must hold {{"labels": [["a.png", 6], ...]}}, or null for the list.') from None
    if label_of is None:
        return None
    for name, label in label_of.items():
        if type(label) is not int or label < 0:
            raise ValueError(f"{where} gives {name} the label {label}: labels must be whole numbers from 0.")
    return classes_of(names, label_of, path, where)


def classes_of(names: list[str], label_of: dict[str, Label], folder: Path, path: Path) -> list[Label]:
    """Returns the label of each image of a folder, all of which a file must list, and no others."""
    if absent := sorted(label_of.keys() - set(names)):
        raise ValueError(f"{len(absent)} images of {path} are not in {folder}, first {absent[0]}: remove their lines.")
    if unknown := [name for name in names if name not in label_of]:
        more = f"{len(unknown)} images of {folder} are not in {path}, first {unknown[0]}"
        raise ValueError(f"{more}: add lines for them, or move them away.")
    return [label_of[name] for name in names]


def class_names(classes: list[str]) -> list[str]:
    """Returns the classes in the order of their numbers: whole numbers by value, all others by name."""
    names = set(classes)
    return sorted(names, key=int) if all(name.isascii() and name.isdigit() for name in names) else sorted(names)


def numbered(classes: list[str], names: list[str], where: object) -> list[int]:
    """Returns the number of each class in a list of names."""
    if new := sorted(set(classes) - set(names)):
        raise ValueError(f"{where} holds the class {new[0]}, which the training images have not: {', '.join(names)}.")
    number = {name: index for index, name in enumerate(names)}
    return [number[name] for name in classes]
