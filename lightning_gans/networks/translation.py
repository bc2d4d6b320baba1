"""Parts of networks from image to image, which compose them in files of their own."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

UPSAMPLING = ("transposed", "resize", "blur")
INITIAL = ("normal", "xavier")
Maps = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c _ _"]


class ReflectionPad(nn.Module):
    """Reflects a map at its sides, in operators that also run when algorithms must be deterministic.

    Args:
        pad: Rows and columns that are added at each side; a map must have more.
    """

    def __init__(self, pad: int):
        super().__init__()
        self.pad = pad

    def forward(self, x: Maps) -> Resized:
        for axis in (2, 3):
            last = x.shape[axis] - 1
            before, after = x.narrow(axis, 1, self.pad), x.narrow(axis, last - self.pad, self.pad)
            x = torch.cat([before.flip(axis), x, after.flip(axis)], axis)
        return x


class Halve(nn.Module):
    """Halves a map after the filter [1, 2, 1] / 4, reflected at its sides (Zhang, 2019, https://arxiv.org/abs/1904.11486)."""

    def forward(self, x: Maps) -> Resized:
        for axis in (2, 3):  # slices are many times faster than pooling on a CPU, most of all in bf16
            even, odd = (x.transpose(axis, 3)[..., start::2].transpose(axis, 3) for start in (0, 1))
            if odd.shape[axis] < even.shape[axis]:
                odd = torch.cat([odd, odd.narrow(axis, -1, 1)], axis)
            before = torch.cat([odd.narrow(axis, 0, 1), odd.narrow(axis, 0, odd.shape[axis] - 1)], axis)
            x = 0.5 * even + 0.25 * (before + odd)
        return x


class Double(nn.Module):
    """Doubles a map with the filter [1, 3, 3, 1] / 4, its sides repeated, which is linear interpolation."""

    def forward(self, x: Maps) -> Resized:
        for axis in (2, 3):
            length = x.shape[axis]
            before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, length - 1)], axis)
            after = torch.cat([x.narrow(axis, 1, length - 1), x.narrow(axis, length - 1, 1)], axis)
            x = torch.stack([(3 * x + before) / 4, (3 * x + after) / 4], axis + 1).flatten(axis, axis + 1)
        return x


class Repeat(nn.Module):
    """Doubles a map by repeating each pixel."""

    def forward(self, x: Maps) -> Resized:
        return interpolate(x, scale_factor=2.0)


class Residual(nn.Module):
    """Adds its input to what layers make of it.

    Args:
        layers: Any that keep channels and size.
    """

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Maps) -> Maps:
        return x + self.layers(x)


def upsampling(how: str, before: int, after: int, kernel: int, bias: bool) -> list[nn.Module]:
    """Returns layers that double a map.

    Args:
        how: `transposed` is a transposed convolution; `resize` repeats pixels and `blur` interpolates them before a
            3 x 3 convolution, against checkerboards (Odena et al., 2016, https://distill.pub/2016/deconv-checkerboard).
        before: Channels of the input.
        after: Channels of the output.
        kernel: Height and width of the transposed convolution's kernel, 3 or 4.
        bias: Whether the convolution has one.
    """
    if how not in UPSAMPLING:
        raise ValueError(f"`upsample` must be one of {', '.join(UPSAMPLING)}, got {how!r}.")
    if how == "transposed":
        return [nn.ConvTranspose2d(before, after, kernel, 2, 1, output_padding=kernel % 2, bias=bias)]
    return [Repeat() if how == "resize" else Double(), nn.Conv2d(before, after, 3, padding=1, bias=bias)]


def initialize(network: nn.Module, initial: str = "normal") -> None:
    """Draws initial weights; biases are 0, and norms' scales are from N(1, 0.02).

    Args:
        network: Any; its parts that are linear, convolutions and norms with scales are changed.
        initial: `normal` is N(0, 0.02), as in pix2pix and CycleGAN; `xavier` is normal after Glorot & Bengio (2010)
            with a gain of 0.02, as in CUT.
    """
    if initial not in INITIAL:
        raise ValueError(f"`initial` must be one of {', '.join(INITIAL)}, got {initial!r}.")
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            if initial == "normal":
                nn.init.normal_(module.weight, 0.0, 0.02)
            else:
                nn.init.xavier_normal_(module.weight, 0.02)
        elif isinstance(module, nn.InstanceNorm2d | nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def check_sides(image: Maps, multiple: int, least: int) -> None:
    """Refuses images that a network cannot halve and double back to their size.

    Args:
        image: The batch that the network is called with.
        multiple: What height and width must be multiples of.
        least: Smallest height and width.
    """
    height, width = image.shape[2:]
    if height % multiple or width % multiple or min(height, width) < least:
        raise ValueError(
            f"`image` must have sides that are multiples of {multiple} and at least {least}, got {height} x {width}: "
            "crop or resize it."
        )
