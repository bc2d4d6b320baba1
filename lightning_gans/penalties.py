"""Penalties on the discriminator's gradient at its input."""

import torch
from jaxtyping import Float
from torch import Tensor

Scalar = Float[Tensor, ""]


def input_gradient(outputs: Float[Tensor, "b ..."], inputs: Float[Tensor, "b ..."]) -> Float[Tensor, "b n"]:
    """Returns the gradient of each output at its own input, flattened and itself differentiable."""
    (gradient,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
    return gradient.flatten(1)


def zero_centered_penalty(logits: Float[Tensor, "b ..."], inputs: Float[Tensor, "b ..."]) -> Scalar:
    """Returns E[|grad D|^2] / 2: R1 on real inputs, R2 on fake ones (Mescheder et al., 2018, eq. 9, https://arxiv.org/abs/1801.04406)."""
    return input_gradient(logits, inputs).square().sum(1).mean() / 2


def one_centered_penalty(logits: Float[Tensor, "b ..."], inputs: Float[Tensor, "b ..."]) -> Scalar:
    """Returns E[(|grad D| - 1)^2], in WGAN-GP at points `between` real and fake (Gulrajani et al., 2017, eq. 3, https://arxiv.org/abs/1704.00028)."""
    return (input_gradient(logits, inputs).norm(dim=1) - 1).square().mean()


def between(real: Float[Tensor, "b ..."], fake: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
    """Draws a point on the line from each real image to a fake one, ready to be differentiated at."""
    position = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
    return torch.lerp(real, fake.to(real.dtype), position).detach().requires_grad_()
