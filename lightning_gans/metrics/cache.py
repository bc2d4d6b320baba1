"""What a network saw in real images, kept in files that say what they are of."""

import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lightning_gans.mechanics.files import hash_of
from lightning_gans.metrics.scores import Features


def cache_folder(name: str | None) -> Path | None:
    """The folder of that name; `default` is the user's folder for caches, None is none."""
    if name == "default":
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightning-gans"
    return None if name is None else Path(name)


def cache_path(folder: Path, data: str, split: str, count: int, size: str, network: str) -> Path:
    """The file's name says data set and its fingerprint, split, number and size of images, network and its hash."""
    parts = (data, split, str(count), size, network)
    return folder / ("_".join(part.replace("_", "-").replace("/", "-") for part in parts) + ".safetensors")


def save_features(path: Path, features: Features) -> None:
    """Writes a file that is whole at every moment, whichever process writes it first."""
    tensors = _tensors(features)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    save_file(tensors, temporary, {"of": json.dumps({"name": path.name, "hash": hash_of(tensors)})})
    os.replace(temporary, path)


def load_features(path: Path, count: int | None = None) -> Features | None:
    """What was saved there, of `count` images; None where nothing was.

    Raises:
        ValueError: The file is damaged, or is of something else than its name says.
    """
    if not path.exists():
        return None
    advice = f"The cached features {path} are %s and are not used: delete the file, and it is made anew."
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            of = json.loads((file.metadata() or {}).get("of", "{}"))
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ValueError(advice % "damaged") from error
    if of.get("name") != path.name:
        raise ValueError(advice % f"of something else ({of.get('name', 'it does not say what')})")
    if of.get("hash") != hash_of(tensors):
        raise ValueError(advice % "damaged")
    if count is not None and len(tensors["features"]) != count:
        raise ValueError(advice % f"of {len(tensors['features'])} images for {count}")
    return Features(**tensors)


def _tensors(features: Features) -> dict[str, Tensor]:
    parts = {"features": features.features, "logits": features.logits, "label": features.label}
    return {name: value.detach().cpu().contiguous() for name, value in parts.items() if value is not None}
