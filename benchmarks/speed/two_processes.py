"""Time and memory of two processes: this project's loop against one by hand with a DDP wrapper for each network.

The loop by hand is what PyTorch's documentation of DistributedDataParallel advises: each network in a wrapper of its
own, which reduces its gradients while the backward pass runs; the other network is frozen and called without its
wrapper. Networks, batch, optimizers and moving average are the same.

Time: both contestants run in the same two processes and take turns, a block of steps each. The loader that feeds this
project's `Trainer.fit` is the clock, and the processes wait for each other before each block. A ratio is the median
over the rounds, with its quartiles, of the first process.

Memory: the growth of each process's peak (VmHWM, Linux) over some steps of one contestant alone, from the moment when
the networks are built. DCGAN at the width of its paper gets small batches here, so that parameters, gradients and
buckets count, and not activations.

    python -m benchmarks.speed.two_processes
"""

import argparse
import copy
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from lightning_gans import GAN
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator

CASES = {  # size, widths of generator and discriminator, images a process, steps in a block
    "dcgan32": (32, 32, 32, 32, 8),
    "dcgan64": (64, 128, 64, 8, 2),
}


def build(case: str) -> GAN:
    """Returns the module of a case, the same on both processes."""
    size, generator, discriminator, *_ = CASES[case]
    torch.manual_seed(0)
    return GAN(
        generator=DCGANGenerator(size=size, width=generator),
        discriminator=DCGANDiscriminator(size=size, width=discriminator),
    )


class ByHand:
    """The loop by hand, on a module's networks."""

    def __init__(self, module: GAN):
        generator, discriminator, self.average = module.generator, module.discriminator, module.generator_ema
        self.generator_optimizer = module.generator_optimizer(generator.parameters())
        self.discriminator_optimizer = module.discriminator_optimizer(discriminator.parameters())
        # A network that is called twice before a backward pass must not get new buffers in between.
        self.generator = DistributedDataParallel(generator, broadcast_buffers=False)
        self.discriminator = DistributedDataParallel(discriminator, broadcast_buffers=False)
        self.objective, self.halflife, self.images = module.objective, 1000 * module.ema_halflife, 0

    def step(self, real: Tensor) -> None:
        generator, discriminator = self.generator.module, self.discriminator.module
        self.discriminator_optimizer.zero_grad()
        with torch.no_grad():
            fake = generator(torch.randn(len(real), generator.latent_dim))
        self.objective.discriminator(self.discriminator(real), self.discriminator(fake)).backward()
        self.discriminator_optimizer.step()

        discriminator.requires_grad_(False)
        self.generator_optimizer.zero_grad()
        fake = self.generator(torch.randn(len(real), generator.latent_dim))
        self.objective.generator(discriminator(fake)).backward()
        self.generator_optimizer.step()
        discriminator.requires_grad_(True)

        self.images += 2 * len(real)
        weight = 1 - 0.5 ** (2 * len(real) / min(self.halflife, 0.05 * self.images))
        with torch.no_grad():
            torch._foreach_lerp_([*self.average.parameters()], [*generator.parameters()], weight)
            for mean, latest in zip(self.average.buffers(), generator.buffers(), strict=True):
                mean.lerp_(latest, weight) if mean.is_floating_point() else mean.copy_(latest)


class Turns:
    """Feeds this project's loop, and lets the loop by hand run and takes the times in between."""

    def __init__(self, case: str, module: GAN, rounds: int):
        size, _, _, images, self.steps = CASES[case]
        self.module, self.rounds = module, rounds
        self.batches = [torch.rand(images, 3, size, size) * 2 - 1 for _ in range(8)]
        self.seconds: dict[str, list[float]] = {"ours": [], "by hand": []}

    def __len__(self) -> int:
        return (self.rounds + 1) * self.steps + 1  # the last stops the clock of the block before

    def __iter__(self) -> Iterator[Tensor]:
        rival = ByHand(copy.deepcopy(self.module))
        for turn in range(self.rounds + 1):
            for name in ("ours", "by hand") if turn % 2 else ("by hand", "ours"):
                distributed.barrier()
                start = time.perf_counter()
                for step in range(self.steps):
                    if name == "ours":
                        yield self.batches[step % 8]
                    else:
                        rival.step(self.batches[step % 8])
                if turn:  # the first warms up
                    self.seconds[name].append((time.perf_counter() - start) / self.steps)
        yield self.batches[0]


def peak() -> int:
    """Returns the peak memory of this process in bytes."""
    return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])  # type: ignore[index]


class Alone:
    """Feeds one contestant alone, and takes the growth of the peak.

    Args:
        case: Key of `CASES`.
        module: This project's.
        contestant: `ours` or `by hand`.
        steps: Steps that it takes.
    """

    def __init__(self, case: str, module: GAN, contestant: str, steps: int = 6):
        size, _, _, images, _ = CASES[case]
        self.module, self.contestant, self.steps = module, contestant, steps
        self.batch = torch.rand(images, 3, size, size) * 2 - 1

    def __len__(self) -> int:
        return self.steps if self.contestant == "ours" else 1

    def __iter__(self) -> Iterator[Tensor]:
        for _ in range(self.steps):
            yield self.batch


def fit(module: GAN, loader: Any) -> None:
    """Trains by this project's loop on this process, of two."""
    with TemporaryDirectory() as folder:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu",
            strategy="ddp",
            devices=2,
            default_root_dir=folder,
            use_distributed_sampler=False,
            enable_model_summary=False,
            **quiet,
        )
        trainer.fit(module, loader)


def work(case: str, contestant: str, rounds: int) -> dict[str, Any]:
    """Runs on each process: times both contestants in turns, or takes the memory of one."""
    module = build(case)
    if contestant == "both":
        turns = Turns(case, module, rounds)
        fit(module, turns)
        return turns.seconds
    before = peak()
    if contestant == "ours":
        fit(module, Alone(case, module, contestant))
    else:
        distributed.init_process_group("gloo", rank=int(os.environ["LOCAL_RANK"]), world_size=2)
        rival, loader = ByHand(module), Alone(case, module, contestant)
        for batch in loader:
            rival.step(batch)
    return {"bytes": peak() - before}


def run(case: str, contestant: str, rounds: int) -> dict[str, Any]:
    """Starts both processes, and returns what the first one found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **rendezvous}
    program = [sys.executable, "-m", "benchmarks.speed.two_processes"]
    command = [*program, "--work", case, contestant, "--rounds", str(rounds)]
    processes = [
        subprocess.Popen(command, env={**environment, "LOCAL_RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"A process of {case}, {contestant} failed: its error stands above.")
    return json.loads(outputs[0].splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=[*CASES, "all"], default="all")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        for name in ("pytorch", "fabric"):
            logging.getLogger(f"lightning.{name}").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore")
        print(json.dumps(work(*options.work, options.rounds)))
        return
    for case in CASES if options.case == "all" else [options.case]:
        seconds = run(case, "both", options.rounds)
        ratios = [ours / theirs for ours, theirs in zip(seconds["ours"], seconds["by hand"], strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        times = {name: f"{1000 * median(values):.1f} ms" for name, values in seconds.items()}
        memory = {name: run(case, name, 1)["bytes"] / 2**20 for name in ("ours", "by hand")}
        print(f"{case}: a step takes {times['ours']} here and {times['by hand']} by hand")
        print(f"{case}: ratio {middle:.3f}, quartiles {low:.3f} and {high:.3f}")
        print(f"{case}: memory grows by {memory['ours']:.0f} MiB here and {memory['by hand']:.0f} MiB by hand")


if __name__ == "__main__":
    main()
