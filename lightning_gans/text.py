"""The base of variants that draw images from texts."""

from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from lightning_gans.adversarial import AdversarialModule, Batch


class TextToImage(AdversarialModule):
    """Draws images from texts; batches are `(image, text, label)`.

    `text` holds embeddings (b, n, k) of n captions of each image, made by any encoder. In training some of them are
    drawn for each image and averaged, once for both players, so that the discriminator judges a sample by the text that
    it was drawn from. Elsewhere the first ones are taken. The label is the class of an image, and serves to find a
    wrong text for it: that of an image of another class. Captions and wrong texts do not depend on the number of
    processes, nor on how a batch is cut.

    Args:
        captions_per_image: Captions whose texts are averaged; 4 in the authors' code of GAN-INT-CLS, 1 is one of them.
        kwargs: See `AdversarialModule`. The generator is called with (latent, text), the discriminator with (image,
            text), also with several texts (b, n, k) of each image, for which it returns a logit each.
    """

    gathers = True

    def __init__(self, captions_per_image: int = 1, **kwargs: Any):
        super().__init__(conditional=True, **kwargs)
        if captions_per_image < 1:
            raise ValueError(f"`captions_per_image` must be at least 1, got {captions_per_image}.")
        self.captions_per_image = captions_per_image

    def play(self, batch: Batch) -> None:
        image, text, label = checked(batch)[:3]
        drawn = torch.rand(len(image) * self.trainer.world_size, text.shape[1], generator=self.shared_generator())
        text = averaged(text, self.own(drawn.argsort(1)), self.captions_per_image)
        super().play([image, text, label, self.wrong_texts(text, label)])

    def condition(self, batch: Batch) -> tuple[Tensor, ...]:
        """Returns one text (b, k) of each image: what was drawn for a batch in training, otherwise the first ones."""
        text = batch[1]
        return (text if text.ndim == 2 else text[:, : self.captions_per_image].mean(1),)

    def wrong(self, batch: Batch) -> Tensor:
        """Returns a text (b, k) of another class for each image."""
        (text,) = self.condition(batch)
        return batch[3] if len(batch) > 3 else self.wrong_texts(text, batch[2])

    def wrong_texts(self, text: Tensor, label: Tensor) -> Tensor:
        """Returns a text of another class for each, out of those of all processes."""
        return self.gather(text)[self.own(mismatched(self.gather(label)))]


def mismatched(label: Int64[Tensor, " b"]) -> Int64[Tensor, " b"]:
    """Returns for each row the next one of another label, from the last on to the first."""
    place = torch.arange(len(label), device=label.device)
    following = (place[:, None] + place + 1) % len(label)
    others = label[following] != label[:, None]
    if not others.any(1).all():
        raise ValueError(
            f"A batch must hold images of at least two labels, to find wrong texts for them, got {len(label)} of label "
            f"{label[0].item()}: shuffle the data, or give larger batches."
        )
    return following.gather(1, others.long().argmax(1, keepdim=True)).flatten()


def averaged(text: Tensor, order: Tensor, count: int) -> Tensor:
    """Returns the mean (b, k) of the first texts of each image in an order (b, n) of them."""
    chosen = order[:, :count].to(text.device)
    return text.gather(1, chosen[:, :, None].expand(-1, -1, text.shape[2])).mean(1)


def checked(batch: Batch) -> Batch:
    """Returns a batch, and refuses one of another form."""
    if len(batch) < 3 or batch[1].ndim != 3 or not batch[1].is_floating_point() or batch[2].ndim != 1:
        shapes = ", ".join(str(tuple(item.shape)) for item in batch)
        raise ValueError(
            f"A batch must be (image, text, label) with texts (b, n, k) and labels (b,), got {shapes}: give data with "
            "captions."
        )
    return batch
