"""Trains the BiGAN recipe, and measures how well its encoder keeps digits apart.

    python -m benchmarks.experiments.bigan RUNS --data.folder ROOT --trainer.max_steps 5000

RUNS is the folder for the run; what follows goes to `lightning-gans fit --config bigan_mnist`. ROOT is a folder that
torchvision's MNIST reads. Writes docs/images/bigan_mnist.png and `results/bigan_mnist.json`.

The measured number is the share of evaluation digits whose nearest training digit has the same class. Distances are
taken between codes, and between last hidden layers; the authors' README (github.com/jeffdonahue/bigan) names both and
says that the latter works better. Three others are measured beside the trained encoder: the pixels themselves, the
encoder before training, and a latent regressor. The regressor learns to recover z from G(z) of the trained G, by
cross-entropy on codes moved to [0, 1].
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import seed_everything
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from benchmarks.recipes import train
from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans import BiGAN
from lightning_gans.datamodules import MNISTDataModule
from lightning_gans.metrics import nearest
from lightning_gans.networks import BiGANEncoder


def train_regressor(module: BiGAN, encoder: BiGANEncoder, steps: int, batch_size: int = 128) -> BiGANEncoder:
    """Trains the encoder to recover latents from the averaged generator's images."""
    optimizer = torch.optim.Adam(encoder.parameters(), lr=2e-4, betas=(0.5, 0.999), weight_decay=2.5e-5)
    module.eval()
    encoder.train()
    for step in range(steps):
        with torch.no_grad(), module.averaged():
            latent = module.latent(batch_size)
            image = module.generate(latent, ())
        loss = binary_cross_entropy((encoder(image) + 1) / 2, (latent + 1) / 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 500 == 0:
            print(f"regressor step {step + 1}: {loss.item():.4f}", flush=True)
    return encoder.eval()


@torch.no_grad()
def encoded(images: Any, encode: Callable[[Tensor], Tensor]) -> Tensor:
    """Returns the codes of all images."""
    return torch.cat([encode(images[index][0]) for index in torch.arange(len(images)).split(1000)])


def measure(data: MNISTDataModule, encode: Callable[[Tensor], Tensor]) -> float:
    """Measures the accuracy of the nearest neighbor."""
    training, evaluation = data.training, data.evaluation
    same = training is evaluation
    points = encoded(training, encode)
    queries = points if same else encoded(evaluation, encode)
    index = nearest(queries, points, torch.arange(len(points)) if same else None)[1]
    return (training.label[index] == evaluation.label).double().mean().item()


def draw(module: BiGAN, data: MNISTDataModule, path: Path) -> None:
    """Draws two rows of 20 evaluation digits, each above the generator's image of its code."""
    image = data.evaluation[torch.arange(40)][0]
    again = module.draw((image,), seed=0)["reconstruction"]
    rows = torch.cat([image[:20], again[:20], image[20:], again[20:]])
    save_grid(rows, 20, path)


def seconds_since(wall: float, processor: float) -> dict[str, int]:
    """Returns seconds on the clock, and of this process on all cores."""
    return {"wall": round(time.time() - wall), "processor": round(time.process_time() - processor)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--regressor_steps", type=int, default=2000)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURES / "bigan_mnist.png")
    args, options = parser.parse_known_args()

    wall, processor = time.time(), time.process_time()
    cli: Any = train("bigan_mnist", "--trainer.logger.save_dir", str(args.runs), *options)
    module, data, training_time = cli.model, cli.datamodule, seconds_since(wall, processor)
    draw(module, data, args.picture)

    seed_everything(1)
    last: Any = module.generator["encoder"].last
    regressor = BiGANEncoder(latent_dim=last.out_features, width=last.in_features)
    values: dict[str, Any] = {
        "pixels": measure(data, lambda image: image.flatten(1)),
        "untrained, features": measure(data, regressor.eval().features),
        "untrained, code": measure(data, regressor),
        "BiGAN, features": measure(data, module.features),
        "BiGAN, code": measure(data, module.encode),
    }
    wall, processor = time.time(), time.process_time()
    train_regressor(module, regressor, args.regressor_steps)
    regressor_time = seconds_since(wall, processor)
    values["latent regressor, features"] = measure(data, regressor.features)
    values["latent regressor, code"] = measure(data, regressor)
    for name, value in values.items():
        print(f"{name:<28} {100 * value:.2f} %")
    values["seconds"] = {"training": training_time, "regressor": regressor_time}
    protocol = {
        "measured": "share of digits whose nearest training digit has their class (1-nearest-neighbor accuracy)",
        "queries": f"{len(data.evaluation)}, {data.reference}",
        "neighbors": f"{len(data.training)} training digits",
        "leave_one_out": data.training is data.evaluation,
        "distance": "Euclidean",
        "features": "last hidden layer of the encoder; code: E(x)",
        "networks": "moving average (EMA), eval mode; the regressor's last weights",
        "images_seen": module.images_seen,
        "regressor": f"{args.regressor_steps} steps of 128 images G(z), Adam 2e-4, G the trained BiGAN's",
    }
    write_record("bigan_mnist", values, protocol, module.seed, folder=args.results)


if __name__ == "__main__":
    main()
