"""InfoGAN."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.objectives import NonSaturating, Objective

Code = tuple[Tensor, Tensor]  # categories (b,) and factors (b, num_factors)


class InfoGAN(AdversarialModule):
    """Information maximising GAN (Chen et al., 2016, https://arxiv.org/abs/1606.03657).

    The latent holds a code c = (category, continuous factors), and both players raise a lower bound on the
    information that the image keeps about it, read off by a head Q(c | x) on the discriminator's trunk:

        L_I = E[log Q(c | G(z, c))] + H(c)     (eq. 4)

    H(c) is constant and left out. Q is Gaussian in the factors, here with variance 1 as in the authors' code as
    remembered, so that its term is half the squared error, and its constant is left out. No label is used.

    Args:
        num_categories: Values of the categorical code; 0 has none.
        num_factors: Number of continuous codes, each uniform on [-1, 1]; 0 has none.
        category_weight: lambda of the categorical code.
        factor_weight: lambda of the continuous codes (appendix C.1).
        objective: What the players make of the logits.
        kwargs: See `AdversarialModule`. The generator's latents begin with the code, one place per category and one
            per factor; the discriminator returns (b, 1 + num_categories + num_factors) logits: real against fake, those
            of the categories, the means of the factors.
    """

    def __init__(
        self,
        num_categories: int = 10,
        num_factors: int = 2,
        category_weight: float = 1.0,
        factor_weight: float = 0.1,
        objective: Objective = NonSaturating(),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_categories = num_categories
        self.num_factors = num_factors
        self.category_weight = category_weight
        self.factor_weight = factor_weight
        self.objective = objective

    def discriminator_loss(self, batch: Batch) -> Terms:
        real = batch[0]
        code = self.code(len(real))
        fake_logits = self.discriminator(self.generate(code))
        adversarial = self.objective.discriminator(self.discriminator(real)[:, 0], fake_logits[:, 0])
        return {"adversarial": adversarial} | self.information(code, fake_logits)

    def generator_loss(self, batch: Batch) -> Terms:
        code = self.code(len(batch[0]))
        logits = self.discriminator(self.generate(code))
        return {"adversarial": self.objective.generator(logits[:, 0])} | self.information(code, logits)

    def information(self, code: Code, logits: Tensor) -> Terms:
        """-log Q(c | x) up to constants."""
        category, factors = code
        terms = {}
        if self.num_categories:
            category_logits = logits[:, 1 : 1 + self.num_categories]
            terms["category"] = self.category_weight * cross_entropy(category_logits, category)
        if self.num_factors:
            means = logits[:, 1 + self.num_categories :]
            terms["factors"] = self.factor_weight * (means - factors).square().sum(1).mean() / 2
        return terms

    def code(self, size: int) -> Code:
        """Draws codes from their prior: categories (size,) and factors (size, num_factors)."""
        category = (torch.rand(size, device=self.device) * max(1, self.num_categories)).long()
        return category, self.uniform(size, self.num_factors)

    def generate(self, code: Code, noise: Tensor | None = None) -> Tensor:
        """Images of codes; the rest of the latent is `noise`, drawn where none is given."""
        category, factors = code
        given = torch.cat([one_hot(category, self.num_categories).to(factors), factors], dim=1)
        noise = self.latent(len(given))[:, given.shape[1] :] if noise is None else noise
        return self.generator(torch.cat([given, noise], dim=1))

    def classify(self, image: Tensor) -> Tensor:
        """Logits of the categorical code (b, num_categories)."""
        return self.discriminator(image)[:, 1 : 1 + self.num_categories]

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Samples, and tens of images that differ in one code: `category`, and `factor_0`, ... from -2 to 2."""
        size = len(batch[0])
        category, factors = self.code(size)
        noise = self.latent(size)[:, self.num_categories + self.num_factors :]
        drawn = {"fake": self.generate((category, factors), noise)}
        place = torch.arange(size, device=self.device)
        row, column = place // 10, place % 10
        category, factors, noise = category[row], factors[row], noise[row]
        if self.num_categories:
            drawn["category"] = self.generate((column % self.num_categories, factors), noise)
        for factor in range(self.num_factors):
            swept = factors.clone()
            swept[:, factor] = column.to(factors) / 9 * 4 - 2
            drawn[f"factor_{factor}"] = self.generate((category, swept), noise)
        return drawn
