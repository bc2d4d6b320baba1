"""Draw and score what is on GRAN's canvas after each time step: a row for each step, a column for each sample.

    lightning-gans fit --config gran_mnist
    python benchmarks/gran_canvases.py runs/gran_mnist/version_0/checkpoints/last.ckpt docs/images/gran_mnist.png

The samples are those of the moving average, in batches of which each is normalised by its own statistics: running
statistics lag behind the average, which the recurrence amplifies. As many samples as there are real digits are scored,
and the scores go to benchmarks/results/gran_canvases.json.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

import torch
from lightning import LightningModule
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from lightning_gans import GAN
from lightning_gans.callbacks.sample_grid import to_uint8
from lightning_gans.datamodules import MNISTDataModule
from lightning_gans.mechanics.randomness import seeded
from lightning_gans.metrics.features import extract, feature_network
from lightning_gans.metrics.scores import Features, compute_scores
from lightning_gans.networks import GRANGenerator

RESULTS = Path(__file__).parent / "results" / "gran_canvases.json"


def features_of(images: Tensor) -> Features:
    """Returns the features and logits of images from the digit classifier."""
    features, logits = zip(*(extract(feature_network("digits"), part) for part in images.split(500)), strict=True)
    return Features(torch.cat(features), torch.cat(logits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    module = LightningModule.load_from_checkpoint(args.checkpoint, map_location="cpu", weights_only=True).eval()
    if not isinstance(module, GAN) or not isinstance(module.generator, GRANGenerator):
        parser.error(f"{args.checkpoint} holds no GAN with a GRANGenerator.")
    data = MNISTDataModule(size=32)
    data.setup("test")
    real = torch.cat([batch[0] for batch in data.test_dataloader()])
    with torch.no_grad(), seeded(args.seed, module.device), module.averaged():
        generator: GRANGenerator = module.generator.train()  # type: ignore[assignment]
        batches = -(-len(real) // args.batch_size)
        drawn = torch.cat([generator.canvases(module.latent(args.batch_size)) for _ in range(batches)], 1)[
            :, : len(real)
        ]
    known, names = features_of(real), ["fid", "inception_score"]
    scores = {f"step_{t}": compute_scores(names, known, features_of(of)) for t, of in enumerate(drawn, 1)}
    protocol = (
        f"{len(real)} samples, normalised in batches of {args.batch_size}, against {data.reference}, digit classifier"
    )
    run = {"seed": args.seed, "images_seen": module.images_seen, "command": shlex.join(["python", *sys.argv])}
    found = {"measured": "scores of the canvas after each time step", "scores": scores, "protocol": protocol}
    RESULTS.write_text(json.dumps(found | run, indent=2) + "\n")
    for step, values in scores.items():
        print(step, {name: round(value, 2) for name, value in values.items()})
    canvases = drawn[:, : args.samples]
    grid = make_grid(to_uint8(canvases.flatten(0, 1)), nrow=args.samples, padding=2, pad_value=255)
    picture = to_pil_image(grid)
    picture.resize((2 * picture.width, 2 * picture.height), 0).save(args.picture, optimize=True)
    print(f"{args.picture}: {len(canvases)} steps of {args.samples} samples, {module.images_seen / 1000:g} kimg")


if __name__ == "__main__":
    main()
