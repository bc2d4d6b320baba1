"""How near drawn images are to their targets, and how sharp and how colorful they are."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from lightning_gans.metrics.features import as_8_bit

Images = Float[Tensor, "b c h w"]
LUMA = (65.481, 128.553, 24.966)  # of red, green and blue in [0, 1], ITU-R BT.601 as in MATLAB
LAB_BINS = 51  # odd, so that neutral colors lie in the middle of a bin and not on a border
LAB_RANGES = {"l": (0.0, 100.0), "a": (-100.0, 100.0), "b": (-110.0, 110.0)}  # all colors of sRGB lie within


def stored(image: Images, luma: bool = True, crop: int = 0) -> Float[Tensor, "b _ _ _"]:
    """Returns what scores of restorations look at: 8 bits a channel, from 0 for black to 255 for white.

    Args:
        image: Images in [-1, 1].
        luma: Whether to look at the brightness of color images alone: Y of BT.601, from 16 for black to 235 for white.
        crop: Pixels that are left out at each side.
    """
    image = (as_8_bit(image) + 1) * 127.5
    if min(image.shape[2:]) <= 2 * crop:
        raise ValueError(f"`crop` must leave something of {image.shape[2]} x {image.shape[3]} pixels, got {crop}.")
    if crop:
        image = image[..., crop:-crop, crop:-crop]
    if luma and image.shape[1] == 3:
        image = 16 + torch.einsum("bchw,c->bhw", image / 255, image.new_tensor(LUMA)).unsqueeze(1)
    return image


def psnr(one: Images, two: Images) -> Float[Tensor, " b"]:
    """Returns the peak signal-to-noise ratio of each pair in dB, for a peak of 255."""
    return 10 * torch.log10(255**2 / (one - two).square().flatten(1).mean(1))


def ssim(one: Images, two: Images) -> Float[Tensor, " b"]:
    """Returns the structural similarity of each pair (Wang et al., 2004, https://doi.org/10.1109/TIP.2003.819861).

    The window is Gaussian with a standard deviation of 1.5 pixels, and values reach from 0 to 255.
    """
    similarity = structural_similarity_index_measure(one, two, sigma=1.5, data_range=255.0, reduction="none")
    assert isinstance(similarity, Tensor)
    return similarity.view(-1)


def residual(fake: Images, target: Images, source: Float[Tensor, "b k h w"]) -> Float[Tensor, " b"]:
    """Returns what is left in each image of what was added to its target, such as rain.

    It is the correlation of `fake - target` with `source - target` over all places, as means over channels: 1 where the
    source was not touched, 0 where nothing is left of what was added.
    """
    left, added = ((image - target).float().mean(1).flatten(1) for image in (fake, source))
    left, added = left - left.mean(1, keepdim=True), added - added.mean(1, keepdim=True)
    return (left * added).sum(1) / (left.norm(dim=1) * added.norm(dim=1)).clamp(min=1e-8)


def lab(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Returns sRGB images in [-1, 1] as CIE L*a*b* of 1976, for the white of D65."""
    color = (image.double() + 1) / 2
    linear = torch.where(color > 0.04045, ((color + 0.055) / 1.055) ** 2.4, color / 12.92)
    to_xyz = linear.new_tensor(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = torch.einsum("ij,bjhw->bihw", to_xyz / to_xyz.sum(1, keepdim=True), linear)
    root = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-9) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def lab_histograms(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "3 bins"]:
    """Counts the pixels of sRGB images in [-1, 1] by L, a and b."""
    ranges = LAB_RANGES.values()
    return torch.stack(
        [
            torch.histc(values, LAB_BINS, low, high)
            for values, (low, high) in zip(lab(image.cpu()).unbind(1), ranges, strict=True)
        ]
    )


def intersection(one: Float[Tensor, "*k bins"], two: Float[Tensor, "*k bins"]) -> Float[Tensor, " *k"]:
    """Returns the share that histograms have in common, 1 if they are equal."""
    return torch.minimum(one / one.sum(-1, keepdim=True), two / two.sum(-1, keepdim=True)).sum(-1)


def gradient_energy(image: Images) -> Float[Tensor, " b"]:
    """Returns the mean squared difference of neighbours: the less, the more blurred."""
    right, down = image.diff(dim=3), image.diff(dim=2)
    return right.square().flatten(1).mean(1) + down.square().flatten(1).mean(1)


def laplacian_energy(image: Images) -> Float[Tensor, " b"]:
    """Returns the mean square of the Laplacian, which falls with blur far sooner than `gradient_energy` does."""
    middle = image[..., 1:-1, 1:-1]
    sides = image[..., :-2, 1:-1] + image[..., 2:, 1:-1] + image[..., 1:-1, :-2] + image[..., 1:-1, 2:]
    return (sides - 4 * middle).square().flatten(1).mean(1)
