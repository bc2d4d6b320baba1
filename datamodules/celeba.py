"""CelebA: 202,599 faces with 40 attributes."""

import os
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torchvision.datasets import CelebA
from torchvision.datasets.utils import check_integrity

from lightning_gans.datamodules.crops import Mirrored
from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.decoding import Decoding
from lightning_gans.datamodules.pixel_cache import cached_images, fingerprint_of, fingerprint_of_files
from lightning_gans.datamodules.tensors import TensorImages

HOME = "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
SPLITS = ("train", "valid", "test")  # as list_eval_partition.txt numbers them
WIDTH = 178  # of the aligned images, which are 218 high


class CelebADataModule(TensorDataModule):
    """Aligned faces of celebrities with 40 attributes (Liu et al., 2015, https://arxiv.org/abs/1411.7766).

    The 162,770 images of the training split of `list_eval_partition.txt` are trained on. The square in the centre is
    cut out, resized, and decoded once into a file that every process and every later run maps into its memory, 2 GB at
    64 pixels. Labels are all 40 attributes, 0 or 1, (b, 40), in the order of `attributes`, or the chosen one, (b,).

    Args:
        folder: The folder that holds `celeba`, also to download to, with the folder `img_align_celeba` and the files
            `list_attr_celeba.txt`, `list_eval_partition.txt`, `identity_CelebA.txt`, `list_bbox_celeba.txt` and
            `list_landmarks_align_celeba.txt`, as torchvision has them.
        size: Height and width in pixels, 64 to 256; smaller ones are for trials.
        crop: Side of the square, in pixels of the original. 178 is its whole width with all of the hair, the choice of
            StarGAN and of PyTorch's DCGAN tutorial; 148, common with autoencoders, leaves mostly the face. Scores of
            different crops do not compare.
        attribute: The one attribute that is the label, such as `Smiling`, or a list of several; null takes all 40.
        batch_size: Images per batch and process.
        evaluation_split: The images that scores are measured against: 19,962 of the test, 19,867 of the validation, or
            all those trained on.
        download: Downloads files that are missing; this needs gdown, and often fails at Google Drive's quota.
        cache: Folder for the decoded images; `default` is `lightning-gans` in the user's folder for caches, null keeps
            them in the memory of each process, and decodes them anew in each run.
        flip: Mirrors half of the training images, others in each epoch.
    """

    attributes: tuple[str, ...]

    def __init__(
        self,
        folder: str,
        size: int = 64,
        crop: int = WIDTH,
        attribute: str | list[str] | None = None,
        batch_size: int = 64,
        evaluation_split: Literal["test", "valid", "train"] = "test",
        download: bool = False,
        cache: str | None = "default",
        flip: bool = False,
    ):
        super().__init__(batch_size)
        if not 8 <= size <= 256:
            raise ValueError(f"`size` must be from 8 to 256, got {size}.")
        if not 1 <= crop <= WIDTH:
            raise ValueError(f"`crop` must be from 1 to {WIDTH}, the width of the images, got {crop}.")
        if evaluation_split not in ("test", "valid", "train"):
            raise ValueError(f"`evaluation_split` must be test, valid or train, got {evaluation_split}.")
        self.folder = self.origin = folder
        self.decoding = Decoding(size, 3, crop)
        if attribute == []:
            raise ValueError("`attribute` must name at least one attribute, or be null to take all, got an empty list.")
        self.attribute = attribute
        self.classes = [f"not {attribute}", attribute] if isinstance(attribute, str) else []
        self.evaluation_split = evaluation_split
        self.download = download
        self.cache = cache
        self.flip = flip
        self.reference = f"CelebA {evaluation_split}, centre {crop}x{crop} at {size}x{size}"

    def prepare_data(self) -> None:
        if self.download:
            read_celeba(self.folder, download=True)
        super().prepare_data()

    def load(self) -> tuple[TensorImages, TensorImages]:
        root = Path(self.folder, CelebA.base_folder, "img_align_celeba").resolve()
        faces = read_celeba(self.folder)
        self.attributes = tuple(name for name in faces.attr_names if name)
        lines = (root.parent / "list_eval_partition.txt").read_text().splitlines()
        split_of = dict(line.split()[:2] for line in lines if line.strip())
        splits = [SPLITS[int(split_of[name])] for name in faces.filename]
        present = set(os.listdir(root))
        if missing := [name for name in faces.filename if name not in present]:
            raise FileNotFoundError(
                f"{root} lacks {len(missing):,} of the {len(faces.filename):,} images of list_eval_partition.txt, "
                f"first {missing[0]}: unpack img_align_celeba.zip of {HOME} again."
            )
        images = self.read(root, faces, splits, "train")
        training = Mirrored(images) if self.flip else images
        evaluation = self.evaluation_split
        return training, training if evaluation == "train" else self.read(root, faces, splits, evaluation)

    def read(self, root: Path, faces: CelebA, splits: list[str], split: str) -> TensorImages:
        index = [number for number, of in enumerate(splits) if of == split]
        if not index:
            path = root.parent / "list_eval_partition.txt"
            raise ValueError(f"{path} has no image of the split {split}: fetch it from {HOME}.")
        names = [faces.filename[number] for number in index]
        return cached_images(
            self.cache,
            f"celeba-{split}-{fingerprint_of(root)}-crop{self.decoding.crop}",
            fingerprint_of_files(root, names),
            lambda: ((str(root / name), root / name) for name in names),
            self.label(faces.attr[torch.tensor(index)]),
            self.decoding,
        )

    def label(self, attributes: Tensor) -> Tensor:
        if self.attribute is None:
            return attributes
        wanted = [self.attribute] if isinstance(self.attribute, str) else self.attribute
        if unknown := [name for name in wanted if name not in self.attributes]:
            raise ValueError(f"`attribute` must be one of {', '.join(self.attributes)}, got {unknown[0]}.")
        places = [self.attributes.index(name) for name in wanted]
        return attributes[:, places[0] if isinstance(self.attribute, str) else places].clone()


def read_celeba(folder: str, download: bool = False) -> CelebA:
    """Reads torchvision's CelebA, with one sentence for all that can be wrong with its files."""
    inside = Path(folder, CelebA.base_folder)
    try:
        faces = CelebA(folder, "all", download=download)
    except Exception as error:  # A quota, a page in place of a file, files that do not fit each other.
        failed = f"the download failed ({error}), so " if download else ""
        raise FileNotFoundError(
            f"{inside} {what_is_wrong(inside) or f'is not readable ({error})'}: {failed}fetch img_align_celeba.zip "
            f"(unpacked, its folder is img_align_celeba) and the five text files by hand from {HOME}, and put them "
            f"into {inside}."
        ) from None
    if len(faces.filename) != len(faces.attr):
        rows = f"{len(faces.attr):,} images, list_eval_partition.txt {len(faces.filename):,}"
        raise ValueError(f"{inside}/list_attr_celeba.txt has {rows}: fetch both from {HOME}.")
    return faces


def what_is_wrong(inside: Path) -> str:
    """Names files that are missing or are not those that were published."""
    files = [(name, md5) for _, md5, name in CelebA.file_list if not name.endswith(".zip")]
    missing = [name for name, _ in files if not (inside / name).is_file()]
    damaged = [name for name, md5 in files if name not in missing and not check_integrity(inside / name, md5)]
    missing += ["img_align_celeba"] * (not (inside / "img_align_celeba").is_dir())
    parts = [f"has no {', '.join(missing)}"] * bool(missing) + [f"has damaged {', '.join(damaged)}"] * bool(damaged)
    return " and ".join(parts)
