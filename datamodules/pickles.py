"""Pickles that hold arrays, lists, texts and numbers, read so that nothing in them is executed."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = "biuf"  # kinds of arrays: truth values, whole numbers and floats


class Kind:
    """Stands for a `numpy.dtype` of numbers while a pickle is read."""

    def __init__(self, name: str, *_: Any):
        self.dtype = np.dtype(str(name))
        if self.dtype.kind not in NUMBERS:
            raise pickle.UnpicklingError(f"arrays of {name}")

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class Array:
    """Stands for a `numpy.ndarray` while a pickle is read."""

    value: np.ndarray

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, by_columns, data = state
        self.value = np.frombuffer(as_bytes(data), kind.dtype).reshape(shape, order="F" if by_columns else "C")


def reconstructed(*_: Any) -> Array:
    """Takes the place of `numpy.core.multiarray._reconstruct`, which makes an array without numbers."""
    return Array()


def scalar(kind: Kind, data: Any) -> Any:
    """Takes the place of `numpy.core.multiarray.scalar`, which makes one number."""
    return np.frombuffer(as_bytes(data), kind.dtype)[0].item()


def from_buffer(data: Any, kind: Kind, shape: tuple[int, ...], order: str = "C") -> Array:
    """Takes the place of `numpy.core.numeric._frombuffer`, which makes an array of a newer pickle."""
    array = Array()
    array.value = np.frombuffer(data, kind.dtype).reshape(shape, order="F" if order == "F" else "C")
    return array


def as_bytes(data: Any, encoding: str = "latin1") -> bytes:
    """Returns bytes, which Python 2 pickled as a text, and takes the place of `_codecs.encode`."""
    return bytes(data) if not isinstance(data, str) else data.encode("latin1")


def nothing() -> bytes:
    """Takes the place of `bytes`, which makes those of an array without numbers."""
    return b""


ADMITTED = {
    "_reconstruct": reconstructed,
    "scalar": scalar,
    "_frombuffer": from_buffer,
    "ndarray": Array,
    "dtype": Kind,
}


class PlainUnpickler(pickle.Unpickler):
    """A reader of pickles that makes arrays itself and refuses whatever else a pickle asks for by name."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in ADMITTED:
            return ADMITTED[name]
        if (module, name) == ("_codecs", "encode"):
            return as_bytes
        if (module, name) in (("__builtin__", "bytes"), ("builtins", "bytes")):
            return nothing
        raise pickle.UnpicklingError(f"{module}.{name}")


def read_pickle(path: Path) -> Any:
    """Reads a pickle of arrays of numbers, lists, texts and numbers, also one of Python 2.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds anything else, which is not executed, or it is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with path.open("rb") as file:
        try:
            return plain(PlainUnpickler(file, encoding="latin1").load())
        except pickle.UnpicklingError as error:
            raise ValueError(
                f"{path} is refused: it must hold arrays of numbers, lists, texts and numbers alone, got {error}."
            ) from None
        except (EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError, MemoryError) as error:
            raise ValueError(f"{path} is damaged ({type(error).__name__}): fetch it again.") from None


def plain(value: Any) -> Any:
    """Returns what was read, with arrays in the place of what stood for them."""
    if isinstance(value, Array):
        return value.value
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value
