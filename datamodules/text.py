"""The base of data modules of images with captions."""

from abc import abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import torch
from jaxtyping import Int64
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from lightning_gans.datamodules.batches import EvaluationBatches
from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.pixel_cache import CachedImages
from lightning_gans.datamodules.tensors import AskedTexts, InMemory, TensorImages, TextImages
from lightning_gans.datamodules.text_encoders import CheckedEncoder, Encoder
from lightning_gans.mechanics.resume import read


class Described(NamedTuple):
    """Images with their captions."""

    images: TensorImages
    """The images; a text of another label is a wrong one."""
    captions: Sequence[Sequence[str]]
    """The captions of each, at least one."""


class TextDataModule(TensorDataModule):
    """Base of the data modules of images with captions; a subclass reads them in `described`.

    Batches are `(image, text, label)`: `text` (b, n, k) holds the vectors of the n captions of each image, which an
    encoder makes once of each different caption. Where images have unequally many, those with fewer have some of them
    several times. Evaluation takes the first caption of each image, which is then the text that it was drawn of.

    Args:
        batch_size: Images per batch and process.
        encoder: What makes vectors of texts, or the dotted path of it.
        shape: Channels, height and width of the images.
        text: One text or several that `predict` draws images of, instead of one for each evaluation image.
        images_per_text: Images that it draws of each.
        cache: Folder for images and vectors.
    """

    captions: list[str]
    """The different captions of all images, as the vectors of `training` and `evaluation` stand; from `setup` on."""

    def __init__(
        self,
        batch_size: int,
        encoder: Encoder,
        shape: tuple[int, int, int],
        text: str | list[str] | None,
        images_per_text: int,
        cache: str | None,
    ):
        super().__init__(batch_size)
        if images_per_text < 1:
            raise ValueError(f"`images_per_text` must be at least 1, got {images_per_text}.")
        self.texts = [text] if isinstance(text, str) else text
        if self.texts is not None and not (self.texts and all(text.strip() for text in self.texts)):
            raise ValueError(f"`text` must be a text or a list of texts, none of them empty, got {text!r}.")
        self.encoding = CheckedEncoder(encoder)
        self.shape = shape
        self.images_per_text = images_per_text
        self.cache = cache

    @abstractmethod
    def described(self) -> tuple[Described, Described]:
        """Reads the images to train on and those to evaluate on, with their captions."""

    def load(self) -> tuple[TextImages, TextImages]:
        training, evaluation = self.described()
        evaluation = evaluation._replace(captions=[captions[:1] for captions in evaluation.captions])
        self.captions = list(dict.fromkeys(chain(*training.captions, *evaluation.captions)))
        embedding = self.encoding.table(self.captions, self.cache)
        number = {caption: row for row, caption in enumerate(self.captions)}
        return with_text(training, embedding, number), with_text(evaluation, embedding, number)

    def prepare_data(self) -> None:
        if self.texts is None:
            super().prepare_data()

    def setup(self, stage: str) -> None:
        if self.texts is None:
            super().setup(stage)
            return
        if stage != "predict":
            raise ValueError(f"`text` is for `predict` alone, got {self.texts[0]!r} for `{stage}`: leave it out.")
        self.asked = AskedTexts(self.encoding(self.texts), self.images_per_text, self.shape)
        number = f"{len(self.texts)} text" + "s" * (len(self.texts) > 1)
        self.summary = f"{type(self).__name__} asks for {len(self.asked):,} images of {number}."
        rank_zero_info(self.summary)

    def loader(self, images: InMemory, sampler: DistributedSampler) -> DataLoader:
        if self.trainer is not None and self.trainer.ckpt_path is not None:  # by now it is restored
            # Lightning gives its state to a data module of the same class alone.
            for state in read(self.trainer.ckpt_path).values():
                if isinstance(state, dict) and "encoder" in state:
                    self.encoding.check(state["encoder"])
        return super().loader(images, sampler)

    def predict_dataloader(self) -> DataLoader:
        if self.texts is None:
            return self.val_dataloader()
        return self.loader(self.asked, EvaluationBatches(self.asked, self.batch_size, *self.processes()))

    def captions_of(self, index: Int64[Tensor, " b"]) -> list[str]:
        if self.texts is not None:
            return [self.texts[number] for number in (index // self.images_per_text).tolist()]
        return [self.captions[row] for row in self.evaluation.caption[index, 0].tolist()] if self.captions else []

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "encoder": self.encoding.state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.encoding.check(state_dict["encoder"])
        super().load_state_dict(state_dict)


def with_text(described: Described, embedding: Tensor, number: dict[str, int]) -> TextImages:
    """Returns images with captions as rows of `embedding`, equally many for each image.

    Args:
        described: The images with their captions.
        embedding: The vectors of all different captions.
        number: The row of each caption.
    """
    images, captions = described
    most = max(map(len, captions))
    rows = [[number[some[place % len(some)]] for place in range(most)] for some in captions]
    pixels = images.pixels if isinstance(images, CachedImages) else None
    return TextImages(images.image, embedding, torch.tensor(rows), images.label, pixels)
