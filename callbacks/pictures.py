"""Pictures made of images: in rows with white gutters, beside each other, with captions."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from lightning_gans.callbacks.sample_grid import to_uint8

READABLE = 56  # pixels that an image is high at least
GUTTER, GAP = 4, 24  # pixels between images, and between pictures


def mosaic(images: Float[Tensor, "b c h w"], columns: int) -> Image.Image:
    """Images in [-1, 1] row by row, on white; small ones are enlarged, each pixel a square."""
    times = -(-READABLE // images.shape[2])
    pixels = to_uint8(images).repeat_interleave(times, 2).repeat_interleave(times, 3)
    return to_pil_image(make_grid(pixels, nrow=columns, padding=GUTTER, pad_value=255))


def words(text: str, size: int = 16) -> Image.Image:
    """A line of text, black on white."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
    box = font.getbbox(text)
    picture = Image.new("RGB", (round(box[2]) + 2, round(1.4 * size)), "white")
    ImageDraw.Draw(picture).text((1, 0), text, fill="black", font=font)
    return picture


def across(pictures: Sequence[Image.Image], gap: int = GAP) -> Image.Image:
    """Pictures from left to right, their middles on one line."""
    size = sum(p.width for p in pictures) + gap * (len(pictures) - 1), max(p.height for p in pictures)
    whole, left = Image.new("RGB", size, "white"), 0
    for picture in pictures:
        whole.paste(picture, (left, (whole.height - picture.height) // 2))
        left += picture.width + gap
    return whole


def down(pictures: Sequence[Image.Image], gap: int = GUTTER) -> Image.Image:
    """Pictures from top to bottom, their middles on one line."""
    size = max(p.width for p in pictures), sum(p.height for p in pictures) + gap * (len(pictures) - 1)
    whole, top = Image.new("RGB", size, "white"), 0
    for picture in pictures:
        whole.paste(picture, ((whole.width - picture.width) // 2, top))
        top += picture.height + gap
    return whole
