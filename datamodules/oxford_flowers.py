"""Oxford-102: photographs of flowers with captions."""

from lightning_gans.datamodules.captioned_classes import CaptionedClassesDataModule, Item


class OxfordFlowersDataModule(CaptionedClassesDataModule):
    """Flowers with ten captions each (Nilsback and Zisserman, 2008; Reed et al., 2016, https://arxiv.org/abs/1605.05395).

    The 8,189 photographs of 102 kinds lie in `jpg` as they are unpacked, and their captions in `text_c10` beside it, as
    `class_00001/image_06734.txt`. Each image is squeezed into a square whole, as StackGAN does. Kinds are either
    trained on or evaluated on, 82 and 20 of them, by `testclasses.txt`, which comes with the captions, or by StackGAN's
    `train/filenames.pickle` and `test/filenames.pickle`.

    Batches are `(image, text, label)`, crops and evaluation are as `CUBDataModule` has them.
    """

    evaluated_on = "Oxford-102, 20 test classes"

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
