"""Train BigGAN's recipe on small batches, and score it by batch norm's running averages and by standing statistics.

    python benchmarks/standing_statistics.py RUNS --batch_sizes 4 16 --kimg 6

RUNS is the folder for the runs; each sees the same number of images. What follows the options goes to
`lightning-gans fit --config biggan_mnist`. Writes benchmarks/results/standing_statistics.json.
"""

import argparse
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from lightning import Trainer

from lightning_gans.__main__ import main as program
from lightning_gans.callbacks import GenerativeMetrics, StandingStatistics

ROOT = Path(__file__).parent.parent
SCORES = ("fid", "inception_score", "precision_recall")


def scored(cli: Any, callbacks: list[Any], folder: Path) -> dict[str, Any]:
    """The entry that a test of the trained module writes."""
    trainer = Trainer(default_root_dir=folder, callbacks=callbacks, logger=False, enable_progress_bar=False)
    trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
    (entry,) = json.loads((folder / "metrics.json").read_text())
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--kimg", type=float, default=6.0)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "standing_statistics.json")
    args, options = parser.parse_known_args()

    results: dict[str, Any] = {"measured": "FID and Inception Score by running averages and by standing statistics"}
    for batch_size in args.batch_sizes:
        start = time.time()
        folder = args.runs / f"batch_{batch_size}"
        steps = round(1000 * args.kimg / batch_size)
        training = ["--data.batch_size", str(batch_size), "--trainer.max_steps", str(steps)]
        quiet = ["--trainer.logger", "false", "--trainer.enable_checkpointing", "false"]
        only = ["--trainer.callbacks", "lightning_gans.callbacks.ProgressBar"]
        cli = program(["fit", "--config", "biggan_mnist", *training, *quiet, *only, *options])
        entries = {
            "running": scored(cli, [GenerativeMetrics(test_scores=SCORES)], folder / "running"),
            "standing": scored(cli, [StandingStatistics(), GenerativeMetrics(test_scores=SCORES)], folder / "standing"),
        }
        results[f"batch_{batch_size}"] = {name: entry["scores"] for name, entry in entries.items()} | {
            "protocol": entries["standing"]["protocol"],
            "time_s": round(time.time() - start),
        }
        for name, entry in entries.items():
            print(f"batches of {batch_size}, {name}: " + ", ".join(f"{k} {v:.3f}" for k, v in entry["scores"].items()))
    results["command"] = shlex.join(["python", "benchmarks/standing_statistics.py", *sys.argv[1:]])
    args.results.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
