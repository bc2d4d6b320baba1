"""Statistics of images that need no network."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import conv2d


def image_statistics(image: Float[Tensor, "b c h w"]) -> dict[str, Float[Tensor, " b"]]:
    """Returns `brightness`, `contrast` and `sharpness` of each image in [-1, 1], from grey values of 0 to 1.

    They are the mean, the standard deviation, and the standard deviation of the Laplacian.
    """
    grey = (image.float().mean(1, keepdim=True) + 1) / 2
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]], device=grey.device)
    edges = conv2d(grey, kernel[None, None])
    return {
        "brightness": grey.mean((1, 2, 3)),
        "contrast": grey.std((1, 2, 3), correction=0),
        "sharpness": edges.std((1, 2, 3), correction=0),
    }


def within_class_diversity(features: Float[Tensor, "n k"], label: Int64[Tensor, " n"]) -> float:
    """Returns the mean squared distance in features between two images of the same class, averaged over images."""
    spread = features.new_zeros(())
    for members in (features[label == c] for c in label.unique()):
        if len(members) > 1:  # twice the variance is the mean squared distance of two
            spread = spread + 2 * members.var(0).sum() * len(members)
    return (spread / len(features)).item()
