"""BigGAN-deep's networks."""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, one_hot, relu

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.resnet import ConditionalBatchNorm, Labels, SelfAttention, initialize, multiples, normalize

RATIO = 4  # of the channels between blocks over those inside (Brock et al., 2019, appendix B)


class BigGANDeepGenerator(nn.Module):
    """Twice as many blocks as BigGAN's generator, with bottlenecks and fewer parameters.

    The whole latent goes, beside the class embedding, to every block; where channels become fewer, the shortcut drops
    the last ones (Brock et al., 2019, https://arxiv.org/abs/1809.11096, appendix B, tables 7 to 9).

    Args:
        latent_dim: Size of the latent; 128 in the paper.
        num_classes: Number of classes.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: ch of the paper: channels of the last maps; 128 there.
        shared_dim: Size of the class embedding; 128 in the paper.
        attention: Size of the maps after which self-attention comes; 0 has none.
    """

    def __init__(
        self,
        latent_dim: int = 128,
        num_classes: int = 10,
        channels: int = 3,
        size: int = 128,
        width: int = 128,
        shared_dim: int = 128,
        attention: int = 64,
    ):
        super().__init__()
        features = [width * multiple for multiple in multiples(size)]
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.start = size // 2 ** (len(features) - 1)
        told = latent_dim + shared_dim
        self.embedding = nn.Linear(num_classes, shared_dim, bias=False)
        self.project = nn.Linear(told, features[0] * self.start**2)
        self.layers = nn.ModuleList()
        for i, (before, after) in enumerate(itertools.pairwise(features)):
            self.layers += [DeepGeneratorBlock(before, before, told, doubles=False)]
            self.layers += [DeepGeneratorBlock(before, after, told, doubles=True)]
            if attention and attention == self.start * 2 ** (i + 1):
                self.layers.append(SelfAttention(after))
        self.norm = nn.BatchNorm2d(features[-1])
        self.last = nn.Conv2d(features[-1], channels, 3, padding=1)
        initialize(self, "orthogonal")
        normalize(self, skip=[self.embedding])
        self.to(memory_format=torch.channels_last)

    def forward(self, latent: Float[Tensor, "b z"], label: Labels) -> Float[Tensor, "b c h w"]:
        shares = label if label.is_floating_point() else one_hot(label, self.num_classes)
        told = torch.cat([latent, self.embedding(shares.to(latent))], 1)
        x = self.project(told).unflatten(1, (-1, self.start, self.start))
        for layer in self.layers:
            x = layer(x) if isinstance(layer, SelfAttention) else layer(x, told)
        return self.last(relu(self.norm(x))).tanh()


class BigGANDeepDiscriminator(nn.Module):
    """Twice as many blocks as BigGAN's discriminator, with bottlenecks and fewer parameters.

    Where channels become more, the shortcut gets the new ones from a 1 x 1 convolution (Brock et al., 2019,
    https://arxiv.org/abs/1809.11096, appendix B).

    Args:
        num_classes: Number of classes.
        channels: Image channels.
        size: Image height and width: 28, 32, 64, 128, 256 or 512.
        width: ch of the paper: channels of the first maps; 128 there.
        attention: Size of the maps after which self-attention comes; 0 has none.
    """

    def __init__(
        self, num_classes: int = 10, channels: int = 3, size: int = 128, width: int = 128, attention: int = 64
    ):
        super().__init__()
        self.num_classes = num_classes
        features = [width * multiple for multiple in multiples(size)][::-1]
        self.first = nn.Conv2d(channels, features[0], 3, padding=1)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(itertools.pairwise(features)):
            layers += [DeepDiscriminatorBlock(before, after, True), DeepDiscriminatorBlock(after, after, False)]
            if attention and attention == size // 2 ** (i + 1):
                layers.append(SelfAttention(after))
        self.layers = nn.Sequential(*layers)
        self.linear = nn.Linear(features[-1], 1)
        self.classes = nn.Linear(num_classes, features[-1], bias=False)
        initialize(self, "orthogonal")
        normalize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"], label: Labels) -> Float[Tensor, " b"]:
        seen = relu(self.layers(self.first(image))).sum((2, 3))
        shares = label if label.is_floating_point() else one_hot(label, self.num_classes)
        return full_precision(self.linear(seen)[:, 0] + (self.classes(shares.to(seen)) * seen).sum(1))


class DeepGeneratorBlock(nn.Module):
    """Four times batch norm, ReLU and convolution: 1 x 1 to fewer channels, twice 3 x 3, 1 x 1 back."""

    def __init__(self, before: int, after: int, told: int, doubles: bool):
        super().__init__()
        inside = max(1, before // RATIO)
        self.after, self.doubles = after, doubles
        self.norms = nn.ModuleList(ConditionalBatchNorm(k, told) for k in (before, inside, inside, inside))
        self.convolutions = nn.ModuleList(bottleneck(before, inside, after))

    def forward(self, x: Float[Tensor, "b k h w"], told: Float[Tensor, "b t"]) -> Float[Tensor, "b l ..."]:
        y = x
        for i, (norm, convolution) in enumerate(zip(self.norms, self.convolutions, strict=True)):
            y = relu(norm(y, told))
            if self.doubles and i == 1:
                y = interpolate(y, scale_factor=2.0)
            y = convolution(y)
        x = x[:, : self.after]
        return y + (interpolate(x, scale_factor=2.0) if self.doubles else x)


class DeepDiscriminatorBlock(nn.Module):
    """Four times ReLU and convolution: 1 x 1 to fewer channels, twice 3 x 3, 1 x 1 back."""

    def __init__(self, before: int, after: int, halve: bool):
        super().__init__()
        self.halve = halve
        self.convolutions = nn.ModuleList(bottleneck(before, max(1, after // RATIO), after))
        self.new = nn.Conv2d(before, after - before, 1) if after > before else None

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b l ..."]:
        y = x
        for i, convolution in enumerate(self.convolutions):
            y = relu(y)
            if self.halve and i == 3:
                y = avg_pool2d(y, 2)
            y = convolution(y)
        x = avg_pool2d(x, 2) if self.halve else x
        return y + (x if self.new is None else torch.cat([x, self.new(x)], 1))


def bottleneck(before: int, inside: int, after: int) -> list[nn.Module]:
    return [
        nn.Conv2d(before, inside, 1),
        nn.Conv2d(inside, inside, 3, padding=1),
        nn.Conv2d(inside, inside, 3, padding=1),
        nn.Conv2d(inside, after, 1),
    ]
