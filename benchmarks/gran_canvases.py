"""Draw what is on GRAN's canvas after each time step: a row for each step, a column for each sample.

    lightning-gans fit --config gran_mnist
    python benchmarks/gran_canvases.py runs/gran_mnist/version_0/checkpoints/last.ckpt docs/images/gran_mnist.png

The samples are those of the moving average in eval mode.
"""

import argparse
from pathlib import Path

import torch
from lightning import LightningModule
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from lightning_gans import GAN
from lightning_gans.callbacks.sample_grid import to_uint8
from lightning_gans.networks import GRANGenerator
from lightning_gans.randomness import seeded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    module = LightningModule.load_from_checkpoint(args.checkpoint, map_location="cpu", weights_only=True).eval()
    if not isinstance(module, GAN) or not isinstance(module.generator, GRANGenerator):
        parser.error(f"{args.checkpoint} holds no GAN with a GRANGenerator.")
    with torch.no_grad(), seeded(args.seed, module.device), module.averaged():
        canvases = module.generator.canvases(module.latent(args.samples))
    grid = make_grid(to_uint8(canvases.flatten(0, 1)), nrow=args.samples, padding=2, pad_value=255)
    picture = to_pil_image(grid)
    picture.resize((2 * picture.width, 2 * picture.height), 0).save(args.picture, optimize=True)
    print(f"{args.picture}: {len(canvases)} steps of {args.samples} samples, {module.images_seen / 1000:g} kimg")


if __name__ == "__main__":
    main()
