"""CycleGAN's generator, which CUT has too; the discriminator is pix2pix's."""

from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.checks import check_images
from lightning_gans.networks.translation import Halve, ReflectionPad, Residual, check_sides, initialize, upsampling


class ResNetGenerator(nn.Module):
    """Two halvings, residual blocks and two doublings from image to image.

    Source: Zhu et al., 2017, https://arxiv.org/abs/1703.10593, section 7.2. The layers are as in Johnson et al. (2016,
    https://arxiv.org/abs/1603.08155), with reflected sides. Each image is normalized by itself. Images may have any
    size whose sides are multiples of 4.

    Args:
        source_channels: Channels of the given image.
        channels: Channels of the image that is made.
        width: Channels of the first layer; 64 in the paper.
        blocks: Residual blocks; 9 in the paper, and 6 for 128 pixels.
        antialiased: True halves and doubles maps with filters, as CUT does (Park et al., 2020,
            https://arxiv.org/abs/2007.15651); `upsample` must then be left as it is.
        upsample: `transposed` convolutions as in the paper, or `resize`, which repeats pixels before a convolution,
            against checkerboards.
        affine: Whether norms have scales and shifts; without them, as here by default, convolutions have biases.
        initial: Initial weights: `normal`, or `xavier` as in CUT.
    """

    def __init__(
        self,
        source_channels: int = 3,
        channels: int = 3,
        width: int = 64,
        blocks: int = 9,
        antialiased: bool = False,
        upsample: str = "transposed",
        affine: bool = False,
        initial: str = "normal",
    ):
        super().__init__()
        if blocks < 1:
            raise ValueError(f"`blocks` must be at least 1, got {blocks}.")
        if antialiased and upsample != "transposed":
            raise ValueError(f"`upsample` must be left out if `antialiased` is true, got {upsample!r}.")
        self.source_channels, self.channels = source_channels, channels

        def convolution(before: int, after: int, kernel: int, stride: int = 1, pad: int = 0) -> nn.Module:
            return nn.Conv2d(before, after, kernel, stride, pad, bias=not affine)

        def block() -> nn.Module:
            wide = 4 * width
            first = [ReflectionPad(1), convolution(wide, wide, 3), nn.InstanceNorm2d(wide, affine=affine), nn.ReLU()]
            second = [ReflectionPad(1), convolution(wide, wide, 3), nn.InstanceNorm2d(wide, affine=affine)]
            return Residual(*first, *second)

        layers: dict[str, nn.Module] = {"padded": ReflectionPad(3), "conv0": convolution(source_channels, width, 7)}
        before = width
        for level in (1, 2):
            layers[f"norm{level}"] = nn.Sequential(nn.InstanceNorm2d(before, affine=affine), nn.ReLU())
            if antialiased and level == 2:
                layers["halve1"] = Halve()
            layers[f"conv{level}"] = convolution(before, 2 * before, 3, 1 if antialiased else 2, 1)
            before *= 2
        layers["norm3"] = nn.Sequential(nn.InstanceNorm2d(before, affine=affine), nn.ReLU())
        if antialiased:
            layers["halve2"] = Halve()
        layers |= {f"block{number}": block() for number in range(1, blocks + 1)}
        up: list[nn.Module] = []
        for _ in range(2):
            up += upsampling("blur" if antialiased else upsample, before, before // 2, 3, bias=not affine)
            up += [nn.InstanceNorm2d(before // 2, affine=affine), nn.ReLU()]
            before //= 2
        layers["up"] = nn.Sequential(*up, ReflectionPad(3), nn.Conv2d(width, channels, 7), nn.Tanh())
        self.layers = nn.ModuleDict(layers)
        middle = f"block{(blocks + 1) // 2}"
        self.feature_channels = {"padded": source_channels, "conv1": 2 * width, "conv2": 4 * width}
        self.feature_channels |= {"block1": 4 * width, middle: 4 * width}
        """Channels of the maps that `features` returns, by name."""
        initialize(self, initial)

    def forward(self, source: Float[Tensor, "b k h w"]) -> Float[Tensor, "b c h w"]:
        check_images(source, self.source_channels)
        check_sides(source, 4, 8)
        x = source
        for layer in self.layers.values():
            x = layer(x)
        return x

    def features(self, image: Float[Tensor, "b k h w"]) -> dict[str, Float[Tensor, "b _ _ _"]]:
        """Returns the maps that CUT compares, in order: the padded image, both halving convolutions and two blocks.

        The convolutions' maps are those before their norms. The blocks are the first and the middle one, which is
        `block5` of 9 as in CUT. Layers after it are not run. The image may be a sample, if source and target have
        equal channels.
        """
        check_images(image, self.source_channels)
        check_sides(image, 4, 8)
        maps, x = {}, image
        for name, layer in self.layers.items():
            x = layer(x)
            if name in self.feature_channels:
                maps[name] = x
            if len(maps) == len(self.feature_channels):
                break
        return maps
