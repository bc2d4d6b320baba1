"""Counts what large recipes need of GPUs and of the network between them.

    python -m benchmarks.speed.scaling
    python -m benchmarks.speed.scaling --peaks

Bytes kept for backward are counted by running each player's loss on a few images at full width, with all of its
penalties, and adding up the storages that autograd saves; parameters, gradients, Adam and the moving average are
counted from the networks. Work is counted by torch's `FlopCounterMode`, with penalties by their share of batches.
Tensors are fake ones of the CPU, which have shapes and no numbers. With `--peaks` the count of bytes is checked on
`biggan_mnist` and `sngan_mnist` against the growth of a process's peak memory with the batch.
Write `results/scaling.json` and `results/scaling_peaks.json`, which docs/scaling.md quotes.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.recipes import module_of
from benchmarks.record import write_record
from lightning_gans.mechanics import processes

CHECKED = ("biggan_mnist", "sngan_mnist")
BATCHES = {
    "sngan_cifar10": (64, 256, 1024),
    "biggan_imagenet128": (8, 32, 64, 128, 256),
    "stylegan2_ada_ffhq256": (8, 16, 32, 64),
    "r3gan_ffhq64": (32, 64, 128, 256),
}
PLAYERS = ("discriminator", "generator")
EVERY = {
    "discriminator": "penalty_every",
    "generator": "path_every",
}  # batches for each that has a penalty
LINKS = {8: 200e9, 64: 20e9}  # GPUs: bytes a second of each one's link; assumed
FLOPS = 50e12  # that a GPU really reaches a second; assumed


@contextmanager
def imagined(module: Any) -> Iterator[None]:
    """Has fake tensors in the place of a module's, and of all that is made within it."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = nn.Parameter(mode.from_tensor(value.detach()), value.requires_grad)
        for name, value in part._buffers.items():
            if value is not None:
                part._buffers[name] = mode.from_tensor(value)
    with mode:
        yield


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


def storage(value: Tensor) -> int:
    """Returns what tells storages apart while they live, also those without memory."""
    return value.untyped_storage()._cdata


def saved_bytes(module: Any, player: str, batch: tuple[Tensor, Tensor], bf16: bool) -> int:
    """Returns the bytes that autograd saves in one loss of a player, each storage once."""
    own = {storage(p) for p in module.parameters()}
    seen: dict[int, Tensor] = {}

    def pack(value: Tensor) -> Tensor:
        if storage(value) not in own:
            seen[storage(value)] = value  # held, so that no other storage takes its place
        return value

    with moving(module, player) as loss, torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            kept = loss(batch)
        total = sum(value.untyped_storage().nbytes() for value in seen.values())
    del kept
    return total


class Anywhere:
    """Takes the place of the counter's watch over modules, which refuses gradients within a loss."""

    parents = ("Global",)

    def __enter__(self) -> None: ...

    def __exit__(self, *error: Any) -> None: ...


def flops(module: Any, player: str, batch: tuple[Tensor, Tensor]) -> float:
    """Returns the floating point operations per image of one move, on average over all batches."""
    found = []
    for due in (False, True):
        module.due = lambda every, due=due: due
        counter = FlopCounterMode(display=False)
        counter.mod_tracker = Anywhere()  # type: ignore[assignment]
        with moving(module, player) as loss, counter:
            loss(batch).backward()
        found.append(counter.get_total_flops() / len(batch[0]))
    without, with_all = found
    return without + (with_all - without) / getattr(module, EVERY[player], 1)


def count(recipe: str) -> dict[str, float]:
    """Counts the bytes per image and player, and those that do not grow with the batch."""
    module: Any = module_of(recipe)
    sizes = {part: [4 * p.numel() for p in getattr(module, part).parameters()] for part in PLAYERS}
    numbers = {part: sum(sizes[part]) // 4 for part in PLAYERS}
    widths = [norm.num_features for norm in module.generator.modules() if isinstance(norm, _BatchNorm)]
    found: dict[str, float] = {}
    with imagined(module):
        for bf16 in (False, True):
            for player in PLAYERS:
                module.due = lambda every: True
                few, many = (
                    saved_bytes(module, player, batch_of(module, n), bf16) for n in (16, 32)
                )  # the difference leaves out what does not grow: weights in bf16, normalized weights
                found[f"{player}_bytes_per_image_{'bf16' if bf16 else 'float32'}"] = (many - few) / 16
        found |= {f"{part}_flops_per_image": flops(module, part, batch_of(module, 16)) for part in PLAYERS}
    found |= {f"{part}_parameters": number for part, number in numbers.items()}
    # weights, Adam's two moments, the average, the gradient of one player, and what one reduction copies
    copied = {part: sum(size for size in sizes[part] if size < processes.LARGE) for part in PLAYERS}
    copy = min(processes.CHUNK, max(copied.values()))
    found["fixed_bytes"] = 4 * (3 * sum(numbers.values()) + numbers["generator"] + max(numbers.values())) + copy
    found |= {f"{part}_bytes_reduced_per_move": 4 * number for part, number in numbers.items()}
    found |= {"generator_batch_norms": len(widths), "generator_statistics_bytes": 4 * sum(2 * n + 1 for n in widths)}
    return found


def hungriest(counted: dict[str, float], precision: str) -> float:
    """Returns the bytes per image of the player that keeps more."""
    return max(counted[f"{player}_bytes_per_image_{precision}"] for player in PLAYERS)


def memory(recipe: str, counted: dict[str, float]) -> dict[str, dict[int, float]]:
    """Computes GB of a GPU by precision and batch size."""
    return {
        precision: {
            images: (counted["fixed_bytes"] + images * hungriest(counted, precision)) / 1e9
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
        command = [sys.executable, "-m", "benchmarks.speed.scaling", "--peak-of", recipe, str(images)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return (peaks[1] - peaks[0]) / 768


def check_peaks() -> None:
    """Measures peaks, and compares them with what is counted."""
    counted = {recipe: count(recipe)["discriminator_bytes_per_image_float32"] for recipe in CHECKED}
    grown = {recipe: measured(recipe) for recipe in CHECKED}
    values = {
        "measured_bytes_per_image_float32": grown,
        "measured_over_counted": {recipe: grown[recipe] / counted[recipe] for recipe in CHECKED},
    }
    write_record("scaling_peaks", values, {"images": [256, 1024]}, seed=0)
    print(json.dumps(values, indent=2))


def count_all() -> None:
    """Counts, and computes from what is counted."""
    torch.manual_seed(0)
    counted = {recipe: count(recipe) for recipe in (*CHECKED, *BATCHES)}
    computed = {
        recipe: {"memory_gb": memory(recipe, counted[recipe]), "network": network(recipe, counted[recipe])}
        for recipe in BATCHES
    }
    values = {"counted": counted, "computed": computed}
    write_record("scaling", values, {"assumed": {"bytes_per_second_by_gpus": LINKS, "flops": FLOPS}}, seed=0)
    print(json.dumps(values, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peaks", action="store_true", help="measure peaks of memory instead")
    parser.add_argument("--peak-of", nargs=2, metavar=("RECIPE", "IMAGES"), help="print one peak instead")
    options = parser.parse_args()
    if options.peak_of:
        peak(options.peak_of[0], int(options.peak_of[1]))
    else:
        check_peaks() if options.peaks else count_all()


if __name__ == "__main__":
    main()
