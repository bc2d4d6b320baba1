"""Predictive generative networks (Lotter et al., 2016, https://arxiv.org/abs/1511.06380), as in the authors' code.

They are those of https://github.com/coxlab/predictive-rnn-experiments: convolutions look at each frame, an LSTM goes
through time, and in the generator a decoder draws the next frame from its last state. Frames come and go in [-1, 1],
and within the networks they are in [0, 1], as in the paper, so that black is 0. Initial weights are those of Keras,
which the code is written in: uniform after Glorot & Bengio (2010), orthogonal from state to state, and biases of 0, but
for 1 in the gates that forget.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from lightning_gans.mechanics.precision import full_precision
from lightning_gans.networks.checks import check_images

Images = Float[Tensor, "b c h w"]
Frames = Float[Tensor, "b t c h w"]


class PGNGenerator(nn.Module):
    """Draws the next frame of a sequence of any length.

    The decoder draws from the state, and from noise that is uniform in [0, 0.5]. Its convolutions are full, and their
    kernels are as large as leads back to the encoder's sizes: 7 pixels in the paper. What it draws is cut off at black
    and at white (SatLU).

    Args:
        channels: Image channels.
        size: Image height and width; 150 in the paper.
        width: Channels of all layers; 64 in the paper.
        kernel: Height and width of the encoder's kernels; 5 in the paper.
        pool: Height and width of what each of two poolings takes the maximum of; 3 in the paper.
        hidden: Units of the LSTM; 1024 in the paper.
        noise_dim: Numbers of noise; 128 in the authors' code, 0 has none.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 150,
        width: int = 64,
        kernel: int = 5,
        pool: int = 3,
        hidden: int = 1024,
        noise_dim: int = 128,
    ):
        super().__init__()
        self.channels, self.size, self.pool, self.noise_dim = channels, size, pool, noise_dim
        self.encoder = FrameEncoder(channels, size, width, kernel, pool)
        self.memory = LSTM(math.prod(self.encoder.shape), hidden)
        self.draw = nn.Linear(hidden + noise_dim, math.prod(self.encoder.shape))
        kernels = [before - pool * after + 1 for before, after in zip(*self.encoder.sizes, strict=True)]
        self.first = nn.Conv2d(width, width, kernels[1], padding=kernels[1] - 1)
        self.last = nn.Conv2d(width, channels, kernels[0], padding=kernels[0] - 1)
        initialize(self)
        self.to(memory_format=torch.channels_last)

    def encode(self, previous: Frames) -> Float[Tensor, "b k"]:
        """Returns the LSTM's state after these frames."""
        check_images(previous.flatten(0, 1), self.channels, self.size)
        return self.memory(self.encoder(previous))

    def forward(self, previous: Frames) -> Images:
        state = self.encode(previous)
        if self.noise_dim:
            noise = 0.5 * torch.rand(len(state), self.noise_dim, device=state.device)
            state = torch.cat([state, noise.to(state)], 1)
        x = relu(self.draw(state)).unflatten(1, self.encoder.shape)
        x = relu(self.first(interpolate(x, scale_factor=self.pool)))
        return 2 * full_precision(self.last(interpolate(x, scale_factor=self.pool))).clamp(0, 1) - 1


class PGNDiscriminator(nn.Module):
    """Judges whether an image is the next frame of a sequence, with convolutions and an LSTM of its own.

    All frames go through the same convolutions. The state after those before meets the next one in two layers ("early
    fusion").

    Args:
        channels: Image channels.
        size: Image height and width; 150 in the paper.
        width: Channels of all convolutions; 64 in the paper.
        kernel: Height and width of their kernels; 5 in the paper.
        pool: Height and width of what each of two poolings takes the maximum of; 3 in the paper.
        hidden: Units of the LSTM and of the layers after it, of which the last has a quarter; 1024 in the paper.
    """

    def __init__(
        self, channels: int = 1, size: int = 150, width: int = 64, kernel: int = 5, pool: int = 3, hidden: int = 1024
    ):
        super().__init__()
        self.channels, self.size = channels, size
        self.encoder = FrameEncoder(channels, size, width, kernel, pool)
        features = math.prod(self.encoder.shape)
        self.memory = LSTM(features, hidden)
        self.look = nn.Linear(features, hidden)
        fused = max(8, hidden // 4)
        self.fusion = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, fused), nn.ReLU(), nn.Linear(fused, 2)
        )
        initialize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Images, previous: Float[Tensor, "b t _ _ _"]) -> Float[Tensor, " b"]:
        for images in (image, previous.flatten(0, 1)):
            check_images(images, self.channels, self.size)
        features = self.encoder(torch.cat([previous, image.unsqueeze(1)], 1))
        seen = torch.cat([relu(self.look(features[:, -1])), self.memory(features[:, :-1])], 1)
        fake, real = full_precision(self.fusion(seen)).unbind(1)
        return real - fake  # a softmax of two is the sigmoid of their difference


class FrameEncoder(nn.Module):
    """Two convolutions without padding, each with a pooling and ReLU, of all frames alike.

    In the paper ReLU comes before the pooling, which is the same, and slower.

    Args:
        channels: Image channels.
        size: Image height and width.
        width: Channels of both layers.
        kernel: Height and width of kernels.
        pool: Height and width of what a pooling takes the maximum of.
    """

    def __init__(self, channels: int, size: int, width: int, kernel: int, pool: int):
        super().__init__()
        for name, value in (("kernel", kernel), ("pool", pool)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        half = (size - kernel + 1) // pool
        quarter = (half - kernel + 1) // pool
        if quarter < 1:
            least = kernel - 1 + pool * (kernel - 1 + pool)
            raise ValueError(
                f"`size` must be at least {least} for kernels of {kernel} and a pool of {pool}, got {size}."
            )
        self.sizes = (size, half), (half, quarter)
        self.shape = (width, quarter, quarter)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, kernel), nn.MaxPool2d(pool), nn.ReLU(),
            nn.Conv2d(width, width, kernel), nn.MaxPool2d(pool), nn.ReLU(),
        )  # fmt: skip

    def forward(self, frames: Frames) -> Float[Tensor, "b t k"]:
        images = (frames.flatten(0, 1) + 1) / 2
        maps = self.layers(images.contiguous(memory_format=torch.channels_last))
        return maps.flatten(1).unflatten(0, frames.shape[:2])


class LSTM(nn.Module):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735).

    Returns the last state. It is torch's without its second, redundant bias, in plain operators: gradients of gradients
    are known on all devices, and copies of it, such as a moving average, are as fast as the original.

    Args:
        inputs: Numbers of an input.
        units: Numbers of a state.
    """

    def __init__(self, inputs: int, units: int):
        super().__init__()
        self.units = units
        self.input = nn.Linear(inputs, 4 * units)
        self.state = nn.Linear(units, 4 * units, bias=False)

    def forward(self, x: Float[Tensor, "b t k"]) -> Float[Tensor, "b units"]:
        state = cell = x.new_zeros(len(x), self.units, dtype=torch.promote_types(x.dtype, torch.float32))
        for gates in self.input(x).unbind(1):
            take, keep, new, show = (gates + self.state(state)).chunk(4, 1)
            cell = keep.sigmoid() * cell + take.sigmoid() * new.tanh()
            state = show.sigmoid() * cell.tanh()
        return state


def initialize(network: nn.Module) -> None:
    """Draws initial weights as Keras does."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, LSTM):
            nn.init.ones_(module.input.bias.data.chunk(4)[1])
            for matrix in module.input.weight.data.chunk(4):
                nn.init.xavier_uniform_(matrix)
            for matrix in module.state.weight.data.chunk(4):
                nn.init.orthogonal_(matrix)
