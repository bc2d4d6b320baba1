"""How a score is kept: logged, and with its protocol in `metrics.json` of the run's folder."""

import json
import shlex
import sys
import textwrap
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

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
        scorer: Who scored, such as the callback's class; it has one entry per stage and step.
        trainer: The trainer; all of its processes call this.
        pl_module: The adversarial module that was scored.
        stage: `validation` or `test`.
        scores: Values by name.
        protocol: What another person needs to know to get the same scores, beyond what is known here.

    Returns:
        What was added.
    """
    pl_module.log_dict(scores, sync_dist=True)
    weights = str(pl_module.dtype).removeprefix("torch.")
    step = trainer.global_step or getattr(pl_module, "steps_taken", 0)  # a test has no steps of its own
    standing = getattr(pl_module, "standing_batches", 0)
    norm = f"batch norm's standing statistics of {standing} batches" if standing else "eval mode"
    everyone = {
        "generator": f"{'last weights' if without_ema(pl_module) else 'moving average (EMA)'}, {norm}",
        "truncation": "none",
        "sample_seed": global_seed(),
        "precision": f"weights in {weights}, features in float32, scores in float64",
        "num_processes": trainer.world_size,
        "images_seen": pl_module.images_seen,
        "global_step": step,
        "versions": {name: version(name) for name in PACKAGES},
        "command": command(),
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
    folder = results_folder(trainer)  # on all ranks: `log_dir` is broadcast
    if trainer.is_global_zero and not trainer.fast_dev_run:
        append_entry(folder / "metrics.json", entry)
    return entry


def results_folder(trainer: Any) -> Path:
    """The run's folder; of a test the one that its checkpoint came from."""
    folder = Path(trainer.log_dir or trainer.default_root_dir)
    if trainer.state.fn in ("test", "validate") and trainer.ckpt_path:
        folder = Path(trainer.ckpt_path).parent
        folder = folder.parent if folder.name == "checkpoints" else folder
    return folder


def command() -> str:
    """The command line of this process, in the words of a user."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        start = ["python", "-m", program.parent.name]
    else:
        start = ["python", sys.argv[0]] if program.suffix == ".py" else [program.name]
    return shlex.join(start + sys.argv[1:])


def in_words(entry: Entry) -> str:
    """The scores of an entry, one a line, and their protocol."""
    title = f"{entry['scorer']} ({entry['stage']}, step {entry['step']}, {entry['kimg']:g} kimg):"
    lines = [f"    {name:<24} {score:.4g}" for name, score in entry["scores"].items()]
    facts = []
    for name, fact in entry["protocol"].items():
        if isinstance(fact, dict):
            fact = ", ".join(f"{key} {value}" for key, value in fact.items())
        facts.append(f"{name.replace('_', ' ')}: {fact}")
    card = textwrap.fill("; ".join(facts), 110, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join([title, *lines, card])


def own_data(trainer: Any) -> Any:
    """The data module, if it is what is being evaluated on, and not loaders handed in by themselves; else None."""
    loop = {"validate": trainer.validate_loop, "test": trainer.test_loop}.get(
        trainer.state.fn, trainer.fit_loop.epoch_loop.val_loop
    )
    return trainer.datamodule if loop._data_source.instance is trainer.datamodule else None


def reference_of(trainer: Any, stage: str) -> str:
    """What names the real images of a score."""
    return getattr(own_data(trainer), "reference", f"{stage} dataloader")


def gather_rows(parts: list[Tensor], trainer: Any) -> Tensor:
    """Rows of all processes, also where their numbers differ."""
    rows = torch.cat(parts)
    return torch.cat(gather_all_tensors(rows)) if trainer.world_size > 1 else rows


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


def without_ema(module: Any) -> bool:
    """Whether an adversarial module keeps no moving average, so that its last weights draw the samples."""
    return getattr(module, "ema_halflife", None) == 0
