"""The maps of VGG, in which perceptual and style losses compare images."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, VGG19_Weights
from torchvision.models.vgg import cfgs, make_layers

NETWORKS: dict[str, tuple[str, Any]] = {
    "vgg16": ("D", VGG16_Weights.IMAGENET1K_V1),
    "vgg19": ("E", VGG19_Weights.IMAGENET1K_V1),
}
MEAN, SCALE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for images in [0, 1]
POOLING = ("max", "average")


class VGGFeatures(nn.Module):
    """Maps of torchvision's VGG by the names of its layers (Simonyan & Zisserman, 2015, https://arxiv.org/abs/1409.1556).

    `relu3_2` is what ReLU makes of the second convolution of the third size, `conv3_2` what it gets, and `pool3` what
    the next size gets. Images are (b, 3, h, w) in [-1, 1], or gray in one channel, and are normalized as in training.

    Args:
        network: `vgg16` or `vgg19`.
        weights: File of torchvision's ImageNet weights, or of its convolutions alone; null downloads them once.
        pooling: `max`, or `average`, which Gatys et al. (2016) prefer for style transfer.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: str = "vgg19", weights: str | Path | None = None, pooling: str = "max"):
        super().__init__()
        if network not in NETWORKS:
            raise ValueError(f"`network` must be one of {', '.join(NETWORKS)}, got {network!r}.")
        if pooling not in POOLING:
            raise ValueError(f"`pooling` must be one of {', '.join(POOLING)}, got {pooling!r}.")
        if weights is not None and not Path(weights).is_file():
            raise FileNotFoundError(f"`weights` must be a file of the weights of {network}, and {weights} is none.")
        state = downloaded(network) if weights is None else torch.load(weights, map_location="cpu", weights_only=True)
        with torch.device("meta"):  # draws no initial weights
            layers = make_layers(cfgs[NETWORKS[network][0]])
        prefix = "features." if "features.0.weight" in state else ""
        own = {name: state.get(prefix + name, torch.empty(0)) for name in layers.state_dict()}
        if any(own[name].shape != value.shape for name, value in layers.state_dict().items()):
            raise ValueError(f"`weights` must hold the convolutions of {network}, and {weights} does not.")
        layers.load_state_dict(own, assign=True)
        self.layers = nn.ModuleDict(named(layers, pooling))
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, image: Float[Tensor, "b c h w"], layers: Iterable[str]) -> dict[str, Float[Tensor, "b _ _ _"]]:
        """Returns the maps of these layers; layers after the last of them are not run."""
        missing = set(layers)
        if unknown := missing - set(self.layers):
            raise ValueError(
                f"`layers` must be named as relu1_1, conv1_1 or pool1, from 1 to 5, got {', '.join(sorted(unknown))}."
            )
        if image.shape[1] not in (1, 3):
            raise ValueError(f"`image` must have 1 or 3 channels for VGG, got {image.shape[1]}.")
        maps = {}
        x = ((image.expand(-1, 3, -1, -1) + 1) / 2 - self.mean) / self.scale
        for name, layer in self.layers.items():
            if not missing:
                break
            x = layer(x)
            if name in missing:
                maps[name] = x
                missing.remove(name)
        return maps


def named(layers: nn.Sequential, pooling: str) -> dict[str, nn.Module]:
    """Returns layers by name, with average instead of maximum pooling if that is asked for."""
    result: dict[str, nn.Module] = {}
    size, number = 1, 0
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            number += 1
            result[f"conv{size}_{number}"] = layer
        elif isinstance(layer, nn.ReLU):
            result[f"relu{size}_{number}"] = nn.ReLU()  # torchvision's would overwrite the convolution's map
        else:
            result[f"pool{size}"] = layer if pooling == "max" else nn.AvgPool2d(2)
            size, number = size + 1, 0
    return result


def downloaded(network: str) -> dict[str, Tensor]:
    """Returns torchvision's weights, which it downloads once."""
    weights = NETWORKS[network][1]
    try:
        return weights.get_state_dict(check_hash=True)
    except (URLError, OSError) as error:
        raise ConnectionError(
            f"The weights of {network} could not be downloaded: fetch {weights.url} on a machine with internet and "
            "give its path as `weights` of `VGGFeatures`."
        ) from error
