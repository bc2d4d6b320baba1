"""Data sets that live in memory: a batch is one indexing, and each knows the order of its epochs.

There is one for each kind of task. In a batch the images to draw come first: `(image, label)`, `(point, mode)`,
`(target, source)`, `(next, previous)`, `(image, text, label)`; unpaired images are `(x, y)`.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from lightning_gans.mechanics.files import hash_of
from lightning_gans.mechanics.randomness import mix


class InMemory(Dataset, ABC):
    """A data set that is indexed by a whole batch at once, also by a loader that knows only lists of indices."""

    noun = "images"
    """The name of its items, for messages."""

    @abstractmethod
    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Tensor, ...]: ...

    @abstractmethod
    def __len__(self) -> int: ...

    def __getitems__(self, index: list[int]) -> tuple[Tensor, ...]:
        return self[torch.tensor(index)]

    def order(self, seed: int, epoch: int) -> Int64[Tensor, "*sides n"]:
        """Returns the indices of an epoch, shuffled; batches are cut from their last axis."""
        return shuffled(len(self), len(self), seed, epoch)

    @property
    def fingerprint(self) -> str:
        """The name of the data, from all of their bytes unless a subclass knows a faster way."""
        return hash_of(vars(self))


class TensorImages(InMemory):
    """Labelled images in memory, indexed by a whole batch at once.

    Args:
        image: The images, 0 for black to 255 for white.
        label: Their classes, or several labels of each.
    """

    def __init__(self, image: UInt8[Tensor, "n c h w"], label: Int64[Tensor, " n *k"]):
        self.image = image
        self.label = label

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b c h w"], Int64[Tensor, " b *k"]]:
        return chosen(self.image, index), self.label.index_select(0, index)


class Mirrored(InMemory):
    """Labelled images, and behind them the same ones mirrored left to right: twice as many.

    Args:
        images: The images.
    """

    def __init__(self, images: TensorImages):
        self.images = images

    @property
    def label(self) -> Int64[Tensor, " n *k"]:
        """The labels of all."""
        return torch.cat([self.images.label] * 2)

    @property
    def fingerprint(self) -> str:
        return hash_of({f"{self.images.fingerprint} mirrored": torch.tensor(len(self))})

    def __len__(self) -> int:
        return 2 * len(self.images)

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b c h w"], Int64[Tensor, " b *k"]]:
        image, label = self.images[index % len(self.images)]
        behind = (index >= len(self.images))[:, None, None, None]
        return torch.where(behind, image.flip(3), image), label


class TensorPoints(InMemory):
    """Labelled points in memory, indexed by a whole batch at once.

    Args:
        point: The points, as they are.
        label: Their classes.
    """

    noun = "points"

    def __init__(self, point: Float32[Tensor, "n k"], label: Int64[Tensor, " n"]):
        self.point = point
        self.label = label

    def __len__(self) -> int:
        return len(self.point)

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b k"], Int64[Tensor, " b"]]:
        return self.point.index_select(0, index), self.label.index_select(0, index)


class ImagePairs(InMemory):
    """Pairs of images in memory, of which the second is given and the first is to be drawn.

    Args:
        target: The images to draw, 0 for black to 255 for white.
        source: What each is drawn from; channels and size may be others.
    """

    noun = "pairs of images"

    def __init__(self, target: UInt8[Tensor, "n c h w"], source: UInt8[Tensor, "n k i j"]):
        if len(target) != len(source):
            raise ValueError(f"`target` and `source` must be equally many, got {len(target)} and {len(source)}.")
        self.target = target
        self.source = source

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b c h w"], Float32[Tensor, "b k i j"]]:
        return chosen(self.target, index), chosen(self.source, index)


class Unpaired(InMemory):
    """Two sets of images in memory that belong together as sets only, such as photographs and paintings.

    An epoch goes once through the longer set, and the shorter one starts over as often as it must. Each set is shuffled
    for itself, and anew each time it starts.

    Args:
        x: The images of one domain, 0 for black to 255 for white.
        y: The images of the other domain; number, channels and size may be others.
    """

    noun = "unpaired images"

    def __init__(self, x: UInt8[Tensor, "n c h w"], y: UInt8[Tensor, "m k i j"]):
        for name, images in (("x", x), ("y", y)):
            if not len(images):
                raise ValueError(f"`{name}` must hold at least one image, got none.")
        self.x = x
        self.y = y

    def __len__(self) -> int:
        return max(len(self.x), len(self.y))

    def __getitem__(
        self, index: Int64[Tensor, " b"] | Int64[Tensor, "2 b"]
    ) -> tuple[Float32[Tensor, "b c h w"], Float32[Tensor, "b k i j"]]:
        """Returns a batch of each set, by an index for each, or by one for both that counts on past the shorter set."""
        of_x, of_y = index.expand(2, -1)
        return chosen(self.x, of_x % len(self.x)), chosen(self.y, of_y % len(self.y))

    def order(self, seed: int, epoch: int) -> Int64[Tensor, "2 n"]:
        sides = enumerate((self.x, self.y))
        return torch.stack([shuffled(len(images), len(self), seed, epoch, side) for side, images in sides])


class TextImages(InMemory):
    """Images with captions in memory; of captions there are only the vectors that an encoder made of them.

    In a batch the label only serves to find a text of another image: one whose label is another.

    Args:
        image: The images, 0 for black to 255 for white.
        embedding: The vectors of all different captions.
        caption: The captions of each image, as rows of `embedding`.
        label: Their classes.
        pixels: Names the images, so that not all of their bytes must be read for it.
    """

    def __init__(
        self,
        image: UInt8[Tensor, "n c h w"],
        embedding: Float32[Tensor, "m k"],
        caption: Int64[Tensor, "n captions"],
        label: Int64[Tensor, " n"],
        pixels: str | None = None,
    ):
        if not len(image) == len(caption) == len(label):
            numbers = f"{len(image)}, {len(caption)} and {len(label)}"
            raise ValueError(f"`image`, `caption` and `label` must be equally many, got {numbers}.")
        self.image = image
        self.embedding = embedding
        self.caption = caption
        self.label = label
        self.pixels = pixels

    @property
    def noun(self) -> str:  # type: ignore[override]
        """The name of its items, for messages."""
        count = self.caption.shape[1]
        return "images with a caption" if count == 1 else f"images with {count} captions each"

    @property
    def fingerprint(self) -> str:
        image = hash_of({"image": self.image}) if self.pixels is None else self.pixels
        return hash_of({image: self.label, "embedding": self.embedding, "caption": self.caption})

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(
        self, index: Int64[Tensor, " b"]
    ) -> tuple[Float32[Tensor, "b c h w"], Float32[Tensor, "b captions k"], Int64[Tensor, " b"]]:
        return chosen(self.image, index), self.texts(index), self.label[index]

    def texts(self, index: Int64[Tensor, " b"]) -> Float32[Tensor, "b captions k"]:
        """Returns the vectors of the captions of some images."""
        rows = self.caption[index]
        return self.embedding.index_select(0, rows.flatten()).unflatten(0, rows.shape)


class AskedTexts(InMemory):
    """Texts that images are wanted of, several of each; in a batch they stand where those of images do.

    Args:
        embedding: The vectors of the texts.
        count: Images of each text.
        shape: Channels, height and width of the images.
    """

    noun = "wanted images"

    def __init__(self, embedding: Float32[Tensor, "m k"], count: int, shape: tuple[int, int, int]):
        self.embedding = embedding
        self.count = count
        self.shape = shape

    def __len__(self) -> int:
        return self.count * len(self.embedding)

    def __getitem__(
        self, index: Int64[Tensor, " b"]
    ) -> tuple[Float32[Tensor, "b c h w"], Float32[Tensor, "b 1 k"], Int64[Tensor, " b"]]:
        """Returns grey images, which nothing is drawn from, texts, and as labels the numbers of the wanted images."""
        return torch.zeros(len(index), *self.shape), self.embedding[index // self.count][:, None], index


class UnpairedSets(InMemory):
    """The images of two data sets of any kind that belong together as sets only.

    An epoch goes once through the longer set, and the shorter one starts over as often as it must. Each set has the
    order that it has alone, another one each time it starts.

    Args:
        x: The images of one domain, the first part of its batches.
        y: The images of the other domain; number, channels and size may be others.
        labels: Adds the labels of both to a batch, `(x, y, label of x, label of y)`.
        in_color: Whether grey images get three equal channels.
    """

    noun = "unpaired images"

    def __init__(self, x: InMemory, y: InMemory, labels: bool = False, in_color: bool = False):
        self.x = x
        self.y = y
        self.labels = labels
        self.in_color = in_color

    @property
    def fingerprint(self) -> str:
        return hash_of({f"{self.x.fingerprint} {self.y.fingerprint}": torch.tensor([self.labels, self.in_color])})

    def __len__(self) -> int:
        return max(len(self.x), len(self.y))

    def __getitem__(self, index: Int64[Tensor, " b"] | Int64[Tensor, "2 b"]) -> tuple[Tensor, ...]:
        """Returns a batch of each set, by an index for each, or by one for both that counts on past the shorter set."""
        both = (self.x, self.y)
        places = index if index.ndim == 2 else [index % len(images) for images in both]
        (x, *of_x), (y, *of_y) = (images[place] for images, place in zip(both, places, strict=True))
        if self.in_color:
            x, y = (image.expand(-1, 3, -1, -1) for image in (x, y))
        return (x, y, of_x[0], of_y[0]) if self.labels else (x, y)

    def order(self, seed: int, epoch: int) -> Int64[Tensor, "2 n"]:
        return torch.stack([self.rounds(images, seed, epoch, side) for side, images in enumerate((self.x, self.y))])

    def rounds(self, images: InMemory, seed: int, epoch: int, side: int) -> Int64[Tensor, " n"]:
        """Returns the indices of one side, in an order of its own for each time that it is gone through."""
        orders = [images.order(mix(seed, side, start), epoch) for start in range(-(-len(self) // len(images)))]
        return torch.cat(orders)[: len(self)]


class Sequences(InMemory):
    """Sequences of frames in memory, of which the last is to be drawn from those before it.

    Args:
        frames: Sequences of equally many frames, at least 2, 0 for black to 255 for white.
    """

    noun = "sequences"

    def __init__(self, frames: UInt8[Tensor, "n t c h w"]):
        if frames.shape[1] < 2:
            raise ValueError(f"`frames` must hold sequences of at least 2 frames, got {frames.shape[1]}.")
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(
        self, index: Int64[Tensor, " b"]
    ) -> tuple[Float32[Tensor, "b c h w"], Float32[Tensor, "b past c h w"]]:
        frames = chosen(self.frames, index)
        return frames[:, -1], frames[:, :-1]


def chosen(images: UInt8[Tensor, " n *shape"], index: Int64[Tensor, " b"]) -> Float32[Tensor, " b *shape"]:
    """Returns some images, from -1 for black to 1 for white."""
    return floats(images.index_select(0, index))


def floats(pixels: UInt8[Tensor, "*shape"]) -> Float32[Tensor, "*shape"]:
    """Returns bytes as floats, from -1 for black to 1 for white."""
    return pixels.float().div_(127.5).sub_(1)


def shuffled(size: int, count: int, *seeds: int) -> Int64[Tensor, " {count}"]:
    """Returns `count` places out of `size`, shuffled by the seeds; each comes once before any comes again."""
    seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
    generator = torch.Generator().manual_seed(seed)
    rounds = range(-(-count // size))
    return torch.cat([torch.randperm(size, generator=generator) for _ in rounds])[:count]


def held_out(group: Int64[Tensor, " n"], share: float) -> tuple[Int64[Tensor, " k"], Int64[Tensor, " m"]]:
    """Returns the places to train on and those held out, at least a share of all, in groups that stay together.

    Which groups are held out depends on nothing but the groups and the share, and more with a larger share.
    """
    count = group.bincount()
    chosen = torch.randperm(len(count), generator=torch.Generator().manual_seed(0))
    before = count[chosen].cumsum(0) - count[chosen]
    out = torch.zeros(len(count), dtype=torch.bool)
    out[chosen[before < share * len(group)]] = True
    return (~out[group]).nonzero().flatten(), out[group].nonzero().flatten()


def spread_evenly(count: int, size: int) -> Int64[Tensor, " {count}"]:
    """Returns `count` places, evenly spread over `size`; some come several times if there are more than `size`."""
    return torch.arange(count) * size // count
