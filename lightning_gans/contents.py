"""Terms that compare a restored image with its target: what a generator minimizes beside fooling."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize
from torchvision.transforms.functional import pil_to_tensor

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.wrappers.frozen import Frozen

Images = Float[Tensor, "b c h w"]
Scalar = Float[Tensor, ""]


class Content(nn.Module, ABC):
    """A term of a restoration's loss, called with samples and their targets, both in [-1, 1].

    Args:
        weight: Of the term; what is returned is multiplied by it.
    """

    name: str
    """Of the term in the loss."""

    def __init__(self, weight: float = 1.0):
        super().__init__()
        if weight < 0:
            raise ValueError(f"`weight` must be at least 0, got {weight}.")
        self.weight = weight

    def forward(self, fake: Images, real: Images) -> Scalar:
        return self.weight * self.error(fake, real)

    @abstractmethod
    def error(self, fake: Images, real: Images) -> Scalar:
        """Returns the term before its weight."""


class Pixels(Content):
    """E|G - y|^p, the mean over images, channels and pixels.

    Args:
        p: 1 or 2; 1 blurs less (Isola et al., 2017, https://arxiv.org/abs/1611.07004).
        weight: Of the term; 100 with p = 1 in pix2pix.
    """

    name = "pixels"

    def __init__(self, p: int = 1, weight: float = 1.0):
        super().__init__(weight)
        self.p = checked_power(p)

    def error(self, fake: Images, real: Images) -> Scalar:
        return mean_power(fake, real, self.p)


class Perceptual(Content):
    """Distances in the maps of a frozen network (Johnson et al., 2016, https://arxiv.org/abs/1603.08155).

        sum_l w_l E|phi_l(G) - phi_l(y)|^p,

    with means over images, channels and places of map l. Other papers scale it otherwise:

    * SRGAN (Ledig et al., 2017, https://arxiv.org/abs/1609.04802) divides maps by 12.75, which with p = 2 is a weight
      of 1 / 12.75^2 = 0.00615; its layers are relu2_2 and relu5_4 of VGG19.
    * Gatys et al. (2016) have 1/2 sum (F - P)^2, which of an image with N channels and M places is N M / 2 of it.

    Args:
        features: Called with images and names of layers, returns maps by name, as `VGGFeatures`. It is frozen.
        layers: Weight w_l of each layer by name, such as `{relu2_2: 1}`.
        p: 1 or 2.
        weight: Of the term.
    """

    name = "perceptual"

    def __init__(self, features: nn.Module, layers: dict[str, float], p: int = 2, weight: float = 1.0):
        super().__init__(weight)
        self.features, self.layers = Frozen(features), checked_layers(layers)
        self.p = checked_power(p)

    def error(self, fake: Images, real: Images) -> Scalar:
        with torch.no_grad():
            targets = self.features(real, self.layers)
        maps = self.features(fake, self.layers)
        terms = [weight * mean_power(maps[name], targets[name], self.p) for name, weight in self.layers.items()]
        return torch.stack(terms).sum()


class Gram(Content):
    """Distances of the correlations between a map's channels, which say what style an image has.

    Source: Gatys et al., 2016, eqs. 3 to 5. With F_l the map of N_l channels at M_l places, as a matrix, and A_l the
    same of the style as G_l = F_l F_l^T of the sample,

        sum_l w_l E_l,   E_l = 1 / (4 N_l^2 M_l^2) sum (G_l - A_l)^2,

    as a mean over images. Where the style image has another size than the sample, each of G_l and A_l is divided by its
    own M_l. Other code scales it otherwise:

    * The mean squared error of G_l / M_l, as in Gatys' PyTorch code, is 4 E_l; with its weights of 1000 / N_l^2 the
      term is 4000 / N_l^2 E_l.
    * The mean squared error of G_l / (N_l M_l), as in Johnson's and PyTorch's code, is 4 / N_l^2 E_l.

    Args:
        features: Called with images and names of layers, returns maps by name, as `VGGFeatures`. It is frozen.
        layers: Weight w_l of each layer by name; in the paper 1/5 for relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1.
        weight: Of the term.
        style: An image (1, c, h, w) in [-1, 1], or its file, whose style all samples are to have; None takes that of
            each sample's target.
    """

    name = "style"

    def __init__(
        self,
        features: nn.Module,
        layers: dict[str, float],
        weight: float = 1.0,
        style: Float[Tensor, "1 c h w"] | str | Path | None = None,
    ):
        super().__init__(weight)
        self.features, self.layers = Frozen(features), checked_layers(layers)
        self.has_style = style is not None
        if style is not None:
            image = style if isinstance(style, Tensor) else image_of(style)
            with torch.no_grad():
                for name, x in self.features(image, self.layers).items():
                    self.register_buffer(f"style_{name}", gram(x), persistent=False)

    def error(self, fake: Images, real: Images) -> Scalar:
        if self.has_style:
            targets = {name: self.get_buffer(f"style_{name}").expand(len(fake), -1, -1) for name in self.layers}
        else:
            with torch.no_grad():
                targets = {name: gram(x) for name, x in self.features(real, self.layers).items()}
        maps = self.features(fake, self.layers)
        terms = [weight * gram_error(gram(maps[name]), targets[name]) for name, weight in self.layers.items()]
        return torch.stack(terms).sum()


class Contextual(Content):
    """Distances of each place of the target's maps from the place of the sample's that is most like it.

    Source: Mechrez et al., 2018, https://arxiv.org/abs/1803.02077, eqs. 2 to 5 and 9. Of a map of the sample, x_i, and
    of the target, y_j, at all places, both less the mean over y, d_ij is half of 1 - cosine, and

        d'_ij = d_ij / (min_k d_ik + 10^-5),   w_ij = exp((1 - d'_ij) / h),   CX_ij = w_ij / sum_k w_ik,

        sum_l w_l E[-log(mean_j max_i CX_ij)]

    with the mean over images outside of the logarithm. What is alike may be at another place. The code of
    Attribute2Font (Wang et al., 2020, https://github.com/hologerry/Attr2Font) takes the mean over y of the whole batch,
    and gives VGG images in [-1, 1] instead of normalized ones.

    Args:
        features: Called with images and names of layers, returns maps by name, as `VGGFeatures`. It is frozen.
        layers: Weight w_l of each layer by name; in Attribute2Font 1 for relu3_3 and relu4_2 of VGG19.
        bandwidth: h; 0.5 in Attribute2Font.
        weight: Of the term; 6 in Attribute2Font.
    """

    name = "contextual"

    def __init__(self, features: nn.Module, layers: dict[str, float], bandwidth: float = 0.5, weight: float = 1.0):
        super().__init__(weight)
        if bandwidth <= 0:
            raise ValueError(f"`bandwidth` must be positive, got {bandwidth}.")
        self.features, self.layers = Frozen(features), checked_layers(layers)
        self.bandwidth = bandwidth

    def error(self, fake: Images, real: Images) -> Scalar:
        with torch.no_grad():
            targets = self.features(real, self.layers)
        maps = self.features(fake, self.layers)
        terms = [w * contextual(maps[name], targets[name], self.bandwidth) for name, w in self.layers.items()]
        return torch.stack(terms).sum()


class TotalVariation(Content):
    """Squared differences of neighbors in a sample, E(x_(i+1)j - x_ij)^2 + E(x_i(j+1) - x_ij)^2, each a mean.

    The sum of them over an image instead, halved, is what https://github.com/jcjohnson/neural-style descends.

    Args:
        weight: Of the term.
    """

    name = "total_variation"

    def error(self, fake: Images, real: Images) -> Scalar:
        return total_variation(fake)


def mean_power(one: Images, two: Images, p: int) -> Scalar:
    """Returns the mean of |x - y|^p."""
    difference = full_precision(one) - full_precision(two)
    return difference.abs().mean() if p == 1 else difference.square().mean()


def gram(maps: Images) -> Float[Tensor, "b c c"]:
    """Returns F F^T / M of each image, in full precision: the mean product of two channels over all M places."""
    rows = full_precision(maps).flatten(2)
    with torch.autocast(rows.device.type, enabled=False):
        return rows @ rows.transpose(1, 2) / rows.shape[2]


def gram_error(one: Float[Tensor, "b c c"], two: Float[Tensor, "b c c"]) -> Scalar:
    """Returns E_l of two batches of `gram`, as a mean over images."""
    return (one - two).square().sum((1, 2)).mean() / (4 * one.shape[1] ** 2)


def contextual(maps: Images, target: Float[Tensor, "b c i j"], bandwidth: float) -> Scalar:
    """Returns the contextual loss of maps, the mean over images of -log of their likeness."""
    x, y = (full_precision(part).flatten(2) for part in (maps, target))
    mean = y.mean(2, keepdim=True)
    with torch.autocast(x.device.type, enabled=False):
        x, y = (normalize(part - mean, dim=1) for part in (x, y))
        distance = (1 - x.transpose(1, 2) @ y) / 2  # (b, places of the sample, places of the target)
        relative = distance / (distance.amin(2, keepdim=True) + 1e-5)
        likeness = ((1 - relative) / bandwidth).softmax(2)
    return -likeness.amax(1).mean(1).log().mean()


def total_variation(image: Images) -> Scalar:
    """Returns the mean squared difference of neighbors in columns, and that in rows added to it."""
    image = full_precision(image)
    return image.diff(dim=2).square().mean() + image.diff(dim=3).square().mean()


def checked_power(p: int) -> int:
    """Returns p, which must be 1 or 2."""
    if p not in (1, 2):
        raise ValueError(f"`p` must be 1 or 2, got {p}.")
    return p


def checked_layers(layers: dict[str, float]) -> dict[str, float]:
    """Returns the weights of layers, which must be some and at least 0."""
    if not layers or any(weight < 0 for weight in layers.values()):
        raise ValueError(f"`layers` must have a weight of at least 0 for one layer or more, got {layers}.")
    return dict(layers)


def image_of(path: str | Path) -> Float[Tensor, "1 3 h w"]:
    """Reads an image in [-1, 1] from a file."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"`style` must be an image or its file, and there is no {path}.")
    with Image.open(path) as image:
        pixels: Any = pil_to_tensor(image.convert("RGB"))
    return pixels[None] / 127.5 - 1
