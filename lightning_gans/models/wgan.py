"""WGAN."""

from collections.abc import Iterable

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import nn
from torch.optim import Optimizer

from lightning_gans.adversarial import AdversarialModule, Batch, Terms


def rmsprop(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Makes RMSProp at the rate of algorithm 1."""
    return torch.optim.RMSprop(parameters, lr=5e-5)


class WGAN(AdversarialModule):
    """Wasserstein GAN (Arjovsky et al., 2017, https://arxiv.org/abs/1701.07875), algorithm 1.

    The critic estimates the Wasserstein distance between data and samples, up to a factor, by the largest difference
    of means that a Lipschitz function can have; clipped weights keep it Lipschitz. The estimate goes with the quality
    of the samples, which the loss of a GAN does not.

        L_D = E[D(G(z))] - E[D(x)]
        L_G = -E[D(G(z))]

    Args:
        weight_limit: c; after each of its steps the critic's parameters are clipped to [-c, c].
        n_critic: Critic steps per generator step.
        generator_optimizer: Makes the generator's optimizer from its parameters.
        discriminator_optimizer: Likewise for the critic.
        kwargs: See `AdversarialModule`.
    """

    def __init__(
        self,
        weight_limit: float = 0.01,
        n_critic: int = 5,
        generator_optimizer: OptimizerCallable = rmsprop,
        discriminator_optimizer: OptimizerCallable = rmsprop,
        **kwargs,
    ):
        super().__init__(
            n_critic=n_critic,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            **kwargs,
        )
        if weight_limit <= 0:
            raise ValueError(f"`weight_limit` must be positive, got {weight_limit}.")
        self.weight_limit = weight_limit

    def discriminator_loss(self, batch: Batch) -> Terms:
        real, fake = self.real(batch), self.fake(batch)
        return {"wasserstein": self.discriminate(fake, batch).mean() - self.discriminate(real, batch).mean()}

    def generator_loss(self, batch: Batch) -> Terms:
        return {"wasserstein": -self.discriminate(self.fake(batch), batch).mean()}

    def descend(self, player: str, batch: Batch) -> None:
        super().descend(player, batch)
        if player == "discriminator":
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-self.weight_limit, self.weight_limit)
