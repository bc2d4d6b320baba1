"""Handwritten digits in domains that known operators make: color, width of strokes, and slant."""

import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate, max_pool2d

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.mnist import MNISTDataModule
from lightning_gans.datamodules.tensors import InMemory
from lightning_gans.metrics.strokes import slant, thickness

COLORS = {"red": (1.0, 0.25, 0.25), "green": (0.25, 1.0, 0.25), "blue": (0.35, 0.35, 1.0)}
STROKES = {"thin": 2.2, "thick": 4.2}  # pixels
SLANTS = {"left": -0.35, "upright": 0.0, "right": 0.35}  # pixels to the right per pixel of height
NARROWER, WIDER = 2, 4  # half pixels that a stroke can lose or gain at each side


class EditedDigits(InMemory):
    """Digits, each in one of 18 domains, that can be had in any other domain too.

    Args:
        shape: The digits of each stroke and slant, 0 for black to 255 for white.
        digit: What each digit is.
    """

    def __init__(self, shape: UInt8[Tensor, "n 6 h w"], digit: Int64[Tensor, " n"]):
        self.shape = shape
        self.digit = digit
        self.label = torch.arange(len(shape)) * 7 % len(DOMAINS)  # each domain equally often, in no order

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, index: Int64[Tensor, " b"]) -> tuple[Float32[Tensor, "b 3 h w"], Int64[Tensor, " b"]]:
        return self.edited(index, self.label[index]), self.label[index]

    def edited(self, index: Int64[Tensor, " b"], domain: Int64[Tensor, " b"]) -> Float32[Tensor, "b 3 h w"]:
        """Returns digits in other domains than their own: the truth of an edit."""
        ink = self.shape[index, domain % 6].float().div(255)
        color = torch.tensor(list(COLORS.values()))[domain // 6]
        return torch.einsum("bhw,bc->bchw", ink, color) * 2 - 1


DOMAINS = [f"{color}, {stroke}, {lean}" for color in COLORS for stroke in STROKES for lean in SLANTS]


class EditedDigitsDataModule(TensorDataModule):
    """Colored digits of 32 pixels in 18 domains, made by known operators from the digits that the package ships.

    A domain is a color (red, green or blue), a width of strokes (thin or thick) and a slant (left, upright or right).
    Every digit is straightened and brought to equal widths first, and is shown in one domain. Since the operators are
    known, the truth of every edit is known too: `evaluation.edited(index, domain)`. Of 10,000 digits the last 1,000 are
    held out. The label is the domain.

    Args:
        batch_size: Images per batch and process.
    """

    origin = "the package"

    def __init__(self, batch_size: int = 16):
        super().__init__(batch_size)
        self.reference = "1,000 digits held out, each in one of 18 domains of color, stroke and slant"

    def load(self) -> tuple[EditedDigits, EditedDigits]:
        self.classes = DOMAINS
        digits, _ = MNISTDataModule(size=32).load()
        shape = torch.cat([shapes(part) for part in digits.image.split(1000)])
        return EditedDigits(shape[:-1000], digits.label[:-1000]), EditedDigits(shape[-1000:], digits.label[-1000:])


def shapes(image: UInt8[Tensor, "n 1 h w"]) -> UInt8[Tensor, "n 6 h w"]:
    """Returns digits with each stroke and slant, in the order of `DOMAINS`."""
    grown = levels(sheared(image.float() / 127.5 - 1, 0.0))
    width = torch.stack([thickness(level) for level in grown])
    strokes = [grown[(width - wanted).abs().argmin(0), torch.arange(len(image))] for wanted in STROKES.values()]
    made = [sheared(stroke, lean) for stroke in strokes for lean in SLANTS.values()]
    return torch.cat(made, 1).add(1).mul(127.5).round().clamp(0, 255).byte()


def sheared(image: Float[Tensor, "n 1 h w"], lean: float) -> Float[Tensor, "n 1 h w"]:
    """Shears images so that their slant is `lean`."""
    theta = torch.eye(2, 3).repeat(len(image), 1, 1)
    theta[:, 0, 1] = lean - slant(image)
    grid = affine_grid(theta, list(image.shape), align_corners=False)
    return grid_sample(image + 1, grid, align_corners=False) - 1  # black around


def levels(image: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "levels n 1 h w"]:
    """Returns images whose strokes become narrower or wider by half a pixel at each side and level."""
    fine = interpolate(image, scale_factor=2, mode="bilinear")
    narrow, wide = [fine], [fine]
    for _ in range(NARROWER):
        narrow.append(-max_pool2d(-narrow[-1], 3, 1, 1))
    for _ in range(WIDER):
        wide.append(max_pool2d(wide[-1], 3, 1, 1))
    return torch.stack([interpolate(level, scale_factor=0.5, mode="area") for level in narrow + wide[1:]])
