"""Draws ten samples of each of ten classes, a row a class.

python benchmarks/class_grid.py runs/cgan_mnist/version_0/checkpoints/last.ckpt docs/images/cgan_mnist.png
"""

import sys

import torch
from lightning import LightningModule
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

import lightning_gans  # noqa: F401  the classes that a checkpoint names
from lightning_gans.callbacks.sample_grid import to_uint8


def main(checkpoint: str, picture: str) -> None:
    module = LightningModule.load_from_checkpoint(checkpoint, weights_only=True)
    label = torch.arange(10).repeat_interleave(10)
    drawn = module.draw((torch.zeros(100, 1), label), seed=0)["fake"]
    to_pil_image(make_grid(to_uint8(drawn), nrow=10, padding=2, pad_value=255)).save(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
