"""StarGAN's networks (Choi et al., 2018, https://arxiv.org/abs/1711.09020, tables 4 and 5).

Initial weights are torch's, as in the authors' code, https://github.com/yunjey/stargan.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import Labels, check_images, class_shares
from lightning_gans.networks.translation import Residual, check_sides, upsampling


class StarGANGenerator(nn.Module):
    """Convolutions from an image and the label of a domain to the image in that domain.

    The label is one more channel for each class or attribute, filled with its value. Sides are padded with zeros: with
    reflected ones, instance norm would take the label away, as the authors' code remarks. Each image is normalized by
    itself, in evaluation too, as the authors never leave training mode.

    Args:
        num_classes: Number of classes or attributes.
        channels: Image channels.
        width: Channels of the first layer; 64 in the paper.
        blocks: Residual blocks; 6 in the paper.
        upsample: `transposed` convolutions as in the paper, or `resize`, which repeats pixels before a convolution,
            against checkerboards.
    """

    def __init__(
        self, num_classes: int, channels: int = 3, width: int = 64, blocks: int = 6, upsample: str = "transposed"
    ):
        super().__init__()
        self.num_classes, self.channels = num_classes, channels

        def convolution(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            layer = nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, bias=False)
            return [layer, nn.InstanceNorm2d(after, affine=True)]

        wide = 4 * width
        layers = [*convolution(channels + num_classes, width, 7), nn.ReLU()]
        layers += [*convolution(width, 2 * width, 4, 2), nn.ReLU(), *convolution(2 * width, wide, 4, 2), nn.ReLU()]
        layers += [Residual(*convolution(wide, wide, 3), nn.ReLU(), *convolution(wide, wide, 3)) for _ in range(blocks)]
        for before in (wide, 2 * width):
            layers += upsampling(upsample, before, before // 2, 4, bias=False)
            layers += [nn.InstanceNorm2d(before // 2, affine=True), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 7, padding=3, bias=False), nn.Tanh())

    def forward(self, image: Float[Tensor, "b c h w"], label: Labels) -> Float[Tensor, "b c h w"]:
        check_images(image, self.channels)
        check_sides(image, 4, 8)
        planes = class_shares(label, self.num_classes, image)[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return self.layers(torch.cat([image, planes], 1))


class StarGANDiscriminator(nn.Module):
    """Strided convolutions from an image to logits of patches, and to logits of its domain.

    Each layer halves the size and doubles the channels; leaky ReLU of slope 0.01, and no norm. It returns the logits of
    real against fake (b, 1, h, w), of which a loss is the mean, and those of the classes (b, k).

    Args:
        num_classes: Number of classes or attributes.
        channels: Image channels.
        size: Image height and width, a multiple of 2 to the power of `depth`; 128 in the paper.
        width: Channels of the first layer; 64 in the paper.
        depth: Layers before the logits; 6 in the paper.
    """

    def __init__(self, num_classes: int, channels: int = 3, size: int = 128, width: int = 64, depth: int = 6):
        super().__init__()
        if depth < 1 or size < 1 or size % 2**depth:
            raise ValueError(
                f"`size` must be a multiple of 2 to the power of `depth`, which is at least 1, got {size} and {depth}."
            )
        self.channels, self.size = channels, size
        features = [channels, *(width * 2**level for level in range(depth))]
        layers: list[nn.Module] = []
        for before, after in zip(features[:-1], features[1:], strict=True):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers)
        self.judge = nn.Conv2d(features[-1], 1, 3, padding=1, bias=False)
        self.classify = nn.Conv2d(features[-1], num_classes, size // 2**depth, bias=False)

    def forward(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b 1 _ _"], Float[Tensor, "b k"]]:
        check_images(image, self.channels, self.size)
        features = self.layers(image)
        return full_precision(self.judge(features)), full_precision(self.classify(features).flatten(1))
