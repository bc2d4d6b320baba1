"""The base of variants whose generators map latents to styles."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from lightning_gans.mechanics.players import Batch
from lightning_gans.variant import Variant


class Styled(Variant):
    """Says how styles are made and drawn, and truncates them instead of latents; the generator is `StyleBased`."""

    truncation = "styles at psi, the threshold, of their distance from the mean"

    def styles(self, latent: Tensor, batch: Batch) -> Tensor:
        """Returns the styles (b, n, s) of latents, one for each of n layers, for the batch's condition."""
        return self.generator.styles(latent, *self.condition(batch))

    def synthesize(self, styles: Tensor, noise: bool | list[bool] = True) -> Tensor:
        """Returns the images of styles (b, n, s), with noise in all layers, in none, or in those of `num_noises`."""
        return self.generator.synthesis(styles, noise)

    @property
    def num_noises(self) -> int:
        """The layers that get noise by now."""
        return self.generator.synthesis.num_noises

    @contextmanager
    def truncated(self, threshold: float) -> Iterator[None]:
        """Leaves psi, the threshold, of the distance of styles from their mean (Karras et al., 2019, appendix B)."""
        if threshold < 0:
            raise ValueError(f"`threshold` must be at least 0, got {threshold}.")
        generators = [generator for generator in (self.generator, self.generator_ema) if generator is not None]
        former = [generator.psi for generator in generators]
        for generator in generators:
            generator.psi = threshold
        try:
            yield
        finally:
            for generator, psi in zip(generators, former, strict=True):
                generator.psi = psi
