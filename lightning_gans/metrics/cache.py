"""Features of real images, kept in files that say whose they are."""

import json
from pathlib import Path

from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lightning_gans.mechanics.files import atomic_write, hash_of
from lightning_gans.metrics.scores import Features


def cache_path(folder: Path, data: str, split: str, count: int, size: str, network: str) -> Path:
    """Names a file after data set and its fingerprint, split, number and size of images, network and its hash."""
    parts = (data, split, str(count), size, network)
    return folder / ("_".join(part.replace("_", "-").replace("/", "-") for part in parts) + ".safetensors")


def save_features(path: Path, features: Features) -> None:
    """Writes the file of these features; of several runs that do so at once, one after the other."""
    tensors = _tensors(features)
    facts = {"of": json.dumps({"name": path.name, "hash": hash_of(tensors)})}
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"), atomic_write(path) as file:
        file.write(save(tensors, facts))


def load_features(path: Path, count: int | None = None) -> Features | None:
    """Reads the features that were saved there, None where none were.

    Args:
        path: The file.
        count: Number of images whose features are expected; None takes any number.

    Raises:
        ValueError: The file is damaged, or does not hold the features that its name says.
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
        raise ValueError(advice % f"of {len(tensors['features'])} images instead of {count}")
    return Features(**tensors)


def _tensors(features: Features) -> dict[str, Tensor]:
    parts = {"features": features.features, "logits": features.logits, "label": features.label}
    return {name: value.detach().cpu().contiguous() for name, value in parts.items() if value is not None}
