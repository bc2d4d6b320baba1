"""Penalties on the discriminator's gradient at its input."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Scalar = Float[Tensor, ""]


def input_gradient(outputs: Float[Tensor, "b ..."], inputs: Float[Tensor, "b ..."]) -> Float[Tensor, "b n"]:
    """Gradient of each output at its own input, flattened and itself differentiable."""
    (gradient,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
    return gradient.flatten(1)


def zero_centered_penalty(logits: Float[Tensor, "b ..."], inputs: Float[Tensor, "b ..."]) -> Scalar:
    """R1 on real inputs, R2 on fake ones: E[|grad D|^2] / 2 (Mescheder et al., 2018, eq. 9, https://arxiv.org/abs/1801.04406)."""
    return input_gradient(logits, inputs).square().sum(1).mean() / 2


def one_centered_penalty(
    discriminator: Callable[[Tensor], Tensor], real: Float[Tensor, "b ..."], fake: Float[Tensor, "b ..."]
) -> Scalar:
    """E[(|grad D| - 1)^2] on the lines from real to fake (Gulrajani et al., 2017, eq. 3, https://arxiv.org/abs/1704.00028)."""
    position = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
    between = torch.lerp(real, fake.to(real.dtype), position).requires_grad_()
    return (input_gradient(discriminator(between), between).norm(dim=1) - 1).square().mean()
