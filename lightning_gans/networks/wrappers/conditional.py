"""Labels beside the inputs of networks that know no labels."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import one_hot


class LabelledGenerator(nn.Module):
    """Draws an image of a class: the label stands behind the latent, one place per class.

    Source: Mirza & Osindero, 2014, https://arxiv.org/abs/1411.1784. Classes may also be given as shares of each class
    (b, num_classes), to draw what lies between them.

    Args:
        network: Maps latents of size `latent_dim`, `num_classes` of which are the label, to images.
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

    def forward(
        self, latent: Float[Tensor, "b z"], label: Int64[Tensor, " b"] | Float[Tensor, "b k"]
    ) -> Float[Tensor, "b c h w"]:
        shares = label if label.is_floating_point() else one_hot(label, self.num_classes)
        return self.network(torch.cat([latent, shares.to(latent)], dim=1))


class LabelledDiscriminator(nn.Module):
    """Judges an image and its class: the label is one more plane per class, of ones for its own.

    Source: Mirza & Osindero, 2014, https://arxiv.org/abs/1411.1784.

    Args:
        network: Maps images with `num_classes` more channels to logits.
        num_classes: Number of classes.
    """

    def __init__(self, network: nn.Module, num_classes: int = 10):
        super().__init__()
        self.network = network
        self.num_classes = num_classes

    def forward(self, image: Float[Tensor, "b c h w"], label: Int64[Tensor, " b"]) -> Float[Tensor, " b"]:
        planes = one_hot(label, self.num_classes).to(image)[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return self.network(torch.cat([image, planes], dim=1))
