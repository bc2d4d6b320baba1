"""A feed-forward network of style transfer."""

from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.checks import check_images
from lightning_gans.networks.translation import ReflectionPad, Repeat, Residual, check_sides


class StyleTransferGenerator(nn.Module):
    """Residual blocks from an image to the same in another style (Johnson et al., 2016, https://arxiv.org/abs/1603.08155).

    Layers are those of https://github.com/pytorch/examples (fast_neural_style): reflected sides, doublings that repeat
    pixels before a convolution, and instance norm with scales and shifts; tanh at the end, as in the authors' code.
    Initial weights are torch's. Images may have any size whose sides are multiples of 4.

    Args:
        channels: Image channels.
        width: Channels of the first layer; 32 in both codes.
        blocks: Residual blocks; 5 in both codes.
    """

    def __init__(self, channels: int = 3, width: int = 32, blocks: int = 5):
        super().__init__()
        self.channels = channels

        def convolution(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            return [ReflectionPad(kernel // 2), nn.Conv2d(before, after, kernel, stride)]

        def normalized(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            return [*convolution(before, after, kernel, stride), nn.InstanceNorm2d(after, affine=True)]

        wide = 4 * width
        layers = [*normalized(channels, width, 9), nn.ReLU()]
        layers += [*normalized(width, 2 * width, 3, 2), nn.ReLU(), *normalized(2 * width, wide, 3, 2), nn.ReLU()]
        layers += [Residual(*normalized(wide, wide, 3), nn.ReLU(), *normalized(wide, wide, 3)) for _ in range(blocks)]
        layers += [Repeat(), *normalized(wide, 2 * width, 3), nn.ReLU()]
        layers += [Repeat(), *normalized(2 * width, width, 3), nn.ReLU()]
        self.layers = nn.Sequential(*layers, *convolution(width, channels, 9), nn.Tanh())

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        check_images(image, self.channels)
        check_sides(image, 4, 8)
        return self.layers(image)
