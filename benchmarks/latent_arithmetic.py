"""Interpolation and arithmetic on latents of a trained generator of digits, measured and as pictures.

    python benchmarks/latent_arithmetic.py runs/dcgan_mnist/version_0/checkpoints/last.ckpt

After section 6.3.2 of Radford et al. (2016, https://arxiv.org/abs/1511.06434): the mean latent of slanted ones minus
that of upright ones plus that of upright sevens is to give slanted sevens. Digits are told by the digit classifier and
their slant by image moments. Interpolation is judged by the largest step in pixels against the mean step.
"""

import json
import sys
import time
from pathlib import Path

import torch
from lightning import LightningModule
from lightning_gans.callbacks.latent_interpolation import largest_step
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

import lightning_gans  # noqa: F401  the classes that a checkpoint names
from lightning_gans.callbacks.sample_grid import to_uint8
from lightning_gans.metrics.digits import DigitClassifier
from lightning_gans.metrics.features import as_8_bit
from lightning_gans.metrics.strokes import slant

HERE = Path(__file__).parent
IMAGES = HERE.parent / "docs" / "images"
NUM_SAMPLES = 20_000
NUM_MEAN = 30  # latents in each mean; the paper has 3
AROUND = 0.25  # standard deviation of the latents drawn around the sum, as in the paper's figure 7
STEPS = 64  # of an interpolation


def enlarged(picture: Tensor, times: int) -> Tensor:
    """A picture (3, h, w) with each pixel a square."""
    return picture.repeat_interleave(times, 1).repeat_interleave(times, 2)


@torch.no_grad()
def main(path: str) -> None:
    started = time.monotonic()
    torch.manual_seed(0)
    module = LightningModule.load_from_checkpoint(path, weights_only=True).eval()
    generator, classifier = module.generator_ema, DigitClassifier.pretrained().eval()

    def look(latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images, their digits (-1 where the classifier is not sure) and their slants."""
        image = torch.cat([generator(part) for part in latent.split(500)])
        logits = torch.cat([classifier.features_and_logits(as_8_bit(part))[1] for part in image.split(500)])
        sure, digit = logits.softmax(1).max(1)
        return image, torch.where(sure > 0.99, digit, -1), slant(image)

    latent = torch.randn(NUM_SAMPLES, generator.latent_dim)
    image, digit, lean = look(latent)

    def group(which: int, leaning: bool) -> Tensor:
        """The latents of the most slanted, or most upright, samples of a digit."""
        of_digit = (digit == which).nonzero().flatten()
        order = lean[of_digit].argsort(descending=True) if leaning else lean[of_digit].abs().argsort()
        return of_digit[order[:NUM_MEAN]]

    slanted_one, upright_one, upright_seven = group(1, True), group(1, False), group(7, False)
    means = [latent[index].mean(0) for index in (slanted_one, upright_one, upright_seven)]
    total = means[0] - means[1] + means[2]
    around = total + AROUND * (torch.rand(9 * 25, len(total)) * 2 - 1)
    result, result_digit, result_lean = look(around)
    _, before_digit, before_lean = look(means[2] + AROUND * (torch.rand(9 * 25, len(total)) * 2 - 1))

    groups = [*(image[index[:9]] for index in (slanted_one, upright_one, upright_seven)), result[:9]]
    columns = [make_grid(to_uint8(group), nrow=3, pad_value=255) for group in groups]
    gap = torch.full((3, columns[0].shape[1], 12), 255, dtype=torch.uint8)
    parts = [part for column in columns for part in (column, gap)][:-1]
    to_pil_image(enlarged(torch.cat(parts, dim=2), 3)).save(IMAGES / "dcgan_arithmetic.png")

    ends = torch.randn(100, 2, generator.latent_dim)
    position = torch.linspace(0, 1, STEPS + 1)[None, :, None]
    walk = torch.lerp(ends[:, :1], ends[:, 1:], position)
    pictures = torch.cat([generator(path) for path in walk]).unflatten(0, walk.shape[:2])
    steps = (pictures[:, 1:] - pictures[:, :-1]).flatten(2).norm(dim=2)
    jump = largest_step(steps.T)
    rows = pictures[:6, :: STEPS // 8].flatten(0, 1)
    picture = make_grid(to_uint8(rows), nrow=9, pad_value=255)
    to_pil_image(enlarged(picture, 2)).save(IMAGES / "dcgan_interpolation.png")

    scores = {
        "sevens_among_results": (result_digit == 7).double().mean().item(),
        "sevens_around_upright_seven": (before_digit == 7).double().mean().item(),
        "slant_of_results": result_lean.mean().item(),
        "slant_of_upright_sevens": before_lean.mean().item(),
        "slant_of_slanted_ones": lean[slanted_one].mean().item(),
        "largest_step_over_mean_step": jump.mean().item(),
        "largest_step_over_mean_step_of_all": jump.max().item(),
    }
    protocol = {
        "samples": NUM_SAMPLES,
        "latents_in_a_mean": NUM_MEAN,
        "results": f"{len(around)} latents around the sum, each place +- {AROUND} uniform",
        "digit": "digit classifier, at least 0.99 sure",
        "slant": "xy moment over yy moment of the ink",
        "interpolation": f"100 pairs, {STEPS} linear steps, L2 distance in pixels",
        "generator": "moving average (EMA), eval mode",
    }
    command = "python benchmarks/latent_arithmetic.py runs/dcgan_mnist/version_0/checkpoints/last.ckpt"
    out = {"recipe": "dcgan_mnist", "seed": 0, "command": command, "seconds": round(time.monotonic() - started)}
    out |= {"scores": scores, "protocol": protocol}
    (HERE / "results" / "latent_arithmetic.json").write_text(json.dumps(out, indent=2) + "\n")
    print(json.dumps(scores, indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
