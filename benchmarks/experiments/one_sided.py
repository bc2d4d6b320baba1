"""Compares what CycleGAN, CUT and FastCUT cost: parameters, time of a step, and memory.

    python -m benchmarks.experiments.one_sided

Small: the networks and batches of the recipes `cyclegan_house_numbers` and `cut_house_numbers`. Their steps take turns
in one process, a block each. Full: the papers' networks at 256 pixels and batches of 1, each algorithm in a process of
its own, and CycleGAN a second time with the anti-aliased networks that CUT has. Ratios are of the processor's time.
Memory is the most that the process held, less what it held before the networks were built. All run on one thread, in
the precision that the command line would take.

Writes `results/one_sided.json`.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.recipes import module_of, quieten
from benchmarks.record import RESULTS, write_record
from benchmarks.turns import milliseconds, ratio, take_turns, trained
from lightning_gans import CUT, CycleGAN
from lightning_gans.mechanics.precision import fast_precision
from lightning_gans.networks import PatchDiscriminator, ResNetGenerator

NAMES = ("CycleGAN", "CUT", "FastCUT")
FILTERED = "CycleGAN with the filters of CUT"
FILTERS: dict[str, Any] = {"antialiased": True, "initial": "xavier"}
FAST: dict[str, Any] = {"nce_weight": 10.0, "identity_weight": 0.0, "flips": True}


def small(name: str) -> Any:
    """Builds the module of a recipe here."""
    module: Any = module_of("cyclegan_house_numbers" if name == "CycleGAN" else "cut_house_numbers")
    if name == "FastCUT":
        for option, value in FAST.items():
            setattr(module, option, value)
    return module


def full(name: str) -> Any:
    """Builds the module of a paper, without averaged weights as there."""
    if name in ("CycleGAN", FILTERED):
        filters = FILTERS if name == FILTERED else {}
        translators = [ResNetGenerator(**filters) for _ in "xy"]
        return CycleGAN(*translators, *(PatchDiscriminator(affine=False, **filters) for _ in "xy"), ema_halflife=0)
    networks = ResNetGenerator(**FILTERS), PatchDiscriminator(affine=False, **FILTERS)
    return CUT(*networks, ema_halflife=0, **(FAST if name == "FastCUT" else {}))


def noise(channels: int, size: int, batch_size: int) -> torch.Tensor:
    return torch.rand(batch_size, channels, size, size) * 2 - 1


def parameters(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def held() -> float:
    """Returns the most memory that this process has held, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, on macOS bytes
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


def alone(name: str, steps: int, precision: str) -> dict[str, float]:
    """Returns what an algorithm takes at its paper's size."""
    pairs = [(noise(3, 256, 1), noise(3, 256, 1))]
    before = held()
    module = full(name)
    wall, processor = trained(module, precision)(pairs * (steps + 1))
    return {
        "parameters_million": parameters(module) / 1e6,
        "wall_ms": 1000 * wall,
        "processor_ms": 1000 * processor,
        "mib": held() - before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="blocks of each algorithm at the small size")
    parser.add_argument("--steps", type=int, default=4, help="steps of a block")
    parser.add_argument("--full-steps", type=int, default=2, help="counted steps of each at the full size")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--only", choices=[*NAMES, FILTERED], help="at the full size alone, printed as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    quieten()
    precision, _ = fast_precision("cpu")
    if args.only:
        print(json.dumps(alone(args.only, args.full_steps, precision)))
        return

    modules = {name: small(name) for name in NAMES}
    batches = {name: [(noise(3, 32, 8), noise(1 if name == "CycleGAN" else 3, 32, 8))] for name in NAMES}
    contestants = {name: trained(module, precision) for name, module in modules.items()}
    times = take_turns(contestants, batches, args.rounds, args.steps)
    values: dict[str, Any] = {
        "small": {
            name: {
                "parameters_million": parameters(modules[name]) / 1e6,
                "wall_ms": milliseconds(times[name], 0),
                "processor_ms": milliseconds(times[name], 1),
            }
            for name in NAMES
        },
        "full": {},
    }
    for name in (*NAMES, FILTERED):
        command = [sys.executable, "-m", "benchmarks.experiments.one_sided", "--only", name]
        command += ["--full-steps", str(args.full_steps)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        values["full"][name] = json.loads(said.splitlines()[-1])
    for name in NAMES[1:]:
        values["small"][name]["over_cyclegan"] = ratio(times[name], times["CycleGAN"], clock=1)[1]
    for measured in values["full"].values():
        measured["over_cyclegan"] = measured["processor_ms"] / values["full"]["CycleGAN"]["processor_ms"]
    print(json.dumps(values, indent=2))
    protocol = {
        "precision": precision,
        "small": f"recipes' networks, 32 pixels, batches of 8, median of {args.rounds} blocks of {args.steps} steps",
        "full": f"papers' networks, 256 pixels, batches of 1, mean of {args.full_steps} steps after one",
        "over_cyclegan": "ratio of the processor's time of a step, small: median over the blocks",
        "memory": "most that the process held, less what it held before the networks were built",
    }
    write_record("one_sided", values, protocol, folder=args.results)


if __name__ == "__main__":
    main()
