"""Blocks of the residual networks of SNGAN, SAGAN and BigGAN, which compose them in files of their own."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu, scaled_dot_product_attention

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import Labels, class_condition

# Channels of the maps of a generator from the smallest to the image's size, over `width`; those of a discriminator
# are the same backwards (Brock et al., 2019, tables 4 to 9; 32 px: Miyato et al., 2018, table 3; 28 px: for digits).
MULTIPLES = {
    28: (4, 2, 1),
    32: (4, 4, 4, 4),
    64: (16, 16, 8, 4, 2),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}


def multiples(size: int) -> tuple[int, ...]:
    """Returns the channels of a generator's maps over `width`, from the smallest map to the image's size."""
    if size not in MULTIPLES:
        raise ValueError(f"`size` must be one of {', '.join(map(str, MULTIPLES))}, got {size}.")
    return MULTIPLES[size]


def generator_blocks(size: int, width: int, norm: Callable[[int], nn.Module]) -> list["GeneratorBlock"]:
    """Returns blocks that lead from the smallest map to the image's size; `norm` makes their batch norms."""
    channels = [width * multiple for multiple in multiples(size)]
    return [GeneratorBlock(before, after, norm) for before, after in itertools.pairwise(channels)]


def discriminator_blocks(channels: int, size: int, width: int) -> list["DiscriminatorBlock"]:
    """Returns blocks that lead from an image to the smallest map."""
    wide = [width * multiple for multiple in multiples(size)][::-1]
    if size == 32:  # two blocks halve the size, two more keep it
        plan = [(channels, wide[0], True), (wide[0], wide[0], True), *[(wide[0], wide[0], False)] * 2]
    else:
        plan = [(before, after, True) for before, after in itertools.pairwise([channels, *wide[:-1]])]
        plan.append((wide[-2], wide[-1], False))
    return [DiscriminatorBlock(before, after, halve, first=not i) for i, (before, after, halve) in enumerate(plan)]


class FirstMap(nn.Sequential):
    """A linear layer from a latent to a generator's smallest map.

    Args:
        latent_dim: Size of the latent.
        size: Image height and width.
        width: Channels are this times those in `MULTIPLES`.
    """

    def __init__(self, latent_dim: int, size: int, width: int):
        channels, start = width * multiples(size)[0], size // 2 ** (len(multiples(size)) - 1)
        super().__init__(nn.Linear(latent_dim, channels * start**2), nn.Unflatten(1, (channels, start, start)))


class LastLayers(nn.Sequential):
    """Batch norm, ReLU, a convolution and tanh from a generator's largest map to the image."""

    def __init__(self, features: int, channels: int):
        super().__init__(nn.BatchNorm2d(features), nn.ReLU(), nn.Conv2d(features, channels, 3, padding=1), nn.Tanh())


class ProjectionHead(nn.Module):
    """Logits that also say whether image and class belong together, by a projection.

    y^T V phi(x) + psi(phi(x)), with phi(x) the sum of the rectified last map (Miyato & Koyama, 2018,
    https://arxiv.org/abs/1802.05637, eq. 4).

    Args:
        features: Channels of the last map.
        num_classes: Number of classes; 0 judges the image alone.
        bias: Whether psi has a bias.
    """

    def __init__(self, features: int, num_classes: int, bias: bool = True):
        super().__init__()
        self.num_classes = num_classes
        self.linear = nn.Linear(features, 1, bias=bias)
        self.classes = nn.Linear(num_classes, features, bias=False) if num_classes else None

    def forward(self, x: Float[Tensor, "b k h w"], label: Labels | None = None) -> Float[Tensor, " b"]:
        features = relu(x).sum((2, 3))
        logits = self.linear(features)[:, 0]
        shares = class_condition(label, self.num_classes, features)
        if self.classes is not None:
            logits = logits + (self.classes(*shares) * features).sum(1)
        return full_precision(logits)


class GeneratorBlock(nn.Module):
    """Batch norm, ReLU, doubling, convolution; batch norm, ReLU, convolution; beside them a 1 x 1 convolution.

    Args:
        before: Channels in.
        after: Channels out.
        norm: Makes a batch norm of some channels, which is called with the map and the condition, if there is one.
    """

    def __init__(self, before: int, after: int, norm: Callable[[int], nn.Module]):
        super().__init__()
        self.features = after
        self.norm1, self.norm2 = norm(before), norm(after)
        self.conv1, self.conv2 = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Float[Tensor, "b k h w"], *condition: Tensor) -> Float[Tensor, "b l 2*h 2*w"]:
        y = self.conv1(interpolate(relu(self.norm1(x, *condition)), scale_factor=2.0))
        y = self.conv2(relu(self.norm2(y, *condition)))
        return y + interpolate(self.shortcut(x), scale_factor=2.0)  # a 1 x 1 convolution may as well come first


class DiscriminatorBlock(nn.Module):
    """ReLU, convolution, ReLU, convolution, halving; beside them a 1 x 1 convolution where anything changes.

    Args:
        before: Channels in.
        after: Channels out.
        halve: Whether the size is halved.
        first: Whether the input is the image, which has no ReLU.
    """

    def __init__(self, before: int, after: int, halve: bool, first: bool):
        super().__init__()
        self.features = after
        self.first, self.halve = first, halve
        self.conv1, self.conv2 = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if halve or before != after else None

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b l ..."]:
        y = self.conv2(relu(self.conv1(x if self.first else relu(x))))
        if self.halve:
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
        return y + (x if self.shortcut is None else self.shortcut(x))


class WithAttention(nn.Module):
    """Blocks one after the other, with self-attention after the first one whose map has a given size.

    Args:
        blocks: The blocks; each has its `features`, the channels of its map.
        sizes: Height and width of each block's map; None where no attention follows.
        attention: Size of the map; 0 has no attention.
    """

    def __init__(self, blocks: Sequence[Any], sizes: Sequence[int | None], attention: int):
        super().__init__()
        if attention and attention not in sizes:
            known = ", ".join(str(size) for size in dict.fromkeys(sizes) if size)
            raise ValueError(f"`attention` must be 0 or the size of a map, which are {known}, got {attention}.")
        self.blocks = nn.ModuleList(blocks)
        self.place = list(sizes).index(attention) if attention else None
        self.attention = nn.Identity() if self.place is None else SelfAttention(blocks[self.place].features)
        self.features = blocks[-1].features

    def forward(
        self, x: Float[Tensor, "b k h w"], conditions: Iterable[Sequence[Tensor]] = itertools.repeat(())
    ) -> Float[Tensor, "b l ..."]:
        """Runs the blocks, each with its own condition."""
        for i, (block, condition) in enumerate(zip(self.blocks, conditions, strict=False)):
            x = block(x, *condition)
            if i == self.place:
                x = self.attention(x)
        return x


def attended_generator_blocks(size: int, width: int, norm: Callable[[int], nn.Module], attention: int) -> WithAttention:
    """Returns `generator_blocks` with self-attention after the map of size `attention`."""
    blocks = generator_blocks(size, width, norm)
    return WithAttention(blocks, [size // 2**i for i in reversed(range(len(blocks)))], attention)


def attended_discriminator_blocks(channels: int, size: int, width: int, attention: int) -> WithAttention:
    """Returns `discriminator_blocks` with self-attention after the map of size `attention`."""
    blocks = discriminator_blocks(channels, size, width)
    halved = itertools.accumulate(block.halve for block in blocks)
    return WithAttention(blocks, [size // 2**times for times in halved], attention)


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose scale, 1 plus a linear function of the condition, and shift depend on the condition.

    Source: Dumoulin et al., 2017, https://arxiv.org/abs/1610.07629.

    Args:
        features: Channels of the map.
        condition_dim: Size of the condition, such as the number of classes.
    """

    def __init__(self, features: int, condition_dim: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(features, affine=False)
        self.scale = nn.Linear(condition_dim, features, bias=False)
        self.shift = nn.Linear(condition_dim, features, bias=False)

    def forward(self, x: Float[Tensor, "b k h w"], condition: Float[Tensor, "b t"]) -> Float[Tensor, "b k h w"]:
        x = self.norm(x)
        return (1 + self.scale(condition))[:, :, None, None] * x + self.shift(condition)[:, :, None, None]


class SelfAttention(nn.Module):
    """Adds to each place what it attends to at all places, times a weight that starts at 0.

    Source: Zhang et al., 2019, https://arxiv.org/abs/1805.08318; keys and values are pooled by 2.

    Args:
        features: Channels of the map.
    """

    def __init__(self, features: int):
        super().__init__()
        self.query = nn.Conv2d(features, max(1, features // 8), 1, bias=False)
        self.key = nn.Conv2d(features, max(1, features // 8), 1, bias=False)
        self.value = nn.Conv2d(features, features // 2, 1, bias=False)
        self.out = nn.Conv2d(features // 2, features, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        pool = nn.functional.max_pool2d
        query = self.query(x).flatten(2).mT
        key, value = (pool(part(x), 2).flatten(2).mT for part in (self.key, self.value))
        attended = scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.gamma * self.out(attended.mT.unflatten(2, x.shape[2:]))


def initialize(network: nn.Module, fill: Callable[[Tensor], object]) -> None:
    """Fills the weights of linear and convolutional layers by `fill`, and their biases with zeros."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            fill(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def class_tables(network: nn.Module) -> list[nn.Linear]:
    """Returns the layers of batch norms that look up the scale and the shift of a class."""
    norms = [module for module in network.modules() if isinstance(module, ConditionalBatchNorm)]
    return [table for norm in norms for table in (norm.scale, norm.shift)]


def zero_class_tables(network: nn.Module) -> None:
    """Lets batch norm begin with scale 1 and shift 0 for every class."""
    for table in class_tables(network):
        nn.init.zeros_(table.weight)
