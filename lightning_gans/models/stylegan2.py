"""StyleGAN2."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.mechanics.schedules import Schedule
from lightning_gans.objectives import NonSaturating, Objective
from lightning_gans.penalties import zero_centered_penalty
from lightning_gans.styled import Styled

MEMORY = 0.99  # of the mean path length


class StyleGAN2(Styled, AdversarialModule):
    """StyleGAN2 (Karras et al., 2020, https://arxiv.org/abs/1912.04958).

    The generator moves first. Both players have a regularizer that acts on some batches only, as many times as strong:

        L_D = E[softplus(D(G(z)))] + E[softplus(-D(x))] + gamma / 2 E[|grad D(x)|^2]
        L_G = E[softplus(-D(G(z)))] + lambda E[(|J^T y| - a)^2]     (section 3.2)

    J is the Jacobian of the image with respect to the styles, y are normal images of length 1 per pixel, and a is the
    mean of |J^T y| over training. The regularizers are terms of the step of their batch, where the authors give them a
    step of their own, and so Adam's rates need no correction for it.

    Args:
        gamma: Weight of R1, the penalty on the gradient at real images.
        penalty_every: Batches for each that has R1.
        path_weight: lambda; 0 leaves path lengths alone.
        path_every: Batches for each that regards path lengths, on half of its images.
        objective: Losses of both players on the logits.
        kwargs: See `AdversarialModule`. The generator is `StyleBased`.
    """

    path_mean: Tensor

    def __init__(
        self,
        gamma: float | Schedule = 10.0,
        penalty_every: int = 16,
        path_weight: float | Schedule = 2.0,
        path_every: int = 4,
        objective: Objective = NonSaturating(),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.gamma, self.penalty_every = gamma, penalty_every
        self.path_weight, self.path_every = path_weight, path_every
        self.objective = objective
        self.register_buffer("path_mean", torch.zeros(()))
        self._lengths: list[Tensor] = []

    def play(self, batch: Batch) -> None:
        self._lengths.clear()
        self.descend("generator", batch)
        if self._lengths:
            length = self.gather(torch.cat(self._lengths).mean()[None]).mean()
            self.path_mean.lerp_(length.to(self.path_mean), 1 - MEMORY)
        self.descend("discriminator", batch)

    def discriminator_loss(self, batch: Batch) -> Terms:
        penalized = self.due(self.penalty_every)
        real = self.real(batch).detach().requires_grad_(penalized)
        logits, fake_logits = self.discriminate(real, batch), self.discriminate(self.fake(batch), batch)
        terms = {"adversarial": self.objective.discriminator(logits, fake_logits)}
        if penalized:
            terms["penalty"] = self.penalty_every * self.now(self.gamma) * zero_centered_penalty(logits, real)
        return terms

    def generator_loss(self, batch: Batch) -> Terms:
        terms = {"adversarial": self.objective.generator(self.discriminate(self.fake(batch), batch))}
        if (weight := self.now(self.path_weight)) and self.due(self.path_every):
            lengths = self.path_lengths([item[: (len(item) + 1) // 2] for item in batch])
            self._lengths.append(lengths.detach())
            terms["path"] = self.path_every * weight * (lengths - self.path_mean).square().mean()
        return terms

    def path_lengths(self, batch: Batch) -> Float[Tensor, " b"]:
        """Returns |J^T y| of new latents, the root mean square over layers of what a change of styles changes."""
        styles = self.generator.styles(self.latent(len(batch[0])), *self.condition(batch))
        image = self.generator.synthesis(styles)
        noise = torch.randn_like(image) / math.sqrt(image.shape[2] * image.shape[3])
        (gradient,) = torch.autograd.grad((image * noise).sum(), styles, create_graph=True)
        return gradient.square().sum(2).mean(1).sqrt()
