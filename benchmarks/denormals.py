"""Time of a training step on the CPU once denormal floats have appeared, kept against flushed to zero.

A DCGAN for 28x28 digits trains with Adam at 1e-3, at which the discriminator soon wins: its gradients, and Adam's second
moments of them, shrink below 1.2e-38, where floats are denormal and some processors slow. The first training keeps them.
Then, from the state it reached, blocks of the same steps alternate between keeping and flushing them
(`torch.set_flush_denormal`, which `AdversarialModule` sets). The ratio is the median over the rounds, with its quartiles.

    python benchmarks/denormals.py
"""

import argparse
import copy
import os
import time
from collections.abc import Callable, Iterator
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from lightning_gans.datamodules import MNISTDataModule
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator

SMALLEST_NORMAL = torch.finfo(torch.float32).tiny


class Game:
    """A GAN with Adam, by hand."""

    def __init__(self, width: int, rate: float):
        self.generator = DCGANGenerator(channels=1, size=28, width=width)
        self.discriminator = DCGANDiscriminator(channels=1, size=28, width=width)
        self.optimizers = [torch.optim.Adam(p.parameters(), rate, (0.5, 0.999)) for p in self.players()]

    def players(self) -> tuple[DCGANDiscriminator, DCGANGenerator]:
        return self.discriminator, self.generator

    def step(self, real: Tensor) -> None:
        for player, optimizer in zip(self.players(), self.optimizers, strict=True):
            for other in self.players():
                other.requires_grad_(other is player)
            optimizer.zero_grad()
            fake = self.discriminator(self.generator(torch.randn(len(real), self.generator.latent_dim)))
            loss = softplus(-fake).mean()
            if player is self.discriminator:
                loss = softplus(fake).mean() + softplus(-self.discriminator(real)).mean()
            loss.backward()
            optimizer.step()

    def state(self) -> list[dict[str, Any]]:
        return copy.deepcopy([part.state_dict() for part in (*self.players(), *self.optimizers)])

    def load(self, state: list[dict[str, Any]]) -> None:
        for part, values in zip((*self.players(), *self.optimizers), copy.deepcopy(state), strict=True):
            part.load_state_dict(values)

    def denormal_share(self) -> float:
        """The share of denormals among Adam's second moments."""
        moments = [s["exp_avg_sq"].flatten() for o in self.optimizers for s in o.state.values()]
        sizes = torch.cat(moments).view(torch.int32)  # as integers, since a flushing processor compares them as zeros
        return float(((sizes > 0) & (sizes < 2**23)).float().mean())


def digits(batch_size: int) -> Iterator[Tensor]:
    data = MNISTDataModule(size=28, batch_size=batch_size)
    data.setup("fit")
    loader = data.train_dataloader()
    while True:
        yield from (image for image, _ in loader)


def seconds(step: Callable[[Tensor], None], batches: list[Tensor]) -> float:
    """Processor seconds per step, which other programs do not lengthen."""
    start = time.process_time()
    for batch in batches:
        step(batch)
    return (time.process_time() - start) / len(batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="steps of training before the comparison")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    game, batches = Game(options.width, options.rate), digits(options.batch_size)
    torch.set_flush_denormal(False)
    print(f"{options.threads} threads, load {os.getloadavg()[0]:.1f}")
    print("| steps | ms a step, kept | denormal second moments |")
    print("| ----- | --------------- | ----------------------- |")
    for done in range(0, options.steps, options.steps // 10):
        time_kept = seconds(game.step, [next(batches) for _ in range(options.steps // 10)])
        print(f"| {done + options.steps // 10:5} | {1000 * time_kept:15.1f} | {game.denormal_share():23.2%} |", flush=True)
    state, block = game.state(), [next(batches) for _ in range(10)]
    times: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(options.rounds + 1):
        for flush in (False, True) if turn % 2 else (True, False):
            game.load(state)
            torch.manual_seed(turn)
            torch.set_flush_denormal(flush)
            time_taken = seconds(game.step, block)
            if turn:  # the first warms up
                times[flush].append(time_taken)
    low, ratio, high = quantiles([kept / flushed for kept, flushed in zip(*times.values(), strict=True)], n=4)
    kept, flushed = (1000 * median(values) for values in times.values())
    print(f"kept {kept:.1f} ms, flushed {flushed:.1f} ms a step: ratio {ratio:.2f} ({low:.2f}-{high:.2f})")


if __name__ == "__main__":
    main()
