"""Times steps of StyleGAN2 against the same network in the reference's plain form, and what is added to a step.

    python -m benchmarks.speed.style_step

The plain form has weights for each image in one grouped convolution, and filters that insert zeros, pad, convolve and
take each second value, as `upfirdn2d` and `modulated_conv2d` have it where the authors' operators are not compiled
(https://github.com/NVlabs/stylegan2-ada-pytorch). Everything else is this project's, and both give the same losses,
which is checked first. A step is one of each player with Adam, without R1 and path lengths. Both take turns in one
process, and the median of the ratios of neighbors counts. Writes `results/style_step.json`.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from statistics import median, quantiles
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, pad

from benchmarks.recipes import quieten
from benchmarks.record import write_record
from lightning_gans import StyleGAN2
from lightning_gans.networks import Augment, StyleGAN2Discriminator, StyleGAN2Generator, stylegan2

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0])


def filtered(x: Tensor, up: int = 1, down: int = 1, padding: tuple[int, int] = (0, 0), gain: float = 1.0) -> Tensor:
    """Inserts zeros, pads, smooths by [1, 3, 3, 1], and takes each `down`-th value."""
    b, c, h, w = x.shape
    x = pad(x.reshape(b, c, h, 1, w, 1), (0, up - 1, 0, 0, 0, up - 1)).reshape(b, c, h * up, w * up)
    kernel = (TAPS[:, None] * TAPS * gain / 64).expand(c, 1, -1, -1)
    return conv2d(pad(x, padding * 2), kernel, groups=c)[:, :, ::down, ::down]


def modulated(layer: stylegan2.ModulatedConv2d, x: Tensor, style: Tensor) -> Tensor:
    """Convolves each image with weights of its own."""
    b, c, h, w = x.shape
    weight = layer.weight * layer.style(style)[:, None, :, None, None]
    if layer.demodulates:
        weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    else:
        weight = weight / layer.weight[0].numel() ** 0.5
    x = x.reshape(1, b * c, h, w)
    if layer.doubles:
        y = conv_transpose2d(x, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=b)
        return filtered(y.reshape(b, -1, *y.shape[2:]), padding=(1, 1), gain=4.0)
    y = conv2d(x, weight.flatten(0, 1), padding=weight.shape[-1] // 2, groups=b)
    return y.reshape(b, -1, h, w)


PLAIN = {
    "doubled": lambda x: filtered(x, up=2, padding=(2, 1), gain=4.0),
    "halved": lambda x: filtered(x, down=2, padding=(1, 1)),
    "smoothed": lambda x, padding, gain=1.0: filtered(x, padding=(padding, padding), gain=gain),
}


@contextmanager
def plain() -> Iterator[None]:
    """Has StyleGAN2's networks in the plain form within it."""
    with patch.multiple(stylegan2, **PLAIN), patch.object(stylegan2.ModulatedConv2d, "forward", modulated):
        yield


def module_of(size: int, width: int, base: int, channels: int = 3) -> Any:
    """Makes a StyleGAN2 without path lengths, outside of a trainer."""
    shape: Any = {"channels": channels, "size": size, "width": width, "base": base}
    generator = StyleGAN2Generator(latent_dim=64, style_dim=64, depth=2, **shape)
    module: Any = StyleGAN2(
        generator=generator, discriminator=Augment(StyleGAN2Discriminator(**shape)), path_weight=0.0
    )
    module.due = lambda every: False
    return module


class Steps:
    """Steps of a module, by hand.

    Args:
        module: Whose networks, of which a copy is trained.
        batch: The real images.
        setting: Makes the context of a step.
        players: Who moves.
        penalized: Says which steps have R1.
        p: Probability of augmentations.
    """

    def __init__(
        self,
        module: Any,
        batch: Tensor,
        setting: Callable[[], Any] = nullcontext,
        players: tuple[str, ...] = ("generator", "discriminator"),
        penalized: Callable[[int], bool] = lambda step: False,
        p: float | None = None,
    ):
        self.module, self.batch, self.setting, self.players = copy.deepcopy(module), batch, setting, players
        self.penalized, self.taken = penalized, 0
        if p is None:
            self.module.discriminator = self.module.discriminator.discriminator
        else:
            for value in (self.module.discriminator.p, self.module.discriminator.next_p):
                value.fill_(p)
        adam = partial(torch.optim.Adam, lr=2e-3, betas=(0.0, 0.99), fused=True)
        self.optimizers = {name: adam(getattr(self.module, name).parameters()) for name in self.players}

    def loss(self, player: str) -> Tensor:
        """Returns the loss of a player."""
        return sum(getattr(self.module, f"{player}_loss")([self.batch]).values())  # type: ignore[return-value]

    def __call__(self) -> None:
        self.taken += 1
        self.module.due = lambda every: self.penalized(self.taken)
        with self.setting():
            for player, optimizer in self.optimizers.items():
                for name in ("generator", "discriminator"):
                    getattr(self.module, name).requires_grad_(name == player)
                self.loss(player).backward()
                optimizer.step()
                optimizer.zero_grad()


def compared(one: Callable[[], None], two: Callable[[], None], rounds: int, steps: int) -> dict[str, float]:
    """Times both in turns of some steps, and returns milliseconds a step and the ratios of neighbors."""
    seconds: dict[int, list[float]] = {0: [], 1: []}
    for turn in range(rounds + 1):
        for index in (0, 1) if turn % 2 else (1, 0):
            start = time.perf_counter()
            for _ in range(steps):
                (one, two)[index]()
            if turn:  # the first warms up
                seconds[index].append((time.perf_counter() - start) / steps)
    low, middle, high = quantiles([mine / other for mine, other in zip(*seconds.values(), strict=True)], n=4)
    times = {"ms": 1000 * median(seconds[0]), "other_ms": 1000 * median(seconds[1])}
    return times | {"ratio": middle, "lower_quartile": low, "upper_quartile": high}


def check_alike(module: Any, batch: Tensor) -> None:
    """Refuses to compare two forms that do not give the same losses."""
    losses = []
    for setting in (nullcontext, plain):
        torch.manual_seed(0)
        with setting():
            losses.append([Steps(module, batch).loss(player).item() for player in ("generator", "discriminator")])
    torch.testing.assert_close(*map(torch.tensor, losses), rtol=1e-4, atol=1e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="pairs of blocks of each comparison")
    parser.add_argument("--only", help="compare only what has this in its name")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    quieten()
    found: dict[str, Any] = {}

    def compare(name: str, one: Callable[[], None], two: Callable[[], None], steps: int) -> None:
        if options.only is None or options.only in name:
            found[name] = compared(one, two, options.rounds, steps)
            print(name, {key: round(value, 3) for key, value in found[name].items()}, flush=True)

    for size, width, base, count in ((32, 64, 512, 32), (64, 64, 512, 16), (32, 64, 2048, 16), (64, 64, 4096, 16)):
        module, batch = module_of(size, width, base), torch.rand(count, 3, size, size) * 2 - 1
        check_alike(module, batch)
        channels = min(base // size, width)
        name = f"step over plain form, {size} pixels, {width} to {channels} channels, batch {count}"
        compare(name, Steps(module, batch), Steps(module, batch, plain), 1)
    module, batch = module_of(64, 64, 512), torch.rand(16, 3, 64, 64) * 2 - 1
    judge = ("discriminator",)
    compare(
        "augmented at p = 0.5 over bare discriminator step, 64 pixels, batch 16",
        Steps(module, batch, players=judge, p=0.5),
        Steps(module, batch, players=judge),
        2,
    )
    compare(
        "R1 every 16 over R1 every step, 64 pixels, batch 16",
        Steps(module, batch, players=judge, penalized=lambda step: step % 16 == 0),
        Steps(module, batch, players=judge, penalized=lambda step: True),
        16,
    )
    if options.only is None:
        write_record("style_step", found, {"threads": 1, "precision": "32-true", "rounds": options.rounds}, seed=0)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
