"""Oxford-102: photographs of flowers with captions."""

from lightning_gans.datamodules.captioned_classes import CaptionedClassesDataModule, Item
from lightning_gans.datamodules.text_encoders import Encoder, HashedWords


class OxfordFlowersDataModule(CaptionedClassesDataModule):
    """Flowers with ten captions each (Nilsback and Zisserman, 2008; Reed et al., 2016, https://arxiv.org/abs/1605.05395).

    The 8,189 photographs of 102 kinds lie in `jpg` as they are unpacked, and their captions in `text_c10` beside it, as
    `class_00001/image_06734.txt`. Each image is squeezed into a square whole, as StackGAN does. Kinds are either
    trained on or evaluated on, 82 and 20 of them, by `testclasses.txt`, which comes with the captions, or by StackGAN's
    `train/filenames.pickle` and `test/filenames.pickle`.

    Batches are `(image, text, label)`, crops and evaluation are as `CUBDataModule` has them.

    Args:
        folder: The folder that holds `jpg` and the captions.
        size: Height and width in pixels.
        resize: Height and width that images are cropped from; null takes 76/64 of `size`, as StackGAN does.
        flip: Mirrors half of the training images.
        captions: Folder of the captions; null finds `text_c10` or `text` in `folder`.
        pickles: Takes vectors, kinds and split from StackGAN's pickles in `train` and `test`, and encodes no captions.
            If the photographs are not there, their images come from `76images.pickle` or `304images.pickle`. Nothing
            in a pickle is executed.
        encoder: What makes vectors of texts: `HashedWords`, another class with its arguments, or the dotted path of a
            function from a list of n texts to (n, k) floats.
        batch_size: Images per batch and process.
        text: One text or several that `predict` draws images of, instead of one for each evaluation image.
        images_per_text: Images that it draws of each.
        cache: Folder for decoded images and vectors; `default` is `lightning-gans` in the user's folder for caches,
            null makes them anew in each run.
    """

    def __init__(
        self,
        folder: str,
        size: int = 64,
        resize: int | None = None,
        flip: bool = True,
        captions: str | None = None,
        pickles: bool = False,
        encoder: Encoder = HashedWords(),
        batch_size: int = 64,
        text: str | list[str] | None = None,
        images_per_text: int = 16,
        cache: str | None = "default",
    ):
        super().__init__(
            folder, size, resize, flip, captions, pickles, encoder, batch_size, text, images_per_text, cache
        )
        self.reference = f"Oxford-102, 20 test classes, at {size}x{size}"

    def items(self) -> list[Item]:
        folder = self.texts_folder()
        files = sorted(folder.glob("class_*/image_*.txt"))
        if not files:
            raise FileNotFoundError(f"{folder} must hold captions such as class_00001/image_06734.txt, and holds none.")
        return [self.of_class(f"jpg/{file.stem}", file.parent.name) for file in files]

    def item(self, key: str, number: int) -> Item:
        return self.of_class(key, f"class_{number:05d}")

    def of_class(self, key: str, name: str) -> Item:
        """Returns the flower of a path without its ending, and of the name of its class."""
        return Item(key, self.root / f"{key}.jpg", f"{name}/{key.rpartition('/')[2]}.txt", name)
