"""Counts the modes of Stacked MNIST that four games cover: relativistic or not, with R1 and R2 or with R1 alone.

    python -m benchmarks.experiments.r3gan_stacked

Trains `r3gan_stacked_mnist` in each way, and at regular steps reads the digits of 25,600 samples. `--games` trains some
of the four, whose results take the place of theirs in the record, and options that are not listed below go to each
training. Writes `results/r3gan_stacked.json`, and samples of each game to docs/images/r3gan_stacked_GAME.png.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning import Callback
from torch import Tensor

from benchmarks.recipes import quieten, train
from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans.metrics import class_modes, stacked_digits
from lightning_gans.metrics.digits import DigitClassifier

GAMES = {
    "relativistic, R1 + R2": (True, True),
    "relativistic, R1": (True, False),
    "plain, R1 + R2": (False, True),
    "plain, R1": (False, False),
}
BATCH = 512


class ModeWatch(Callback):
    """Modes of Stacked MNIST among samples, and the largest logit, every so many steps.

    Args:
        every: Steps between.
    """

    def __init__(self, every: int):
        self.every = every
        self.scores: dict[int, dict[str, float]] = {}
        self.classifier = DigitClassifier.pretrained()

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        step = trainer.global_step
        if step % self.every:
            return
        images = trainer.datamodule.evaluation
        batches = [images[index] for index in torch.arange(len(images)).split(BATCH)]
        samples = [pl_module.draw(list(batch), seed)["fake"] for seed, batch in enumerate(batches)]
        number = torch.cat([stacked_digits(sample, self.classifier) for sample in samples])
        logits = [pl_module.discriminate(image, batches[0]) for image in (batches[0][0], samples[0])]
        self.samples = samples[0]
        self.scores[step] = class_modes(number, 1000) | {
            "largest_logit": max(float(logit.abs().max()) for logit in logits),
            "real_minus_fake_logit": float(logits[0].mean() - logits[1].mean()),
        }
        print(step, self.scores[step], flush=True)


def watched(recipe: str, options: list[str], every: int) -> tuple[ModeWatch, dict[str, Any], Any]:
    """Trains a recipe with options; returns its watch, what the run took, and its data."""
    wall, processor = time.perf_counter(), time.process_time()
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.logger=false", "--trainer.enable_checkpointing=false"]
    watch = [f"--trainer.callbacks={ModeWatch.__module__}.ModeWatch", f"--trainer.callbacks.every={every}"]
    with TemporaryDirectory() as folder:
        cli: Any = train(
            recipe, "--trainer.accelerator=cpu", f"--trainer.default_root_dir={folder}", *quiet, *watch, *options
        )
    spent = {
        "options": options,
        "steps": cli.trainer.global_step,
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }
    return next(c for c in cli.trainer.callbacks if isinstance(c, ModeWatch)), spent, cli.datamodule


def read_modes(images: Tensor) -> dict[str, float]:
    """Returns the modes that the classifier reads in images."""
    classifier = DigitClassifier.pretrained()
    return class_modes(torch.cat([stacked_digits(part, classifier) for part in images.split(BATCH)]), 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", nargs="+", choices=GAMES, default=list(GAMES))
    parser.add_argument("--every", type=int, default=500, help="steps between scores")
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options, more = parser.parse_known_args()
    quieten()
    torch.set_num_threads(1)
    for game in options.games:
        relativistic, both = GAMES[game]
        arguments = [f"--model.relativistic={relativistic}", f"--model.fake_penalty={both}", *more]
        watch, spent, data = watched("r3gan_stacked_mnist", arguments, options.every)
        real = read_modes(data.evaluation[torch.arange(len(data.evaluation))][0])
        path = options.results / "r3gan_stacked.json"
        runs = json.loads(path.read_text())["values"]["runs"] if path.exists() else {}
        runs[game] = {**spent, "scores": watch.scores}
        write_record(
            "r3gan_stacked", {"runs": runs, "real": real}, {"samples": len(data.evaluation)}, folder=path.parent
        )
        print(game, spent, flush=True)
        slug = game.lower().replace(", ", "_").replace(" + ", "_")
        save_grid(watch.samples[:60], 20, options.pictures / f"r3gan_stacked_{slug}.png", 1)


if __name__ == "__main__":
    main()
