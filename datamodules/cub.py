"""CUB-200-2011: photographs of birds with captions."""

from pathlib import Path

from lightning_gans.datamodules.caption_files import read_text
from lightning_gans.datamodules.captioned_classes import CaptionedClassesDataModule, Item, SquaredDecoding
from lightning_gans.datamodules.decoding import Decoding

SHARE = 0.75  # of the longer side of a bird's box, which a crop reaches to each side of its middle


class CUBDataModule(CaptionedClassesDataModule):
    """Birds with ten captions each (Wah et al., 2011; Reed et al., 2016, https://arxiv.org/abs/1605.05395).

    The 11,788 photographs of 200 kinds lie as they are unpacked in `CUB_200_2011` (`images`, `images.txt`,
    `bounding_boxes.txt`), and their captions in `text_c10` or `text` beside it, a text file for each image. Each image
    is cut to the box of its bird as StackGAN does: 3/4 of the box's longer side from its middle in all directions, as
    far as the image goes, then squeezed into a square. Kinds are either trained on or evaluated on, 150 and 50 of them,
    by `testclasses.txt`, which comes with the captions, or by StackGAN's `train/filenames.pickle` and
    `test/filenames.pickle`; `train_test_split.txt` is another split, and is not used.

    Batches are `(image, text, label)`: images (b, 3, size, size) in [-1, 1], the vectors (b, 10, k) of their captions,
    and the kind, of which those to train on come first. In each epoch another square of `size` pixels is cut out of
    `resize` pixels, and half of the images are mirrored. Evaluation has the square in the centre and the first caption.
    """

    evaluated_on = "CUB-200-2011, 50 test classes, cut to their boxes"

    @property
    def birds(self) -> Path:
        """The folder of the photographs and their lists."""
        inside = self.root / "CUB_200_2011"
        return inside if inside.is_dir() else self.root

    def items(self) -> list[Item]:
        return [self.of_path(path) for (path,) in self.listed("images.txt", str)]

    def item(self, key: str, number: int) -> Item:
        return self.of_path(f"{key}.jpg")

    def of_path(self, path: str) -> Item:
        """Returns the bird of a path within the folder of images."""
        key = path.removesuffix(".jpg")
        return Item(key, self.birds / "images" / path, f"{key}.txt", key.partition("/")[0])

    def decoding(self, items: list[Item]) -> Decoding:
        boxes = dict(zip(self.items(), self.listed("bounding_boxes.txt", float, 4), strict=True))
        return SquaredDecoding(self.resize, parts={item.file: around(*boxes[item]) for item in items})

    def listed(self, name: str, kind: type, count: int = 1) -> list[tuple]:
        """Reads the lines `number value value ...` of one of the lists, which number the images from 1.

        Args:
            name: The file.
            kind: Type of the values.
            count: Values in a line.
        """
        path = self.birds / name
        if not path.is_file():
            raise FileNotFoundError(f"{self.birds} has no {name}: unpack CUB_200_2011.tgz in {self.root}.")
        rows = []
        for number, line in enumerate(read_text(path).splitlines(), 1):
            values = line.split()
            if len(values) != 1 + count or values[0] != str(number):
                what = "a value" if count == 1 else f"{count} values"
                raise ValueError(f"Line {number} of {path} must be {number} and {what}, got {line!r}.")
            rows.append(tuple(map(kind, values[1:])))
        return rows


def around(left: float, top: float, width: float, height: float) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of the crop around a box, as StackGAN rounds them; it may leave the image."""
    left, top, width, height = map(int, (left, top, width, height))
    reach = int(max(width, height) * SHARE)
    x, y = (2 * left + width) // 2, (2 * top + height) // 2
    return x - reach, y - reach, x + reach, y + reach
