"""CUT and FastCUT."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lightning_gans.adversarial import Batch, Terms
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.networks.cut import PatchProjection, random_places
from lightning_gans.objectives import LeastSquares, Objective
from lightning_gans.translation import Translation, beside


class CUT(Translation):
    """Contrastive unpaired translation (Park et al., 2020, https://arxiv.org/abs/2007.15651).

    One generator G and one discriminator. What stands at a place of x must be recognised at the same place of G(x): for
    some layers of G's encoder, a small network H maps the features at each place to a vector of length 1, and the
    vector of G(x) has to be nearer to that of x at the same place than to those of other places of x:

        L_G = adversarial + lambda_X PatchNCE(x, G(x)) + lambda_Y PatchNCE(y, G(y))     (eqs. 5 and 6)

    The paper's CUT has lambda_X = lambda_Y = 1, which its code halves, as here; FastCUT has lambda_X = 10, lambda_Y = 0
    and turns half of the images left to right, and their features back (section 4 and appendix). Batches are `(x, y)`.
    Turns are drawn for each image, in the authors' code for each batch, which is of one image there.

    Args:
        generator: G, whose `features(image)` are maps of its encoder, with `feature_channels`.
        discriminator: Judges images of Y.
        objective: Losses of both players on the logits.
        adversarial_weight: Of the objective's loss of the generator. 2 takes back the half of `LeastSquares`, which in
            the authors' code only the discriminator's loss has.
        nce_weight: lambda_X.
        identity_weight: lambda_Y, for PatchNCE(y, G(y)).
        num_features: Size of H's vectors.
        num_places: Places that are compared in each map; smaller maps give all theirs.
        temperature: By which the products of vectors are divided (eq. 2).
        flips: Whether half of the images are turned left to right before G, as in FastCUT.
        kwargs: See `AdversarialModule`; the generator is G and H together, as both step together.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective = LeastSquares(),
        adversarial_weight: float | Schedule = 2.0,
        nce_weight: float | Schedule = 0.5,
        identity_weight: float | Schedule = 0.5,
        num_features: int = 256,
        num_places: int = 256,
        temperature: float = 0.07,
        flips: bool = False,
        **kwargs: Any,
    ):
        if num_places < 2:
            raise ValueError(f"`num_places` must be at least 2, to tell one from another, got {num_places}.")
        if temperature <= 0:
            raise ValueError(f"`temperature` must be positive, got {temperature}.")
        projection = PatchProjection([*generator.feature_channels.values()], num_features)  # type: ignore[operator, union-attr]
        both = nn.ModuleDict({"translator": generator, "projection": projection})
        super().__init__(generator=both, discriminator=discriminator, **kwargs)
        self.objective = objective
        self.adversarial_weight = adversarial_weight
        self.nce_weight, self.identity_weight = nce_weight, identity_weight
        self.num_places, self.temperature, self.flips = num_places, temperature, flips

    def real(self, batch: Batch) -> Tensor:
        """Returns y, which `fake` is to look like."""
        return batch[1]

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(image)

    def translate(self, batch: Batch) -> tuple[Tensor, ...]:
        return (self.generator["translator"](batch[0]),)

    def convert(self, image: Tensor) -> Tensor:
        """Returns images of Y."""
        return self.generator["translator"](image)

    def discriminator_loss(self, batch: Batch) -> Terms:
        (fake,) = self.shown(batch)
        return {"adversarial": self.objective.discriminator(self.discriminator(batch[1]), self.discriminator(fake))}

    def generator_loss(self, batch: Batch) -> Terms:
        x, y = batch[:2]
        turned = torch.rand(len(x), device=x.device) < 0.5 * self.flips
        (fake,) = self.drawn((mirrored(x, turned), y))
        adversarial = self.objective.generator(self.discriminator(fake))
        terms = {"adversarial": self.now(self.adversarial_weight) * adversarial}
        if weight := self.now(self.nce_weight):
            terms["nce"] = weight * self.nce(x, fake, turned)
        if weight := self.now(self.identity_weight):
            terms["nce_identity"] = weight * self.nce(y, self.generator["translator"](y), torch.zeros_like(turned))
        return terms

    def nce(self, source: Tensor, image: Tensor, turned: Tensor) -> Tensor:
        """Returns PatchNCE, the mean over maps, images and places.

        Args:
            source: Where the keys are from, which get no gradient.
            image: Where the queries are from.
            turned: Of which images the features are turned back from left to right.
        """
        translator, project = self.generator["translator"], self.generator["projection"]
        maps = {name: mirrored(features, turned) for name, features in translator.features(image).items()}
        places = random_places(maps, self.num_places, self.shared_generator())
        with torch.no_grad():
            keys = project(translator.features(source), places)
        queries = project(maps, places)
        return torch.stack([patch_nce(queries[name], keys[name], self.temperature) for name in maps]).mean()

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Returns `fake`, and `comparison`: x and fake from left to right."""
        fake = self.fake(batch)
        return {"fake": fake, "comparison": beside(batch[0], fake)}


def patch_nce(queries: Float[Tensor, "b p k"], keys: Float[Tensor, "b p k"], temperature: float) -> Float[Tensor, ""]:
    """Returns the cross-entropy of finding each query's own key among those of its image (Park et al., 2020, eq. 2)."""
    products = torch.einsum("bik,bjk->bij", queries.float(), keys.float()) / temperature
    own = torch.arange(products.shape[1], device=products.device)
    return cross_entropy(products.flatten(0, 1), own.repeat(len(products)))


def mirrored(images: Float[Tensor, "b c h w"], turned: Tensor) -> Float[Tensor, "b c h w"]:
    """Returns images of which some are turned left to right."""
    return torch.where(turned.view(-1, 1, 1, 1), images.flip(3), images) if turned.any() else images
