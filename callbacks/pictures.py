"""Pictures made of images: in rows, beside each other, with captions."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

READABLE = 56  # pixels that an image is high at least
CELL = 128  # pixels that an image above a caption is wide at least
SMALL, MOST_LINES, ASIDE = 12, 5, 10  # of captions below images: height of letters, lines, pixels to the next image
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


def captioned(images: UInt8[Tensor, "b c h w"], captions: Sequence[str]) -> Image.Image:
    """Returns images row by row, each above its caption in small letters; small images are enlarged."""
    times = -(-CELL // images.shape[3])
    pixels = images.repeat_interleave(times, 2).repeat_interleave(times, 3)
    cells = [beneath(to_pil_image(image), text) for image, text in zip(pixels, captions, strict=True)]
    columns = math.ceil(math.sqrt(len(cells) * max(cell.height for cell in cells) / cells[0].width))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) + ASIDE for row in rows]
    size = (cells[0].width + ASIDE) * len(rows[0]) + ASIDE, sum(heights) + ASIDE
    whole, top = Image.new("RGB", size, "white"), ASIDE
    for row, height in zip(rows, heights, strict=True):
        for number, cell in enumerate(row):
            whole.paste(cell, (ASIDE + number * (cell.width + ASIDE), top))
        top += height
    return whole


def beneath(image: Image.Image, text: str) -> Image.Image:
    """Returns an image with a text below it, in lines as wide as the image; what is too long ends with dots."""
    lines = [caption(line, SMALL) for line in wrapped(text, image.width)]
    whole = Image.new("RGB", (image.width, image.height + sum(line.height for line in lines)), "white")
    whole.paste(image, (0, 0))
    top = image.height
    for line in lines:
        whole.paste(line, (0, top))
        top += line.height
    return whole


def wrapped(text: str, width: int) -> list[str]:
    """Returns the lines of a text, at most `MOST_LINES` of them, none wider than `width` pixels."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and fits(longer, width):
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], " ".join(lines[MOST_LINES - 1 :])]
    return [shortened(line, width) for line in lines]


def shortened(line: str, width: int) -> str:
    """Returns a line that is no wider than `width` pixels, with dots for what is left out."""
    if fits(line, width):
        return line
    while line and not fits(f"{line}…", width):
        line = line[:-1]
    return f"{line}…"


def fits(line: str, width: int) -> bool:
    """Returns True for a line of small letters that is no wider than `width` pixels."""
    return font(SMALL).getbbox(line)[2] + 2 <= width


def mosaic(images: Float[Tensor, "b c h w"], columns: int) -> Image.Image:
    """Returns images in [-1, 1] row by row, on white; small ones are enlarged, each pixel a square."""
    times = -(-READABLE // images.shape[2])
    pixels = to_uint8(images).repeat_interleave(times, 2).repeat_interleave(times, 3)
    return to_pil_image(make_grid(pixels, nrow=columns, padding=GUTTER, pad_value=255))


def caption(text: str, size: int = 16) -> Image.Image:
    """Returns a line of text, black on white."""
    picture = Image.new("RGB", (round(font(size).getbbox(text)[2]) + 2, round(1.4 * size)), "white")
    ImageDraw.Draw(picture).text((1, 0), text, fill="black", font=font(size))
    return picture


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Returns the letters of captions."""
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


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
