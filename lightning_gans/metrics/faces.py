"""A small network that finds the parts of synthetic faces."""

from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lightning_gans.datamodules.face_drawing import PARTS
from lightning_gans.mechanics.precision import full_precision

WEIGHTS = Path(__file__).with_name("faces.safetensors")


class FaceParser(nn.Module):
    """Finds the part of the face that each pixel shows, for faces as those of `FacesDataModule` at 64 pixels.

    Convolutions at three sizes, of which the finer ones get what the coarser ones found; height and width of images are
    multiples of 4. `python -m benchmarks.experiments.train_face_parser` makes the shipped weights. For photographs of
    faces, any network that returns logits (b, classes, h, w) for images in [-1, 1] takes its place.

    Args:
        weights: `shipped`, a file of others as safetensors, or null for random ones that are to be trained.
    """

    def __init__(self, weights: str | None = "shipped"):
        super().__init__()
        with torch.random.fork_rng(devices=[], enabled=weights is not None):  # what is loaded draws nothing
            self.fine = block(3, 16)
            self.middle = nn.Sequential(nn.MaxPool2d(2), block(16, 32))
            self.coarse = nn.Sequential(nn.MaxPool2d(2), block(32, 48), block(48, 48))
            self.up_middle, self.up_fine = block(48 + 32, 16), block(16 + 16, 16)
            self.last = nn.Conv2d(16, len(PARTS), 1)
        if weights is not None:
            self.load_state_dict(load_file(WEIGHTS if weights == "shipped" else weights))
            self.eval()

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b parts h w"]:
        """Returns logits of the parts."""
        if image.shape[2] % 4 or image.shape[3] % 4:
            raise ValueError(f"`image` must have a height and width that 4 divides, got {tuple(image.shape[2:])}.")
        fine = self.fine(image)
        middle = self.middle(fine)
        x = self.up_middle(torch.cat([doubled(self.coarse(middle)), middle], 1))
        return full_precision(self.last(self.up_fine(torch.cat([doubled(x), fine], 1))))


def block(before: int, after: int) -> nn.Sequential:
    """Returns a 3 x 3 convolution with batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU())


def doubled(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _ _"]:
    """Repeats each pixel."""
    return interpolate(x, scale_factor=2.0)
