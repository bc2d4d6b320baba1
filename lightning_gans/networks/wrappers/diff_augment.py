"""Augmentation that gradients pass through."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

Images = Float[Tensor, "b c h w"]


class DiffAugment(nn.Module):
    """A discriminator of augmented images, real and fake alike (Zhao et al., 2020, https://arxiv.org/abs/2006.10738).

    The gradient passes through the augmentation to the generator, whose samples are not augmented. In evaluation
    nothing is. Meant for little data, which a discriminator would otherwise learn by heart.

    Args:
        discriminator: Called with an image and its condition.
        policy: Augmentations of each image by itself: `color`, `translation`, `cutout` (section 3) or `flip`.
    """

    def __init__(self, discriminator: nn.Module, policy: Sequence[str] = ("color", "translation", "cutout")):
        super().__init__()
        self.discriminator = discriminator
        self.policy = checked(policy)

    def forward(self, image: Images, *condition: Tensor) -> Tensor:
        return self.discriminator(augment(image, self.policy) if self.training else image, *condition)


def checked(policy: Sequence[str]) -> list[str]:
    """Returns the names of a policy, which must all be known."""
    if not policy or any(name not in POLICIES for name in policy):
        raise ValueError(f"`policy` must name some of {', '.join(POLICIES)}, got {list(policy)}.")
    return list(policy)


def augment(image: Images, policy: Sequence[str]) -> Images:
    """Changes each image by every augmentation of the policy."""
    for name in policy:
        for change in POLICIES[name]:
            image = change(image)
    return image


def draws(image: Images) -> Float[Tensor, "b 1 1 1"]:
    """Draws a number from [0, 1) for each image."""
    return torch.rand(len(image), 1, 1, 1, device=image.device, dtype=image.dtype)


def brightness(image: Images) -> Images:
    """Adds up to a quarter of the range, or takes it away."""
    return image + draws(image) - 0.5


def saturation(image: Images) -> Images:
    """Multiplies the distance from gray by 0 to 2."""
    gray = image.mean(1, keepdim=True)
    return (image - gray) * (2 * draws(image)) + gray


def contrast(image: Images) -> Images:
    """Multiplies the distance from the image's mean by 0.5 to 1.5."""
    mean = image.mean((1, 2, 3), keepdim=True)
    return (image - mean) * (draws(image) + 0.5) + mean


def translation(image: Images, share: float = 0.125) -> Images:
    """Moves the image by up to an eighth of each side, and fills with 0."""
    height, width = image.shape[2:]
    reach = round(height * share), round(width * share)
    places = []
    for side, far in zip((height, width), reach, strict=True):
        shift = (draws(image).flatten() * (2 * far + 1)).long()
        places.append(torch.arange(side, device=image.device) + shift[:, None])
    padded = pad(image, (reach[1], reach[1], reach[0], reach[0])).permute(0, 2, 3, 1)
    index = torch.arange(len(image), device=image.device)[:, None, None]
    return padded[index, places[0][:, :, None], places[1][:, None, :]].permute(0, 3, 1, 2)


def cutout(image: Images, share: float = 0.5) -> Images:
    """Sets a box of half of each side to 0; its center is anywhere."""
    inside = []
    for axis, side in ((2, image.shape[2]), (3, image.shape[3])):
        center = (draws(image) * side).floor()
        place = torch.arange(side, device=image.device, dtype=image.dtype)
        place = place[:, None] if axis == 2 else place
        half = round(side * share) // 2
        inside.append((place >= center - half) & (place < center - half + round(side * share)))
    return image.masked_fill(inside[0] & inside[1], 0)


def flip(image: Images) -> Images:
    """Mirrors left and right in half of the images."""
    return torch.where(draws(image) < 0.5, image, image.flip(3))


POLICIES = {
    "color": (brightness, saturation, contrast),
    "translation": (translation,),
    "cutout": (cutout,),
    "flip": (flip,),
}
