"""From texts to vectors: the encoder that the package ships, any other one, and vectors that are computed once."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import normalize
from torch import Tensor
from tqdm import tqdm

from lightning_gans.datamodules.pixel_cache import cached_pixels, fingerprint_of

AT_ONCE = 1024  # texts that an encoder gets in one call
SAMPLE = "a small red bird with 7 white stripes, seen from the left"  # whose vector tells encoders apart
TOLERANCE = 0.02  # by which its vector may differ between machines, relative to its length


class TextEncoder(ABC):
    """A way from texts to vectors that a recipe can name, with its settings.

    Its `repr` tells it from others. A plain function, or any other object that is called alike, does as well.
    """

    @abstractmethod
    def __call__(self, texts: list[str]) -> Any:
        """Returns the vectors (n, k) of n texts, as a tensor, an array or lists."""


Encoder = TextEncoder | str | Callable[[list[str]], Any]
"""An encoder, or the dotted path of one."""


class HashedWords(TextEncoder):
    """Words, pairs of words and groups of three letters, counted by their hashes; nothing is learned or downloaded.

    A hash gives each of them a place in the vector and a sign (Weinberger et al., 2009,
    https://arxiv.org/abs/0902.2206), and the vector has length 1. So texts with equal words are near each other, and
    no word is unknown; but that two words mean the same is not known either.

    Args:
        dim: Length of the vectors.
    """

    def __init__(self, dim: int = 512):
        if dim < 1:
            raise ValueError(f"`dim` must be at least 1, got {dim}.")
        self.dim = dim
        counted: dict[str, Any] = {"n_features": dim, "norm": None}
        self.words = HashingVectorizer(**counted, ngram_range=(1, 2), token_pattern=r"\w+")
        self.letters = HashingVectorizer(**counted, analyzer="char_wb", ngram_range=(3, 3))

    def __repr__(self) -> str:
        return f"HashedWords(dim={self.dim})"

    def __call__(self, texts: list[str]) -> Float32[np.ndarray, "n {self.dim}"]:
        counts = self.words.transform(texts) + self.letters.transform(texts)
        return normalize(counts).toarray().astype(np.float32)


class CheckedEncoder:
    """An encoder that is known by its name and by its vector of a sample text, and whose vectors are checked.

    Args:
        encoder: The encoder, or the dotted path of one, such as `my_encoders.encode`; of a class, an instance is made.
    """

    def __init__(self, encoder: Encoder):
        self.encoder = encoder

    @property
    def name(self) -> str:
        """The dotted path that was given, a function's own path, or an object as it is printed."""
        if isinstance(self.encoder, str):
            return self.encoder
        if isinstance(self.encoder, TextEncoder):
            return repr(self.encoder)
        owner: Any = self.encoder if hasattr(self.encoder, "__qualname__") else type(self.encoder)
        return f"{owner.__module__}.{owner.__qualname__}"

    @cached_property
    def function(self) -> Callable[[list[str]], Any]:
        """The encoder itself."""
        if not isinstance(self.encoder, str):
            return self.encoder
        module, _, name = self.encoder.rpartition(".")
        rule = f"`encoder` must be the dotted path of a function of texts, got {self.encoder}"
        try:
            value = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"{rule} ({error}).") from None
        value = value() if isinstance(value, type) else value
        if not callable(value):
            raise ValueError(f"{rule}, which is {type(value).__name__}.")
        return value

    @cached_property
    def sample(self) -> Float32[Tensor, " k"]:
        """The vector of the sample text."""
        return self([SAMPLE])[0]

    def __call__(self, texts: Sequence[str]) -> Float32[Tensor, "n k"]:
        """Returns the vectors of texts, and refuses what are none."""
        with torch.no_grad(), torch.random.fork_rng(devices=[]):  # vectors that are kept already draw nothing either
            value = self.function(list(texts))
        vectors = value.detach().cpu() if isinstance(value, Tensor) else torch.from_numpy(np.asarray(value))
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ValueError(
                f"`encoder` must return (n, k) floats for n texts, and {self.name} returns {tuple(vectors.shape)} for "
                f"{len(texts)}."
            )
        if not (vectors := vectors.float().contiguous()).isfinite().all():
            raise ValueError(f"`encoder` must return finite floats, and some of {self.name} are not.")
        return vectors

    def table(self, texts: Sequence[str], cache: str | None) -> Float32[Tensor, "n k"]:
        """Returns the vectors of texts, which are computed once for all processes and runs.

        Args:
            texts: Different texts.
            cache: Folder of the file that keeps the vectors; `default` is `lightning-gans` in the user's folder for
                caches, None computes them anew.
        """
        fingerprint = fingerprint_of(self.name, self.sample.tolist(), *map(repr, texts))
        shape = len(texts), 4 * len(self.sample)
        return cached_pixels(cache, f"texts-{fingerprint}", fingerprint, shape, lambda: self.pieces(texts)).view(
            torch.float32
        )

    def pieces(self, texts: Sequence[str]) -> Iterator[UInt8[np.ndarray, "_ _"]]:
        """Yields the bytes of the vectors of all texts, in order."""
        for start in tqdm(range(0, len(texts), AT_ONCE), desc="Encoding texts", disable=None, leave=False):
            yield self(texts[start : start + AT_ONCE]).numpy().view(np.uint8)

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps of it."""
        return {"name": self.name, "sample": self.sample}

    def check(self, state: dict[str, Any]) -> None:
        """Refuses to take the place of another encoder.

        Args:
            state: What a checkpoint keeps of the other one.

        Raises:
            ValueError: The sample text has another vector.
        """
        kept = state["sample"]
        if kept.shape == self.sample.shape and (kept - self.sample).norm() <= TOLERANCE * kept.norm():
            return
        same = ", which gives other vectors than it did" if self.name == state["name"] else ""
        raise ValueError(
            f"`encoder` must be that of the checkpoint, {state['name']} with {len(kept)} numbers for a text, got "
            f"{self.name} with {len(self.sample)}{same}: give the run's config.yaml."
        )
