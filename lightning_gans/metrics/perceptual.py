"""Distances between images in the features of a network, and scores from such distances."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.functional.image.lpips import _NoTrainLpips
from torchmetrics.utilities import dim_zero_cat

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.metrics.features import Network, Watching, feature_network
from lightning_gans.metrics.float64 import as_float64

Distance = Callable[[Tensor, Tensor], Tensor]
LPIPS_WEIGHTS = {
    "vgg": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "alex": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
}


class FeatureDistance(Watching):
    """Squared Euclidean distance (b,) between the features of two image batches.

    Args:
        features: `digits`, `inception` or a module, as in `FeatureScores`.
    """

    def __init__(self, features: Network = "digits"):
        super().__init__()
        self.network = feature_network(features)

    def forward(self, one: Float[Tensor, "b c h w"], two: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        both: Any = getattr(self.network, "features_and_logits", lambda image: (self.network(image), None))
        return (both(one)[0] - both(two)[0]).square().sum(1)


class LPIPS(nn.Module):
    """Learned perceptual distance (b,) of two image batches (Zhang et al., 2018, https://arxiv.org/abs/1801.03924).

    The network is torchmetrics'. Images are (b, 3, h, w) in [-1, 1], or grey in one channel.

    Args:
        weights: File of torchvision's ImageNet weights of the backbone, or of its convolutions alone; null downloads
            them once.
        backbone: `vgg` for VGG16 or `alex` for AlexNet. What was trained on the features of one is scored by the other.
    """

    def __init__(self, weights: str | None = None, backbone: Literal["vgg", "alex"] = "vgg"):
        super().__init__()
        if backbone not in LPIPS_WEIGHTS:
            raise ValueError(f"`backbone` must be vgg or alex, got {backbone!r}.")
        self.backbone = backbone
        with torch.random.fork_rng(devices=[]):
            try:
                self.network = _NoTrainLpips(net=backbone, pnet_rand=weights is not None)
            except OSError as error:
                raise ConnectionError(
                    f"The weights of LPIPS's backbone could not be downloaded: fetch {LPIPS_WEIGHTS[backbone]} on a "
                    "machine with internet and give its path as `weights` of `LPIPS`."
                ) from error
        if weights is not None:
            self._load(torch.load(weights, map_location="cpu", weights_only=True))
        self.requires_grad_(False).eval()

    def _load(self, weights: dict[str, Tensor]) -> None:
        """Puts convolutions, which are in the same order everywhere, into torchmetrics' slices of the backbone."""
        target: Any = self.network.net
        convolutions = [module for module in target.modules() if isinstance(module, nn.Conv2d)]
        given = [value for name, value in weights.items() if value.ndim == 4]
        biases = [weights[name.removesuffix("weight") + "bias"] for name, value in weights.items() if value.ndim == 4]
        if [tuple(value.shape) for value in given] != [tuple(module.weight.shape) for module in convolutions]:
            raise ValueError(f"`weights` must hold the {len(convolutions)} convolutions of the backbone, and does not.")
        for module, weight, bias in zip(convolutions, given, biases, strict=True):
            module.weight.data.copy_(weight)
            assert module.bias is not None
            module.bias.data.copy_(bias)

    def forward(self, one: Float[Tensor, "b c h w"], two: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        one, two = (image.expand(-1, 3, -1, -1) for image in (one, two))
        return self.network(one, two).flatten()


class PairwiseDiversity(Metric):
    """Mean distance between two samples of the same condition, such as LPIPS diversity.

    Source: Zhu et al., 2017, https://arxiv.org/abs/1711.11586. 0 says that the latent changes nothing.

    Args:
        distance: Distance (b,) of two image batches: `LPIPS()` or `FeatureDistance(...)`.
        kwargs: See `torchmetrics.Metric`.
    """

    full_state_update = False
    distances: list[Tensor] | Tensor

    def __init__(self, distance: Distance, **kwargs: Any):
        super().__init__(**kwargs)
        self.distance = distance
        self.add_state("distances", [], dist_reduce_fx="cat")

    @torch.no_grad()
    def update(self, one: Float[Tensor, "b c h w"], two: Float[Tensor, "b c h w"]) -> None:
        """Adds pairs of samples."""
        assert isinstance(self.distances, list)
        self.distances.append(self.distance(one, two))

    def compute(self) -> Tensor:
        return as_float64(dim_zero_cat(self.distances)).mean()


@torch.no_grad()
def path_steps(
    generate: Callable[[Tensor], Tensor],
    start: Float[Tensor, "b z"],
    end: Float[Tensor, "b z"],
    place: Float[Tensor, " b"],
    distance: Distance,
    interpolate: Callable[[Tensor, Tensor, Tensor], Tensor],
    epsilon: float = 1e-4,
) -> Float[Tensor, " b"]:
    """Returns distances whose mean is the perceptual path length (Karras et al., 2019, https://arxiv.org/abs/1812.04948).

        d(G(path(t)), G(path(t + epsilon))) / epsilon^2

    Args:
        generate: Maps latents to images.
        start: Latents at the start of paths.
        end: Latents at their end.
        place: t of each path, from 0 to 1.
        distance: Distance (b,) of two image batches.
        interpolate: Maps start, end and place to latents, such as `slerp`.
        epsilon: Length of a step.
    """
    here = generate(interpolate(start, end, place))
    there = generate(interpolate(start, end, place + epsilon))
    return distance(here, there) / epsilon**2


def trimmed_mean(values: Float[Tensor, " n"], share: float = 0.01) -> float:
    """Returns the mean without the smallest and the largest `share`, as in StyleGAN's code."""
    values = as_float64(values)
    low, high = values.quantile(share, interpolation="lower"), values.quantile(1 - share, interpolation="higher")
    return values[(values >= low) & (values <= high)].mean().item()


def lerp(start: Float[Tensor, "b z"], end: Float[Tensor, "b z"], place: Float[Tensor, " b"]) -> Float[Tensor, "b z"]:
    """Returns points of a straight line: `start` at 0, `end` at 1."""
    return torch.lerp(full_precision(start), full_precision(end), full_precision(place)[:, None].to(start.device))


def slerp(start: Float[Tensor, "b z"], end: Float[Tensor, "b z"], place: Float[Tensor, " b"]) -> Float[Tensor, "b z"]:
    """Returns points of a great circle, with lengths between both ends' (White, 2016, https://arxiv.org/abs/1609.04468)."""
    start, end = full_precision(start), full_precision(end)  # a step is far below what 8 bits tell apart
    place = place[:, None].to(start)
    lengths = start.norm(dim=1, keepdim=True), end.norm(dim=1, keepdim=True)
    one, two = start / lengths[0], end / lengths[1]
    angle = (one * two).sum(1, keepdim=True).clamp(-1, 1).acos()
    weights = ((1 - place) * angle).sin(), (place * angle).sin()
    small = angle.sin().abs() < 1e-6
    arc = (weights[0] * one + weights[1] * two) / angle.sin().where(~small, 1)
    straight = torch.lerp(one, two, place)
    return arc.where(~small, straight) * torch.lerp(lengths[0], lengths[1], place)
