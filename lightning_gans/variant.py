"""The contract between a variant and what looks at it: how it draws and judges."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from lightning_gans.mechanics.checks import REQUIREMENTS, as_batch
from lightning_gans.mechanics.given import Given
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.randomness import mix, seeded
from lightning_gans.mechanics.schedules import Schedule, at


class Variant(LightningModule):
    """Says how a variant draws and judges; callbacks and regularizers ask for nothing else, and never for a loss.

    A variant that has no such thing, such as latents or a discriminator of images, sets the method to None, and what
    needs it refuses the variant in a sentence.
    """

    generator: Any  # a network, or a container of several
    discriminator: Any
    generator_ema: nn.Module | None
    conditional: bool
    images_seen: int
    seed: int | None
    objective: Any = None
    """The `Objective` of a variant that takes one."""
    convert: Any = None
    """Returns what becomes of a person's own images; None where images are made of no others.

    Called with images (b, c, h, w), and where the variant has these parameters, with `to` for what they are to become,
    or `mask` (b, 1, h, w), which is 1 where an image is to be filled. Data other than images may give others.
    """
    extrapolate: Any = None
    """Returns the next `frames` of sequences (b, t, c, h, w); None where no sequences go on."""
    own_data: str = "OwnImagesDataModule --data.folder YOUR_FOLDER"
    """What follows `--data` where `predict` is to call `convert`, for a message."""
    gathers: bool = False
    """Whether a batch needs rows of all processes, so that unequal batches must be refused before."""
    truncation: str = "normal latents beyond the threshold drawn again"
    """What `truncated` does, for a score's protocol."""
    _truncation: float | None = None

    def real(self, batch: Batch) -> Tensor:
        """Returns the images that `fake` is to look like."""
        return batch[0]

    def condition(self, batch: Batch) -> tuple[Tensor, ...]:
        """Returns what the networks get beside latents and images."""
        if self.conditional and len(batch) < 2:
            raise ValueError("`conditional` needs batches of (image, condition), got images alone.")
        return tuple(batch[1:2]) if self.conditional else ()

    def latent(self, size: int) -> Tensor:
        """Draws (size, latent_dim) standard normal latents for this generator."""
        return self.normal(size, self.generator.latent_dim)

    def generate(self, latent: Tensor, batch: Batch) -> Tensor:
        """Returns the images of latents, for the batch's condition."""
        return self.generator(latent, *self.condition(batch))

    def fake(self, batch: Batch) -> Tensor:
        """Draws an image for each of the batch."""
        return self.generate(self.latent(len(batch[0])), batch)

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        """Returns what the discriminator makes of images, one for each of the batch: one logit or several for each."""
        return self.discriminator(image, *self.condition(batch))

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the discriminator's logits of what counts as real and of what counts as fake."""
        fake = self.fake(batch)
        return self.discriminate(self.real(batch), batch), self.discriminate(fake, batch)

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Returns named image batches worth a look: `fake`, with its `label` where the condition is a class."""
        classes = [part for part in self.condition(batch) if part.ndim == 1 and part.dtype == torch.int64]
        return {"fake": self.fake(batch)} | ({"label": classes[0]} if classes else {})

    # What every variant can use, and who looks at it too.

    def normal(self, *size: int) -> Tensor:
        """Draws from the standard normal distribution, on this module's device and in its precision."""
        if self._truncation is None:
            return torch.randn(*size, device=self.device, dtype=self.dtype)  # type: ignore[arg-type]
        # The same as drawing anew what lies beyond, and for a lower threshold the same numbers nearer to 0.
        within = math.erf(self._truncation / math.sqrt(2))
        drawn = math.sqrt(2) * torch.erfinv(within * (2 * torch.rand(*size, device=self.device) - 1))
        return drawn.clamp(-self._truncation, self._truncation).to(self.dtype)  # type: ignore[arg-type]

    def uniform(self, *size: int) -> Tensor:
        """Draws from [-1, 1], on this module's device and in its precision."""
        return 2 * torch.rand(*size, device=self.device, dtype=self.dtype) - 1  # type: ignore[arg-type]

    def now(self, value: float | Schedule) -> float:
        """Returns a number that may change over training, as it is after the images so far."""
        return at(value, self.images_seen)

    def gather(self, rows: Tensor) -> Tensor:
        """Returns the rows of all processes, for a loss of the whole batch; gradients are then as on one process."""
        if self._trainer is None or self.trainer.world_size == 1:
            return rows
        gathered: Any = self.all_gather(rows, sync_grads=rows.requires_grad)
        return gathered.flatten(0, 1)

    def shared_generator(self) -> torch.Generator:
        """Returns a random generator on the CPU that draws the same on all processes, anew for each batch."""
        return torch.Generator().manual_seed(mix(self.seed or 0, self.images_seen))

    def own(self, rows: Tensor) -> Tensor:
        """Returns this process's rows of those of all processes, which stand as `gather` returns them."""
        return rows if self._trainer is None else rows.chunk(self.trainer.world_size)[self.global_rank]

    @contextmanager
    def truncated(self, threshold: float) -> Iterator[None]:
        """Makes `normal` draw anew what lies beyond `threshold` (Brock et al., 2019, https://arxiv.org/abs/1809.11096)."""
        if threshold <= 0:
            raise ValueError(f"`threshold` must be above 0 for latents, got {threshold}.")
        former, self._truncation = self._truncation, threshold
        try:
            yield
        finally:
            self._truncation = former

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Puts the moving average of the generator in the place of `self.generator` within it."""
        generator = self.generator
        self.generator = generator if self.generator_ema is None else self.generator_ema
        try:
            yield
        finally:
            self.generator = generator

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Does as `averaged`, and has all modules in evaluation mode, without gradients and in full precision."""
        modes = [(module, module.training) for module in self.modules()]
        with self.averaged(), torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            self.eval()
            try:
                yield
            finally:
                for module, training in modes:
                    module.training = training

    def draw(self, batch: Any, seed: int, latent: Tensor | None = None) -> dict[str, Tensor]:
        """Returns `samples(batch)` by the averaged generator in evaluation mode.

        Args:
            batch: As in training; a variant takes its condition from it. Or images that are `Given`: the result is then
                `fake` alone, what `convert` makes of them, or `extrapolate` of sequences.
            seed: The result is a function of it, the batch and `latent` alone.
            latent: One row for each of the batch; the result is then `fake` alone, the images of these latents.
        """
        if isinstance(batch, Given):
            with self.evaluating(), seeded(seed, self.device):
                make = self.convert if batch.image.ndim == 4 else self.extrapolate
                return {"fake": make(batch.image, **batch.options)}
        batch = as_batch(batch)
        with self.evaluating(), seeded(seed, self.device):
            return self.samples(batch) if latent is None else {"fake": self.generate(latent, batch)}

    def require(self, asker: str, *needs: str) -> None:
        """Refuses an asker, such as a callback, that needs methods which this variant does not have.

        Args:
            asker: Its name, for the message.
            needs: Names of methods.
        """
        for need in needs:
            if getattr(self, need, None) is None:
                what = REQUIREMENTS.get(need, f"has a method `{need}`")
                raise ValueError(
                    f"`{asker}` needs a variant that {what}, which {type(self).__name__} does not: leave it out."
                )
