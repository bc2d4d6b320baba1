"""CycleGAN."""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import l1_loss

from lightning_gans.adversarial import Batch, Terms
from lightning_gans.mechanics.image_pool import ImagePool
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.objectives import LeastSquares, Objective
from lightning_gans.translation import Translation, beside


class CycleGAN(Translation):
    """Cycle-consistent adversarial networks (Zhu et al., 2017, https://arxiv.org/abs/1703.10593).

    G draws an image of the domain Y for one of X, F one of X for one of Y, from images that are not paired. Each domain
    has a discriminator, and what goes forth and back must come back as it was:

        L = L_GAN(G, D_Y) + L_GAN(F, D_X) + lambda (E[|F(G(x)) - x|] + E[|G(F(y)) - y|])     (eqs. 2 and 3)

    The discriminators are shown a pool of older images (section 4). Batches are `(x, y)`.

    Args:
        generator_xy: G.
        generator_yx: F.
        discriminator_x: D_X.
        discriminator_y: D_Y.
        objective: Losses of both players on the logits of a domain.
        adversarial_weight: Of the objective's loss of the generators. 2 takes back the half of `LeastSquares`, which in
            the authors' code only the discriminators' loss has.
        forward_weight: lambda of x -> G(x) -> F(G(x)).
        backward_weight: lambda of y -> F(y) -> G(F(y)).
        identity_weight: Of E[|G(y) - y|] + E[|F(x) - x|], which keeps colors (section 5.2); it needs domains of equal
            channels. The paper has half of lambda for paintings, the authors' code for all.
        pool_size: Older images of each domain from which the discriminators are shown.
        kwargs: See `AdversarialModule`; the generator is G and F together, the discriminator D_X and D_Y.
    """

    gathers = True  # images for the pools

    def __init__(
        self,
        generator_xy: nn.Module,
        generator_yx: nn.Module,
        discriminator_x: nn.Module,
        discriminator_y: nn.Module,
        objective: Objective = LeastSquares(),
        adversarial_weight: float | Schedule = 2.0,
        forward_weight: float | Schedule = 10.0,
        backward_weight: float | Schedule = 10.0,
        identity_weight: float | Schedule = 0.0,
        pool_size: int = 50,
        **kwargs: Any,
    ):
        super().__init__(
            generator=nn.ModuleDict({"xy": generator_xy, "yx": generator_yx}),
            discriminator=nn.ModuleDict({"x": discriminator_x, "y": discriminator_y}),
            **kwargs,
        )
        self.objective = objective
        self.adversarial_weight, self.identity_weight = adversarial_weight, identity_weight
        self.forward_weight, self.backward_weight = forward_weight, backward_weight
        self.pool = nn.ModuleDict({domain: ImagePool(pool_size) for domain in ("y", "x")})

    def real(self, batch: Batch) -> Tensor:
        """Returns y, which `fake` is to look like."""
        return batch[1]

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        """Returns D_Y's logits."""
        return self.discriminator["y"](image)

    def translate(self, batch: Batch) -> tuple[Tensor, ...]:
        """Returns G(x) and F(y)."""
        return self.generator["xy"](batch[0]), self.generator["yx"](batch[1])

    def convert(self, image: Tensor, to: object = "y") -> Tensor:
        """Returns images of the domain `y` or `x`."""
        if to not in ("y", "x"):
            raise ValueError(f"`to` must be one of the domains y, x of {type(self).__name__}, got {to!r}.")
        return self.generator["xy" if to == "y" else "yx"](image)

    def older(self, drawn: list[Tensor]) -> list[Tensor]:
        """Returns what the pools, the same on all processes, give for the images of all processes."""
        pools = zip(drawn, self.pool.values(), strict=False)  # nothing was drawn where the generators did not move
        return [self.own(pool(self.gather(images), self.shared_generator())) for images, pool in pools]

    def discriminator_loss(self, batch: Batch) -> Terms:
        fake_y, fake_x = self.shown(batch)
        judge = self.discriminator
        return {
            "adversarial_y": self.objective.discriminator(judge["y"](batch[1]), judge["y"](fake_y)),
            "adversarial_x": self.objective.discriminator(judge["x"](batch[0]), judge["x"](fake_x)),
        }

    def generator_loss(self, batch: Batch) -> Terms:
        (x, y), (fake_y, fake_x) = batch[:2], self.drawn(batch)
        draw, weight = self.generator, self.now(self.adversarial_weight)
        terms = {
            "adversarial_y": weight * self.objective.generator(self.discriminator["y"](fake_y)),
            "adversarial_x": weight * self.objective.generator(self.discriminator["x"](fake_x)),
        }
        if forward := self.now(self.forward_weight):
            terms["cycle_x"] = forward * l1_loss(draw["yx"](fake_y), x)
        if backward := self.now(self.backward_weight):
            terms["cycle_y"] = backward * l1_loss(draw["xy"](fake_x), y)
        if identity := self.now(self.identity_weight):
            terms["identity"] = identity * (l1_loss(draw["xy"](y), y) + l1_loss(draw["yx"](x), x))
        return terms

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Returns G(x) as `fake`, F(y) as `fake_x`, and both ways there and back from left to right."""
        (x, y), (fake_y, fake_x) = batch[:2], self.translate(batch)
        forward = beside(x, fake_y, self.generator["yx"](fake_y))
        backward = beside(y, fake_x, self.generator["xy"](fake_x))
        return {"fake": fake_y, "fake_x": fake_x, "forward": forward, "backward": backward}
