"""Modes that unrolled GANs cover over training: of a ring, as in figure 2 of Metz et al., 2017, or of a grid.

Trains the recipe `unrolled_gan_ring`, or another one, for each number of unrolled steps and each seed, scores the
samples at regular times as the recipe does, and draws those of the first seed: a row for each number of unrolled steps,
time to the right.

    python benchmarks/unrolled_ring.py
    python benchmarks/unrolled_ring.py --recipe unrolled_gan_grid --unrolled 0 5 --every 500
"""

import argparse
import json
import logging
import platform
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib
import torch
from lightning import Callback, LightningDataModule, LightningModule
from PIL import Image
from torch import Tensor

from lightning_gans.__main__ import GANCLI, recipe
from lightning_gans.metrics import gaussian_modes

ROOT = Path(__file__).parents[1]
MIN_COUNT = 20  # samples of 2560 within three standard deviations of a covered mode


class Watch(Callback):
    """Draws and scores samples every so many steps.

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


def train(name: str, options: Sequence[str], every: int) -> tuple[Watch, Tensor, dict[str, Any]]:
    """Trains a recipe with options; also the data and what the run took."""
    with TemporaryDirectory() as folder:
        quiet = ["--trainer.callbacks=[]", "--trainer.enable_progress_bar=false", "--trainer.logger=false"]
        quiet += ["--trainer.enable_checkpointing=false", f"--trainer.default_root_dir={folder}"]
        cli = GANCLI(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            save_config_callback=None,
            run=False,
            args=["--config", recipe(name), "--trainer.accelerator=cpu", *quiet, *options],
        )
        watch = Watch(every)
        cli.trainer.callbacks.append(watch)
        wall, processor = time.perf_counter(), time.process_time()
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    spent = {
        "options": list(options),
        "steps": cli.trainer.global_step,
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }
    return watch, cli.datamodule.evaluation.point, spent


def quieten() -> None:
    torch.set_num_threads(1)
    for name in ("pytorch", "fabric"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


def machine() -> dict[str, Any]:
    return {"torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads()}


def draw(rows: dict[int, dict[int, Tensor]], real: Tensor, path: Path) -> None:
    """Densities of samples: rows are unrolled steps, columns are times, the last one the data."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = len(next(iter(rows.values()))) + 1
    figure, axes = pyplot.subplots(len(rows), columns, figsize=(1.5 * columns, 1.6 * len(rows)), squeeze=False)
    for line, (unrolled, samples) in zip(axes, rows.items(), strict=True):
        for axis, (step, points) in zip(line, [*samples.items(), ("data", real)], strict=True):
            density = torch.histogramdd(points, [64, 64], [-2.8, 2.8, -2.8, 2.8]).hist
            density = torch.nn.functional.avg_pool2d(density[None, None], 3, 1, 1)[0, 0]
            axis.imshow((density / density.max()).sqrt().T, cmap="Greens", origin="lower", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            if unrolled == min(rows):
                axis.set_title(step if isinstance(step, str) else f"step {step}", fontsize=9)
        line[0].set_ylabel(f"{unrolled} unrolled steps", fontsize=9)
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
    parser.add_argument("--results", type=Path, help="by default benchmarks/results/RECIPE.json")
    options = parser.parse_args()
    picture = options.picture or ROOT / f"docs/images/{options.recipe}.png"
    results = options.results or ROOT / f"benchmarks/results/{options.recipe}.json"
    quieten()
    runs: list[dict[str, Any]] = []
    rows: dict[int, dict[int, Tensor]] = {}
    results.parent.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for unrolled in options.unrolled:
            arguments = [f"--seed_everything={seed}", f"--model.unrolled_steps={unrolled}"]
            arguments += [f"--trainer.max_steps={options.steps}"] if options.steps else []
            watch, real, spent = train(options.recipe, arguments, options.every)
            runs.append({"unrolled_steps": unrolled, "seed": seed, **spent, "scores": watch.scores})
            result = {"recipe": options.recipe, "min_count": MIN_COUNT, "machine": machine(), "runs": runs}
            results.write_text(json.dumps(result, indent=1) + "\n")
            print(unrolled, seed, spent, *(s["modes_covered"] for s in watch.scores.values()), flush=True)
            if seed == options.seeds[0]:
                steps = list(watch.samples)
                shown = [steps[(i + 1) * len(steps) // options.columns - 1] for i in range(options.columns)]
                rows[unrolled] = {step: watch.samples[step] for step in shown}
                draw(rows, real, picture)


if __name__ == "__main__":
    main()
