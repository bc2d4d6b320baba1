"""Variants that are not there yet, on toy networks and toy data: they prove what the contract carries."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, softplus

from lightning_gans import WGANGP, AdversarialModule
from lightning_gans.adversarial import Batch, Terms
from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.tensors import ImagePairs, InMemory, Sequences, TensorImages, Unpaired
from lightning_gans.objectives import NonSaturating
from lightning_gans.penalties import zero_centered_penalty
from tests.conftest import Judge, Line


class ImageToImage(AdversarialModule):
    """Draws a target for a given image, as pix2pix. Batches are (target, given)."""

    generate = None  # draws from no latent

    def __init__(self, pixel_weight: float = 10.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.pixel_weight = pixel_weight
        self.objective = NonSaturating()

    def condition(self, batch: Batch) -> tuple[Tensor, ...]:
        return (batch[1],)

    def fake(self, batch: Batch) -> Tensor:
        return self.generator(batch[1])

    def discriminator_loss(self, batch: Batch) -> Terms:
        return {"adversarial": self.objective.discriminator(*self.logits(batch))}

    def generator_loss(self, batch: Batch) -> Terms:
        fake = self.fake(batch)
        pixels = self.pixel_weight * l1_loss(fake, self.real(batch))
        return {"adversarial": self.objective.generator(self.discriminate(fake, batch)), "pixels": pixels}


class TwoSided(AdversarialModule):
    """Translates both ways between unpaired images with a pool of older fakes, as CycleGAN. Batches are (x, y)."""

    generate = None

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.pool = nn.ModuleDict({side: Pool() for side in "xy"})

    def real(self, batch: Batch) -> Tensor:
        return batch[1]

    def fake(self, batch: Batch) -> Tensor:
        return self.generator["y"](batch[0])

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        return self.discriminator["y"](image)

    def discriminator_loss(self, batch: Batch) -> Terms:
        terms = {}
        for side, real, source in (("x", *batch), ("y", *batch[::-1])):
            judge, fake = self.discriminator[side], self.pool[side](self.generator[side](source), self)
            terms[side] = (judge(real) - 1).square().mean() + judge(fake).square().mean()
        return terms

    def generator_loss(self, batch: Batch) -> Terms:
        terms = {}
        for side, back, source in (("x", "y", batch[1]), ("y", "x", batch[0])):
            fake = self.generator[side](source)
            terms[side] = (self.discriminator[side](fake) - 1).square().mean()
            terms[f"cycle_{side}"] = 10 * l1_loss(self.generator[back](fake), source)
        return terms


class Pool(nn.Module):
    """Hands out the fakes of the batch before for every second one; equal on all processes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(8, 1, 8, 8))
        self.register_buffer("filled", torch.zeros((), dtype=torch.bool))

    def forward(self, fake: Tensor, module: AdversarialModule) -> Tensor:
        everyone, first = module.gather(fake.detach()), module.global_rank * len(fake)
        every_second = (torch.arange(8) % 2 == 0).view(-1, 1, 1, 1) & self.filled
        mixed = torch.where(every_second, self.kept.to(everyone), everyone)
        self.kept.copy_(everyone), self.filled.fill_(True)
        return mixed[first : first + len(fake)]


class Paired(AdversarialModule):
    """Compares each real image with one fake, with penalties on both, as R3GAN."""

    def discriminator_loss(self, batch: Batch) -> Terms:
        real, fake = (image.detach().requires_grad_() for image in (self.real(batch), self.fake(batch)))
        real_logits, fake_logits = self.discriminate(real, batch), self.discriminate(fake, batch)
        return {
            "relativistic": softplus(fake_logits - real_logits).mean(),
            "r1": zero_centered_penalty(real_logits, real),
            "r2": zero_centered_penalty(fake_logits, fake),
        }

    def generator_loss(self, batch: Batch) -> Terms:
        real, fake = self.logits(batch)
        return {"relativistic": softplus(real - fake).mean()}


class Denoiser(AdversarialModule):
    """Takes noise from images: it draws from no latent, and nobody is given a condition. Batches are images alone."""

    generate = None

    def fake(self, batch: Batch) -> Tensor:
        return self.generator(batch[0] + 0.5 * self.normal(*batch[0].shape))

    def discriminator_loss(self, batch: Batch) -> Terms:
        real, fake = self.logits(batch)
        return {"hinge": (1 - real).relu().mean() + (1 + fake).relu().mean()}

    def generator_loss(self, batch: Batch) -> Terms:
        return {"hinge": -self.discriminate(self.fake(batch), batch).mean()}


class NextFrame(AdversarialModule):
    """Draws the next frame of a sequence, judged behind the frames before it. Batches are (next, previous)."""

    generate = None

    def fake(self, batch: Batch) -> Tensor:
        return self.generator(batch[1].flatten(1, 2))

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(torch.cat([batch[1].flatten(1, 2), image], 1))

    def discriminator_loss(self, batch: Batch) -> Terms:
        real, fake = self.logits(batch)
        return {"adversarial": softplus(-real).mean() + softplus(fake).mean()}

    def generator_loss(self, batch: Batch) -> Terms:
        fake = self.fake(batch)
        error = (fake - self.real(batch)).square().mean()
        return {"adversarial": softplus(-self.discriminate(fake, batch)).mean(), "error": error}


# Networks and data of 8 x 8 pixels.


def translator(channels: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 1, 3, padding=1), nn.Tanh())


def judge(channels: int = 1) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))


class WithLabel(nn.Module):
    """Adds a number for each class to a network's input."""

    def __init__(self, network: nn.Module, inputs: int) -> None:
        super().__init__()
        self.network, self.table = network, nn.Embedding(10, inputs)
        self.latent_dim = inputs
        self.num_classes = 10

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return self.network(x + self.table(label).view(len(x), -1, *[1] * (x.ndim - 2)))


class Beside(nn.Module):
    """Judges an image beside another."""

    def __init__(self) -> None:
        super().__init__()
        self.judge = judge(2)

    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        return self.judge(torch.cat([image, other], 1))


def both(make: Any) -> nn.ModuleDict:
    return nn.ModuleDict({side: make() for side in ("x", "y")})


TOYS: dict[str, Any] = {
    "image_to_image": lambda **more: ImageToImage(generator=translator(), discriminator=Beside(), **more),
    "two_sided": lambda **more: TwoSided(generator=both(translator), discriminator=both(judge), **more),
    "conditional_wgan_gp": lambda **more: WGANGP(
        generator=WithLabel(Line(), 4), discriminator=WithLabel(Judge(), 1), conditional=True, n_critic=2, **more
    ),
    "paired": lambda **more: Paired(generator=Line(), discriminator=Judge(), **more),
    "denoiser": lambda **more: Denoiser(generator=translator(), discriminator=judge(), **more),
    "next_frame": lambda **more: NextFrame(generator=translator(3), discriminator=judge(4), **more),
}


class ToyData(TensorDataModule):
    """Random images in the shape of a toy variant's task.

    Args:
        toy: Name of the variant.
        batch_size: Images per batch and process.
        size: Number of images.
    """

    def __init__(self, toy: str, batch_size: int = 8, size: int = 40):
        super().__init__(batch_size)
        self.toy, self.size = toy, size
        self.reference = "random images"

    def load(self) -> tuple[InMemory, InMemory]:
        draw = partial(torch.randint, 0, 256, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
        image, other = draw((self.size, 1, 8, 8)), draw((self.size, 1, 8, 8))
        label = torch.arange(self.size) % 10
        data = {
            "image_to_image": lambda: ImagePairs(image, other),
            "two_sided": lambda: Unpaired(image, other[: self.size // 2]),
            "next_frame": lambda: Sequences(draw((self.size, 4, 1, 8, 8))),
        }.get(self.toy, lambda: TensorImages(image, label))()
        return data, data
