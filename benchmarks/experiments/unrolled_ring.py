"""Counts the modes that unrolled GANs cover over training, of a ring (figure 2 of Metz et al., 2017) or of a grid.

    python -m benchmarks.experiments.unrolled_ring
    python -m benchmarks.experiments.unrolled_ring --recipe unrolled_gan_grid --unrolled 0 5 --every 500

Trains a recipe for each number of unrolled steps and each seed, and scores its samples at regular steps. The picture
shows the samples of the first seed: a row for each number of unrolled steps, training from left to right. Writes
docs/images/RECIPE.png and `results/RECIPE.json`.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib
import torch
from lightning import Callback
from PIL import Image
from torch import Tensor

from benchmarks.recipes import quieten, train
from benchmarks.record import PICTURES, RESULTS, write_record
from lightning_gans.metrics import gaussian_modes

MIN_COUNT = 20  # samples of 2560 within three standard deviations of a covered mode


class Watch(Callback):
    """Samples and their scores, every so many steps.

    Args:
        every: Steps between.
    """

    def __init__(self, every: int):
        self.every = every
        self.scores: dict[int, dict[str, float]] = {}
        self.samples: dict[int, Tensor] = {}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        step = trainer.global_step
        if step % self.every:
            return
        data = trainer.datamodule
        self.samples[step] = pl_module.draw(data.evaluation.point, 1)["fake"]
        self.scores[step] = gaussian_modes(self.samples[step], data.centers, data.std, MIN_COUNT)


def watched(name: str, options: Sequence[str], every: int) -> tuple[Watch, Tensor, dict[str, Any]]:
    """Trains a recipe with options; returns its watch, the data, and what the run took."""
    wall, processor = time.perf_counter(), time.process_time()
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.logger=false", "--trainer.enable_checkpointing=false"]
    watch = [f"--trainer.callbacks={Watch.__module__}.Watch", f"--trainer.callbacks.every={every}"]
    with TemporaryDirectory() as folder:
        cli: Any = train(
            name, "--trainer.accelerator=cpu", f"--trainer.default_root_dir={folder}", *quiet, *watch, *options
        )
    spent = {
        "options": list(options),
        "steps": cli.trainer.global_step,
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }
    found = next(callback for callback in cli.trainer.callbacks if isinstance(callback, Watch))
    return found, cli.datamodule.evaluation.point, spent


def shown(watch: Watch, columns: int) -> dict[int, Tensor]:
    """Returns the samples at some times, of which the last is the end."""
    steps = list(watch.samples)
    return {step: watch.samples[step] for step in (steps[(i + 1) * len(steps) // columns - 1] for i in range(columns))}


def draw(rows: dict[str, dict[int, Tensor]], real: Tensor, path: Path) -> None:
    """Draws densities: a row for each setting by name, a column for each time, and the data at the end."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = len(next(iter(rows.values()))) + 1
    figure, axes = pyplot.subplots(len(rows), columns, figsize=(1.5 * columns, 1.6 * len(rows)), squeeze=False)
    for line, (name, samples) in zip(axes, rows.items(), strict=True):
        for axis, (step, points) in zip(line, [*samples.items(), ("data", real)], strict=True):
            density = torch.histogramdd(points, [64, 64], [-2.8, 2.8, -2.8, 2.8]).hist
            density = torch.nn.functional.avg_pool2d(density[None, None], 3, 1, 1)[0, 0]
            axis.imshow((density / density.max()).sqrt().T, cmap="Greens", origin="lower", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            if name == next(iter(rows)):
                axis.set_title(step if isinstance(step, str) else f"step {step}", fontsize=9)
        line[0].set_ylabel(name, fontsize=9)
    figure.tight_layout(pad=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    Image.open(path).convert("RGB").quantize(48).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="unrolled_gan_ring")
    parser.add_argument("--unrolled", type=int, nargs="+", default=[0, 5, 10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="by default the recipe's")
    parser.add_argument("--every", type=int, default=100, help="steps between scores")
    parser.add_argument("--columns", type=int, default=6, help="of the picture")
    parser.add_argument("--picture", type=Path, help="by default docs/images/RECIPE.png")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    quieten()
    torch.set_num_threads(1)
    runs: list[dict[str, Any]] = []
    rows: dict[str, dict[int, Tensor]] = {}
    protocol = {"min_count": MIN_COUNT, "covered": "of 2,560 samples, at least `min_count` within 3 std"}
    for seed in options.seeds:
        for unrolled in options.unrolled:
            arguments = [f"--seed_everything={seed}", f"--model.unrolled_steps={unrolled}"]
            arguments += [f"--trainer.max_steps={options.steps}"] if options.steps else []
            watch, real, spent = watched(options.recipe, arguments, options.every)
            runs.append({"unrolled_steps": unrolled, "seed": seed, **spent, "scores": watch.scores})
            write_record(options.recipe, {"runs": runs}, protocol, folder=options.results)
            print(unrolled, seed, spent, *(s["modes_covered"] for s in watch.scores.values()), flush=True)
            if seed == options.seeds[0]:
                rows[f"{unrolled} unrolled steps"] = shown(watch, options.columns)
                draw(rows, real, options.picture or PICTURES / f"{options.recipe}.png")


if __name__ == "__main__":
    main()
