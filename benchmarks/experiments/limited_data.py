"""Trains StyleGAN2 on few images with and without ADA, and watches what the discriminator knows by heart.

    python -m benchmarks.experiments.limited_data digits runs
    python -m benchmarks.experiments.limited_data emoji runs --weights data/vgg16.pth --trainer.max_steps 12000

Figures 1 and 5 of Karras et al. (2020, https://arxiv.org/abs/2006.06676), in minutes. RUNS is the folder for the runs;
one that is there, `RUNS/NAME/version_0`, is not trained again. What follows goes to `lightning-gans fit`. Digits are
500, and FID is against all 10,000 of the package. Of the emoji a fifth are held out, and FID, in VGG's maps, is against
those.

At each score the discriminator judges training images, images that it was not trained on, and samples, none of them
augmented. The gap is the mean logit of the first less that of the second: without a gap it tells real images from
samples by what they have in common. Leaks are samples that look augmented: the nearest of held-out images, plain and
augmented, is one of those augmented. Held-out images themselves, which are not compared with themselves, say how many
that is by chance. Samples that look like no digit count as leaks too, so the share means something of good ones alone.

Writes `results/limited_data_<data>_<seed>.json` and, for seed 0, docs/images/limited_data_<data>.png.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib
import torch
import yaml
from jaxtyping import Float, Int64
from lightning import LightningModule
from torch import Tensor, nn

from benchmarks.recipes import data_of, entries_of, train
from benchmarks.record import PICTURES, RESULTS, write_record
from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.callbacks.scores.training_images import data_module, is_among, names_of
from lightning_gans.mechanics.checks import as_batch
from lightning_gans.mechanics.randomness import seeded
from lightning_gans.metrics import VGGFeatures
from lightning_gans.metrics.features import extract, feature_network
from lightning_gans.networks.wrappers.augment import Augment, augmented

HERE = "benchmarks.experiments.limited_data"
LOOKED_AT = 480  # images of each kind, groups of the minibatch deviation as in training
RECIPE = "stylegan2_ada_mnist"
DATA = {
    "digits": "",
    "emoji": "--data=OpenMojiDataModule --data.size=32 --data.batch_size=16 --data.held_out=0.2 "
    "--model.generator.channels=3 --model.discriminator.discriminator.channels=3 "
    "--trainer.callbacks=NewestCheckpoint --trainer.callbacks+=SampleGrid --trainer.callbacks.every_kimg=12",
}
WAYS = {"without ADA": "--model.regularizers=[]", "with ADA": ""}
NAMES = {"training": "trained on", "held_out": "held out", "samples": "samples"}


class PooledVGG(nn.Module):
    """Means over the places of a map of VGG16, as features of small images in color.

    Args:
        weights: File of the weights; null downloads them once.
    """

    def __init__(self, weights: str | None = None):
        super().__init__()
        self.network = VGGFeatures("vgg16", weights)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.network(image, ["relu2_2"])["relu2_2"].mean((2, 3))


def some(index: Int64[Tensor, " n"]) -> Int64[Tensor, " k"]:
    """Returns some of these, in a random order that is always the same."""
    return index[torch.randperm(len(index), generator=torch.Generator().manual_seed(0))[:LOOKED_AT]]


class Logits(Scorer):
    """Scores the mean logits of training images, of evaluation images not among them, and of samples, none augmented.

    Logs `training`, `held_out`, `samples` and `p`, the probability of an `Augment`. The discriminator works in eval
    mode with its last weights; the samples are the averaged generator's.
    """

    needs = ("discriminate",)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        data = data_module("Logits", trainer)
        if not hasattr(self, "real"):
            known, others = (names_of(images, pl_module.real) for images in (data.training, data.evaluation))
            new = (~is_among(others, known)).nonzero().flatten()
            parts = {"training": (data.training, torch.arange(len(known))), "held_out": (data.evaluation, new)}
            self.real = {name: as_batch(images[some(index)]) for name, (images, index) in parts.items()}
        with pl_module.evaluating(), seeded(0, pl_module.device):
            batches = {name: [item.to(pl_module.device) for item in batch] for name, batch in self.real.items()}
            images = {name: pl_module.real(batch) for name, batch in batches.items()}
            batches["samples"] = batches["training"]
            images["samples"] = pl_module.fake(batches["samples"])
            logits = {name: pl_module.discriminate(images[name], batch) for name, batch in batches.items()}
        p = [part.p.item() for part in pl_module.discriminator.modules() if isinstance(part, Augment)]
        return {name: part.mean().item() for name, part in logits.items()} | {"p": p[0]}, {
            "logits": "means, discriminator in eval mode with its last weights, images not augmented",
            "num_images": {name: len(part) for name, part in logits.items()},
        }


def trained(data: str, way: str, runs: Path, seed: int, weights: str | None, options: list[str]) -> Path:
    """Returns the folder of a run, and trains it first where there is none."""
    name = f"limited_{data}_{'ada' if way == 'with ADA' else 'plain'}_{seed}"
    folder = runs / name / "version_0"
    if not (folder / "checkpoints" / "last.ckpt").exists():
        own = ["--seed_everything", str(seed), "--trainer.logger.save_dir", str(runs), "--trainer.logger.name", name]
        own += ["--trainer.callbacks+", f"{HERE}.Logits"]
        if data == "emoji":
            own += ["--trainer.callbacks+", "GenerativeMetrics", "--trainer.callbacks.every_kimg", "6.4"]
            own += ["--trainer.callbacks.features", f"{HERE}.PooledVGG"]
            own += [f"--trainer.callbacks.features.weights={weights}"] * bool(weights)
        train(RECIPE, *DATA[data].split(), *WAYS[way].split(), *own, *options)
    return folder


def curves(folder: Path) -> dict[str, list[float]]:
    """Returns thousands of images, logits, p and FID at each score of a run."""
    entries = entries_of(folder)
    logits, scores = (
        [entry for entry in entries if entry["scorer"] == scorer] for scorer in ("Logits", "GenerativeMetrics")
    )
    points = {"kimg": [entry["kimg"] for entry in logits], "fid": [entry["scores"]["fid"] for entry in scores]}
    return points | {name: [entry["scores"][name] for entry in logits] for name in (*NAMES, "p")}


def summary(points: dict[str, list[float]]) -> dict[str, Any]:
    """Returns the best and the last FID, the last gap, and p."""
    best = min(range(len(points["fid"])), key=points["fid"].__getitem__)
    gaps = [known - new for known, new in zip(points["training"], points["held_out"], strict=True)]
    spread = points["training"][-1] - points["samples"][-1]
    return {
        "best_fid": points["fid"][best],
        "best_fid_kimg": points["kimg"][best],
        "last_fid": points["fid"][-1],
        "last_over_best_fid": points["fid"][-1] / points["fid"][best],
        "gap": gaps[-1],
        "gap_of_the_way_to_samples": gaps[-1] / spread,
        "last_p": points["p"][-1],
        "highest_p": max(points["p"]),
        "points": points,
    }


def leaks(samples: Tensor, held_out: Tensor, network: nn.Module) -> dict[str, float]:
    """Returns the share of samples, and of held-out images, whose nearest held-out image is an augmented one."""
    with seeded(0, samples.device):
        turned = augmented(held_out, torch.tensor(0.8), {"blit": 1.0, "geometry": 1.0, "color": 1.0})
    plain, changed, drawn = (
        torch.cat([extract(network, part)[0] for part in images.split(250)]) for images in (held_out, turned, samples)
    )

    def share(features: Tensor, own: bool) -> float:
        distances = torch.cdist(features, torch.cat([plain, changed]))
        if own:  # an image is neither compared with itself nor with what was made of it
            index = torch.arange(len(plain))
            distances[index, index] = distances[index, index + len(plain)] = torch.inf
        return (distances.argmin(1) >= len(plain)).double().mean().item()

    return {"samples": share(drawn, False), "held_out": share(plain, True)}


def draw(points: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draws the logits of each way, FID of both, and p."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(13, 3.2), dpi=80)
    for axis, (way, lines) in zip(axes, points.items(), strict=False):
        for name, label in NAMES.items():
            axis.plot(lines["kimg"], lines[name], label=label)
        axis.set(title=f"D's mean logit, {way}", xlabel="thousand images")
        axes[2].plot(lines["kimg"], lines["fid"], label=way)
        axes[3].plot(lines["kimg"], lines["p"], label=way)
    low, high = (f(axis.get_ylim()[i] for axis in axes[:2]) for i, f in enumerate((min, max)))
    for axis in axes[:2]:
        axis.set_ylim(low, high)
    axes[2].set(title="FID", xlabel="thousand images", yscale="log")
    axes[3].set(title="p", xlabel="thousand images", ylim=(-0.03, 1))
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=DATA)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", help="file of VGG16's weights, for emoji; downloaded if not given")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    args, options = parser.parse_known_args()

    folders = {way: trained(args.data, way, args.runs, args.seed, args.weights, options) for way in WAYS}
    points = {way: curves(folder) for way, folder in folders.items()}
    values = {way: summary(lines) for way, lines in points.items()}
    network = feature_network("digits" if args.data == "digits" else PooledVGG(args.weights))
    data = data_of(str(folders["with ADA"] / "config.yaml"))
    data.setup("fit")
    known = names_of(data.training, lambda batch: batch[0])
    new = (~is_among(names_of(data.evaluation, lambda batch: batch[0]), known)).nonzero().flatten()
    held_out = data.evaluation[new[: 2 * LOOKED_AT]][0]
    for way, folder in folders.items():
        checkpoint = folder / "checkpoints" / "last.ckpt"
        module: Any = LightningModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
        samples = module.draw([held_out], seed=0)["fake"]
        values[way]["leaks"] = leaks(samples, held_out, network)
        print(way, json.dumps({name: value for name, value in values[way].items() if name != "points"}, indent=2))
    if args.seed == 0:
        draw(points, args.pictures / f"limited_data_{args.data}.png")
    config = yaml.safe_load((folders["with ADA"] / "config.yaml").read_text())
    last = {entry["scorer"]: entry["protocol"] for entry in entries_of(folders["with ADA"])}
    protocol = {
        "trained_on": len(data.training),
        "options": WAYS,
        "steps": config["trainer"]["max_steps"],
        "leaks": f"of {len(held_out)} samples, in the features of FID, among as many held-out images, plain and "
        "augmented with p = 0.8",
        **last,
    }
    seconds = sum(max(entry["seconds"] for entry in entries_of(folder)) for folder in folders.values())
    write_record(f"limited_data_{args.data}_{args.seed}", values, protocol, args.seed, seconds, folder=args.results)


if __name__ == "__main__":
    main()
