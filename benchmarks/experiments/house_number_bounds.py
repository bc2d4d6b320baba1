"""Measures between what bounds a translation of house numbers to digits can be expected, without any training.

    python -m benchmarks.experiments.house_number_bounds

The digit classifier is shown the house numbers held out as they are, in grey; the same with each image stretched from
black to white, light on dark and turned to dark on light; and the digits of the fonts held out, white on black as those
of MNIST. The first are what a translation must beat, the last is what it can reach at best.

Writes `results/house_number_bounds.json`.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from benchmarks.record import RESULTS, write_record
from lightning_gans.datamodules import HouseNumbersDataModule
from lightning_gans.datamodules.house_number_drawing import LIGHTNESS, faces
from lightning_gans.metrics.digits import DigitClassifier


def clean(ink: Tensor) -> Tensor:
    """Returns a digit as MNIST has it: 20 pixels high or wide, white, in the middle of 28 x 28 black ones."""
    rows = ink.amax(1).gt(0.1).nonzero().flatten()
    ink = ink[rows[0] : rows[-1] + 1]
    height, width = (max(1, round(side * 20 / max(ink.shape))) for side in ink.shape)
    small = interpolate(ink[None, None], (height, width), mode="bilinear", antialias=True)
    left, top = (28 - width) // 2, (28 - height) // 2
    return pad(2 * small - 1, (left, 28 - width - left, top, 28 - height - top), value=-1.0)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    data = HouseNumbersDataModule(num_images=1)
    data.setup("fit")
    image, label = data.evaluation[torch.arange(len(data.evaluation))]
    grey = torch.einsum("bchw,c->bhw", image, torch.tensor(LIGHTNESS))[:, None]
    low, high = grey.amin((1, 2, 3), keepdim=True), grey.amax((1, 2, 3), keepdim=True)
    stretched = 2 * (grey - low) / (high - low) - 1
    fonts = faces(held_out=True)
    glyphs = torch.cat([clean(torch.from_numpy(digit)) for face in fonts for digit in face])

    classifier = DigitClassifier.pretrained()
    light, dark = (classifier(images).argmax(1) == label for images in (stretched, -stretched))
    values = {
        "grey": (classifier(grey).argmax(1) == label).double().mean().item(),
        "stretched": light.double().mean().item(),
        "stretched_and_inverted": dark.double().mean().item(),
        "right_in_one_of_both": (light | dark).double().mean().item(),
        "clean_digits": (classifier(glyphs).argmax(1) == torch.arange(10).repeat(len(fonts))).double().mean().item(),
    }
    for name, value in values.items():
        print(f"{name:<24}{value:.1%}")
    protocol = {
        "house_numbers": data.reference,
        "clean_digits": f"{len(glyphs)} digits of the {len(fonts)} fonts held out",
        "classifier": f"shipped digit classifier, {classifier.weights_hash}",
    }
    write_record("house_number_bounds", values, protocol, folder=args.results)


if __name__ == "__main__":
    main()
