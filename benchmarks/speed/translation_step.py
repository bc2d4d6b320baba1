"""Times a step of pix2pix and CycleGAN: this project's loop against loops by hand in the shape of the authors' code.

By hand each image is drawn once in a batch, and the discriminator, or both, is shown it without a graph. Networks,
batches, optimizers and losses are the same. pix2pix moves its discriminator first there, as in the authors' PyTorch
code, CycleGAN its generators; (b) is the same in float32 where the command line trains in bf16.

All take turns in one process, see `benchmarks/turns.py`. On a machine that others use too, take `--threads 1` and
the processor's time.

    python -m benchmarks.speed.translation_step --threads 1
"""

import argparse
import copy
import random
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, mse_loss

from benchmarks.recipes import module_of, quieten
from benchmarks.turns import Times, by_hand, compared, print_table, take_turns, trained
from lightning_gans.mechanics.precision import fast_precision

RECIPES = {"pix2pix_openmoji": (3, 1, 64), "cyclegan_house_numbers": (3, 1, 32)}  # channels of both items, pixels
BATCHES = 8
Pair = tuple[Tensor, Tensor]


class ByHand:
    """A copy of a module's networks and optimizers, for a loop by hand.

    Args:
        module: Whose networks and optimizers are copied.
        precision: As of Lightning's trainer.
    """

    def __init__(self, module: Any, precision: str):
        self.generator, self.discriminator = copy.deepcopy(module.generator), copy.deepcopy(module.discriminator)
        self.generator_optimizer = module.generator_optimizer(self.generator.parameters())
        self.discriminator_optimizer = module.discriminator_optimizer(self.discriminator.parameters())
        self.precision = precision

    def autocast(self) -> AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16) if self.precision == "bf16-mixed" else nullcontext()

    def descend(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class Pix2PixByHand(ByHand):
    """One pass through the generator, then the discriminator's step, then the generator's."""

    def step(self, batch: Pair) -> None:
        target, source = batch
        with self.autocast():
            fake = self.generator(source)
            real_logits, fake_logits = self.discriminator(target, source), self.discriminator(fake.detach(), source)
            real = binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
            loss = (real + binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))) / 2
        self.descend(self.discriminator_optimizer, loss)
        self.discriminator.requires_grad_(False)
        with self.autocast():
            logits = self.discriminator(fake, source)
            adversarial = binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
            loss = adversarial + 100 * l1_loss(fake, target)
        self.descend(self.generator_optimizer, loss)
        self.discriminator.requires_grad_(True)


class CycleGANByHand(ByHand):
    """The step of both generators, then of both discriminators on images of a pool."""

    def __init__(self, module: Any, precision: str):
        super().__init__(module, precision)
        self.pools: dict[str, list[Tensor]] = {"x": [], "y": []}

    def older(self, side: str, images: Tensor) -> Tensor:
        """Returns an image of the pool for every second one, once the pool is full."""
        pool, shown = self.pools[side], []
        for image in images.detach():
            if len(pool) < 50:
                pool.append(image)
                shown.append(image)
            elif random.random() > 0.5:
                place = random.randrange(50)
                shown.append(pool[place])
                pool[place] = image
            else:
                shown.append(image)
        return torch.stack(shown)

    def step(self, batch: Pair) -> None:
        x, y = batch
        g, f, judge = self.generator["xy"], self.generator["yx"], self.discriminator
        judge.requires_grad_(False)
        with self.autocast():
            fake_y, fake_x = g(x), f(y)
            logits_y, logits_x = judge["y"](fake_y), judge["x"](fake_x)
            adversarial = mse_loss(logits_y, torch.ones_like(logits_y)) + mse_loss(logits_x, torch.ones_like(logits_x))
            loss = adversarial + 10 * l1_loss(f(fake_y), x) + 10 * l1_loss(g(fake_x), y)
        self.descend(self.generator_optimizer, loss)
        judge.requires_grad_(True)
        with self.autocast():
            losses = []
            for side, real, fake in (("y", y, fake_y), ("x", x, fake_x)):
                real_logits, fake_logits = judge[side](real), judge[side](self.older(side, fake))
                of_real = mse_loss(real_logits, torch.ones_like(real_logits))
                losses.append((of_real + mse_loss(fake_logits, torch.zeros_like(fake_logits))) / 2)
        self.descend(self.discriminator_optimizer, losses[0] + losses[1])


RIVALS: dict[str, Any] = {"pix2pix_openmoji": Pix2PixByHand, "cyclegan_house_numbers": CycleGANByHand}


def compete(recipe: str, precision: str, rounds: int, steps: int, batch_size: int) -> dict[str, list[Times]]:
    """Returns the times of each contestant in each round."""
    torch.manual_seed(0)
    module: Any = module_of(recipe)
    contestants = {"ours": trained(module, precision), "(a)": by_hand(RIVALS[recipe](module, precision).step)}
    if precision != "32-true":
        contestants["(b)"] = by_hand(RIVALS[recipe](module, "32-true").step)
    first, second, size = RECIPES[recipe]
    batches = [
        (torch.rand(batch_size, first, size, size) * 2 - 1, torch.rand(batch_size, second, size, size) * 2 - 1)
        for _ in range(BATCHES)
    ]
    return take_turns(contestants, dict.fromkeys(contestants, batches), rounds, steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=[*RECIPES, "all"], default="all")
    parser.add_argument("--blocks", type=int, default=15, help="blocks per contestant")
    parser.add_argument("--steps-per-block", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, help="by default PyTorch's own choice")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    quieten()
    precision, why = fast_precision("cpu")
    print(f"precision {precision}, {why}; {torch.get_num_threads()} threads")
    rows = []
    for recipe in RECIPES if options.recipe == "all" else [options.recipe]:
        times = compete(recipe, precision, options.blocks, options.steps_per_block, options.batch_size)
        rows += [(recipe, name, *compared(times, clock)) for clock, name in enumerate(("wall", "processor"))]
    head = ["recipe", "time", "ours, ms"]
    for name in list(times)[1:]:
        head += [f"{name}, ms", f"ours/{name}"]
    print_table(head, rows)


if __name__ == "__main__":
    main()
