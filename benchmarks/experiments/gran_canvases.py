"""Draws and scores GRAN's canvas after each time step: a row for each step, a column for each sample.

    lightning-gans fit --config gran_mnist
    python -m benchmarks.experiments.gran_canvases runs/gran_mnist/version_0/checkpoints/last.ckpt

The samples are those of the moving average. Batch norm takes the statistics of each batch, since running statistics lag
behind the average and the recurrence amplifies the difference. As many samples are scored as there are real digits.
Writes docs/images/gran_mnist.png and `results/gran_canvases.json`.
"""

import argparse
from pathlib import Path

import torch
from lightning import LightningModule
from torch import Tensor

from benchmarks.record import PICTURES, save_grid, write_record
from lightning_gans import GAN
from lightning_gans.datamodules import MNISTDataModule
from lightning_gans.mechanics.randomness import seeded
from lightning_gans.metrics import FeatureScores
from lightning_gans.networks import GRANGenerator


def scores_of(drawn: Tensor, real: Tensor) -> dict[str, float]:
    """Scores samples against real digits by the digit classifier."""
    scores = FeatureScores(["fid", "inception_score"], features="digits")
    for images, are_real in ((real, True), (drawn, False)):
        for part in images.split(500):
            scores.update(part, real=are_real)
    return {name: value.item() for name, value in scores.compute().items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--picture", type=Path, default=PICTURES / "gran_mnist.png")
    parser.add_argument("--samples", type=int, default=16, help="of the picture")
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
        parts = [generator.canvases(module.latent(args.batch_size)) for _ in range(batches)]
    drawn = torch.cat(parts, dim=1)[:, : len(real)]
    values = {f"step_{t}": scores_of(canvas, real) for t, canvas in enumerate(drawn, 1)}
    protocol = {
        "samples": f"{len(real)}, normalized in batches of {args.batch_size}, moving average (EMA)",
        "reference": f"{data.reference}, digit classifier",
        "images_seen": module.images_seen,
    }
    write_record("gran_canvases", values, protocol, seed=args.seed)
    for step, scores in values.items():
        print(step, {name: round(value, 2) for name, value in scores.items()})
    canvases = drawn[:, : args.samples].flatten(0, 1)
    enlarged = canvases.repeat_interleave(2, 2).repeat_interleave(2, 3)
    save_grid(enlarged, args.samples, args.picture, padding=4)


if __name__ == "__main__":
    main()
