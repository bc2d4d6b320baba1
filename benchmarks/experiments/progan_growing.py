"""Trains ProGAN's recipe grown and at full size from the start, for equal times of one processor, and compares FID.

    python -m benchmarks.experiments.progan_growing runs --seconds 60 --seeds 0 1

RUNS is the folder for the runs; one that is there, `RUNS/grown_0`, is not trained again. Seconds are those in which the
process computes on one thread, without those of scoring. FID compares samples of the averaged generator with all real
digits at 32 pixels, however small the images are by then. What follows the options goes to
`lightning-gans fit --config progan_mnist`.

Writes docs/images/progan_growing.png with FID over seconds, docs/images/progan_levels.png with the same latents at the
end of each size, enlarged to 32 pixels, and `results/progan_growing.json`.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib.pyplot as plt
import torch
from lightning import Callback, Trainer
from torch import Tensor
from torchvision.io import read_image

from benchmarks.recipes import train
from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans.metrics.features import extract, feature_network
from lightning_gans.metrics.frechet import frechet_distance

RECIPE = "progan_mnist"
FULL = 3.0  # doublings of 4 pixels
KIMG = 2.0  # of a fade and of a rest; half of the recipe's, which takes longer
WAYS: dict[str, list[str]] = {
    way: [f"--model.{network}.init_args.level{option}" for network in ("generator", "discriminator")]
    for way, option in {"grown": f".init_args.kimg={KIMG}", "full": f"={FULL}"}.items()
}
COLORS = {"grown": "tab:green", "full": "tab:orange"}
COLUMNS = 16  # of the picture of sizes


class Watch(Callback):
    """Stops a training after a time of the processor, scores it on the way, and draws each size when it is complete.

    Args:
        folder: For `curve.json` and the pictures.
        seconds: Of the processor's time until the end, without scoring.
        every: Seconds between two scores.
        num_images: Samples of a score on the way.
        num_last: Samples of the last score.
    """

    def __init__(self, folder: str, seconds: float, every: float, num_images: int = 2000, num_last: int = 10_000):
        self.folder, self.seconds, self.every = Path(folder), seconds, every
        self.num_images, self.num_last = num_images, num_last

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.network = feature_network("digits")
        self.real = self.features(data.evaluation[torch.arange(len(data.evaluation))][0])
        self.scores: list[dict[str, float]] = []
        self.ends: dict[str, dict[str, float]] = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clock, self.started, self.apart = time.monotonic(), time.process_time(), 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = time.process_time()
        spent = now - self.started - self.apart
        images, stage = pl_module.images_seen, pl_module.generator.stage
        facts = {"seconds": spent, "kimg": images / 1000, "steps": trainer.global_step}
        if stage(images)[0] < stage(images + len(batch[0]))[0]:
            self.end_size(pl_module, facts)
        if spent >= self.seconds:
            self.end_size(pl_module, facts)
            self.scores.append({**facts, "fid": self.fid(pl_module, self.num_images)})
            last = {**facts, "fid": self.fid(pl_module, self.num_last)}
            run = {"curve": self.scores, "ends": self.ends, "last": last, "clock": time.monotonic() - self.clock}
            (self.folder / "curve.json").write_text(json.dumps(run))
            trainer.should_stop = True
        elif spent >= self.every * (len(self.scores) + 1):
            self.scores.append({**facts, "fid": self.fid(pl_module, self.num_images)})
            print(self.folder.name, {name: round(value, 2) for name, value in self.scores[-1].items()}, flush=True)
        self.apart += time.process_time() - now

    def end_size(self, module: Any, facts: dict[str, float]) -> None:
        """Draws what the generator makes at a size that is complete."""
        side = 4 * 2 ** module.generator.stage()[0]
        self.ends[str(side)] = facts
        images = self.drawn(module, 2 * COLUMNS)
        save_grid(images, COLUMNS, self.folder / f"size_{side}.png", padding=0)

    def drawn(self, module: Any, count: int) -> Tensor:
        """Returns samples of the averaged generator, the first of them always of the same latents."""
        parts = [torch.zeros(len(part), 1, 32, 32) for part in torch.arange(count).split(500)]
        return torch.cat([module.draw([part], seed)["fake"] for seed, part in enumerate(parts)])

    def features(self, images: Tensor) -> Tensor:
        """Returns the digit classifier's features."""
        return torch.cat([extract(self.network, part)[0] for part in images.split(500)])

    def fid(self, module: Any, count: int) -> float:
        return frechet_distance(self.real, self.features(self.drawn(module, count)))


def curve_of(way: str, seed: int, runs: Path, seconds: float, every: float, options: list[str]) -> dict[str, Any]:
    """Returns the scores of a run, which is trained first where there is none."""
    folder = runs / f"{way}_{seed}"
    if not (folder / "curve.json").exists():
        watch = {"folder": str(folder), "seconds": seconds, "every": every}
        watching = ["--trainer.callbacks", "benchmarks.experiments.progan_growing.Watch"]
        watching += [f"--trainer.callbacks.{name}={value}" for name, value in watch.items()]
        quiet = ["logger=false", "enable_checkpointing=false", "enable_progress_bar=false", "limit_val_batches=0"]
        quiet = [f"--trainer.{option}" for option in [*quiet, "max_steps=-1"]]
        train(RECIPE, f"--seed_everything={seed}", *WAYS[way], *watching, *quiet, *options)
    return json.loads((folder / "curve.json").read_text())


def times_faster(grown: dict[str, Any], full: dict[str, Any]) -> float | None:
    """Returns how many times sooner the grown run has the FID with which the other one ends; None if it never has."""
    end = full["curve"][-1]
    sooner = [point["seconds"] for point in grown["curve"] if point["fid"] <= end["fid"]]
    return end["seconds"] / sooner[0] if sooner else None


def plot(curves: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Writes the picture of FID over seconds: a line for each run, and where sizes of the first grown one end."""
    figure, axis = plt.subplots(figsize=(6, 3.6), dpi=90)
    for way, runs in curves.items():
        label = "grown 4-8-16-32" if way == "grown" else "32 pixels from the start"
        for number, run in enumerate(runs):
            x, y = ([point[name] for point in run["curve"]] for name in ("seconds", "fid"))
            axis.plot(x, y, color=COLORS[way], alpha=0.9, label=None if number else label)
    for side, end in curves["grown"][0]["ends"].items():
        if side != "32":
            axis.axvline(end["seconds"], color="gray", linestyle=":", linewidth=1)
            axis.annotate(f"{side} px", (end["seconds"], 0.97), xycoords=("data", "axes fraction"), fontsize=7)
    axis.set_yscale("log")
    axis.set_xlabel("seconds of one processor")
    axis.set_ylabel("FID")
    axis.legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=7.5, help="seconds between two scores")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="all, for the record")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    args, options = parser.parse_known_args()
    torch.set_num_threads(1)

    curves: dict[str, list[dict[str, Any]]] = {}
    for seed in args.seeds:
        for way in args.ways:
            curves.setdefault(way, []).append(curve_of(way, seed, args.runs, args.seconds, args.every, options))
            print(way, seed, {name: round(value, 2) for name, value in curves[way][-1]["last"].items()}, flush=True)
    if len(curves) < len(WAYS):
        return
    args.pictures.mkdir(parents=True, exist_ok=True)
    plot(curves, args.pictures / "progan_growing.png")
    sizes = [args.runs / f"grown_{args.seeds[0]}" / f"size_{side}.png" for side in (4, 8, 16, 32)]
    rows = torch.cat([read_image(str(path))[:1] for path in sizes if path.exists()], 1)
    save_grid(rows[None] / 127.5 - 1, 1, args.pictures / "progan_levels.png", padding=0)
    values: dict[str, Any] = {
        way: {**{name: mean(run["last"][name] for run in runs) for name in ("fid", "kimg")}, "runs": runs}
        for way, runs in curves.items()
    }
    values["times_faster"] = [times_faster(*pair) for pair in zip(curves["grown"], curves["full"], strict=True)]
    protocol = {
        "seconds": f"{args.seconds:g} of one processor, process time of one thread, without scoring",
        "fid": "2,000 samples on the way, 10,000 at the end, moving average, against all 10,000 embedded digits at 32 "
        "pixels in features of the digit classifier",
        "kimg_of_a_fade": KIMG,
        "seeds": args.seeds,
        "options": options,
    }
    clock = sum(run["clock"] for runs in curves.values() for run in runs)
    write_record("progan_growing", values, protocol, args.seeds[0], clock, folder=args.results)


if __name__ == "__main__":
    main()
