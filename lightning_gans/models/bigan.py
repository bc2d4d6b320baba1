"""BiGAN."""

from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.objectives import NonSaturating, Objective


class BiGAN(AdversarialModule):
    """Bidirectional GAN (Donahue et al., 2017, https://arxiv.org/abs/1605.09782).

    An encoder E learns to invert the generator G without ever getting an image that G made. The discriminator tells
    pairs of a real image and its code from pairs of a generated image and its latent; G and E together make the two
    kinds of pairs alike, for which E has to become the inverse of G (theorem 2).

        L_D = loss of D(x, E(x)) as real and of D(G(z), z) as fake     (eq. 3)
        L_G,E = the same with real and fake swapped, which does not saturate     (section 3.4)

    The latent is uniform on [-1, 1]. The authors' code steps all three networks at once; here G and E step first, so
    that, as there, they meet a discriminator that has not yet learned from this batch.

    Args:
        decoder: G; maps latents to images.
        encoder: E; maps images to codes, with `features(image)` its last hidden layer.
        discriminator: Called with an image and a latent or code.
        objective: Losses of both players on the logits.
        kwargs: See `AdversarialModule`; the generator, its optimizer and its average are decoder and encoder together.
    """

    discriminate = None  # type: ignore[assignment]  # the discriminator judges pairs of image and latent

    def __init__(self, decoder: nn.Module, encoder: nn.Module, objective: Objective = NonSaturating(), **kwargs):
        super().__init__(generator=nn.ModuleDict({"decoder": decoder, "encoder": encoder}), **kwargs)
        self.objective = objective

    def play(self, batch: Batch) -> None:
        if self.due(self.n_critic):
            self.descend("generator", batch)
        self.descend("discriminator", batch)

    def discriminator_loss(self, batch: Batch) -> Terms:
        return {"adversarial": self.objective.discriminator(*self.logits(batch))}

    def generator_loss(self, batch: Batch) -> Terms:
        real, fake = self.logits(batch)
        return {"adversarial": self.objective.discriminator(fake, real)}

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the discriminator's logits of (x, E(x)) and of (G(z), z)."""
        image, latent = self.real(batch), self.latent(len(batch[0]))
        real = self.discriminator(image, self.generator["encoder"](image))
        return real, self.discriminator(self.generate(latent, batch), latent)

    def latent(self, size: int) -> Tensor:
        return self.uniform(size, self.generator["decoder"].latent_dim)

    def generate(self, latent: Tensor, batch: Batch) -> Tensor:
        return self.generator["decoder"](latent)

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        fake, image = self.fake(batch), self.real(batch)
        return {"fake": fake, "real": image, "reconstruction": self.generate(self.generator["encoder"](image), batch)}

    def encode(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z"]:
        """Returns E(x) of the averaged encoder in evaluation mode."""
        with self.evaluating():
            return self.generator["encoder"](image)

    def features(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """Returns the last hidden layer of the averaged encoder in evaluation mode."""
        with self.evaluating():
            return self.generator["encoder"].features(image)
