"""Captions in files: one beside each image, or a table of all."""

import csv
from io import StringIO
from pathlib import Path


def read_text(path: Path) -> str:
    """Reads a text in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: It is in another encoding.
    """
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path} is not UTF-8 in line {line} (byte {data[error.start]:#04x}): save it as UTF-8."
        ) from None


def read_captions(path: Path) -> list[str]:
    """Reads the captions of an image, one in each line; empty lines are passed over.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is in another encoding than UTF-8, or it holds no caption.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There are no captions {path}: add the file, with a caption in each line.")
    lines = (tidy(line) for line in read_text(path).splitlines())
    if not (captions := [line for line in lines if line]):
        raise ValueError(f"{path} is empty: write a caption into it, or move its image away.")
    return captions


def tidy(text: str) -> str:
    """Returns a text with one space between words, also where characters were lost."""
    return " ".join(text.replace("\ufffd", " ").split())


def listed_captions(folder: Path, names: list[str], path: Path) -> list[list[str]]:
    """Reads the captions of images from the columns `file`, a path within the folder, and `caption` of a CSV file.

    Args:
        folder: The folder of the images.
        names: The images, each of which has one line or several.
        path: The CSV file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"`captions` must be a CSV file with the columns `file` and `caption`, got {path}.")
    reader = csv.DictReader(StringIO(read_text(path), newline=""))
    if not {"file", "caption"} <= set(reader.fieldnames or []):
        found = ", ".join(reader.fieldnames or []) or "nothing"
        raise ValueError(f"The first line of {path} must name the columns `file` and `caption`, it has {found}.")
    captions: dict[str, list[str]] = {name: [] for name in names}
    for row in reader:
        name, caption = Path(row["file"] or "").as_posix(), tidy(row["caption"] or "")
        if name not in captions:
            raise ValueError(f"Line {reader.line_num} of {path} names {name}, and {folder} has no such image.")
        if not caption:
            raise ValueError(f"Line {reader.line_num} of {path} has no caption for {name}: write one.")
        captions[name].append(caption)
    if missing := [name for name, some in captions.items() if not some]:
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise ValueError(f"{path} has no caption for {missing[0]}{more} of {folder}: add lines, or move images away.")
    return list(captions.values())
