"""Measures how steep a trained discriminator is: the norm of its gradient, and the spectral norms of its layers.

    python -m benchmarks.experiments.lipschitz runs/wgan_gp_mnist/version_0/checkpoints/last.ckpt
    python -m benchmarks.experiments.lipschitz runs/sngan_mnist/version_0/checkpoints/last.ckpt

Writes `results/<recipe>_lipschitz.json`; the recipe is the name of the run's folder.
"""

import argparse
import json
from pathlib import Path

import torch
from lightning import LightningModule

from benchmarks.record import write_record
from lightning_gans.datamodules import MNISTDataModule
from lightning_gans.networks.wrappers.spectral import spectral_norms
from lightning_gans.penalties import input_gradient

PAIRS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    module = LightningModule.load_from_checkpoint(args.checkpoint, map_location="cpu", weights_only=True).eval()
    data = MNISTDataModule(size=28, batch_size=PAIRS)
    data.setup("fit")
    real = next(iter(data.val_dataloader()))[0]
    with torch.no_grad():
        fake = module.generator(module.latent(PAIRS))
    between = torch.lerp(real, fake, torch.rand(PAIRS, 1, 1, 1)).requires_grad_()
    norms = input_gradient(module.discriminator(between), between).norm(dim=1)
    values = {"gradient_norm": norms.mean().item(), "gradient_norm_std": norms.std().item()}
    if layers := spectral_norms(module.discriminator).values():
        values["spectral_norm_farthest_from_1"] = max(layers, key=lambda norm: abs(norm - 1))
    protocol = {"gradient": f"at one point between each of {PAIRS} real digits and a sample of the last weights"}
    write_record(f"{args.checkpoint.parts[-4]}_lipschitz", values, protocol, seed=0)
    print(json.dumps(values, indent=2))


if __name__ == "__main__":
    main()
