"""Scores with their protocol: logged, printed, and kept in `metrics.json` of the run's folder."""

import json
import shlex
import sys
import textwrap
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightning_gans.callbacks.run_folder import results_folder, writes
from lightning_gans.callbacks.scores.standing_statistics import StandingStatistics
from lightning_gans.callbacks.words import said
from lightning_gans.mechanics.files import atomic_write
from lightning_gans.mechanics.randomness import global_seed

Entry = dict[str, Any]

STARTED = time.monotonic()
PACKAGES = ("lightning-gans", "lightning", "torch", "torchvision", "torchmetrics", "torch-fidelity", "scikit-learn")


def record_scores(
    scorer: str, trainer: Any, pl_module: Any, stage: str, scores: dict[str, float], protocol: dict[str, Any]
) -> Entry:
    """Logs scores that are the same on all processes, and adds them with their protocol to `metrics.json`.

    Args:
        scorer: Title of the callback that scored; it has one entry per stage and step.
        trainer: The trainer; all of its processes call this.
        pl_module: The variant that was scored.
        stage: `validation` or `test`.
        scores: Values by name.
        protocol: Facts that another person needs to get the same scores, beyond those that are known here.

    Returns:
        The entry that was added.
    """
    pl_module.log_dict(scores, sync_dist=True)
    step = trainer.global_step or pl_module.steps_taken  # a test has no steps of its own
    entry = {
        "scorer": scorer,
        "stage": stage,
        "step": step,
        "kimg": pl_module.images_seen / 1000,
        "seconds": round(time.monotonic() - STARTED),  # of this process, since it loaded this
        "scores": scores,
        "protocol": shared_protocol(trainer, pl_module, step) | protocol,
    }
    folder = results_folder(trainer)
    if writes(trainer):
        append_entry(folder / "metrics.json", entry)
    return entry


def shared_protocol(trainer: Any, pl_module: Any, step: int) -> dict[str, Any]:
    """Returns the facts that every score's protocol has."""
    standing = sum(c.batches_in_use for c in trainer.callbacks if isinstance(c, StandingStatistics))
    norm = f"batch norm's standing statistics of {standing} batches" if standing else "eval mode"
    weights = "last weights" if pl_module.generator_ema is None else "moving average (EMA)"
    dtype = str(pl_module.dtype).removeprefix("torch.")
    return {
        "generator": f"{weights}, {norm}",
        "truncation": "none",
        "sample_seed": global_seed(),
        "precision": f"weights in {dtype}, features in float32, scores in float64",
        "num_processes": trainer.world_size,
        "images_seen": pl_module.images_seen,
        "global_step": step,
        "versions": {name: version(name) for name in PACKAGES},
        "command": command(),
    }


def command() -> str:
    """Returns the command line of this process, as a user types it."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        start = ["python", "-m", program.parent.name]
    else:
        start = ["python", sys.argv[0]] if program.suffix == ".py" else [program.name]
    return shlex.join(start + sys.argv[1:])


def printed(entry: Entry) -> str:
    """Returns the scores of an entry, one a line, and their protocol."""
    title = f"{entry['scorer']} ({entry['stage']}, step {entry['step']}, {entry['kimg']:g} kimg):"
    lines = [f"    {name:<24} {score:.4g}" for name, score in entry["scores"].items()]
    facts = [f"{name.replace('_', ' ')}: {said(fact)}" for name, fact in entry["protocol"].items()]
    card = textwrap.fill("; ".join(facts), 106, break_on_hyphens=False)
    return "\n".join([title, *lines, textwrap.indent(card, "    ")])


def append_entry(path: Path, entry: Entry) -> None:
    """Adds an entry to a JSON list, in place of one of the same key; the file is whole at every moment."""

    def key(entry: Entry) -> tuple:
        protocol = entry.get("protocol", {})  # fewer images, or others, make another score
        counts = tuple(protocol.get(name) for name in ("reference", "num_real", "num_fake"))
        return entry.get("scorer"), entry["stage"], entry["step"], *counts

    entries = json.loads(path.read_text()) if path.exists() else []
    entries = [old for old in entries if key(old) != key(entry)] + [entry]
    with atomic_write(path) as file:
        file.write((json.dumps(entries, indent=2) + "\n").encode())
