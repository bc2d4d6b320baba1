"""Counts what `sngan_cifar10` and `biggan_imagenet128` need of GPUs and of the network between them.

    python -m benchmarks.speed.scaling

Bytes kept for backward are counted by running each player's loss on a few images at full width, on the CPU, and adding
up the storages that autograd saves; parameters, gradients, Adam and the moving average are counted from the networks.
Work is counted by torch's `FlopCounterMode`. The count of bytes is checked on `biggan_mnist` and `sngan_mnist` against
the growth of a process's peak memory with the batch.
Writes `results/scaling.json`, which docs/scaling.md quotes.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.recipes import module_of
from benchmarks.record import write_record
from lightning_gans.mechanics import processes

CHECKED, LARGE = ("biggan_mnist", "sngan_mnist"), ("sngan_cifar10", "biggan_imagenet128")
BATCHES = {"sngan_cifar10": (64, 256, 1024), "biggan_imagenet128": (8, 32, 64, 128, 256)}
LINKS = {8: 200e9, 64: 20e9}  # GPUs: bytes a second of each one's link; assumed
FLOPS = 50e12  # that a GPU really reaches a second; assumed


def batch_of(module: Any, count: int) -> tuple[Tensor, Tensor]:
    """Draws images of the module's shape, with labels."""
    label = torch.arange(2) % 10
    shape = module.draw((torch.empty(2, 0), label), seed=0)["fake"].shape[1:]
    return torch.rand(count, *shape) * 2 - 1, torch.arange(count) % 10


@contextmanager
def moving(module: Any, player: str) -> Iterator[Callable[[tuple[Tensor, Tensor]], Tensor]]:
    """Freezes the other player, and gives the loss of this one."""
    losses = {"discriminator": module.discriminator_loss, "generator": module.generator_loss}
    frozen = module.generator if player == "discriminator" else module.discriminator
    frozen.requires_grad_(False)
    yield lambda batch: sum(losses[player](batch).values())
    frozen.requires_grad_(True)


def saved_bytes(module: Any, player: str, batch: tuple[Tensor, Tensor], bf16: bool) -> int:
    """Returns the bytes that autograd saves in one loss of a player, each storage once."""
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    seen: dict[int, Tensor] = {}

    def pack(value: Tensor) -> Tensor:
        if value.untyped_storage().data_ptr() not in own:
            seen[value.untyped_storage().data_ptr()] = value  # held, so that no other storage takes its place
        return value

    with moving(module, player) as loss, torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            kept = loss(batch)
        total = sum(value.untyped_storage().nbytes() for value in seen.values())
    del kept
    return total


def flops(module: Any, player: str, batch: tuple[Tensor, Tensor]) -> float:
    """Returns the floating point operations per image of one move."""
    with moving(module, player) as loss, FlopCounterMode(display=False) as counter:
        loss(batch).backward()
    return counter.get_total_flops() / len(batch[0])


def count(recipe: str) -> dict[str, float]:
    """Counts the bytes per image and player, and those that do not grow with the batch."""
    module: Any = module_of(recipe)
    found: dict[str, float] = {}
    for bf16 in (False, True):
        for player in ("discriminator", "generator"):
            two, four = (
                saved_bytes(module, player, batch_of(module, n), bf16) for n in (2, 4)
            )  # the difference leaves out what does not grow: weights in bf16, normalized weights
            found[f"{player}_bytes_per_image_{'bf16' if bf16 else 'float32'}"] = (four - two) / 2
    parts = ("generator", "discriminator")
    numbers = {part: sum(p.numel() for p in getattr(module, part).parameters()) for part in parts}
    found |= {f"{part}_parameters": number for part, number in numbers.items()}
    both = sum(numbers.values())
    # weights, Adam's two moments, the average, the gradient of one player, and what one reduction copies
    sizes = {part: [4 * p.numel() for p in getattr(module, part).parameters()] for part in parts}
    copied = {part: sum(size for size in sizes[part] if size < processes.LARGE) for part in parts}
    copy = min(processes.CHUNK, max(copied.values()))
    found["fixed_bytes"] = 4 * (3 * both + numbers["generator"] + max(numbers.values())) + copy
    found |= {f"{part}_bytes_reduced_per_move": 4 * number for part, number in numbers.items()}
    found |= {f"{part}_flops_per_image": flops(module, part, batch_of(module, 2)) for part in parts}
    widths = [norm.num_features for norm in module.generator.modules() if isinstance(norm, _BatchNorm)]
    found |= {"generator_batch_norms": len(widths), "generator_statistics_bytes": 4 * sum(2 * n + 1 for n in widths)}
    return found


def memory(recipe: str, counted: dict[str, float]) -> dict[str, dict[int, float]]:
    """Computes GB of a GPU by precision and batch size."""
    return {
        precision: {
            images: (counted["fixed_bytes"] + images * counted[f"generator_bytes_per_image_{precision}"]) / 1e9
            for images in BATCHES[recipe]
        }
        for precision in ("float32", "bf16")
    }


def network(recipe: str, counted: dict[str, float]) -> dict[int, dict[str, float]]:
    """Computes by number of GPUs the time of a ring all-reduce, and at how many images the work takes as long."""
    critic = module_of(recipe).n_critic
    size, work = (
        counted[f"discriminator_{what}"] + counted[f"generator_{what}"] / critic
        for what in ("bytes_reduced_per_move", "flops_per_image")
    )
    seconds = {gpus: 2 * (gpus - 1) / gpus * size / link for gpus, link in LINKS.items()}
    return {
        gpus: {"bytes": size, "ms": 1e3 * time, "images_as_long": time * FLOPS / work}
        | {"images_ten_times_as_long": 10 * time * FLOPS / work}
        for gpus, time in seconds.items()
    }


def peak(recipe: str, images: int) -> None:
    """Prints the peak memory of a process that takes one gradient of the discriminator, in bytes."""
    module = module_of(recipe)
    with moving(module, "discriminator") as loss:
        loss(batch_of(module, images)).backward()
    status = Path("/proc/self/status").read_text()  # Linux; `getrusage` would tell the parent's peak
    print(1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]))  # type: ignore[index]


def measured(recipe: str) -> float:
    """Measures by how many bytes per image the peak grows."""
    peaks = []
    for images in (256, 1024):
        command = [sys.executable, "-m", "benchmarks.speed.scaling", recipe, str(images)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return (peaks[1] - peaks[0]) / 768


def main() -> None:
    torch.manual_seed(0)
    counted = {recipe: count(recipe) for recipe in (*CHECKED, *LARGE)}
    computed = {
        recipe: {"memory_gb": memory(recipe, counted[recipe]), "network": network(recipe, counted[recipe])}
        for recipe in LARGE
    }
    grown = {recipe: measured(recipe) for recipe in CHECKED}
    values = {
        "counted": counted,
        "computed": computed,
        "measured_bytes_per_image_float32": grown,
        "measured_over_counted": {
            recipe: grown[recipe] / counted[recipe]["discriminator_bytes_per_image_float32"] for recipe in CHECKED
        },
    }
    write_record("scaling", values, {"assumed": {"bytes_per_second_by_gpus": LINKS, "flops": FLOPS}}, seed=0)
    print(json.dumps(values, indent=2))


if __name__ == "__main__":
    peak(sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 1 else main()
