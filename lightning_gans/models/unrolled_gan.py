"""Unrolled GAN."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call
from torch.optim import Adam

from lightning_gans.adversarial import AdversarialModule, Batch, Terms
from lightning_gans.objectives import Minimax, Objective

Vector = Float[Tensor, " n"]

SMALLEST = 1e-30  # of a second moment: the slope of the square root at 0 is infinite


class UnrolledGAN(AdversarialModule):
    """Unrolled GAN (Metz et al., 2017, https://arxiv.org/abs/1611.02163).

    The generator plays against the discriminator as it will be after K more of its own steps on this batch, and
    differentiates through them, so that it does not run to where the discriminator is blind just now. The
    discriminator plays as ever.

        theta_D^0 = theta_D,   theta_D^(k+1) = theta_D^k + step(d f(theta_G, theta_D^k) / d theta_D^k)     (eq. 7-9)
        L_G = f(theta_G, theta_D^K(theta_G)),   L_D = -f(theta_G, theta_D)                                 (eq. 10-12)

    f is the value that both share, and `step` that of the discriminator's Adam, which goes on from its present
    moments, as in the authors' code. Every process unrolls on the whole batch.

    Args:
        unrolled_steps: K; 0 is the GAN of the minimax game.
        objective: Its discriminator's loss is -f; its generator's loss is not used.
        kwargs: See `AdversarialModule`.
    """

    whole_batch = True

    def __init__(self, unrolled_steps: int = 5, objective: Objective = Minimax(), **kwargs):
        super().__init__(**kwargs)
        if unrolled_steps < 0:
            raise ValueError(f"`unrolled_steps` must be 0 or more, got {unrolled_steps}.")
        self.unrolled_steps = unrolled_steps
        self.objective = objective

    def on_fit_start(self) -> None:
        super().on_fit_start()
        optimizer = self.trainer.optimizers[list(self.players()).index("discriminator")]
        group = optimizer.param_groups[0]
        several = len(optimizer.param_groups) > 1
        if type(optimizer) is not Adam or group["weight_decay"] or group["amsgrad"] or several:
            raise ValueError(
                "`discriminator_optimizer` must be torch.optim.Adam without `weight_decay`, `amsgrad` and groups, its "
                f"steps being unrolled, got {type(optimizer).__name__}."
            )

    def discriminator_loss(self, batch: Batch) -> Terms:
        return {"adversarial": self.objective.discriminator(*self.logits(batch))}

    def generator_loss(self, batch: Batch) -> Terms:
        real, fake = self.gather(self.real(batch)), self.gather(self.fake(batch))
        condition = [self.gather(part) for part in self.condition(batch)]
        return {"adversarial": -self.unrolled_loss(real, fake, *condition)}

    def unrolled_loss(self, real: Tensor, fake: Tensor, *condition: Tensor) -> Tensor:
        """Returns the discriminator's loss after its steps on these points, differentiable all the way."""
        optimizer = self.optimizer_of("discriminator")
        group = optimizer.param_groups[0]
        parameters = group["params"]
        names = {parameter: name for name, parameter in self.discriminator.named_parameters()}
        sizes = [parameter.numel() for parameter in parameters]

        def loss(weights: Tensor) -> Tensor:
            parts = zip(parameters, weights.split(sizes), strict=True)
            state = {names[parameter]: part.view(parameter.shape) for parameter, part in parts}
            state |= {name: buffer.clone() for name, buffer in self.discriminator.named_buffers()}
            logits = [functional_call(self.discriminator, state, (x, *condition)) for x in (real, fake)]
            return self.objective.discriminator(*logits)

        # All weights in one vector: a step is then ten operations, and not ten for each layer.
        weights = torch.cat([parameter.detach().flatten() for parameter in parameters]).requires_grad_()
        states = [optimizer.state[parameter] for parameter in parameters]  # the discriminator has moved before
        first, second = (torch.cat([state[key].flatten() for state in states]) for key in ("exp_avg", "exp_avg_sq"))
        step = int(states[0]["step"])
        for k in range(1, self.unrolled_steps + 1):
            (gradient,) = torch.autograd.grad(loss(weights), weights, create_graph=True)
            weights, first, second = adam_step(weights, gradient, first, second, step + k, group)
        return loss(weights)


def adam_step(
    weights: Vector, gradient: Vector, first: Vector, second: Vector, step: int, group: dict[str, Any]
) -> tuple[Vector, Vector, Vector]:
    """Returns the weights and both moments after one step of Adam (Kingma & Ba, 2015, https://arxiv.org/abs/1412.6980)."""
    beta1, beta2 = group["betas"]
    first = torch.lerp(first, gradient, 1 - beta1)
    second = torch.addcmul(beta2 * second, gradient, gradient, value=1 - beta2)
    root = (second + SMALLEST).sqrt() / (1 - beta2**step) ** 0.5
    return weights - group["lr"] / (1 - beta1**step) * first / (root + group["eps"]), first, second
