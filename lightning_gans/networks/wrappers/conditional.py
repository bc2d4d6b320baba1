"""Labels beside the inputs of networks that take none."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.checks import Labels, class_shares


class LabelledGenerator(nn.Module):
    """A generator of images of a class: the label is appended to the latent, with one number per class.

    Source: Mirza & Osindero, 2014, https://arxiv.org/abs/1411.1784. A label may also be a share of each class
    (b, num_classes), for images between classes.

    Args:
        network: Maps latents of size `latent_dim`, of which the last `num_classes` are the label, to images.
        num_classes: Number of classes.
    """

    def __init__(self, network: nn.Module, num_classes: int = 10):
        super().__init__()
        inner: Any = network
        if inner.latent_dim <= num_classes:
            raise ValueError(
                f"`network.latent_dim` holds the {num_classes} classes too and must be larger, got {inner.latent_dim}."
            )
        self.network = network
        self.num_classes = num_classes
        self.latent_dim = inner.latent_dim - num_classes

    def forward(self, latent: Float[Tensor, "b z"], label: Labels) -> Float[Tensor, "b c h w"]:
        return self.network(torch.cat([latent, class_shares(label, self.num_classes, latent)], dim=1))


class LabelledDiscriminator(nn.Module):
    """A discriminator of an image and its class: the label is one more channel per class, filled with ones for its own.

    Source: Mirza & Osindero, 2014, https://arxiv.org/abs/1411.1784.

    Args:
        network: Maps images with `num_classes` more channels to logits.
        num_classes: Number of classes.
    """

    def __init__(self, network: nn.Module, num_classes: int = 10):
        super().__init__()
        self.network = network
        self.num_classes = num_classes

    def forward(self, image: Float[Tensor, "b c h w"], label: Labels) -> Float[Tensor, " b"]:
        planes = class_shares(label, self.num_classes, image)[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return self.network(torch.cat([image, planes], dim=1))
