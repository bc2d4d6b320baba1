"""Residual networks of SNGAN, SAGAN and BigGAN: one design, whose parts came one paper after the other."""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, one_hot, relu, scaled_dot_product_attention
from torch.nn.utils.parametrizations import spectral_norm

from lightning_gans.mechanics.precision import full_precision

Labels = Int64[Tensor, " b"] | Float[Tensor, "b k"]

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
    if size not in MULTIPLES:
        raise ValueError(f"`size` must be one of {', '.join(map(str, MULTIPLES))}, got {size}.")
    return MULTIPLES[size]


class ResNetGenerator(nn.Module):
    """Residual blocks, each of which doubles the size, from a latent and a class to an image.

    With `num_classes=0` and without spectral norm and attention it is SNGAN's (Miyato et al., 2018,
    https://arxiv.org/abs/1802.05957). Classes reach it by the scale and shift of batch norm (Dumoulin et al., 2017,
    https://arxiv.org/abs/1610.07629). Spectral norm and attention make it SAGAN's (Zhang et al., 2019,
    https://arxiv.org/abs/1805.08318). A class embedding that all blocks share, and a latent of which each block gets
    its own part, make it BigGAN's (Brock et al., 2019, https://arxiv.org/abs/1809.11096, appendix B).

    Args:
        latent_dim: Size of the latent; with `hierarchical` a multiple of the number of blocks plus one.
        num_classes: Number of classes; 0 knows none.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: ch of the papers: channels of the last maps, or a quarter of all maps at 32 px.
        shared_dim: Size of the class embedding that all blocks share; 0 has a scale and a shift per class and layer.
        hierarchical: Whether each block gets its own part of the latent, beside the shared embedding.
        attention: Size of the maps after which self-attention comes; 0 has none.
        spectral: Whether weights are divided by their spectral norm.
        initial: Initial weights: `orthogonal` as BigGAN, or `xavier` as SAGAN and SNGAN.
    """

    def __init__(
        self,
        latent_dim: int = 128,
        num_classes: int = 0,
        channels: int = 3,
        size: int = 32,
        width: int = 64,
        shared_dim: int = 0,
        hierarchical: bool = False,
        attention: int = 0,
        spectral: bool = False,
        initial: str = "orthogonal",
    ):
        super().__init__()
        features = [width * multiple for multiple in multiples(size)]
        blocks = len(features) - 1
        if hierarchical and (latent_dim % (blocks + 1) or not shared_dim):
            raise ValueError(
                f"`latent_dim` must be a multiple of {blocks + 1} and `shared_dim` above 0 for a hierarchical latent "
                f"at {size} px, got {latent_dim} and {shared_dim}."
            )
        if shared_dim and not num_classes:
            raise ValueError(f"`num_classes` must be above 0 for a shared class embedding, got {num_classes}.")
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.parts = blocks + 1 if hierarchical else 1
        self.start = size // 2**blocks
        first = latent_dim // self.parts
        # What batch norm is told: the class, or its embedding with a part of the latent.
        told = shared_dim + (first if hierarchical else 0) or num_classes
        self.embedding = nn.Linear(num_classes, shared_dim, bias=False) if shared_dim else None
        self.project = nn.Linear(first, features[0] * self.start**2)
        self.blocks = nn.ModuleList()
        self.attention = nn.ModuleDict()
        for i, (before, after) in enumerate(itertools.pairwise(features)):
            self.blocks.append(GeneratorBlock(before, after, told))
            if attention and attention == self.start * 2 ** (i + 1):
                self.attention[str(i)] = SelfAttention(after)
        self.norm = nn.BatchNorm2d(features[-1])
        self.last = nn.Conv2d(features[-1], channels, 3, padding=1)
        initialize(self, initial)
        if spectral:  # of layers, not of look-up tables
            norms = [module for module in self.modules() if isinstance(module, ConditionalBatchNorm)]
            tables = [table for norm in norms for table in (norm.scale, norm.shift)]
            normalize(self, skip=[self.embedding] if shared_dim else tables)
        self.to(memory_format=torch.channels_last)

    def forward(self, latent: Float[Tensor, "b z"], label: Labels | None = None) -> Float[Tensor, "b c h w"]:
        parts = latent.chunk(self.parts, dim=1)
        told: Tensor | None = None
        if self.num_classes:
            assert label is not None
            told = (label if label.is_floating_point() else one_hot(label, self.num_classes)).to(latent)
            told = self.embedding(told) if self.embedding is not None else told
        x = self.project(parts[0]).unflatten(1, (-1, self.start, self.start))
        for i, block in enumerate(self.blocks):
            own = torch.cat([told, parts[i + 1]], 1) if self.parts > 1 and told is not None else told
            x = block(x, own)
            if str(i) in self.attention:
                x = self.attention[str(i)](x)
        return self.last(relu(self.norm(x))).tanh()


class ResNetDiscriminator(nn.Module):
    """Residual blocks that halve the size, to logits that also say whether image and class belong together.

    The class enters as a projection, y^T V phi(x) (Miyato & Koyama, 2018, https://arxiv.org/abs/1802.05637), and all
    weights are divided by their spectral norm (Miyato et al., 2018, https://arxiv.org/abs/1802.05957).

    Args:
        num_classes: Number of classes; 0 knows none.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: ch of the papers, see `ResNetGenerator`.
        attention: Size of the maps after which self-attention comes; 0 has none.
        initial: Initial weights: `orthogonal` or `xavier`.
    """

    def __init__(
        self,
        num_classes: int = 0,
        channels: int = 3,
        size: int = 32,
        width: int = 64,
        attention: int = 0,
        initial: str = "orthogonal",
    ):
        super().__init__()
        self.size = size
        self.num_classes = num_classes
        wide = [width * multiple for multiple in multiples(size)][::-1]
        if size == 32:  # two blocks halve the size, two more keep it
            plan = [(channels, wide[0], True), (wide[0], wide[0], True), *[(wide[0], wide[0], False)] * 2]
        else:
            sizes = [channels, *wide[:-1]]
            plan = [(before, after, True) for before, after in itertools.pairwise(sizes)]
            plan.append((wide[-2], wide[-1], False))
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(before, after, halve, first=not i) for i, (before, after, halve) in enumerate(plan)
        )
        self.attention = nn.ModuleDict()
        for i, (_, after, _) in enumerate(plan):
            if attention and size // 2 ** (i + 1) == attention:
                self.attention[str(i)] = SelfAttention(after)
        self.linear = nn.Linear(plan[-1][1], 1)
        self.classes = nn.Linear(num_classes, plan[-1][1], bias=False) if num_classes else None
        initialize(self, initial)
        normalize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"], label: Labels | None = None) -> Float[Tensor, " b"]:
        if image.shape[2:] != (self.size, self.size):
            height, width = image.shape[2:]
            raise ValueError(
                f"`size` of network and data must agree, got {self.size} and images of {height} x {width}."
            )
        x = image
        for i, block in enumerate(self.blocks):
            x = block(x)
            if str(i) in self.attention:
                x = self.attention[str(i)](x)
        seen = relu(x).sum((2, 3))
        logits = self.linear(seen)[:, 0]
        if self.classes is not None:
            assert label is not None
            shares = label if label.is_floating_point() else one_hot(label, self.num_classes)
            logits = logits + (self.classes(shares.to(seen)) * seen).sum(1)
        return full_precision(logits)


class GeneratorBlock(nn.Module):
    """Batch norm, ReLU, doubling, convolution; batch norm, ReLU, convolution; beside them a 1 x 1 convolution."""

    def __init__(self, before: int, after: int, told: int):
        super().__init__()
        self.norm1, self.norm2 = ConditionalBatchNorm(before, told), ConditionalBatchNorm(after, told)
        self.conv1, self.conv2 = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Float[Tensor, "b k h w"], told: Tensor | None) -> Float[Tensor, "b l 2*h 2*w"]:
        y = self.conv1(interpolate(relu(self.norm1(x, told)), scale_factor=2.0))
        y = self.conv2(relu(self.norm2(y, told)))
        return y + interpolate(self.shortcut(x), scale_factor=2.0)  # a 1 x 1 convolution may as well come first


class DiscriminatorBlock(nn.Module):
    """ReLU, convolution, ReLU, convolution, halving; beside them a 1 x 1 convolution where anything changes."""

    def __init__(self, before: int, after: int, halve: bool, first: bool):
        super().__init__()
        self.first, self.halve = first, halve
        self.conv1, self.conv2 = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if halve or before != after else None

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b l ..."]:
        y = self.conv2(relu(self.conv1(x if self.first else relu(x))))
        if self.halve:
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
        return y + (x if self.shortcut is None else self.shortcut(x))


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose scale, 1 plus a linear function, and shift are told; with nothing to tell it learns its own."""

    def __init__(self, features: int, told: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(features, affine=not told)
        self.scale = nn.Linear(told, features, bias=False) if told else None
        self.shift = nn.Linear(told, features, bias=False) if told else None

    def forward(self, x: Float[Tensor, "b k h w"], told: Tensor | None) -> Float[Tensor, "b k h w"]:
        x = self.norm(x)
        if self.scale is None or self.shift is None:
            return x
        return (1 + self.scale(told))[:, :, None, None] * x + self.shift(told)[:, :, None, None]


class SelfAttention(nn.Module):
    """Each place sees all others (Zhang et al., 2019, https://arxiv.org/abs/1805.08318), keys and values pooled by 2.

    The weight of what it sees starts at 0.
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
        seen = scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.gamma * self.out(seen.mT.unflatten(2, x.shape[2:]))


def initialize(network: nn.Module, initial: str) -> None:
    """Weights orthogonal or uniform after Glorot & Bengio (2010), biases zero."""
    if initial not in ("orthogonal", "xavier"):
        raise ValueError(f"`initial` must be 'orthogonal' or 'xavier', got {initial!r}.")
    fill = nn.init.orthogonal_ if initial == "orthogonal" else nn.init.xavier_uniform_
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            fill(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def normalize(network: nn.Module, skip: Sequence[nn.Module | None] = ()) -> None:
    """Divides every weight of a linear or convolutional layer by its spectral norm, but for some layers."""
    for module in [*network.modules()]:
        if isinstance(module, nn.Linear | nn.Conv2d) and not any(module is other for other in skip):
            spectral_norm(module)
