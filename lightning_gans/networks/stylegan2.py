"""StyleGAN2's networks (Karras et al., 2020, https://arxiv.org/abs/1912.04958), as in the code of StyleGAN2-ADA."""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from lightning_gans.networks.checks import Labels, check_images
from lightning_gans.networks.equalized import EqualizedConv2d, EqualizedLinear, MinibatchDeviation
from lightning_gans.networks.filters import doubled, halved, smoothed
from lightning_gans.networks.progan import Images, sides
from lightning_gans.networks.styles import Mapping, StyleBased, Styles

Maps = Float[Tensor, "b c h w"]


class ScaledReLU(nn.Module):
    """A leaky ReLU times sqrt 2, which keeps the variance."""

    def forward(self, x: Float[Tensor, "b c *places"]) -> Float[Tensor, "b c *places"]:
        return leaky_relu(x, 0.2) * math.sqrt(2)


class ModulatedConv2d(nn.Module):
    """A convolution whose weights a style scales by input channel, and then to a norm of 1 by output channel.

    Instead of weights for each image, the maps are scaled before and after, which is the same (section 2.2).

    Args:
        before: Input channels.
        after: Output channels.
        style_dim: Size of the style.
        kernel: Kernel size.
        doubles: Whether the map is doubled and smoothed.
        demodulates: Whether the norm is scaled to 1; otherwise by the number of inputs.
    """

    def __init__(
        self,
        before: int,
        after: int,
        style_dim: int,
        kernel: int = 3,
        doubles: bool = False,
        demodulates: bool = True,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.style = EqualizedLinear(style_dim, before, gain=1.0, bias=1.0)
        self.doubles, self.demodulates = doubles, demodulates

    def forward(self, x: Maps, style: Float[Tensor, "b s"]) -> Float[Tensor, "b d _ _"]:
        scale = self.style(style)
        if not self.demodulates:
            scale = scale / math.sqrt(self.weight[0].numel())
        y = x * scale[:, :, None, None].to(x.dtype)
        if self.doubles:
            y = smoothed(conv_transpose2d(y, self.weight.transpose(0, 1), stride=2), padding=1, gain=4.0)
        else:
            y = conv2d(y, self.weight, padding=self.weight.shape[-1] // 2)
        if self.demodulates:
            power = scale.square() @ self.weight.square().sum((2, 3)).T
            y = y * (power + 1e-8).rsqrt()[:, :, None, None].to(y.dtype)
        return y


class ModulatedLayer(nn.Module):
    """A modulated convolution, noise of one strength, and a leaky ReLU.

    Args:
        before: Input channels.
        after: Output channels.
        style_dim: Size of the style.
        doubles: Whether the map is doubled.
    """

    def __init__(self, before: int, after: int, style_dim: int, doubles: bool = False):
        super().__init__()
        self.convolution = ModulatedConv2d(before, after, style_dim, doubles=doubles)
        self.noise_strength, self.bias = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(after, 1, 1))
        self.activation = ScaledReLU()

    def forward(self, x: Maps, style: Float[Tensor, "b s"], noise: bool) -> Float[Tensor, "b d _ _"]:
        x = self.convolution(x, style)
        if noise:
            plane = torch.randn(len(x), 1, *x.shape[2:], device=x.device, dtype=x.dtype)
            x = x + self.noise_strength * plane
        return self.activation(x + self.bias)


class ToImage(nn.Module):
    """Reads an image from a map; its style scales channels alone.

    Args:
        before: Channels of the map.
        channels: Image channels.
        style_dim: Size of the style.
    """

    def __init__(self, before: int, channels: int, style_dim: int):
        super().__init__()
        self.convolution = ModulatedConv2d(before, channels, style_dim, kernel=1, demodulates=False)
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Maps, style: Float[Tensor, "b s"]) -> Float[Tensor, "b d h w"]:
        return self.convolution(x, style) + self.bias


class StyleGAN2Synthesis(nn.Module):
    """Draws images from styles: the image is the sum of what each size adds.

    Args:
        style_dim: Size of a style.
        channels: Image channels.
        size: Image height and width, a power of 2.
        width: Channels of a map at most.
        base: A map of s pixels a side has `base / s` channels, or `width`.
    """

    def __init__(self, style_dim: int, channels: int, size: int, width: int, base: int):
        super().__init__()
        features = [min(base // side, width) for side in sides(size)]
        self.constant = nn.Parameter(torch.randn(features[0], 4, 4))
        self.layers = nn.ModuleList([ModulatedLayer(features[0], features[0], style_dim)])
        for before, after in pairwise(features):
            self.layers.append(ModulatedLayer(before, after, style_dim, doubles=True))
            self.layers.append(ModulatedLayer(after, after, style_dim))
        self.to_image = nn.ModuleList(ToImage(n, channels, style_dim) for n in features)
        self.num_noises = len(self.layers)
        self.num_layers = len(self.layers) + 1  # the last image has the style behind those of the layers

    def forward(self, styles: Styles, noise: bool | list[bool] = True) -> Images:
        """Draws images.

        Args:
            styles: One for each layer, and one for the last image.
            noise: Whether layers get noise, for all or for each.
        """
        noises = noise if isinstance(noise, list) else [noise] * len(self.layers)
        x: Tensor = self.constant.expand(len(styles), -1, -1, -1)
        image: Tensor | None = None
        for index, (layer, has_noise) in enumerate(zip(self.layers, noises, strict=True)):
            x = layer(x, styles[:, index], has_noise)
            if index % 2 == 0:
                added = self.to_image[index // 2](x, styles[:, index + 1])
                image = added if image is None else doubled(image) + added
        assert image is not None
        return image


class StyleGAN2Generator(StyleBased):
    """Draws images from styles by modulated convolutions, all sizes from the start.

    Args:
        latent_dim: Size of the latent, which is scaled to length sqrt(latent_dim).
        style_dim: Size of a style.
        depth: Layers of the mapping from latents to styles.
        num_classes: Number of classes; 0 has none.
        channels: Image channels.
        size: Image height and width, a power of 2.
        width: Channels of a map at most.
        base: A map of s pixels a side has `base / s` channels, or `width`.
        mixing: Share of the images in training that get the styles of two latents.
        mapping_rate: Factor of the mapping's learning rate.
    """

    def __init__(
        self,
        latent_dim: int = 512,
        style_dim: int = 512,
        depth: int = 8,
        num_classes: int = 0,
        channels: int = 3,
        size: int = 1024,
        width: int = 512,
        base: int = 32768,
        mixing: float = 0.9,
        mapping_rate: float = 0.01,
    ):
        synthesis = StyleGAN2Synthesis(style_dim, channels, size, width, base)
        super().__init__(Mapping(latent_dim, style_dim, depth, num_classes, mapping_rate), synthesis, mixing)
        self.to(memory_format=torch.channels_last)  # faster, benchmarks/speed/style_step.py


class HalvingBlock(nn.Module):
    """Two convolutions to maps of half the size, and a skip beside them.

    Args:
        before: Input channels.
        after: Output channels.
        residual: Whether there is the skip.
    """

    def __init__(self, before: int, after: int, residual: bool):
        super().__init__()
        self.first = nn.Sequential(EqualizedConv2d(before, before, gain=1.0), ScaledReLU())
        self.second = EqualizedConv2d(before, after, gain=1.0, stride=2, padding=0)
        self.activation = ScaledReLU()
        self.skip = EqualizedConv2d(before, after, 1, gain=1.0, bias=False) if residual else None

    def forward(self, x: Maps) -> Float[Tensor, "b d _ _"]:
        y = self.activation(self.second(smoothed(self.first(x), padding=2)))
        return y if self.skip is None else (y + self.skip(halved(x))) * math.sqrt(0.5)


class StyleGAN2Discriminator(nn.Module):
    """Residual blocks that halve the size; with classes the logit is a product with the class's vector.

    Args:
        num_classes: Number of classes; 0 has none.
        channels: Image channels.
        size: Image height and width, a power of 2.
        width: Channels of a map at most.
        base: A map of s pixels a side has `base / s` channels, or `width`.
        group: Images in a group of the minibatch standard deviation at most; 0 leaves it out.
        residual: Whether blocks have skips; without them it is the `orig` of the authors' CIFAR-10 configuration.
    """

    def __init__(
        self,
        num_classes: int = 0,
        channels: int = 3,
        size: int = 1024,
        width: int = 512,
        base: int = 32768,
        group: int = 4,
        residual: bool = True,
    ):
        super().__init__()
        self.channels, self.size = channels, size
        features = [min(base // side, width) for side in sides(size)]
        last = features[0]
        self.from_image = nn.Sequential(EqualizedConv2d(channels, features[-1], 1, gain=1.0), ScaledReLU())
        self.blocks = nn.Sequential(*(HalvingBlock(*pair, residual) for pair in pairwise(reversed(features))))
        self.last = nn.Sequential(
            *[MinibatchDeviation(group)] * bool(group),
            EqualizedConv2d(last + bool(group), last, gain=1.0),
            ScaledReLU(),
            nn.Flatten(),
            EqualizedLinear(16 * last, last, gain=1.0),
            ScaledReLU(),
            EqualizedLinear(last, last if num_classes else 1, gain=1.0),
        )
        self.mapping = Mapping(0, last, 8, num_classes) if num_classes else None
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Images, label: Labels | None = None) -> Float[Tensor, " b"]:
        check_images(image, self.channels, self.size)
        logits = self.last(self.blocks(self.from_image(image)))
        if self.mapping is not None:
            vector = self.mapping(logits.new_zeros(len(image), 0), label)
            logits = (logits * vector).sum(1, keepdim=True) / math.sqrt(vector.shape[1])
        return logits.squeeze(1)
