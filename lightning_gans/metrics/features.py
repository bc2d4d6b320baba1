"""Feature networks, and the features that they extract from images for a score."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from lightning_gans.mechanics.files import hash_of
from lightning_gans.metrics.digits import DigitClassifier


class Inception(nn.Module):
    """The Inception network of published scores (Szegedy et al., 2015, https://arxiv.org/abs/1512.00567).

    It is TensorFlow's of December 2015, with TensorFlow's way of resizing, from torch-fidelity. Its scores compare with
    those of papers if data, number of samples and file format are the same. Grey images get three equal channels.

    Args:
        layer: Size of the features: 64, 192, 768 or 2048; papers take 2048.
        weights: File of the weights in torch-fidelity's form; null downloads it once.
    """

    def __init__(self, layer: int = 2048, weights: str | Path | None = None):
        super().__init__()
        if layer not in (64, 192, 768, 2048):
            raise ValueError(f"`layer` must be 64, 192, 768 or 2048, got {layer}.")
        if weights is not None and not Path(weights).is_file():
            raise FileNotFoundError(f"`weights` must be a file of Inception weights, and {weights} is none.")
        layers = [str(layer), "logits_unbiased"]
        try:
            with torch.random.fork_rng(devices=[]):  # a score must not change what is trained
                self.network = FeatureExtractorInceptionV3(
                    "inception", layers, feature_extractor_weights_path=None if weights is None else str(weights)
                )
        except URLError as error:
            raise ConnectionError(
                f"The Inception weights could not be downloaded: fetch {URL_INCEPTION_V3} on a machine with internet "
                "and give its path as `weights` of `Inception`."
            ) from error
        # A file without the classifier has zeros there, and would give every generator an Inception Score of 1.
        self.has_logits = bool(self.network.fc.weight.any())
        self.weights_hash = f"{hash_of(self.network.state_dict())}-{layer}"
        if not self.has_logits:
            self.network.features_list = layers[:1]

    @property
    def resize(self) -> str:
        return "299 px, bilinear as in TensorFlow 1"

    def features_and_logits(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b k"], Tensor | None]:
        """Returns features and, if the file has the classifier, logits of 1008 classes without their bias."""
        if image.shape[1] not in (1, 3):
            raise ValueError(f"`image` must have 1 or 3 channels for Inception, got {image.shape[1]}.")
        pixels = image.add(1).mul(127.5).round().clamp(0, 255).byte().expand(-1, 3, -1, -1)
        outputs = self.network(pixels)
        return outputs[0], outputs[1] if self.has_logits else None

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.features_and_logits(image)[0]


Network = str | nn.Module


def feature_network(features: Network) -> nn.Module:
    """Returns the network for `digits`, `inception` or a module, frozen and in evaluation mode."""
    if isinstance(features, nn.Module):
        network = features
    elif features == "digits":
        network = DigitClassifier.pretrained()
    elif features == "inception":
        network = Inception()
    else:
        raise ValueError(f"`features` must be 'digits', 'inception' or a module, got {features!r}.")
    return network.requires_grad_(False).eval()


@torch.no_grad()
def extract(network: nn.Module, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b k"], Tensor | None]:
    """Returns float32 features of images as 8 bits would store them and, if the network has a classifier, logits."""
    with torch.autocast(image.device.type, enabled=False):
        both: Any = getattr(network, "features_and_logits", None)
        image = as_8_bit(image)
        return both(image) if both else (network(image), None)


def as_8_bit(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Rounds an image in [-1, 1] to float32 values that 8 bits per channel can store."""
    return ((image.float() + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1


def fingerprint(network: nn.Module) -> str:
    """Returns the network's `weights_hash` if it has one, otherwise the start of the SHA-256 of its state."""
    return getattr(network, "weights_hash", None) or hash_of(network.state_dict())


class Watching(nn.Module):
    """Base of modules with a feature network, which stays in evaluation mode."""

    network: nn.Module

    def train(self, mode: bool = True) -> "Watching":
        super().train(mode)
        self.network.eval()
        return self
