"""DCGAN's networks."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images


class DCGANGenerator(nn.Module):
    """Transposed convolutions from a latent to an image (Radford et al., 2016, https://arxiv.org/abs/1511.06434).

    The latent is projected to 4 x 4 (7 x 7 for 28 pixels), then each layer doubles the size and halves the
    channels; batch norm and ReLU inside, tanh at the end. Kernels are 4 x 4 as in the authors' Torch code.

    Args:
        latent_dim: Size of the latent.
        channels: Image channels.
        size: Image height and width: 4, 5, 6 or 7 doubled at least once, such as 28, 32 or 64.
        width: Channels of the last hidden layer; 128 in the paper (figure 1).
        hidden: Units of a linear layer before the projection; 0 has none, as the paper advises for deeper networks, but
            the authors' code for MNIST has 1024.
    """

    def __init__(self, latent_dim: int = 100, channels: int = 3, size: int = 64, width: int = 64, hidden: int = 0):
        super().__init__()
        self.latent_dim = latent_dim
        start, doublings = halvings(size)
        features = width * 2 ** (doublings - 1)
        self.smallest = (start, start, features)  # channels last, as convolutions are fastest
        self.project: nn.Module = nn.Linear(hidden or latent_dim, start * start * features, bias=False)
        if hidden:
            first = nn.Linear(latent_dim, hidden, bias=False)
            self.project = nn.Sequential(first, nn.BatchNorm1d(hidden), nn.ReLU(), self.project)
        layers: list[nn.Module] = []
        for _ in range(doublings - 1):
            layers += [nn.BatchNorm2d(features), nn.ReLU()]
            layers += [nn.ConvTranspose2d(features, features // 2, 4, 2, 1, bias=False)]
            features //= 2
        layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.ConvTranspose2d(width, channels, 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        initialize(self)
        self.to(memory_format=torch.channels_last)  # 0.85 of the time of a step, benchmarks/training_step.py

    def forward(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "b c h w"]:
        return self.layers(self.project(latent).unflatten(1, self.smallest).permute(0, 3, 1, 2))


class DCGANDiscriminator(nn.Module):
    """Strided convolutions from an image to logits (Radford et al., 2016, https://arxiv.org/abs/1511.06434).

    Each layer halves the size and doubles the channels; leaky ReLU of slope 0.2, batch norm in all but the
    first and the last layer.

    Args:
        channels: Image channels.
        size: Image height and width: 4, 5, 6 or 7 doubled at least once, such as 28, 32 or 64.
        width: Channels of the first hidden layer; 64 in the paper.
        batch_norm: False leaves it out, as gradient penalties need: they must not depend on other images of the batch.
        outputs: Logits per image; with 1 they are of shape (b,), with more (b, outputs).
        hidden: Units of a layer on the whole smallest map, before the logits; 0 has none, but the authors' code for
            MNIST has 1024.
    """

    def __init__(
        self,
        channels: int = 3,
        size: int = 64,
        width: int = 64,
        batch_norm: bool = True,
        outputs: int = 1,
        hidden: int = 0,
    ):
        super().__init__()
        self.channels, self.size = channels, size
        self.outputs = outputs
        start, doublings = halvings(size)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        features = width
        for _ in range(doublings - 1):
            layers += [nn.Conv2d(features, 2 * features, 4, 2, 1, bias=not batch_norm)]
            layers += [nn.BatchNorm2d(2 * features)] if batch_norm else []
            layers += [nn.LeakyReLU(0.2)]
            features *= 2
        if hidden:
            layers += [nn.Conv2d(features, hidden, start, bias=not batch_norm)]
            layers += [nn.BatchNorm2d(hidden)] if batch_norm else []
            layers += [nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(hidden or features, outputs, 1 if hidden else start))
        initialize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b ..."]:
        check_images(image, self.channels, self.size)
        return full_precision(self.layers(image).flatten(0 if self.outputs == 1 else 1))


def halvings(size: int) -> tuple[int, int]:
    """Returns the size of the smallest map, from 4 to 7, and how often it is doubled to reach `size`."""
    start, doublings = size, 0
    while start > 7 and start % 2 == 0:
        start, doublings = start // 2, doublings + 1
    if doublings == 0 or not 4 <= start <= 7:
        raise ValueError(f"`size` must be 4, 5, 6 or 7 doubled at least once, such as 28, 32 or 64, got {size}.")
    return start, doublings


def initialize(network: nn.Module) -> None:
    """Draws weights from N(0, 0.02) (section 4), batch norm's from N(1, 0.02) as in the authors' code; biases are 0."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, float(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)), 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
