"""Trains BigGAN's recipe on small batches, and scores it by batch norm's running averages and by standing statistics.

    python -m benchmarks.experiments.standing_statistics RUNS --batch_sizes 4 16 --kimg 6

RUNS is the folder for the runs; each sees the same number of images. What follows the options goes to
`lightning-gans fit --config biggan_mnist`. Writes `results/standing_statistics.json`.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from lightning import Trainer

from benchmarks.recipes import entries_of, train
from benchmarks.record import RESULTS, write_record
from lightning_gans.callbacks import GenerativeMetrics, StandingStatistics

SCORES = ("fid", "inception_score", "precision_recall")


def scored(cli: Any, callbacks: list[Any], folder: Path) -> dict[str, Any]:
    """Tests the trained module, and returns the entry that the scores are kept in."""
    trainer = Trainer(default_root_dir=folder, callbacks=callbacks, logger=False, enable_progress_bar=False)
    trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
    (entry,) = entries_of(folder)
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--kimg", type=float, default=6.0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    args, options = parser.parse_known_args()

    values: dict[str, Any] = {}
    protocol: dict[str, Any] = {}
    for batch_size in args.batch_sizes:
        start = time.time()
        folder = args.runs / f"batch_{batch_size}"
        steps = round(1000 * args.kimg / batch_size)
        training = ["--data.batch_size", str(batch_size), "--trainer.max_steps", str(steps)]
        quiet = ["--trainer.logger", "false", "--trainer.enable_checkpointing", "false"]
        only = ["--trainer.callbacks", "lightning_gans.callbacks.ProgressBar"]
        cli = train("biggan_mnist", *training, *quiet, *only, *options)
        entries = {
            "running": scored(cli, [GenerativeMetrics(test_scores=SCORES)], folder / "running"),
            "standing": scored(cli, [StandingStatistics(), GenerativeMetrics(test_scores=SCORES)], folder / "standing"),
        }
        protocol[f"batch_{batch_size}"] = entries["standing"]["protocol"]
        values[f"batch_{batch_size}"] = {name: entry["scores"] for name, entry in entries.items()}
        values[f"batch_{batch_size}"]["seconds"] = round(time.time() - start)
        for name, entry in entries.items():
            print(f"batches of {batch_size}, {name}: " + ", ".join(f"{k} {v:.3f}" for k, v in entry["scores"].items()))
    write_record("standing_statistics", values, protocol, cli.model.seed, folder=args.results)


if __name__ == "__main__":
    main()
