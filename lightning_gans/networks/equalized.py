"""Layers with an equalized learning rate (Karras et al., 2018, https://arxiv.org/abs/1710.10196, section 4.1)."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

GAIN = math.sqrt(2)  # He's, for layers before a leaky ReLU


class EqualizedLinear(nn.Linear):
    """A dense layer whose weights are N(0, 1) at first and scaled in each pass, so that Adam moves all layers alike.

    Args:
        inputs: Input features.
        outputs: Output features.
        gain: Standard deviation of the outputs for inputs of 1.
        rate: Factor of the learning rate, of weights and biases.
        bias: First bias; None has none.
    """

    def __init__(self, inputs: int, outputs: int, gain: float = GAIN, rate: float = 1.0, bias: float | None = 0.0):
        self.first_bias, self.rate = bias, rate
        super().__init__(inputs, outputs, bias=bias is not None)
        self.scale = gain * rate / math.sqrt(inputs)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=1 / self.rate)
        if self.bias is not None:
            nn.init.constant_(self.bias, (self.first_bias or 0) / self.rate)

    def forward(self, x: Float[Tensor, "b n"]) -> Float[Tensor, "b m"]:
        bias = self.bias if self.bias is None or self.rate == 1 else self.bias * self.rate
        return nn.functional.linear(x, self.weight * self.scale, bias)


class EqualizedConv2d(nn.Conv2d):
    """A convolution whose weights are N(0, 1) at first and scaled in each pass.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Kernel size; the map keeps its size if it is odd.
        gain: Standard deviation of the outputs for inputs of 1.
        kwargs: Of torch's convolution; its biases are 0 at first.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, gain: float = GAIN, **kwargs: Any):
        super().__init__(inputs, outputs, kernel, **{"padding": kernel // 2, **kwargs})
        self.scale = gain / math.sqrt(self.weight[0].numel())

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d _ _"]:
        return self._conv_forward(x, self.weight * self.scale, self.bias)


class PixelNorm(nn.Module):
    """Divides the features at each place by their root mean square."""

    def forward(self, x: Float[Tensor, "b c *places"]) -> Float[Tensor, "b c *places"]:
        return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class MinibatchDeviation(nn.Module):
    """Adds a map with how much a group of images differs, so that the discriminator sees variation (section 3).

    A group is of the next rows of a batch, as many as divide it. Two processes and two micro-batches make groups of
    their own.

    Args:
        group: Images in a group at most.
    """

    def __init__(self, group: int = 4):
        super().__init__()
        self.group = group

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d _ _"]:
        group = max(size for size in range(1, self.group + 1) if len(x) % size == 0)
        groups = x.unflatten(0, (-1, group))
        deviation = (groups.var(1, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
        plane = deviation.repeat_interleave(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])
        return torch.cat([x, plane], 1)
