"""The images that a folder holds, and their labels."""

import csv
import os
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS


def image_names(folder: Path) -> list[str]:
    """Lists the paths, within a folder, of all images in it and its sub-folders, but for names with a leading dot."""
    names = []
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(root).relative_to(folder).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        images = (name for name in files if name.lower().endswith(IMG_EXTENSIONS) and not name.startswith("."))
        names += [f"{prefix}{name}" for name in images]
    if not names:
        raise ValueError(f"{folder} holds no image: expected files that end in {', '.join(IMG_EXTENSIONS)}.")
    return sorted(names, key=lambda name: name.split("/"))


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
