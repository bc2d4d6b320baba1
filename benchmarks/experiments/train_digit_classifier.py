"""Trains the digit classifier whose features score generators of digits.

It learns from the 60,000 training digits, moved, turned, scaled and made noisy a little. Generators also draw things
between two digits and no digit at all, so a quarter of each batch is blended with other digits and a sixteenth has its
pixels shuffled, with the share of each digit, or an equal share of all ten, as the target.

    python -m benchmarks.experiments.train_digit_classifier ROOT

ROOT is a folder that torchvision's MNIST reads: the four unpacked files lie in ROOT/MNIST/raw.
"""

import argparse
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from torchvision.datasets import MNIST

from lightning_gans.metrics.digits import WEIGHTS, DigitClassifier

BATCH_SIZE = 128


def load(root: Path, train: bool) -> tuple[Tensor, Tensor]:
    """Loads digits in [0, 1] and labels."""
    dataset = MNIST(root, train=train)
    return dataset.data[:, None] / 255, dataset.targets


def augment(image: Tensor) -> Tensor:
    """Turns by up to 12 degrees, scales by up to 12 %, shifts by up to 2 pixels and adds noise; each image its own."""
    most = torch.tensor([math.pi / 15, 0.12, 1 / 7, 1 / 7])
    angle, scale, dx, dy = (most[:, None, None] * (torch.rand(4, len(image), 1) * 2 - 1)).unbind()
    cos, sin = (1 + scale) * angle.cos(), (1 + scale) * angle.sin()
    matrix = torch.cat([cos, -sin, dx, sin, cos, dy], dim=1).view(-1, 2, 3)
    image = F.grid_sample(image, F.affine_grid(matrix, list(image.shape), align_corners=False), align_corners=False)
    noise = 0.2 * torch.rand(len(image), 1, 1, 1).square() * torch.randn_like(image)  # seldom strong
    return (image + noise).clamp(0, 1)


def blend_and_shuffle(image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Makes the first quarter blends, and the last sixteenth noise."""
    quarter, sixteenth = len(image) // 4, len(image) // 16
    share = torch.rand(quarter, 1)
    image, target, other_image, other_target = image.clone(), target.clone(), image.roll(1, 0), target.roll(1, 0)
    image[:quarter] = image[:quarter].lerp(other_image[:quarter], share[:, :, None, None])
    target[:quarter] = target[:quarter].lerp(other_target[:quarter], share)
    pixels = image[-sixteenth:].flatten(1)[:, torch.randperm(image[0].numel())]
    image[-sixteenth:] = (pixels * torch.rand(sixteenth, 1)).view_as(image[-sixteenth:])
    target[-sixteenth:] = 0.1
    return image, target


@torch.no_grad()
def accuracy(network: DigitClassifier, image: Tensor, label: Tensor) -> float:
    """Returns the share of digits whose largest logit is their label's."""
    network.eval()
    predicted = torch.cat([network(part * 2 - 1).argmax(dim=1) for part in image.split(1000)])
    return (predicted == label).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    args = parser.parse_args()

    torch.manual_seed(0)
    (image, label), (test_image, test_label) = load(args.root, train=True), load(args.root, train=False)
    target = F.one_hot(label, 10).float()
    network = DigitClassifier().to(memory_format=torch.channels_last)  # almost twice as fast on a CPU
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    steps = len(image) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, epochs=args.epochs, steps_per_epoch=steps)
    for epoch in range(args.epochs):
        network.train()
        for chosen in torch.randperm(len(image))[: steps * BATCH_SIZE].view(steps, BATCH_SIZE):
            x, y = blend_and_shuffle(augment(image[chosen]), target[chosen])
            loss = F.cross_entropy(network(x * 2 - 1), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: {loss.item():.4f} last loss", flush=True)
    print(f"{100 * accuracy(network, test_image, test_label):.2f} % of {len(test_label)} test digits right")
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, args.output)


if __name__ == "__main__":
    main()
