"""Pictures made of images: in rows, beside each other, with captions."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

READABLE = 56  # pixels that an image is high at least
GUTTER, GAP = 4, 24  # pixels between images, and between pictures


def to_uint8(images: Float[Tensor, "*b c h w"]) -> UInt8[Tensor, "*b c h w"]:
    """Returns images in [-1, 1] as bytes on the CPU, rounded to the nearest."""
    return images.float().clamp(-1, 1).add(1).mul(127.5).round().byte().cpu()


def can_be_shown(images: Tensor) -> bool:
    """Returns True for images (b, c, h, w) and sequences of them (b, t, c, h, w), grey or in color."""
    return images.is_floating_point() and images.ndim in (4, 5) and images.shape[-3] in (1, 3)


def side_by_side(images: UInt8[Tensor, "b *t c h w"]) -> UInt8[Tensor, "b c h _"]:
    """Returns images as they are, and the frames of each sequence from left to right in one image."""
    return images if images.ndim == 4 else images.permute(0, 2, 3, 1, 4).flatten(3)


def near_square_grid(images: UInt8[Tensor, "b c h w"]) -> UInt8[Tensor, "3 height width"]:
    """Returns all images in one picture, row by row, about as wide as it is high."""
    count, _, height, width = images.shape
    return make_grid(images, nrow=math.ceil(math.sqrt(count * height / width)), padding=2, pad_value=255)


def mosaic(images: Float[Tensor, "b c h w"], columns: int) -> Image.Image:
    """Returns images in [-1, 1] row by row, on white; small ones are enlarged, each pixel a square."""
    times = -(-READABLE // images.shape[2])
    pixels = to_uint8(images).repeat_interleave(times, 2).repeat_interleave(times, 3)
    return to_pil_image(make_grid(pixels, nrow=columns, padding=GUTTER, pad_value=255))


def caption(text: str, size: int = 16) -> Image.Image:
    """Returns a line of text, black on white."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
    box = font.getbbox(text)
    picture = Image.new("RGB", (round(box[2]) + 2, round(1.4 * size)), "white")
    ImageDraw.Draw(picture).text((1, 0), text, fill="black", font=font)
    return picture


def across(pictures: Sequence[Image.Image], gap: int = GAP) -> Image.Image:
    """Returns pictures from left to right, their middles on one line."""
    size = sum(p.width for p in pictures) + gap * (len(pictures) - 1), max(p.height for p in pictures)
    whole, left = Image.new("RGB", size, "white"), 0
    for picture in pictures:
        whole.paste(picture, (left, (whole.height - picture.height) // 2))
        left += picture.width + gap
    return whole


def down(pictures: Sequence[Image.Image], gap: int = GUTTER) -> Image.Image:
    """Returns pictures from top to bottom, their middles on one line."""
    size = max(p.width for p in pictures), sum(p.height for p in pictures) + gap * (len(pictures) - 1)
    whole, top = Image.new("RGB", size, "white"), 0
    for picture in pictures:
        whole.paste(picture, ((whole.width - picture.width) // 2, top))
        top += picture.height + gap
    return whole
