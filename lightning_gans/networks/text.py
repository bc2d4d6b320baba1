"""Networks from texts to images, and the parts that they share (Reed et al., 2016, https://arxiv.org/abs/1605.05396).

Texts are embeddings (b, k), made of captions by any encoder. Since encoders differ in the lengths of their vectors, a
network first scales texts to a mean square of 1, and then compresses them.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, rms_norm

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images
from lightning_gans.networks.dcgan import initialize
from lightning_gans.networks.translation import Residual

Text = Float[Tensor, "b k"]


class TextGenerator(nn.Module):
    """GAN-INT-CLS's generator: transposed convolutions from a text and a latent to an image.

    The text is compressed by a linear layer with leaky ReLU, and stands behind the latent. Each layer doubles the size
    and halves the channels; the two smallest maps pass a residual block each. Batch norm, and tanh at the end.

    Args:
        text_dim: Numbers of a text; 1024 in the paper.
        latent_dim: Size of the latent; 100 in the authors' code.
        condition_dim: Numbers that a text is compressed to; 128 in the paper.
        channels: Image channels.
        size: Image height and width: 4 doubled at least twice; 64 in the paper.
        width: Channels of the last map before the image; 128 in the authors' code.
    """

    def __init__(
        self,
        text_dim: int = 1024,
        latent_dim: int = 100,
        condition_dim: int = 128,
        channels: int = 3,
        size: int = 64,
        width: int = 128,
    ):
        super().__init__()
        self.text_dim, self.latent_dim, self.size = text_dim, latent_dim, size
        doublings = doublings_to(size)
        features = width * 2 ** (doublings - 1)
        self.compress = nn.Sequential(nn.Linear(text_dim, condition_dim), nn.LeakyReLU(0.2))
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_dim + condition_dim, features, 4, bias=False)]
        for number in range(doublings):
            layers += [nn.BatchNorm2d(features)]
            layers += [bottleneck(features, nn.ReLU())] if number < 2 else []
            after = channels if number == doublings - 1 else features // 2
            layers += [nn.ReLU(), nn.ConvTranspose2d(features, after, 4, 2, 1, bias=False)]
            features //= 2
        self.layers = nn.Sequential(*layers, nn.Tanh())
        initialize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, latent: Float[Tensor, "b z"], text: Text) -> Float[Tensor, "b c h w"]:
        condition = self.compress(scaled(text, self.text_dim))
        return self.layers(torch.cat([latent, condition], 1)[:, :, None, None])


class TextDiscriminator(nn.Module):
    """The discriminator of GAN-INT-CLS and StackGAN: convolutions from an image, joined by its text at 4 x 4.

    Each layer halves the size and doubles the channels, up to 4 x 4; maps of more than 8 times `width` channels are
    then brought back to these. The text is compressed by a linear layer and stands at each place of the map. Batch
    norm, and leaky ReLU of slope 0.2, which the code of Reed et al. leaves out after two of the layers.

    Args:
        text_dim: Numbers of a text; 1024 in the papers.
        condition_dim: Numbers that a text is compressed to; 128 in the papers.
        channels: Image channels.
        size: Image height and width: 4 doubled at least twice.
        width: Channels of the first layer; 64 in the papers.
        residual: Whether the 4 x 4 map passes a residual block, and 1 x 1 convolutions join it with the text, as in the
            code of both papers; otherwise 3 x 3 convolutions join them, as in StackGAN's code for PyTorch.
        text_norm: Whether compressed texts pass batch norm, as in the code of Reed et al.
        unconditional: Whether there is a last logit that judges the image without its text, as of StackGAN's second
            stage in its code for PyTorch.
    """

    def __init__(
        self,
        text_dim: int = 1024,
        condition_dim: int = 128,
        channels: int = 3,
        size: int = 64,
        width: int = 64,
        residual: bool = True,
        text_norm: bool = True,
        unconditional: bool = False,
    ):
        super().__init__()
        self.text_dim, self.channels, self.size, self.unconditional = text_dim, channels, size, unconditional
        kernel = 1 if residual else 3
        halvings = doublings_to(size)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for level in range(halvings - 1):
            layers += convolution(width * 2**level, width * 2 ** (level + 1), 4, 2)
        features = width * 2 ** (halvings - 1)
        while features > 8 * width:
            layers += convolution(features, features // 2, kernel)
            features //= 2
        layers += [bottleneck(features, nn.LeakyReLU(0.2)), nn.LeakyReLU(0.2)] if residual else []
        self.look = nn.Sequential(*layers)
        self.compress = nn.Sequential(nn.Linear(text_dim, condition_dim))
        self.compress.extend([nn.BatchNorm1d(condition_dim)] if text_norm else [])
        judge = nn.Conv2d(features, 1, 4, bias=not residual)
        self.judge = nn.Sequential(*convolution(features + condition_dim, features, kernel), judge)
        self.judge_alone = nn.Conv2d(features, 1, 4, bias=not residual) if unconditional else None
        initialize(self)
        self.to(memory_format=torch.channels_last)

    def forward(
        self, image: Float[Tensor, "b c h w"], text: Float[Tensor, "b *n k"]
    ) -> Float[Tensor, " b"] | Float[Tensor, "b _"]:
        """Returns a logit for each text of an image: (b,) for texts (b, k), (b, n) for n texts of each image.

        With `unconditional` it is (b, 2) or (b, n + 1), of which the last is that of the image alone.
        """
        check_images(image, self.channels, self.size)
        maps = self.look(image)
        texts = scaled(text if text.ndim == 3 else text[:, None], self.text_dim)
        planes = leaky_relu(self.compress(texts.flatten(0, 1)), 0.2)[:, :, None, None].expand(-1, -1, 4, 4)
        repeated = maps[:, None].expand(-1, texts.shape[1], -1, -1, -1).flatten(0, 1)
        joint = torch.cat([repeated, planes], 1)
        logits = self.judge(joint).view(texts.shape[:2])
        if self.judge_alone is not None:
            return full_precision(torch.cat([logits, self.judge_alone(maps).flatten(1)], 1))
        return full_precision(logits if text.ndim == 3 else logits.flatten())


def convolution(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Returns a convolution with batch norm and leaky ReLU, which keeps or halves the size."""
    layer = nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, bias=False)
    return [layer, nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]


def bottleneck(features: int, activation: nn.Module) -> Residual:
    """Returns a residual block whose inner maps have a quarter of the channels."""
    inner = max(features // 4, 1)
    parts = ((features, inner, 1), (inner, inner, 3), (inner, features, 3))
    layers: list[nn.Module] = []
    for before, after, kernel in parts:
        layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(after), activation]
    return Residual(*layers[:-1])


def doublings_to(size: int) -> int:
    """Returns how often 4 is doubled to reach a size."""
    doublings = (size // 4).bit_length() - 1
    if doublings < 2 or size != 4 * 2**doublings:
        raise ValueError(f"`size` must be a power of two, at least 16, got {size}.")
    return doublings


def scaled(text: Float[Tensor, "b *n k"], text_dim: int) -> Float[Tensor, "b *n k"]:
    """Returns texts with a mean square of 1, and refuses those of another length than the network's."""
    if text.shape[-1] != text_dim:
        raise ValueError(
            f"`text_dim` of network and texts must agree, got {text_dim} and texts of {text.shape[-1]} numbers: the "
            "data's encoder says how many it makes."
        )
    return rms_norm(text, (text_dim,), eps=1e-12)
