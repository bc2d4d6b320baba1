"""Pairs of a character in two fonts, with the attributes of both."""

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.openmoji import shrunk
from lightning_gans.datamodules.tensors import InMemory, chosen, shuffled, spread_evenly
from lightning_gans.mechanics.files import hash_of
from lightning_gans.mechanics.randomness import mix


class FontPairs(InMemory):
    """Characters of fonts, each given in one font and to be drawn in another one.

    A batch is `(target, source, styles, attributes of source, attributes of target, character, unlabelled)`: the
    character in both fonts (b, c, h, w), some characters of the source's font (b, s, c, h, w), what is known of both
    fonts (b, k), which character it is (b,), and a number for each font whose attributes are unknown (b, 2), source
    first, otherwise -1.

    In training an epoch goes through the characters of the sources. The target's font is drawn for each, every font
    equally often; where some fonts are labelled and some are not, a coin says first of which kind it is. So are the
    characters that show the style, all different. In evaluation it goes through the characters of the targets. A target
    is then always drawn from the same font, and its style is shown by the same characters.

    Args:
        image: All fonts, 0 for black to 255 for white.
        attribute: Their attributes, from 0 to 1.
        sources: The places of the fonts that are given.
        targets: The places of the fonts that are to be drawn.
        count: Characters in an epoch, evenly spread over the fonts.
        num_styles: Characters of the source's font that show its style.
        channels: 1 for gray, 3 for three equal channels.
        unlabelled: A number for each font whose attributes are unknown, otherwise -1; None knows all.
    """

    noun = "characters of fonts"

    def __init__(
        self,
        image: UInt8[Tensor, "f g h w"],
        attribute: Float32[Tensor, "f k"],
        sources: Int64[Tensor, " n"],
        targets: Int64[Tensor, " m"],
        count: int,
        num_styles: int = 4,
        channels: int = 1,
        unlabelled: Int64[Tensor, " f"] | None = None,
    ):
        self.image = image
        self.attribute = attribute
        self.sources = sources
        self.targets = targets
        self.count = count
        self.num_styles = num_styles
        self.channels = channels
        self.unlabelled = torch.full((len(image),), -1) if unlabelled is None else unlabelled

    @property
    def fingerprint(self) -> str:
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return hash_of(tensors | {"numbers": torch.tensor([self.count, self.num_styles, self.channels])})

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Int64[Tensor, " b"] | Int64[Tensor, "sides b"]) -> tuple[Tensor, ...]:
        """Returns the batch of an order's columns, or by one index for each the characters of the targets in order."""
        source, target, character, *styles = self.in_order(index) if index.ndim == 1 else index
        style = torch.stack(styles, 1)
        return (
            self.drawn(target, character),
            self.drawn(source, character),
            self.drawn(source[:, None], style),
            self.attribute[source],
            self.attribute[target],
            character,
            self.unlabelled[torch.stack([source, target], 1)],
        )

    def drawn(
        self, font: Int64[Tensor, " b *one"], character: Int64[Tensor, " b *s"]
    ) -> Float32[Tensor, " b *s c h w"]:
        """Returns characters of fonts, by the places of both."""
        place = font * self.image.shape[1] + character
        image = chosen(self.image.flatten(0, 1), place.flatten()).unflatten(0, place.shape).unsqueeze(-3)
        return image.expand(*[-1] * place.ndim, self.channels, -1, -1)

    def in_order(self, index: Int64[Tensor, " b"]) -> Int64[Tensor, "sides b"]:
        """Returns source, target, character and style characters for the targets' characters in order."""
        characters = self.image.shape[1]
        item = spread_evenly(self.count, len(self.targets) * characters)[index]
        fixed = shuffled(len(self.sources), len(self.targets), 0)
        target, styles = item // characters, spread_evenly(self.num_styles, characters)
        rows = [self.sources[fixed[target]], self.targets[target], item % characters]
        return torch.stack([*rows, *styles[:, None].expand(-1, len(index))])

    def order(self, seed: int, epoch: int) -> Int64[Tensor, "sides n"]:
        characters = self.image.shape[1]
        item = spread_evenly(self.count, len(self.sources) * characters)
        item = item[shuffled(self.count, self.count, seed, epoch)]
        random = torch.Generator().manual_seed(mix(seed, epoch))
        kinds = [self.targets[(self.unlabelled[self.targets] >= 0) == kind] for kind in (False, True)]
        kinds = [kind for kind in kinds if len(kind)]
        coin = torch.randint(len(kinds), (self.count,), generator=random)
        drawn = [kind[shuffled(len(kind), self.count, seed, epoch, side)] for side, kind in enumerate(kinds, 1)]
        target = torch.stack(drawn).gather(0, coin[None])[0]
        styles = torch.rand(self.count, characters, generator=random).argsort(1)[:, : self.num_styles]
        return torch.stack([self.sources[item // characters], target, item % characters, *styles.T])


class FontPairsDataModule(TensorDataModule):
    """Base of the data modules of fonts; a subclass reads them in `load` by `pairs`.

    Args:
        size: Height and width in pixels.
        num_styles: Characters of the source's font that show its style.
        channels: 1 for gray, 3 for three equal channels.
        num_images: Characters in an epoch; None takes all.
        num_evaluation_images: Characters to evaluate on, evenly spread over the fonts held out; None takes all.
        batch_size: Images per batch and process.
    """

    def __init__(
        self,
        size: int,
        num_styles: int,
        channels: int,
        num_images: int | None,
        num_evaluation_images: int | None,
        batch_size: int,
    ):
        super().__init__(batch_size)
        for name, value in (("num_images", num_images), ("num_evaluation_images", num_evaluation_images)):
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, or null for all, got {value}.")
        if num_styles < 1:
            raise ValueError(f"`num_styles` must be at least 1, got {num_styles}.")
        if channels not in (1, 3):
            raise ValueError(f"`channels` must be 1 or 3, got {channels}.")
        self.size, self.num_styles, self.channels = size, num_styles, channels
        self.num_images, self.num_evaluation_images = num_images, num_evaluation_images
        self.attribute_names: list[str] = []
        """Names of the attributes, from `setup` on."""
        self.font_names: list[str] = []
        """Names of all fonts, in the order of `training.image`."""
        self.characters = ""
        """All characters, in their order."""
        self.num_unlabelled = 0

    def pairs(
        self,
        image: UInt8[Tensor, "f g h w"],
        attribute: Float32[Tensor, "f k"],
        training: Int64[Tensor, " n"],
        evaluation: Int64[Tensor, " m"],
        unlabelled: Int64[Tensor, " u"],
    ) -> tuple[FontPairs, FontPairs]:
        """Returns the pairs to train on and to evaluate on.

        Args:
            image: All fonts.
            attribute: Their attributes.
            training: Places of the fonts to train on.
            evaluation: Places of the fonts held out, which are drawn from those to train on.
            unlabelled: Places of the fonts to train on whose attributes are not used.
        """
        number = torch.full((len(image),), -1)
        number[unlabelled] = torch.arange(len(unlabelled))
        self.num_unlabelled = len(unlabelled)
        made = []
        for targets, count in ((training, self.num_images), (evaluation, self.num_evaluation_images)):
            known = len(targets) * image.shape[1]
            options = (self.num_styles, self.channels, number)
            made.append(FontPairs(image, attribute, training, targets, min(count or known, known), *options))
        return made[0], made[1]


def checked_size(size: int) -> int:
    """Returns the size of characters that are drawn at 64 pixels, which must be 32 or 64."""
    if size not in (32, 64):
        raise ValueError(f"`size` must be 32 or 64, got {size}.")
    return size


def smaller(image: UInt8[Tensor, "f g h w"], size: int) -> UInt8[Tensor, "f g {size} {size}"]:
    """Returns characters at this size, means of blocks of their pixels."""
    return torch.cat([shrunk(part, size) for part in image.split(16)])
