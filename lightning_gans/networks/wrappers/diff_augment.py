"""Augmentation that gradients pass through."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

Images = Float[Tensor, "b c h w"]


class DiffAugment(nn.Module):
    """Shows a discriminator augmented images only, real and drawn (Zhao et al., 2020, https://arxiv.org/abs/2006.10738).

    The gradient passes through the augmentation to the generator, whose samples stay clean. In evaluation mode images
    are shown as they are. Meant for little data, on which a discriminator would learn the images by heart.

    Args:
        discriminator: Called with an image and whatever else it takes.
        policy: What is done to each image by itself, out of `color`, `translation`, `cutout` (section 3) and `flip`.
    """

    def __init__(self, discriminator: nn.Module, policy: Sequence[str] = ("color", "translation", "cutout")):
        super().__init__()
        self.discriminator = discriminator
        self.policy = checked(policy)

    def forward(self, image: Images, *others: Tensor) -> Tensor:
        return self.discriminator(augment(image, self.policy) if self.training else image, *others)


def checked(policy: Sequence[str]) -> list[str]:
    if not policy or any(name not in POLICIES for name in policy):
        raise ValueError(f"`policy` must name some of {', '.join(POLICIES)}, got {list(policy)}.")
    return list(policy)


def augment(image: Images, policy: Sequence[str]) -> Images:
    for name in policy:
        for change in POLICIES[name]:
            image = change(image)
    return image


def draws(image: Images) -> Float[Tensor, "b 1 1 1"]:
    return torch.rand(len(image), 1, 1, 1, device=image.device, dtype=image.dtype)


def brightness(image: Images) -> Images:
    """Moved by up to a quarter of the range."""
    return image + draws(image) - 0.5


def saturation(image: Images) -> Images:
    """Distance from grey times 0 to 2."""
    grey = image.mean(1, keepdim=True)
    return (image - grey) * (2 * draws(image)) + grey


def contrast(image: Images) -> Images:
    """Distance from the mean times 0.5 to 1.5."""
    mean = image.mean((1, 2, 3), keepdim=True)
    return (image - mean) * (draws(image) + 0.5) + mean


def translation(image: Images, share: float = 0.125) -> Images:
    """Moved by up to an eighth of each side, with 0 behind."""
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
    """A box of half of each side set to 0; its centre is anywhere."""
    inside = []
    for axis, side in ((2, image.shape[2]), (3, image.shape[3])):
        center = (draws(image) * side).floor()
        place = torch.arange(side, device=image.device, dtype=image.dtype)
        place = place.view(1, 1, -1, 1) if axis == 2 else place.view(1, 1, 1, -1)
        half = round(side * share) // 2
        inside.append((place >= center - half) & (place < center - half + round(side * share)))
    return image.masked_fill(inside[0] & inside[1], 0)


def flip(image: Images) -> Images:
    """Mirrored, left for right, or not."""
    return torch.where(draws(image) < 0.5, image, image.flip(3))


POLICIES = {
    "color": (brightness, saturation, contrast),
    "translation": (translation,),
    "cutout": (cutout,),
    "flip": (flip,),
}
