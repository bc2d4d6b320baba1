"""CatGAN's discriminator; its generator is DCGAN's with a hidden layer."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images

MOMENTUM = 0.05  # of batch norm's running statistics, half of torch's for batches that are small


class CatGANDiscriminator(nn.Module):
    """Four convolutions and a hidden layer with batch norm, max pooling and noise, from an image to class logits.

    Source: Springenberg, 2016, https://arxiv.org/abs/1511.06390. The layers were not checked against its appendix.

    Args:
        channels: Image channels.
        size: Image height and width, at least 8.
        width: Channels of the first convolution; the others have 2, 2 and 4 times as many.
        hidden: Units of the hidden layer.
        outputs: Number of classes.
        image_noise: Standard deviation of the noise on the image, whose range is [-1, 1]; 0 adds none.
        hidden_noise: Standard deviation of the noise on hidden layers, after batch norm and the activation.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        width: int = 32,
        hidden: int = 128,
        outputs: int = 10,
        image_noise: float = 0.3,
        hidden_noise: float = 0.3,
    ):
        super().__init__()
        if size < 8:
            raise ValueError(f"`size` must be at least 8, got {size}.")
        self.channels, self.size = channels, size
        layers: list[nn.Module] = [GaussianNoise(image_noise)]
        before = channels
        for factor, kernel, pool in ((1, 5, True), (2, 3, False), (2, 3, True), (4, 3, True)):
            after = factor * width
            layers += [
                nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(after, momentum=MOMENTUM),
            ]
            layers += [nn.LeakyReLU(0.1), GaussianNoise(hidden_noise)]
            layers += [nn.MaxPool2d(2)] if pool else []
            before = after
        layers += [nn.Flatten(), nn.Linear(before * (size // 8) ** 2, hidden, bias=False)]
        layers += [
            nn.BatchNorm1d(hidden, momentum=MOMENTUM),
            nn.LeakyReLU(0.1),
            GaussianNoise(hidden_noise),
            nn.Linear(hidden, outputs),
        ]
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        check_images(image, self.channels, self.size)
        return full_precision(self.layers(image))


class GaussianNoise(nn.Module):
    """Gaussian noise on the input in training.

    Args:
        std: Standard deviation; 0 adds none.
    """

    def __init__(self, std: float):
        super().__init__()
        self.std = std

    def forward(self, x: Float[Tensor, "b n ..."]) -> Float[Tensor, "b n ..."]:
        if not self.training or self.std == 0:
            return x
        channels_last = x.movedim(1, -1).shape  # as convolutions have it in memory
        return x + self.std * torch.randn(*channels_last, device=x.device, dtype=x.dtype).movedim(-1, 1)
