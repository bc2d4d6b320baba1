"""How a score is kept: logged, and with its protocol in `metrics.json` of the run's folder."""

import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from lightning_gans.randomness import global_seed

Entry = dict[str, Any]

STARTED = time.monotonic()


def record_scores(
    scorer: str, trainer: Any, pl_module: Any, stage: str, scores: dict[str, float], protocol: dict[str, Any]
) -> Entry:
    """Logs scores that are the same on all processes, and adds them with their protocol to `metrics.json`.

    Args:
        scorer: Who scored, such as the callback's class; it has one entry per stage and step.
        trainer: The trainer; all of its processes call this.
        pl_module: The adversarial module that was scored.
        stage: `validation` or `test`.
        scores: Values by name.
        protocol: What another person needs to know to get the same scores.

    Returns:
        What was added.
    """
    pl_module.log_dict(scores, sync_dist=True)
    step = trainer.global_step or getattr(pl_module, "steps_taken", 0)  # a test has no steps of its own
    everyone = {
        "generator": f"{'last weights' if without_ema(pl_module) else 'moving average (EMA)'}, eval mode",
        "sample_seed": global_seed(),
        "num_processes": trainer.world_size,
        "images_seen": pl_module.images_seen,
        "global_step": step,
        "versions": {name: version(name) for name in ("lightning-gans", "torch", "torchvision", "torchmetrics")},
    }
    entry = {
        "scorer": scorer,
        "stage": stage,
        "step": step,
        "kimg": pl_module.images_seen / 1000,
        "seconds": round(time.monotonic() - STARTED),  # of this process, since it loaded this
        "scores": scores,
        "protocol": everyone | protocol,
    }
    folder = trainer.log_dir or trainer.default_root_dir  # on all ranks: `log_dir` is broadcast
    if trainer.is_global_zero and not trainer.fast_dev_run:
        append_entry(Path(folder) / "metrics.json", entry)
    return entry


def in_words(entry: Entry) -> str:
    """The scores of an entry, one a line."""
    lines = [f"    {name:<20} {score:.4g}" for name, score in entry["scores"].items()]
    return "\n".join([f"Scores ({entry['stage']}, step {entry['step']}, {entry['kimg']:g} kimg):", *lines])


def last_entries(path: Path) -> list[Entry]:
    """What all scorers said last; nothing where there is no file."""
    entries = json.loads(path.read_text()) if path.exists() else []
    return list({entry.get("scorer"): entry for entry in entries}.values())


def gather_rows(parts: list[Tensor], trainer: Any) -> Tensor:
    """Rows of all processes, also where their numbers differ."""
    rows = torch.cat(parts)
    return torch.cat(gather_all_tensors(rows)) if trainer.world_size > 1 else rows


def append_entry(path: Path, entry: Entry) -> None:
    """Adds an entry to a JSON list, in place of one of the same key; the file is whole at every moment."""

    def key(entry: Entry) -> tuple:
        return entry.get("scorer"), entry["stage"], entry["step"]

    entries = json.loads(path.read_text()) if path.exists() else []
    entries = [old for old in entries if key(old) != key(entry)] + [entry]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(entries, indent=2) + "\n")
    os.replace(temporary, path)


def without_ema(module: Any) -> bool:
    """Whether an adversarial module keeps no moving average, so that its last weights draw the samples."""
    return getattr(module, "ema_halflife", None) == 0
