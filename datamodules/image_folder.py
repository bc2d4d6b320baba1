"""Any folder of images."""

from pathlib import Path
from typing import Literal

import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms.functional import pil_to_tensor

from lightning_gans.datamodules.tensors import TensorDataModule, TensorImages


class ImageFolderDataModule(TensorDataModule):
    """All images of a folder, decoded once into memory.

    Each image is resized so that its shorter side has `size` pixels, and cropped to the square in its centre.
    Sub-folders are classes, numbered by their sorted names; without any, every label is 0. The same images are trained
    on and evaluated against.

    Args:
        folder: The folder, with the images in it or in its sub-folders; files that are no images are passed over.
        size: Height and width in pixels.
        channels: 3 for colour, 1 for grey.
        batch_size: Images per batch and process.
    """

    def __init__(self, folder: str, size: int = 64, channels: Literal[1, 3] = 3, batch_size: int = 64):
        super().__init__(batch_size)
        if not Path(folder).is_dir():
            raise FileNotFoundError(f"`folder` must be an existing folder of images, got {folder}.")
        if size < 1:
            raise ValueError(f"`size` must be at least 1, got {size}.")
        if channels not in (1, 3):
            raise ValueError(f"`channels` must be 1 or 3, got {channels}.")
        self.folder = folder
        self.size = size
        self.channels = channels
        self.reference = f"all images of {Path(folder).resolve().name} at {size}x{size}"

    def load(self) -> tuple[TensorImages, TensorImages]:
        root = Path(self.folder)
        paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMG_EXTENSIONS)
        if not paths:
            raise ValueError(f"{root} holds no image: expected files that end in {', '.join(IMG_EXTENSIONS)}.")
        # The parts of a path inside the folder, but for its own name, begin with its class.
        classes = [path.relative_to(root).parts[:-1][:1] for path in paths]
        names = sorted(set(classes))
        if len(names) > 1 and () in names:
            raise ValueError(f"{root} holds images beside sub-folders of images: move them into one, or move it away.")
        label = torch.tensor([names.index(name) for name in classes])
        image = torch.stack([read_image(path, self.size, self.channels) for path in paths])
        images = TensorImages(image, label)
        return images, images


def read_image(path: Path, size: int, channels: int) -> UInt8[Tensor, "{channels} {size} {size}"]:
    """Decodes, resizes and crops one image."""
    try:
        with Image.open(path) as image:
            converted = image.convert("RGB" if channels == 3 else "L")
    except Exception as error:  # Decoders raise whatever they stumble over.
        raise ValueError(f"{path} is not a readable image ({error}): repair or remove it.") from None
    return pil_to_tensor(ImageOps.fit(converted, (size, size), Image.Resampling.LANCZOS))
