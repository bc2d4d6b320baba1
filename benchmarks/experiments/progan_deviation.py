"""Counts the modes of Stacked MNIST that ProGAN covers with and without the minibatch standard deviation.

    python -m benchmarks.experiments.progan_deviation

Trains the losses and networks of `progan_mnist`, narrow and at full size from the start, on Stacked MNIST of 16 pixels,
with groups of 4 images and with none. At regular steps the digits of 25,600 samples are read. Options that are not
listed below go to each training. Writes `results/progan_deviation.json`.
"""

import argparse
import json
from pathlib import Path

import torch

from benchmarks.experiments.r3gan_stacked import watched
from benchmarks.recipes import quieten
from benchmarks.record import RESULTS, write_record


def options_of(width: int, group: int, seed: int) -> list[str]:
    """Returns the options of a training.

    Args:
        width: Channels of a map at most.
        group: Images in a group of the minibatch standard deviation; 0 leaves it out.
        seed: Seed of the training.
    """
    network = {"size": 16, "channels": 3, "width": width, "base": 4 * width, "level": 2.0}
    parts = [
        f"--model.{part}.init_args.{name}={value}"
        for part in ("generator", "discriminator")
        for name, value in network.items()
    ]
    data = ["--data=StackedMNISTDataModule", "--data.size=16", "--data.batch_size=32"]
    steps = ["--trainer.precision=32-true", f"--seed_everything={seed}"]
    steps += [f"--model.{part}_optimizer.init_args.lr=0.001" for part in ("generator", "discriminator")]
    return [*data, *parts, f"--model.discriminator.init_args.group={group}", *steps]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, nargs="+", default=[4, 0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--every", type=int, default=500, help="steps between scores")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options, more = parser.parse_known_args()
    quieten()
    torch.set_num_threads(1)
    path = options.results / "progan_deviation.json"
    for seed in options.seeds:
        for group in options.groups:
            watch, spent, data = watched(
                "progan_mnist", [*options_of(options.width, group, seed), *more], options.every
            )
            runs = json.loads(path.read_text())["values"]["runs"] if path.exists() else {}
            runs[f"groups of {group}, seed {seed}"] = {**spent, "scores": watch.scores}
            write_record("progan_deviation", {"runs": runs}, {"samples": len(data.evaluation)}, folder=path.parent)


if __name__ == "__main__":
    main()
