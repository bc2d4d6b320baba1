"""Draws ten samples of each of ten classes, a row for each class.

    lightning-gans fit --config cgan_mnist
    python -m benchmarks.experiments.class_grid runs/cgan_mnist/version_0/checkpoints/last.ckpt PICTURE

PICTURE is the file to write, such as docs/images/cgan_mnist.png. The samples are those of the moving average.
"""

import argparse
from pathlib import Path

import torch
from lightning import LightningModule

import lightning_gans  # noqa: F401  the classes that a checkpoint names
from benchmarks.record import save_grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("picture", type=Path)
    args = parser.parse_args()
    module = LightningModule.load_from_checkpoint(args.checkpoint, map_location="cpu", weights_only=True)
    label = torch.arange(10).repeat_interleave(10)
    save_grid(module.draw((torch.zeros(100, 1), label), seed=0)["fake"], 10, args.picture)


if __name__ == "__main__":
    main()
