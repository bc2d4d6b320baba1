"""Attribute2Font's networks (Wang et al., 2020, https://arxiv.org/abs/2005.07865).

They are those of the authors' code, https://github.com/hologerry/Attr2Font, at any power of 2 as size; initial weights
are torch's. Two things differ. Where a map has one place only, an instance norm would be 0, so that the residual blocks
of the authors' style encoder do nothing, and torch refuses it today: here each image's channels are normalized
together. And embeddings are kept divided by 5, so that with one rate of Adam's they move five times as fast as the
rest, as with the authors' 0.001 beside 0.0002.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import embedding

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images
from lightning_gans.networks.translation import Residual

FASTER = 5.0  # embeddings move so many times as fast as the rest
Maps = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b _ _ _"]
Attributes = Float[Tensor, "b k"]


class Attribute2FontGenerator(nn.Module):
    """A U-Net from a character of one font to the same character of another one, whose attributes differ.

    A style encoder looks at some characters of the first font, and residual blocks turn its code, with the difference
    of the attributes behind it, into that of the wanted font. The U-Net gets this code at its middle and at its skips.
    Each layer up also gets the attributes: attribute k has an embedding e_k, and with the difference d_k the outer
    product of d_k e_k with itself is a map, which is added by channel attention and self-attention. A linear layer at
    the middle reads which character it is.

    Args:
        num_attributes: Number of attributes; 37 in the paper.
        num_characters: Number of characters; 52 in the paper.
        num_unlabelled: Fonts whose attributes are learned, being unknown; 968 in the paper.
        channels: Image channels.
        size: Image height and width, a power of 2 of at least 8; 64 in the paper.
        width: Channels of the first layer; 64 in the paper.
        num_styles: Characters of the first font that the style encoder sees; 4 in the paper.
        style_dim: Length of the style encoder's code; 128 in the authors' code.
        blocks: Residual blocks behind it; 16 in the authors' code.
        dropout: Share of channels that is dropped around the middle in training; 0.5 in the authors' code.
    """

    def __init__(
        self,
        num_attributes: int = 12,
        num_characters: int = 62,
        num_unlabelled: int = 0,
        channels: int = 1,
        size: int = 64,
        width: int = 64,
        num_styles: int = 4,
        style_dim: int = 128,
        blocks: int = 16,
        dropout: float = 0.5,
    ):
        super().__init__()
        if size < 8 or size & (size - 1):
            raise ValueError(f"`size` must be a power of 2 and at least 8, got {size}.")
        self.num_attributes, self.num_characters = num_attributes, num_characters
        self.num_unlabelled, self.num_styles = num_unlabelled, num_styles
        self.channels, self.size = channels, size
        depth = size.bit_length() - 1
        widths = [
            width,
            *(width * min(2**level, 8) for level in range(depth)),
        ]  # of maps of all sizes
        wider = [width, *(width * min(2**level, 8) for level in range(1, depth)), style_dim]
        drops = [dropout if level >= 3 else 0.0 for level in range(depth)]
        code = style_dim + num_attributes
        self.encode = nn.Sequential(convolution(channels * num_styles, width, 7), *halved(wider, drops))
        self.transform = nn.Sequential(*(Residual(*residual(code)) for _ in range(blocks)))
        self.first = convolution(channels, width, 7)
        self.down = nn.ModuleList(halved(widths, drops))
        self.classify = nn.Conv2d(widths[-1], num_characters, 1, bias=False)
        self.skip = nn.ModuleList(convolution(after + code, after, 3) for after in widths[1:-1])
        inputs = [*(2 * before for before in widths[2:-1]), widths[-1] + code]  # with their skips, or with the code
        self.up = nn.ModuleList(
            Up(before, after, num_attributes, halvings=level, dropout=drop)
            for level, (before, after, drop) in enumerate(zip(inputs, widths[1:-1], drops, strict=False), 1)
        )
        self.last = nn.Sequential(
            nn.Upsample(scale_factor=2), nn.ZeroPad2d((1, 0, 1, 0)), nn.Conv2d(2 * width, channels, 4, padding=1)
        )
        self.meaning = nn.Parameter(torch.randn(num_attributes, size) / FASTER)
        shape = (num_unlabelled, num_attributes)
        self.learned = nn.Parameter(torch.randn(*shape) / FASTER) if num_unlabelled else None

    def attributes(self, known: Attributes, unlabelled: Int64[Tensor, " b"]) -> Attributes:
        """Returns the attributes of fonts: those given, or sigmoid(3 E) of the fonts whose number is at least 0."""
        if self.learned is None:
            return known
        learned = (3 * FASTER * embedding(unlabelled.clamp(min=0), self.learned)).sigmoid()
        return torch.where((unlabelled < 0)[:, None], known, learned)

    def forward(
        self, source: Float[Tensor, "b c h w"], styles: Float[Tensor, "b s c h w"], difference: Attributes
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b _"]]:
        """Returns the character in the other font, and logits of which character it is."""
        check_images(source, self.channels, self.size)
        if difference.shape[1] != self.num_attributes or styles.shape[1] != self.num_styles:
            raise ValueError(
                f"`num_attributes` and `num_styles` of network and data must agree, got {self.num_attributes} and "
                f"{self.num_styles}, and data with {difference.shape[1]} and {styles.shape[1]}."
            )
        style = torch.cat([self.encode(styles.flatten(1, 2)), difference[:, :, None, None]], 1)
        style = self.transform(style)
        feature = difference[:, :, None] * (FASTER * self.meaning)
        product = feature[:, :, :, None] * feature[:, :, None, :]
        maps = [self.first(source)]
        for layer in self.down:
            maps.append(layer(maps[-1]))
        x = torch.cat([maps[-1], style], 1)
        for level in reversed(range(len(self.up))):
            other = maps[level + 1]
            skip = self.skip[level](torch.cat([other, style.expand(-1, -1, *other.shape[2:])], 1))
            x = torch.cat([self.up[level](x, product), skip], 1)
        logits = self.classify(maps[-1]).flatten(1)
        return self.last(x).tanh(), full_precision(logits)


class Attribute2FontDiscriminator(nn.Module):
    """Judges whether a character is of the font that was asked for, and reads the attributes of its font.

    Strided convolutions tell real from drawn images, beside the source of which an image was drawn. Others read the
    attributes of one image; source and image are read by the same. It returns logits (b, 1, h, w), of which a loss is
    the mean, the attributes of the image, and those of the source.

    Args:
        num_attributes: Number of attributes.
        channels: Image channels.
        size: Image height and width, a multiple of 16; 64 in the paper.
        width: Channels of the first layers; 64 in the authors' code.
    """

    def __init__(self, num_attributes: int = 12, channels: int = 1, size: int = 64, width: int = 64):
        super().__init__()
        if size < 32 or size % 16:
            raise ValueError(f"`size` must be a multiple of 16 and at least 32, got {size}.")
        self.channels, self.size = channels, size
        wide, side = 4 * width, size // 16
        shifted = nn.ZeroPad2d((1, 0, 1, 0))
        self.judge = nn.Sequential(
            *halving(2 * channels, width, 0.1), shifted, nn.Conv2d(wide, 1, 4, padding=1, bias=False)
        )
        self.read = nn.Sequential(
            *halving(channels, width, 0.01),
            shifted,
            nn.Conv2d(wide, wide, 4, padding=1),
            nn.InstanceNorm2d(wide),
            nn.LeakyReLU(0.01),
            nn.Flatten(),
            nn.Linear(wide * side**2, num_attributes),
        )

    def forward(
        self, image: Float[Tensor, "b c h w"], source: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b 1 _ _"], Float[Tensor, "b _"], Float[Tensor, "b _"]]:
        check_images(image, self.channels, self.size)
        of_image, of_source = full_precision(self.read(torch.cat([image, source]))).chunk(2)
        return full_precision(self.judge(torch.cat([source, image], 1))), of_image, of_source


class Up(nn.Module):
    """A layer that doubles a map, and adds the attributes by attention.

    Args:
        before: Channels of the input.
        after: Channels of the output.
        attributes: Number of attributes, each of which has a map.
        halvings: How often these maps are halved, to the size of the output.
        dropout: Share of channels that is dropped in training.
    """

    def __init__(self, before: int, after: int, attributes: int, halvings: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
            SelfAttention(after),
            nn.InstanceNorm2d(after),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        shrink: list[nn.Module] = []
        for _ in range(halvings):
            shrink += [nn.Conv2d(attributes, attributes, 4, 2, 1), ChannelAttention(attributes), nn.ReLU()]
        self.shrink = nn.Sequential(*shrink)
        self.attend = nn.Sequential(
            convolution(attributes + after, after, 3),
            ChannelAttention(after),
            ChannelAttention(after),
            SelfAttention(after),
            nn.ReLU(),
        )

    def forward(self, x: Maps, product: Float[Tensor, "b k i j"]) -> Resized:
        return self.attend(torch.cat([self.layers(x), self.shrink(product)], 1))


class SelfAttention(nn.Module):
    """Adds to each place what all places together have for it (Zhang et al., 2019, https://arxiv.org/abs/1805.08318).

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int):
        super().__init__()
        fewer = max(1, channels // 8)
        self.query, self.key = nn.Conv2d(channels, fewer, 1), nn.Conv2d(channels, fewer, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, x: Maps) -> Maps:
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        weights = (query.transpose(1, 2) @ key).softmax(2)
        return x + self.share * (value @ weights.transpose(1, 2)).reshape(x.shape)


class ChannelAttention(nn.Module):
    """Scales each channel of a map by what the means of all channels say.

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int):
        super().__init__()
        fewer = max(1, channels // 4)
        self.layers = nn.Sequential(nn.Conv2d(channels, fewer, 1), nn.ReLU(), nn.Conv2d(fewer, channels, 1))

    def forward(self, x: Maps) -> Maps:
        return x * self.layers(x.mean((2, 3), keepdim=True)).sigmoid()


def convolution(before: int, after: int, kernel: int) -> nn.Sequential:
    """Returns a convolution that keeps the size, with instance norm and ReLU."""
    layer = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.InstanceNorm2d(after), nn.ReLU())


def halved(widths: list[int], drops: list[float]) -> list[nn.Sequential]:
    """Returns convolutions that halve a map, with instance norm but for the last, and no activation, as the authors.

    Args:
        widths: Channels before, between and after them.
        drops: Share of channels that is dropped in training after each.
    """
    layers = []
    for level, drop in enumerate(drops):
        layer = nn.Conv2d(widths[level], widths[level + 1], 4, 2, 1, bias=False)
        norm = [nn.InstanceNorm2d(widths[level + 1])] * (level < len(drops) - 1)
        layers.append(nn.Sequential(layer, *norm, nn.Dropout(drop)))
    return layers


def residual(channels: int) -> list[nn.Module]:
    """Returns the layers of a residual block for maps of one place."""
    layers: list[nn.Module] = []
    for _ in range(2):
        layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        layers += [layer, nn.GroupNorm(1, channels, affine=False), nn.ReLU()]
    return layers[:-1]


def halving(before: int, width: int, slope: float) -> list[nn.Module]:
    """Returns four strided convolutions of a discriminator, the first without a norm."""
    layers: list[nn.Module] = []
    for level, after in enumerate((width, 2 * width, 4 * width, 4 * width)):
        layers += [nn.Conv2d(before, after, 4, 2, 1), *[nn.InstanceNorm2d(after)] * (level > 0), nn.LeakyReLU(slope)]
        before = after
    return layers
