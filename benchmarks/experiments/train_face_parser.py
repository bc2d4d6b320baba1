"""Trains the network that finds the parts of synthetic faces, for the parsing term of face completion.

    python -m benchmarks.experiments.train_face_parser

It learns from the 3,000 faces of `FacesDataModule`, half of them mirrored, and all in another light. Prints how well it
finds the parts of 300 faces held out.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from lightning_gans.datamodules import FacesDataModule
from lightning_gans.datamodules.face_drawing import PARTS
from lightning_gans.datamodules.faces import intersection_over_union
from lightning_gans.metrics.faces import WEIGHTS, FaceParser

BATCH_SIZE = 32


def changed(image: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
    """Mirrors half of the images, and changes the light of each."""
    mirrored = torch.rand(len(image)) < 0.5
    image = torch.where(mirrored.view(-1, 1, 1, 1), image.flip(3), image)
    part = torch.where(mirrored.view(-1, 1, 1), part.flip(2), part)
    light = (0.8 + 0.4 * torch.rand(len(image), 3, 1, 1)) * (0.9 + 0.2 * torch.rand(len(image), 1, 1, 1))
    return ((image + 1) * light - 1 + 0.03 * torch.randn_like(image)).clamp(-1, 1), part


@torch.no_grad()
def score(network: FaceParser, data: FacesDataModule) -> dict[str, float]:
    """Returns the intersection over union of each part, over all faces held out."""
    network.eval()
    image, part = data.evaluation[torch.arange(len(data.evaluation))]
    found = torch.cat([network(some).argmax(1) for some in image.split(100)])
    return dict(zip(PARTS, intersection_over_union(found, part).tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    args = parser.parse_args()

    torch.manual_seed(0)
    data = FacesDataModule()
    data.setup("fit")
    network = FaceParser(weights=None).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    steps = len(data.training) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, epochs=args.epochs, steps_per_epoch=steps)
    for epoch in range(args.epochs):
        network.train()
        for chosen in torch.randperm(len(data.training))[: steps * BATCH_SIZE].view(steps, BATCH_SIZE):
            image, part = changed(*data.training[chosen])
            loss = cross_entropy(network(image), part)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        found = ", ".join(f"{name} {value:.2f}" for name, value in score(network, data).items())
        print(f"epoch {epoch + 1}: {loss.item():.4f} last loss; intersection over union {found}", flush=True)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, args.output)


if __name__ == "__main__":
    main()
