"""Times a training step on the CPU with denormal floats in Adam's moments, kept and flushed to zero.

Some gradients become zero and stay zero, such as those of dead units and of pixels that are always black. There, after
some 800 steps, Adam's first moment (beta 0.9) is below 1.2e-38. It stays there, since 0.9 times one of the smallest
floats is rounded to that float again. Here the networks of the recipe `gan_mnist` come to that by training with Adam at
1e-3.

From the state reached, blocks of the same steps alternate between keeping denormals and flushing them
(`torch.set_flush_denormal`). The comparison is repeated from an aged state: the second moments of parameters without a
gradient are set to where many more steps without one would bring them, which is among the denormals too. A ratio is the
median over the rounds, with its quartiles. Times are the processor's, and the ratios depend on the processor.

    python -m benchmarks.speed.denormals
"""

import argparse
import copy
import os
import time
from collections.abc import Iterator
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor

from lightning_gans.datamodules import MNISTDataModule
from lightning_gans.networks import MLPDiscriminator, MLPGenerator
from lightning_gans.objectives import NonSaturating

STUCK = 500 * 2.0**-149  # the largest float32 that 0.999 times itself rounds to


class Game:
    """A loop by hand over the recipe's networks, at a higher rate."""

    def __init__(self, rate: float):
        self.generator = MLPGenerator()
        self.discriminator = MLPDiscriminator()
        self.optimizers = [torch.optim.Adam(player.parameters(), rate) for player in self.players()]
        self.objective = NonSaturating()
        self.optimizer_seconds = 0.0

    def players(self) -> tuple[MLPDiscriminator, MLPGenerator]:
        return self.discriminator, self.generator

    def step(self, real: Tensor) -> None:
        for player, optimizer in zip(self.players(), self.optimizers, strict=True):
            for other in self.players():
                other.requires_grad_(other is player)
            optimizer.zero_grad()
            fake = self.discriminator(self.generator(torch.randn(len(real), self.generator.latent_dim)))
            if player is self.discriminator:
                loss = self.objective.discriminator(self.discriminator(real), fake)
            else:
                loss = self.objective.generator(fake)
            loss.backward()
            start = time.process_time()
            optimizer.step()
            self.optimizer_seconds += time.process_time() - start

    def parts(self) -> list[Any]:
        return [*self.players(), *self.optimizers]

    def state(self) -> list[dict[str, Any]]:
        return copy.deepcopy([part.state_dict() for part in self.parts()])

    def load(self, state: list[dict[str, Any]]) -> None:
        for part, values in zip(self.parts(), copy.deepcopy(state), strict=True):
            part.load_state_dict(values)

    @torch.no_grad()
    def age(self, steps: int) -> None:
        """Lets the second moments of the parameters without gradient decay for so many steps."""
        for optimizer in self.optimizers:
            for parameter, state in optimizer.state.items():
                gradient = torch.zeros(()) if parameter.grad is None else parameter.grad
                decayed = (state["exp_avg_sq"].double() * 0.999**steps).clamp_min(STUCK).float()
                state["exp_avg_sq"] = torch.where(gradient == 0, decayed, state["exp_avg_sq"])

    def denormal_share(self, moment: str) -> float:
        """Returns the share of denormals among Adam's `exp_avg` or `exp_avg_sq`."""
        values = torch.cat([state[moment].flatten() for o in self.optimizers for state in o.state.values()])
        bits = values.view(torch.int32) & 0x7FFFFFFF  # as integers, since a flushing processor takes them for zeros
        return float(((bits > 0) & (bits < 1 << 23)).float().mean())


def digits(batch_size: int) -> Iterator[Tensor]:
    data = MNISTDataModule(size=28, batch_size=batch_size)
    data.setup("fit")
    loader = data.train_dataloader()
    while True:
        yield from (image for image, _ in loader)


def seconds(game: Game, batches: list[Tensor]) -> tuple[float, float]:
    """Returns processor seconds per step, of all of it and of the optimizers' part."""
    start, game.optimizer_seconds = time.process_time(), 0.0
    for batch in batches:
        game.step(batch)
    return (time.process_time() - start) / len(batches), game.optimizer_seconds / len(batches)


def compare(game: Game, block: list[Tensor], rounds: int) -> None:
    """Prints the times of the same steps, from the same state, with denormals kept and flushed."""
    state = game.state()
    times: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for turn in range(rounds + 1):
        for flush in (False, True) if turn % 2 else (True, False):
            game.load(state)
            torch.manual_seed(turn)
            torch.set_flush_denormal(flush)
            game.step(block[0])  # what it flushes is zero from here on
            taken = seconds(game, block)
            torch.set_flush_denormal(False)
            if turn:  # the first warms up
                times[flush].append(taken)
    for part, name in enumerate(("step", "of it Adam")):
        kept, flushed = ([taken[part] for taken in times[flush]] for flush in (False, True))
        low, ratio, high = quantiles([a / b for a, b in zip(kept, flushed, strict=True)], n=4)
        medians = f"kept {1000 * median(kept):.1f} ms, flushed {1000 * median(flushed):.1f} ms"
        print(f"  {name:10}  {medians}, ratio {ratio:.2f} ({low:.2f}-{high:.2f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1200, help="steps of training before the comparison")
    parser.add_argument("--aged", type=int, default=100_000, help="steps by which the second moments are aged")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.set_flush_denormal(False)
    game, batches = Game(options.rate), digits(options.batch_size)
    print(f"{options.threads} threads, load {os.getloadavg()[0]:.1f}")
    print("| steps | ms a step | of it Adam | denormal first moments | denormal second moments |")
    print("| ----- | --------- | ---------- | ---------------------- | ----------------------- |")

    def shares() -> str:
        return f"{game.denormal_share('exp_avg'):22.1%} | {game.denormal_share('exp_avg_sq'):23.1%}"

    part = options.steps // 6
    for done in range(part, options.steps + 1, part):
        step, adam = seconds(game, [next(batches) for _ in range(part)])
        print(f"| {done:5} | {1000 * step:9.1f} | {1000 * adam:10.1f} | {shares()} |", flush=True)
    block = [next(batches) for _ in range(5)]
    print("from there")
    compare(game, block, options.rounds)
    game.step(block[0])
    game.age(options.aged)
    print(f"| aged  | {'':9} | {'':10} | {shares()} |\nfrom there")
    compare(game, block, options.rounds)


if __name__ == "__main__":
    main()
