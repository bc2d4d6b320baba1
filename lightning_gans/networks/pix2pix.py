"""pix2pix's networks (Isola et al., 2017, https://arxiv.org/abs/1611.07004, section 6.1)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout, leaky_relu, relu

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images
from lightning_gans.networks.translation import Halve, initialize, upsampling

HALVINGS = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}  # before the last two layers, by receptive field


class AlwaysDropout(nn.Dropout):
    """Dropout that evaluation mode does not turn off: it is the generator's only source of chance."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return dropout(input, self.p, training=True)


class UNetGenerator(nn.Module):
    """Convolutions down to one place and back up, with skips between maps of the same size.

    Each layer halves the size, with channels `width` times 1, 2, 4, 8, 8 and so on, leaky ReLU of slope 0.2 before it;
    the way back is the same with ReLU. Dropout follows the layers whose maps are 2, 4 and 8 pixels wide, as in the
    authors' Torch code.

    The paper evaluates with dropout and with batch norm by statistics of the test batch, of one image. Here dropout is
    always on, and each image is normalized by itself, which is the same at a batch of one and independent of the batch
    at any. The first layer, the innermost and the last have no norm.

    Args:
        source_channels: Channels of the given image.
        channels: Channels of the image that is made.
        size: Image height and width, a power of two and at least 8; 256 in the paper.
        width: Channels of the first layer; 64 in the paper.
        skips: False leaves them out, which makes it the paper's encoder-decoder.
        upsample: `transposed` convolutions as in the paper, or `resize`, which repeats pixels before a convolution,
            against checkerboards.
        drop: Share of values dropped; 0 drops none.
    """

    def __init__(
        self,
        source_channels: int = 3,
        channels: int = 3,
        size: int = 256,
        width: int = 64,
        skips: bool = True,
        upsample: str = "transposed",
        drop: float = 0.5,
    ):
        super().__init__()
        if size < 8 or size & (size - 1):
            raise ValueError(f"`size` must be a power of two and at least 8, got {size}.")
        self.source_channels, self.channels, self.size = source_channels, channels, size
        self.skips = skips
        depth = size.bit_length() - 1
        features = [width * min(2**level, 8) for level in range(depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, after in enumerate(features):
            before = features[level - 1] if level else source_channels
            layers: list[nn.Module] = [nn.Conv2d(before, after, 4, 2, 1, bias=False)]
            if 0 < level < depth - 1:
                layers.append(nn.InstanceNorm2d(after, affine=True))
            self.down.append(nn.Sequential(*layers))
        for level in reversed(range(depth)):
            joined = 2 if skips and level < depth - 1 else 1
            before, after = joined * features[level], features[level - 1] if level else channels
            layers = upsampling(upsample, before, after, 4, bias=level == 0)
            if level:
                layers.append(nn.InstanceNorm2d(after, affine=True))
            if level >= max(depth - 3, 1):
                layers.append(AlwaysDropout(drop))
            self.up.append(nn.Sequential(*layers))
        initialize(self)

    def forward(self, source: Float[Tensor, "b k h w"]) -> Float[Tensor, "b c h w"]:
        check_images(source, self.source_channels, self.size)
        maps = [self.down[0](source)]
        for layer in self.down[1:]:
            maps.append(layer(leaky_relu(maps[-1], 0.2)))
        x = maps.pop()
        for layer in self.up[:-1]:
            x = layer(relu(x))
            other = maps.pop()
            x = torch.cat([other, x], 1) if self.skips else x
        return self.up[-1](relu(x)).tanh()


class PatchDiscriminator(nn.Module):
    """Convolutions from an image to a map of logits, each of which judges a patch (PatchGAN).

    Each layer but the last two halves the size and doubles the channels, up to 8 times the first; leaky ReLU of slope
    0.2. Each image is normalized by itself in all layers but the first and the last. Logits are (b, 1, h, w), and a
    loss is their mean. In `antialiased` networks a convolution keeps the size and a filter halves it, so that a logit
    sees more.

    Args:
        channels: Channels of the judged image.
        source_channels: Channels of a given image that is judged with it; 0 gets none.
        width: Channels of the first layer; 64 in the paper.
        receptive_field: Height and width of the patches in pixels: 1, 16, 34, 70, 142 or 286; 70 in most of the paper.
        affine: Whether norms have scales and shifts, as pix2pix's batch norms, or not, as CycleGAN's instance norms.
        antialiased: True halves maps after a filter, as CUT does.
        initial: Initial weights: `normal`, or `xavier` as in CUT.
    """

    def __init__(
        self,
        channels: int = 3,
        source_channels: int = 0,
        width: int = 64,
        receptive_field: int = 70,
        affine: bool = True,
        antialiased: bool = False,
        initial: str = "normal",
    ):
        super().__init__()
        if receptive_field not in HALVINGS:
            raise ValueError(
                f"`receptive_field` must be one of {', '.join(map(str, HALVINGS))}, got {receptive_field}."
            )
        self.channels, self.source_channels = channels, source_channels
        self.receptive_field = receptive_field
        halvings = HALVINGS[receptive_field]
        # The norm before the logits needs more than one place.
        self.least = 3 * 2**halvings if halvings else 2
        kernel, pad = (4, 1) if halvings else (1, 0)
        layers: list[nn.Module] = []
        before = channels + source_channels
        for level in range(max(halvings, 1) + 1):
            after, halves = width * min(2**level, 8), level < halvings
            stride = 2 if halves and not antialiased else 1
            layers += [nn.Conv2d(before, after, kernel, stride, pad, bias=level == 0 or not affine)]
            layers += [nn.InstanceNorm2d(after, affine=affine)] if level else []
            layers += [nn.LeakyReLU(0.2)]
            layers += [Halve()] if halves and antialiased else []
            before = after
        # The authors' network of single pixels has no bias beside batch norm.
        layers += [nn.Conv2d(before, 1, kernel, 1, pad, bias=halvings > 0 or not affine)]
        self.layers = nn.Sequential(*layers)
        initialize(self, initial)

    def forward(
        self, image: Float[Tensor, "b c h w"], source: Float[Tensor, "b k h w"] | None = None
    ) -> Float[Tensor, "b 1 _ _"]:
        check_images(image, self.channels)
        given = 0 if source is None else source.shape[1]
        if given != self.source_channels:
            raise ValueError(
                f"`source_channels` of the network is {self.source_channels}, but it was given an image with {given} "
                "beside the judged one: 0 is for networks that get none."
            )
        if min(image.shape[2:]) < self.least:
            height, width = image.shape[2:]
            raise ValueError(
                f"`receptive_field` of {self.receptive_field} needs images of at least {self.least} pixels a side, got "
                f"{height} x {width}: choose a smaller one."
            )
        return full_precision(self.layers(image if source is None else torch.cat([source, image], 1)))
