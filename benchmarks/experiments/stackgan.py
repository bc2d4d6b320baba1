"""Draws described digits with both stages of StackGAN, with one stage of the same size, and without the term of KL.

    python -m benchmarks.experiments.stackgan RUNS

RUNS is the folder for the runs: `stackgan_digits_stage1`, the same with a weight of 0 for KL, `stackgan_digits_stage2`
from the first of them, and one stage alone at 64 pixels, with the discriminator of the second stage. A run that is
there already is not trained again. What follows goes to `lightning-gans fit`.

Images of the first stage are enlarged to 64 pixels by bicubic interpolation. Of each, the sharpness is the variance of
the Laplacian over that of real images, and what an image shows is read back and compared with its caption. How far
conditions are spread is measured at fixed noise: the standard deviation of a pixel over 16 images of one caption.
Writes `results/stackgan.json` and docs/images/stackgan_digits.png: from top to bottom the first stage, enlarged, the
second stage made of the same images, and one stage alone, of captions that training never shows.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from benchmarks.experiments.text_to_image import accuracy, drawn, trained
from benchmarks.recipes import data_of
from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans import AdversarialModule
from lightning_gans.metrics.described_digits import attributes_of, is_unseen
from lightning_gans.metrics.features import as_8_bit

FIRST, SECOND = "stackgan_digits_stage1", "stackgan_digits_stage2"
ALONE = [
    *("--data.size=64", "--model.generator.init_args.size=64", "--model.generator.init_args.width=16"),
    *("--model.discriminator.discriminator.size=64", "--model.discriminator.discriminator.width=16"),
]
CAPTIONS, SPREAD = 50, 16
SHOWN = 10


def laplacian_variance(image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Returns the variance of the Laplacian of the mean of the channels, which blur lowers."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).view(1, 1, 3, 3)
    return conv2d(image.mean(1, keepdim=True), kernel).flatten(1).var(1)


def sharpness(fake: Tensor, real: Tensor) -> float:
    """Returns the variance of the Laplacian over that of real images."""
    return (laplacian_variance(as_8_bit(fake)).mean() / laplacian_variance(real).mean()).item()


def spread(module: AdversarialModule, text: Tensor) -> dict[str, float]:
    """Returns how images of one caption differ in conditions at fixed noise, and in noise at a fixed condition."""
    torch.manual_seed(0)
    rows, noise_dim = text.repeat_interleave(SPREAD, 0), module.generator.noise_dim
    fixed = module.latent(len(text)).repeat_interleave(SPREAD, 0)
    free = module.latent(len(rows))
    of_conditions = torch.cat([fixed[:, :noise_dim], free[:, noise_dim:]], 1)
    of_noise = torch.cat([free[:, :noise_dim], fixed[:, noise_dim:]], 1)
    with module.averaged(), torch.no_grad():
        _, log_variance = module.generator.augmentation.distribution(text)
    varied = {
        name: drawn(module, rows, latent).unflatten(0, (len(text), SPREAD)).std(1).mean().item()
        for name, latent in (("of_conditions", of_conditions), ("of_noise", of_noise))
    }
    return varied | {"deviation": (log_variance / 2).exp().mean().item()}


def enlarged(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 64 64"]:
    """Returns images at 64 pixels by bicubic interpolation."""
    return interpolate(image, (64, 64), mode="bicubic").clamp(-1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    args, options = parser.parse_known_args()

    first = trained(args.runs, FIRST, FIRST, *options)
    loose = trained(args.runs, FIRST, f"{FIRST}_without_kl", "--model.kl_weight=0", *options)
    start = f"--trainer.callbacks.checkpoint={args.runs / FIRST}"
    second = trained(args.runs, SECOND, SECOND, start, *options)
    alone = trained(args.runs, FIRST, "stackgan_digits_one_stage", *ALONE, *options)
    data = data_of(SECOND)
    data.setup("test")
    real, text, label = data.evaluation[torch.arange(len(data.evaluation))]
    draws: dict[str, Callable[[Tensor], Tensor]] = {
        "stage1_enlarged": lambda some: enlarged(drawn(first, some)),
        "stage2": lambda some: drawn(second, some),
        "one_stage": lambda some: drawn(alone, some),
    }
    values: dict[str, Any] = {}
    for name, draw in draws.items():
        values[name] = accuracy(draw, data.evaluation)
        truth = values[name].pop("real")
        values[name]["sharpness"] = sharpness(draw(text[:, 0]), real)
    values["real"] = truth
    small = data_of(FIRST)
    small.setup("test")
    for name, module in (("kl", first), ("without_kl", loose)):
        shares = accuracy(lambda some: drawn(module, some), small.evaluation)  # noqa: B023  called at once
        values[name] = {"seen": shares["seen"], "unseen": shares["unseen"], **spread(module, text[:CAPTIONS, 0])}

    some = text[is_unseen(attributes_of(label))][:SHOWN, 0]
    torch.manual_seed(0)
    latent = second.latent(len(some))
    with second.averaged():
        images = second.generator.stage1.network(latent[:, : second.generator.of_stage1], some)
    rows = [enlarged(images.detach()), drawn(second, some, latent), drawn(alone, some)]
    save_grid(torch.cat(rows), SHOWN, args.pictures / "stackgan_digits.png")
    protocol = {
        "images": f"{data.reference}; a half of each kind, one image of each caption, which names every attribute",
        "all": "digit, ink, paper, stroke, size and place are all as the caption says",
        "sharpness": "variance of the Laplacian of the mean of the channels, over that of the real images; 8 bits",
        "kl": f"at 32 pixels; standard deviation of a pixel over {SPREAD} images of a caption, mean over {CAPTIONS} "
        "captions, with the noise fixed and the condition drawn, and the other way round; and the deviation of "
        "conditions, mean over their numbers",
        "kimg": {
            name: module.images_seen / 1000
            for name, module in (("stage1", first), ("without_kl", loose), ("stage2", second), ("one_stage", alone))
        },
    }
    write_record("stackgan", values, protocol, first.seed, folder=args.results)
    print(json.dumps(values, indent=2))


if __name__ == "__main__":
    main()
