"""GRAN's generator."""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from lightning_gans.networks.dcgan import halvings, initialize


class GRANGenerator(nn.Module):
    """A canvas that is drawn step by step (Im et al., 2016, https://arxiv.org/abs/1602.05110).

    At each time step a decoder f draws an update of the canvas from the latent, which is the same at every step, and
    from a code of the update before, which an encoder g reads. The canvas is the sum of the updates.

        h_z = tanh(W z), h_{c,0} = 0
        dC_t = f([h_z, h_{c,t}]), h_{c,t+1} = g(dC_t)
        C = tanh(dC_1 + ... + dC_T)

    f and g are the same at every step, and have the layers of DCGAN's generator and discriminator; g ends in tanh, and
    both codes have batch norm before it. Three things differ from the authors' code: tanh makes C lie in [-1, 1]
    instead of their sigmoid, kernels are 4 x 4, and all hidden layers have batch norm. Each step has statistics, scales
    and shifts of its own, since its inputs are distributed differently.

    Args:
        latent_dim: Size of the latent, of h_z and of h_{c,t}.
        channels: Image channels.
        size: Image height and width: 4, 5, 6 or 7 doubled at least once, such as 28, 32 or 64.
        width: Channels of the hidden layers next to the canvas.
        steps: T; 1 draws everything at once and has no use for g.
    """

    def __init__(self, latent_dim: int = 100, channels: int = 3, size: int = 64, width: int = 64, steps: int = 3):
        super().__init__()
        if steps < 1:
            raise ValueError(f"`steps` must be at least 1, got {steps}.")
        self.latent_dim = latent_dim
        self.steps = steps
        start, doublings = halvings(size)
        features = [width * 2**i for i in range(doublings)]  # from the canvas inwards
        around = [channels, *features]
        self.smallest = (start, start, features[-1])  # channels last, as convolutions are fastest
        units = start * start * features[-1]
        self.latent_code = nn.Sequential(nn.Linear(latent_dim, latent_dim, bias=False), nn.BatchNorm1d(latent_dim))
        self.project = nn.Linear(2 * latent_dim, units, bias=False)
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(around[i + 1], around[i], 4, 2, 1, bias=i == 0) for i in reversed(range(doublings))
        )
        self.decoder_norms = nn.ModuleList(norms(nn.BatchNorm2d, number, steps) for number in reversed(features))
        self.encoder = nn.ModuleList(nn.Conv2d(around[i], around[i + 1], 4, 2, 1, bias=False) for i in range(doublings))
        self.encoder_norms = nn.ModuleList(norms(nn.BatchNorm2d, number, steps - 1) for number in features)
        self.canvas_code = nn.Linear(units, latent_dim, bias=False)
        self.canvas_code_norms = norms(nn.BatchNorm1d, latent_dim, steps - 1)
        initialize(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "b c h w"]:
        return self.updates(latent).sum(0).tanh()

    def canvases(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "t b c h w"]:
        """Returns the picture after every time step; the last one is the image."""
        # `cumsum` is refused on CUDA by some versions of torch when algorithms must be deterministic.
        return torch.stack([*itertools.accumulate(self.updates(latent))]).tanh()

    def updates(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "t b c h w"]:
        """Returns dC_1 to dC_T."""
        latent_code = self.latent_code(latent).tanh()
        canvas_code = torch.zeros_like(latent_code)
        updates = [self.decode(latent_code, canvas_code, 0)]
        for step in range(1, self.steps):
            canvas_code = self.encode(updates[-1], step - 1)
            updates.append(self.decode(latent_code, canvas_code, step))
        return torch.stack(updates)

    def decode(
        self, latent_code: Float[Tensor, "b z"], canvas_code: Float[Tensor, "b z"], step: int
    ) -> Float[Tensor, "b c h w"]:
        """Returns dC_t, by f."""
        x = self.project(torch.cat([latent_code, canvas_code], 1)).unflatten(1, self.smallest).permute(0, 3, 1, 2)
        for norm, layer in zip(self.decoder_norms, self.decoder, strict=True):
            x = layer(relu(norm[step](x)))  # type: ignore[index]
        return x

    def encode(self, update: Float[Tensor, "b c h w"], step: int) -> Float[Tensor, "b z"]:
        """Returns h_{c,t+1}, by g."""
        x = update
        for layer, norm in zip(self.encoder, self.encoder_norms, strict=True):
            x = leaky_relu(norm[step](layer(x)), 0.2)  # type: ignore[index]
        return self.canvas_code_norms[step](self.canvas_code(x.flatten(1))).tanh()


def norms(norm: type[nn.Module], features: int, steps: int) -> nn.ModuleList:
    """Returns a batch norm for each time step."""
    return nn.ModuleList(norm(features) for _ in range(steps))
