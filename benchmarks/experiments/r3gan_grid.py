"""Counts the modes of a grid that four games cover: relativistic or not, with R1 and R2 or with R1 alone.

    python -m benchmarks.experiments.r3gan_grid

Trains `r3gan_grid` in each way and for each seed, and scores its samples at regular steps. A game is stable if it keeps
its modes, so means are taken over the last third of training. The picture shows the samples of seed 0: a row for each
game, training from left to right. Writes docs/images/r3gan_grid.png and `results/r3gan_grid.json`, in which results of
other seeds stay; options that are not listed below go to each training.
"""

import argparse
import itertools
import json
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.experiments.unrolled_ring import MIN_COUNT, Watch, draw, shown, watched
from benchmarks.recipes import quieten
from benchmarks.record import PICTURES, RESULTS, write_record


def last_third(watch: Watch) -> dict[str, float]:
    """Returns the mean of each score over the last third of training, and the fewest modes in it."""
    scores = list(watch.scores.values())
    scores = scores[-max(len(scores) // 3, 1) :]
    means = {name: sum(score[name] for score in scores) / len(scores) for name in scores[0]}
    return means | {"fewest_modes": min(score["modes_covered"] for score in scores)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--every", type=int, default=250, help="steps between scores")
    parser.add_argument("--columns", type=int, default=6, help="of the picture")
    parser.add_argument("--picture", type=Path, default=PICTURES / "r3gan_grid.png")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options, more = parser.parse_known_args()
    quieten()
    torch.set_num_threads(1)
    path = options.results / "r3gan_grid.json"
    rows: dict[str, dict[int, Tensor]] = {}
    protocol = {"min_count": MIN_COUNT, "covered": "of 2,560 samples, at least `min_count` within 3 std"}
    for seed in options.seeds:
        for relativistic, both in itertools.product((False, True), (False, True)):
            arguments = [f"--seed_everything={seed}", f"--model.relativistic={relativistic}"]
            arguments += [f"--model.fake_penalty={both}", *more]
            watch, real, spent = watched("r3gan_grid", arguments, options.every)
            name = ("relativistic" if relativistic else "plain") + (", R1 + R2" if both else ", R1")
            runs = json.loads(path.read_text())["values"]["runs"] if path.exists() else {}
            runs.setdefault(name, {})[str(seed)] = {**spent, "last_third": last_third(watch), "scores": watch.scores}
            write_record("r3gan_grid", {"runs": runs}, protocol, folder=path.parent)
            print(name, seed, *(int(s["modes_covered"]) for s in watch.scores.values()), flush=True)
            print("   the last third", last_third(watch), spent["processor_seconds"], flush=True)
            if seed == 0:
                rows[name] = shown(watch, options.columns)
                draw(rows, real, options.picture)


if __name__ == "__main__":
    main()
