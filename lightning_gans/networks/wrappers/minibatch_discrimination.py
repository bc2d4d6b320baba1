"""Minibatch discrimination."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class MinibatchDiscrimination(nn.Module):
    """Minibatch discrimination (Salimans et al., 2016, https://arxiv.org/abs/1606.03498, section 3.2).

    The last layer of a discriminator also learns how close each example is to the others of its batch, so that it can
    recognize samples that are too much alike:

        o(x_i)_b = sum_j exp(-|M_i,b - M_j,b|_1),   M_i = f(x_i) T

    with f the input of the last layer, to which o is appended. Real and fake batches are compared apart, and each
    process and micro-batch compares its own examples. The sum leaves out j = i, which adds a constant.

    Args:
        discriminator: Its last layer with weights must be linear, or a convolution of the whole map, to one logit.
        num_kernels: B, the number of similarities.
        kernel_dim: C, the size of each row of M.
    """

    def __init__(self, discriminator: nn.Module, num_kernels: int = 100, kernel_dim: int = 5):
        super().__init__()
        for name, value in (("num_kernels", num_kernels), ("kernel_dim", kernel_dim)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        self.discriminator = discriminator
        layers = [(name, part) for name, part in self.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)]
        if not layers or len(layers[-1][1].weight) != 1:
            raise ValueError(
                "`discriminator` must have as its last layer with weights a linear one or a convolution to one logit, "
                f"which {type(discriminator).__name__} does not: leave `MinibatchDiscrimination` out."
            )
        name, last = layers[-1]
        self.set_submodule(name, LayerWithSimilarity(last, num_kernels, kernel_dim))

    def forward(self, image: Float[Tensor, "b ..."], *condition: Any) -> Float[Tensor, " b"]:
        return self.discriminator(image, *condition)


class LayerWithSimilarity(nn.Module):
    """A layer to one logit, whose input has similarities appended.

    Args:
        layer: A linear layer, or a convolution of the whole map.
        num_kernels: Number of similarities.
        kernel_dim: Size of what each similarity compares.
    """

    def __init__(self, layer: Any, num_kernels: int, kernel_dim: int):
        super().__init__()
        self.layer = layer
        self.similarity = MinibatchSimilarity(layer.weight[0].numel(), num_kernels, kernel_dim)
        self.appended = nn.Linear(num_kernels, 1, bias=False)  # the layer's weights of what is appended

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        logits = self.layer(x)
        return logits + self.appended(self.similarity(x.flatten(1))).reshape(logits.shape)


class MinibatchSimilarity(nn.Module):
    """The similarity of each example's features to those of the others in the batch.

    Args:
        features: Size of f(x).
        num_kernels: Number of similarities.
        kernel_dim: Size of what each similarity compares.
    """

    def __init__(self, features: int, num_kernels: int, kernel_dim: int):
        super().__init__()
        self.project = nn.Linear(features, num_kernels * kernel_dim, bias=False)
        self.num_kernels = num_kernels

    def forward(self, features: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
        rows = self.project(features).unflatten(1, (self.num_kernels, -1)).transpose(0, 1)  # k b c
        return torch.cdist(rows, rows, p=1).neg().exp().sum(2).T - 1
