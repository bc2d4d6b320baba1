"""Counts the modes of a grid that four games cover: relativistic or not, with R1 and R2 or with R1 alone.

    python -m benchmarks.experiments.r3gan_grid

Trains `r3gan_grid` in each way and for each seed, and scores its samples at regular steps. The picture shows the
samples of the first seed: a row for each game, training from left to right. Writes docs/images/r3gan_grid.png and
`results/r3gan_grid.json`.
"""

import argparse
import itertools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.experiments.unrolled_ring import MIN_COUNT, draw, shown, watched
from benchmarks.recipes import quieten
from benchmarks.record import PICTURES, RESULTS, write_record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--options", nargs="*", default=[], help="more options of each run")
    parser.add_argument("--steps", type=int, help="by default the recipe's")
    parser.add_argument("--every", type=int, default=250, help="steps between scores")
    parser.add_argument("--columns", type=int, default=6, help="of the picture")
    parser.add_argument("--picture", type=Path, default=PICTURES / "r3gan_grid.png")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    quieten()
    torch.set_num_threads(1)
    runs: list[dict[str, Any]] = []
    rows: dict[str, dict[int, Tensor]] = {}
    protocol = {"min_count": MIN_COUNT, "covered": "of 2,560 samples, at least `min_count` within 3 std"}
    for seed in options.seeds:
        for relativistic, both in itertools.product((False, True), (False, True)):
            arguments = [f"--seed_everything={seed}", f"--model.relativistic={relativistic}"]
            arguments += [f"--model.fake_penalty={both}"]
            arguments += options.options
            arguments += [f"--trainer.max_steps={options.steps}"] if options.steps else []
            watch, real, spent = watched("r3gan_grid", arguments, options.every)
            name = ("relativistic" if relativistic else "plain") + (", R1 + R2" if both else ", R1")
            runs.append({"game": name, "seed": seed, **spent, "scores": watch.scores})
            write_record("r3gan_grid", {"runs": runs}, protocol, folder=options.results)
            print(name, seed, *(int(s["modes_covered"]) for s in watch.scores.values()), flush=True)
            last = list(watch.scores.values())[-1]
            print("   at the end", last, spent["processor_seconds"], flush=True)
            if seed == options.seeds[0]:
                rows[name] = shown(watch, options.columns)
                draw(rows, real, options.picture)


if __name__ == "__main__":
    main()
