"""LAPGAN."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.objectives import NonSaturating, Objective

Image = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c _ _"]


class LAPGAN(AdversarialModule):
    """Laplacian pyramid of adversarial networks (Denton et al., 2015, https://arxiv.org/abs/1506.05751).

    An image is taken apart into a coarse image and the detail that each doubling of its size lacks. Each level is a
    game of its own: the coarsest makes the coarse image from noise, each finer one the detail for a given coarse image.

        h_k = I_k - u(I_{k+1}), I_{k+1} = d(I_k)                     (eq. 3)
        I~_k = u(I~_{k+1}) + G_k(z_k, u(I~_{k+1})), I~_K = G_K(z_K)  (eqs. 5 and 6)

    In training G_k is given u(I_{k+1}) of a real image, and D_k that and either h_k or G_k's detail; only
    sampling goes from level to level. The paper trains one level after the other and shows a discriminator a real or
    a generated band by the toss of a coin; here all levels move on each batch, and a discriminator sees both.

    Args:
        generator: A network per level, coarsest first: from a latent to the coarsest image, then from an enlarged
            image and a plane of noise to the detail.
        discriminator: A network per level, coarsest first: of an image, then of detail and enlarged image.
        objective: Losses of both players of each level on the logits.
        kwargs: See `AdversarialModule`.
    """

    def __init__(
        self, generator: nn.ModuleList, discriminator: nn.ModuleList, objective: Objective = NonSaturating(), **kwargs
    ):
        if len(generator) != len(discriminator):
            raise ValueError(
                "`discriminator` must have as many levels as `generator`, "
                f"got {len(discriminator)} and {len(generator)}."
            )
        super().__init__(generator=generator, discriminator=discriminator, **kwargs)
        self.objective = objective

    def discriminator_loss(self, batch: Batch) -> Terms:
        return {
            name: self.objective.discriminator(self.discriminator[k](band, *low), self.discriminator[k](fake, *low))
            for k, name, band, fake, low in self.games(self.real(batch))
        }

    def generator_loss(self, batch: Batch) -> Terms:
        return {
            name: self.objective.generator(self.discriminator[k](fake, *low))
            for k, name, _, fake, low in self.games(self.real(batch))
        }

    def latent(self, size: int) -> Tensor:
        """Draws (size, latent_dim) latents for the coarsest level, uniform in [-1, 1] as in the paper."""
        return self.uniform(size, self.generator[0].latent_dim)

    def generate(self, latent: Tensor, batch: Batch) -> Tensor:
        return self.levels(latent)[-1]

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        """Returns the logits of all levels, of the bands of each image (b * levels,)."""
        coarse, *bands = laplacian_pyramid(image, len(self.discriminator))
        logits = [self.discriminator[0](coarse)]
        for judge, band in zip(self.discriminator[1:], bands, strict=True):
            low = up(coarse)
            logits.append(judge(band, low))
            coarse = low + band
        return torch.cat(logits)

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        *coarser, image = self.levels(self.latent(len(batch[0])))
        return {"fake": image} | {level_name(image): image for image in coarser}

    def levels(self, latent: Tensor) -> list[Tensor]:
        """Returns the image that each level makes of the one before, coarsest first."""
        images = [self.generator[0](latent)]
        for finer in self.generator[1:]:
            low = up(images[-1])
            images.append(low + finer(low, noise_plane(low)))
        return images

    def games(self, image: Image) -> Iterator[tuple[int, str, Tensor, Tensor, tuple[Tensor, ...]]]:
        """Yields of each level number, name, real and generated band, and their condition, if there is one."""
        coarse, *bands = laplacian_pyramid(image, len(self.generator))
        yield 0, level_name(coarse), coarse, self.generator[0](self.latent(len(coarse))), ()
        for k, band in enumerate(bands, 1):
            low = up(coarse)
            yield k, level_name(band), band, self.generator[k](low, noise_plane(low)), (low,)
            coarse = low + band


def down(image: Image) -> Resized:
    """Blurs and halves (d), by the mean of 2 x 2 pixels."""
    return avg_pool2d(image, 2)


def up(image: Image) -> Resized:
    """Doubles and smooths (u), by linear interpolation."""
    return interpolate(image, scale_factor=2, mode="bilinear")


def laplacian_pyramid(image: Image, levels: int) -> list[Tensor]:
    """Returns the image halved `levels` - 1 times, then the band that each doubling lacks, coarsest first (eq. 3)."""
    multiple = 2 ** (levels - 1)
    if image.shape[-2] % multiple or image.shape[-1] % multiple:
        raise ValueError(
            f"`image` must have a height and width that {multiple} divides for {levels} levels, "
            f"got {image.shape[-2]} x {image.shape[-1]}."
        )
    bands = []
    for _ in range(levels - 1):
        coarse = down(image)
        bands.append(image - up(coarse))
        image = coarse
    return [image, *reversed(bands)]


def reconstruct(pyramid: list[Tensor]) -> Image:
    """Returns the image of a pyramid (eq. 4)."""
    image, *bands = pyramid
    for band in bands:
        image = up(image) + band
    return image


def noise_plane(image: Image) -> Float[Tensor, "b 1 h w"]:
    """Draws z_k: one channel of noise, uniform in [-1, 1]."""
    return 2 * torch.rand(len(image), 1, *image.shape[2:], device=image.device, dtype=image.dtype) - 1


def level_name(image: Image) -> str:
    return f"level_{image.shape[-1]}"
