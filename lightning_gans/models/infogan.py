"""InfoGAN."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.objectives import NonSaturating, Objective


class InfoGAN(AdversarialModule):
    """Information maximising GAN (Chen et al., 2016, https://arxiv.org/abs/1606.03657).

    The latent holds a code c = (category, continuous factors), and both players raise a lower bound on the
    information that the image keeps about it, read off by a head Q(c | x) on the discriminator's trunk:

        L_I = E[log Q(c | G(z, c))] + H(c)     (eq. 4)

    H(c) is constant and left out. Q is Gaussian in the factors, here with variance 1, so that its term is half the
    squared error, and its constant is left out (the authors' code was not checked for this). No label is used.

    Args:
        num_categories: Values of the categorical code; 0 has none.
        num_factors: Number of continuous codes, each uniform on [-1, 1]; 0 has none.
        category_weight: lambda of the categorical code.
        factor_weight: lambda of the continuous codes (appendix C.1).
        objective: Losses of both players on the logits.
        kwargs: See `AdversarialModule`. The generator's latents begin with the code, one place per category and one
            per factor; the discriminator returns (b, 1 + num_categories + num_factors) logits: real against fake, those
            of the categories, the means of the factors.
    """

    def __init__(
        self,
        num_categories: int = 10,
        num_factors: int = 2,
        category_weight: float | Schedule = 1.0,
        factor_weight: float | Schedule = 0.1,
        objective: Objective = NonSaturating(),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_categories = num_categories
        self.num_factors = num_factors
        self.category_weight = category_weight
        self.factor_weight = factor_weight
        self.objective = objective

    def discriminate(self, image: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(image)

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        real, fake = super().logits(batch)
        return real[:, 0], fake[:, 0]

    def discriminator_loss(self, batch: Batch) -> Terms:
        latent = self.latent(len(batch[0]))
        fake = self.discriminate(self.generate(latent, batch), batch)
        real = self.discriminate(self.real(batch), batch)
        return {"adversarial": self.objective.discriminator(real[:, 0], fake[:, 0])} | self.information(latent, fake)

    def generator_loss(self, batch: Batch) -> Terms:
        latent = self.latent(len(batch[0]))
        fake = self.discriminate(self.generate(latent, batch), batch)
        return {"adversarial": self.objective.generator(fake[:, 0])} | self.information(latent, fake)

    def information(self, latent: Tensor, logits: Tensor) -> Terms:
        """Returns -log Q(c | x) up to constants."""
        split = self.num_categories
        terms = {}
        if self.num_categories:
            category = cross_entropy(logits[:, 1 : 1 + split], latent[:, :split].argmax(1))
            terms["category"] = self.now(self.category_weight) * category
        if self.num_factors:
            error = logits[:, 1 + split :] - latent[:, split : split + self.num_factors]
            terms["factors"] = self.now(self.factor_weight) * error.square().sum(1).mean() / 2
        return terms

    def latent(self, size: int) -> Tensor:
        """Draws latents that begin with a code: a category, one-hot, and factors."""
        category = (torch.rand(size, device=self.device) * max(1, self.num_categories)).long()
        factors = self.uniform(size, self.num_factors)
        noise = super().latent(size)[:, self.num_categories + self.num_factors :]
        return torch.cat([self.one_hot(category).to(factors), factors, noise], dim=1)

    def one_hot(self, category: Tensor) -> Tensor:
        """Returns one place per category; no place where there are no categories."""
        return one_hot(category, max(1, self.num_categories))[:, : self.num_categories]

    def classify(self, image: Tensor) -> Tensor:
        """Returns logits of the categorical code (b, num_categories)."""
        return self.discriminator(image)[:, 1 : 1 + self.num_categories]

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Returns samples, and tens of images that differ in one code: `category`, and `factor_0`, ... from -2 to 2."""
        size = len(batch[0])
        latent = self.latent(size)
        drawn = {"fake": self.generate(latent, batch)}
        place = torch.arange(size, device=self.device)
        row, column = latent[place // 10], place % 10
        if self.num_categories:
            swept = row.clone()
            swept[:, : self.num_categories] = self.one_hot(column % self.num_categories)
            drawn["category"] = self.generate(swept, batch)
        for factor in range(self.num_factors):
            swept = row.clone()
            swept[:, self.num_categories + factor] = column / 9 * 4 - 2
            drawn[f"factor_{factor}"] = self.generate(swept, batch)
        return drawn
