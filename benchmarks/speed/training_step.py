"""Times a training step: this project's loop against two written by hand.

(a) is the same algorithm on the same networks, batch, optimizers, precision and memory format, logging nothing. (b) is
the loop of PyTorch's DCGAN tutorial (https://pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html) as a user would
write it: float32, contiguous memory, one fake batch for both players, nothing frozen, losses read every 50 steps.

All start from the same weights and train on the same batches of digits, held in memory. They take turns in one process,
see `benchmarks/turns.py`. On a machine that other programs use too, take `--threads 1` and the processor's time.

    python -m benchmarks.speed.training_step
"""

import argparse
import copy
import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

from benchmarks.recipes import module_of, quieten
from benchmarks.turns import Times, by_hand, compared, print_table, take_turns, trained
from lightning_gans import GAN
from lightning_gans.datamodules import MNISTDataModule
from lightning_gans.mechanics.precision import fast_precision
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator

BATCH_SIZE = 64
NUM_BATCHES = 16
STEPS_PER_BLOCK = {"dcgan64": 2, "dcgan_mnist": 25}

Block = list[Tensor]


def dcgan64() -> GAN:
    """Builds the paper's networks. The paper's batches are of 128 images, here they are of 64."""
    return GAN(generator=DCGANGenerator(size=64), discriminator=DCGANDiscriminator(size=64))


def dcgan_mnist() -> GAN:
    """Builds the recipe's module."""
    module = module_of("dcgan_mnist")
    assert isinstance(module, GAN)
    return module


CASES = {"dcgan64": dcgan64, "dcgan_mnist": dcgan_mnist}


def real_batches(like: Tensor) -> Block:
    """Returns digits in the shape of a generated batch."""
    data = MNISTDataModule(batch_size=BATCH_SIZE)
    data.setup("fit")
    _, channels, *size = like.shape
    images = [data.training[torch.arange(i, i + BATCH_SIZE)][0] for i in range(0, NUM_BATCHES * BATCH_SIZE, BATCH_SIZE)]
    return [interpolate(image, size, mode="bilinear").repeat(1, channels, 1, 1) for image in images]


class ByHand:
    """Contestant (a): the module's algorithm as plain PyTorch."""

    def __init__(self, module: GAN, precision: str):
        self.generator = copy.deepcopy(module.generator)
        self.discriminator = copy.deepcopy(module.discriminator)
        self.generator_ema = copy.deepcopy(module.generator).requires_grad_(False)
        self.generator_optimizer = module.generator_optimizer(self.generator.parameters())
        self.discriminator_optimizer = module.discriminator_optimizer(self.discriminator.parameters())
        self.objective = module.objective
        self.halflife = 1000 * module.ema_halflife
        self.precision = precision
        self.images_seen = 0

    def autocast(self) -> AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16) if self.precision == "bf16-mixed" else nullcontext()

    def step(self, real: Tensor) -> None:
        self.generator.requires_grad_(False)
        self.discriminator.requires_grad_(True)
        self.discriminator_optimizer.zero_grad()
        with self.autocast():
            fake = self.generator(torch.randn(len(real), self.generator.latent_dim))
            loss = self.objective.discriminator(self.discriminator(real), self.discriminator(fake))
        loss.backward()
        self.discriminator_optimizer.step()

        self.generator.requires_grad_(True)
        self.discriminator.requires_grad_(False)
        self.generator_optimizer.zero_grad()
        with self.autocast():
            fake = self.generator(torch.randn(len(real), self.generator.latent_dim))
            loss = self.objective.generator(self.discriminator(fake))
        loss.backward()
        self.generator_optimizer.step()
        self.average(len(real))

    @torch.no_grad()
    def average(self, images: int) -> None:
        self.images_seen += images
        weight = 1 - 0.5 ** (images / min(self.halflife, 0.05 * self.images_seen))
        torch._foreach_lerp_([*self.generator_ema.parameters()], [*self.generator.parameters()], weight)
        for average, latest in zip(self.generator_ema.buffers(), self.generator.buffers(), strict=True):
            average.lerp_(latest, weight) if average.is_floating_point() else average.copy_(latest)


class Tutorial:
    """Contestant (b): the tutorial's loop."""

    def __init__(self, module: GAN):
        self.netG = contiguous(module.generator)
        self.netD = contiguous(module.discriminator)
        self.optimizerD = torch.optim.Adam(self.netD.parameters(), lr=0.0002, betas=(0.5, 0.999))
        self.optimizerG = torch.optim.Adam(self.netG.parameters(), lr=0.0002, betas=(0.5, 0.999))
        self.steps = 0

    def step(self, real: Tensor) -> None:
        self.netD.zero_grad()
        label = torch.full((len(real),), 1.0)
        lossD_real = binary_cross_entropy_with_logits(self.netD(real), label)
        lossD_real.backward()
        fake = self.netG(torch.randn(len(real), self.netG.latent_dim))
        label.fill_(0.0)
        lossD_fake = binary_cross_entropy_with_logits(self.netD(fake.detach()), label)
        lossD_fake.backward()
        self.optimizerD.step()

        self.netG.zero_grad()
        label.fill_(1.0)
        lossG = binary_cross_entropy_with_logits(self.netD(fake), label)
        lossG.backward()
        self.optimizerG.step()
        if self.steps % 50 == 0:
            f"{lossD_real.item() + lossD_fake.item():.4f} {lossG.item():.4f}"
        self.steps += 1


def contiguous(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).to(memory_format=torch.contiguous_format)


def compete(module: GAN, precision: str, rounds: int, steps: int) -> dict[str, list[Times]]:
    """Returns the times of each contestant in each round."""
    contestants = {
        "ours": trained(module, precision),
        "(a)": by_hand(ByHand(module, precision).step),
        "(b)": by_hand(Tutorial(module).step),
    }
    with torch.no_grad():
        batches = real_batches(copy.deepcopy(module.generator)(torch.zeros(2, module.generator.latent_dim)))
    return take_turns(contestants, dict.fromkeys(contestants, batches), rounds, steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=[*CASES, "all"], default="all")
    parser.add_argument("--blocks", type=int, default=15, help="blocks per contestant")
    parser.add_argument("--steps-per-block", type=int, help="by default some seconds' worth")
    parser.add_argument("--threads", type=int, help="by default PyTorch's own choice")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], help="by default the command line's choice")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    quieten()
    precision, why = (options.precision, "as asked for") if options.precision else fast_precision("cpu")
    print(f"precision {precision}, {why}; {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    rows = []
    for case in CASES if options.case == "all" else [options.case]:
        torch.manual_seed(0)
        steps = options.steps_per_block or STEPS_PER_BLOCK[case]
        times = compete(CASES[case](), precision, options.blocks, steps)
        rows += [(case, name, precision, *compared(times, clock)) for clock, name in enumerate(("wall", "processor"))]
    print_table(("case", "time", "precision", "ours, ms", "(a), ms", "ours/(a)", "(b), ms", "ours/(b)"), rows)


if __name__ == "__main__":
    main()
