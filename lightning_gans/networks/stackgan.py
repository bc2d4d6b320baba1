"""StackGAN's generators (Zhang et al., 2017, https://arxiv.org/abs/1612.03242), as in its authors' code.

Code: https://github.com/hanzhanggit/StackGAN. The discriminators are `TextDiscriminator`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.dcgan import initialize
from lightning_gans.networks.text import Text, bottleneck, doublings_to, scaled
from lightning_gans.networks.translation import Repeat, Residual
from lightning_gans.networks.wrappers.frozen import Kept

Image = Float[Tensor, "b c h w"]


class ConditioningAugmentation(nn.Module):
    """Draws conditions around a text, c = mean(t) + deviation(t) * noise (eq. 1), so that close texts share some.

    Mean and logarithm of the variance are two halves of a linear layer. In the authors' codes both pass a ReLU or leaky
    ReLU; that of the second code keeps the deviation above 1.

    Args:
        text_dim: Numbers of a text.
        condition_dim: Numbers of a condition; 128 in the paper.
    """

    def __init__(self, text_dim: int = 1024, condition_dim: int = 128):
        super().__init__()
        self.text_dim, self.condition_dim = text_dim, condition_dim
        self.layer = nn.Linear(text_dim, 2 * condition_dim)

    def distribution(self, text: Text) -> tuple[Float[Tensor, "b condition"], Float[Tensor, "b condition"]]:
        """Returns the mean, and the logarithm of the variance."""
        mean, log_variance = self.layer(scaled(text, self.text_dim)).chunk(2, 1)
        return mean, log_variance

    def forward(self, text: Text, noise: Float[Tensor, "b condition"]) -> Float[Tensor, "b condition"]:
        """Returns a condition for each text, given standard normal noise."""
        mean, log_variance = self.distribution(text)
        return mean + (log_variance / 2).exp() * noise


class StackGANGenerator(nn.Module):
    """The first stage: a small image from a text and a latent.

    The latent holds the noise of the image, and behind it the noise of the condition. Maps double by repeating pixels
    before a 3 x 3 convolution, which halves the channels; batch norm, ReLU, and tanh at the end.

    Args:
        text_dim: Numbers of a text; 1024 in the paper.
        noise_dim: Numbers of an image's noise; 100 in the paper.
        condition_dim: Numbers of the condition; 128 in the paper.
        channels: Image channels.
        size: Image height and width, 4 doubled at least twice; 64 in the paper.
        width: Channels of the map before the last doubling; 128 in the authors' code.
        residual: Whether the two smallest maps pass a residual block each, and the last convolution makes the image,
            as in the authors' code; otherwise another convolution after the last doubling makes it, as in their code
            for PyTorch.
    """

    def __init__(
        self,
        text_dim: int = 1024,
        noise_dim: int = 100,
        condition_dim: int = 128,
        channels: int = 3,
        size: int = 64,
        width: int = 128,
        residual: bool = True,
    ):
        super().__init__()
        self.latent_dim, self.noise_dim = noise_dim + condition_dim, noise_dim
        self.channels, self.size = channels, size
        self.augmentation = ConditioningAugmentation(text_dim, condition_dim)
        doublings = doublings_to(size)
        features = width * 2 ** (doublings - 1)
        self.smallest = (4, 4, features)  # channels last, as convolutions are fastest
        self.project = nn.Sequential(
            nn.Linear(self.latent_dim, 16 * features, bias=residual), nn.BatchNorm1d(16 * features)
        )
        layers: list[nn.Module] = []
        for number in range(doublings):
            layers += [bottleneck(features, nn.ReLU())] if residual and number < 2 else []
            layers += [nn.ReLU()]
            if residual and number == doublings - 1:
                layers += [Repeat(), nn.Conv2d(features, channels, 3, padding=1, bias=False)]
            else:
                layers += doubling(features, features // 2)
                features //= 2
        layers += [] if residual else [nn.ReLU(), nn.Conv2d(features, channels, 3, padding=1, bias=False)]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        initialize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, latent: Float[Tensor, "b z"], text: Text) -> Image:
        noise, of_condition = latent[:, : self.noise_dim], latent[:, self.noise_dim :]
        maps = self.project(torch.cat([noise, self.augmentation(text, of_condition)], 1))
        return self.layers(maps.unflatten(1, self.smallest).permute(0, 3, 1, 2))


class StackGANStage2Generator(nn.Module):
    """The second stage: a large image from the first stage's image and the text, which corrects what is wrong with it.

    The first stage is frozen and in evaluation mode; its weights are kept in checkpoints. Its image is halved twice by
    convolutions, joined by a new condition at each place, passes residual blocks and is doubled to its size. The latent
    is that of the first stage, and behind it the noise of the new condition.

    Args:
        stage1: The first stage's network; `StartFrom` with `into: generator.stage1` gives it the weights of a run.
        text_dim: Numbers of a text; 1024 in the paper.
        condition_dim: Numbers of the condition; 128 in the paper.
        size: Image height and width, the first stage's doubled at least once; 256 in the paper.
        width: Channels of the first map; 128 in the authors' code.
        blocks: Residual blocks; 4 in the paper.
    """

    def __init__(
        self,
        stage1: nn.Module,
        text_dim: int = 1024,
        condition_dim: int = 128,
        size: int = 256,
        width: int = 128,
        blocks: int = 4,
    ):
        super().__init__()
        first: StackGANGenerator = stage1  # type: ignore[assignment]
        if size < 2 * first.size or size % first.size or (size // first.size).bit_count() != 1:
            raise ValueError(f"`size` must be that of `stage1`, {first.size}, doubled at least once, got {size}.")
        self.stage1 = Kept(stage1)
        self.size = size
        self.of_stage1 = first.latent_dim
        self.latent_dim = first.latent_dim + condition_dim
        self.augmentation = ConditioningAugmentation(text_dim, condition_dim)
        self.encode = nn.Sequential(
            nn.Conv2d(first.channels, width, 3, padding=1, bias=False),
            nn.ReLU(),
            *halving(width, 2 * width),
            *halving(2 * width, 4 * width),
        )
        features = 4 * width
        layers = [*around(condition_dim + features, features), nn.ReLU()]
        for _ in range(blocks):
            layers += [Residual(*around(features, features), nn.ReLU(), *around(features, features)), nn.ReLU()]
        for _ in range((size // first.size).bit_length() + 1):  # two more, since it was halved twice
            after = max(features // 2, 1)
            layers += [*doubling(features, after), nn.ReLU()]
            features = after
        layers += [nn.Conv2d(features, first.channels, 3, padding=1, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        for part in (self.augmentation, self.encode, self.layers):
            initialize(part)
        self.to(memory_format=torch.channels_last)

    def forward(self, latent: Float[Tensor, "b z"], text: Text) -> Image:
        with torch.no_grad():
            small = self.stage1(latent[:, : self.of_stage1], text)
        return self.refine(small, text, latent[:, self.of_stage1 :])

    def refine(self, small: Image, text: Text, noise: Float[Tensor, "b condition"]) -> Float[Tensor, "b c _ _"]:
        """Returns large images of small ones, given the noise of their conditions."""
        maps = self.encode(small)
        planes = self.augmentation(text, noise)[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        return self.layers(torch.cat([planes, maps], 1))


def around(before: int, after: int) -> list[nn.Module]:
    """Returns a 3 x 3 convolution with batch norm."""
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]


def doubling(before: int, after: int) -> list[nn.Module]:
    """Returns layers that double a map by repeating each pixel, with batch norm."""
    return [Repeat(), *around(before, after)]


def halving(before: int, after: int) -> list[nn.Module]:
    """Returns layers that halve a map, with batch norm and ReLU."""
    return [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
