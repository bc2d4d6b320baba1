"""The moving average of the generator, from which samples are drawn."""

import copy
import itertools

import torch
from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm

from lightning_gans.mechanics.schedules import Schedule

RAMPUP = 0.05  # The half-life is at most this share of the images so far, as in StyleGAN2-ADA's code.


def copied(generator: nn.Module) -> nn.Module:
    """Returns the average at its start, which is a frozen copy."""
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in generator.parameters()):
        raise ValueError("`generator` must know its shapes, and has lazy layers: call it once before you hand it in.")
    return copy.deepcopy(generator).requires_grad_(False)


@torch.no_grad()
def update(average: nn.Module, latest: nn.Module, images: int, halflife: float | Schedule, images_seen: int) -> None:
    """Moves the average towards the latest parameters and running statistics; what cannot be averaged is copied.

    Args:
        average: Module that is moved.
        latest: Module that it is moved to.
        images: Images since the last update.
        halflife: In thousands of images; a schedule is taken as it is, a number at most as `RAMPUP` says.
        images_seen: Images so far.
    """
    take_new_buffers(average, latest)
    if isinstance(halflife, Schedule):
        within = max(1000 * halflife(images_seen), 1e-8)  # 0 keeps nothing
    else:
        within = min(1000 * halflife, RAMPUP * images_seen)
    decay = 0.5 ** (images / within)
    averages = itertools.chain(average.parameters(), average.buffers())
    pairs = list(zip(averages, itertools.chain(latest.parameters(), latest.buffers()), strict=True))
    # A mean of singular vectors is none, and would leave weights larger than their norm says.
    vectors = {id(v) for m in latest.modules() if isinstance(m, _SpectralNorm) for v in m.buffers()}
    is_copied = [not value.is_floating_point() or id(value) in vectors for _, value in pairs]  # counters, vectors
    floats = [pair for pair, copies in zip(pairs, is_copied, strict=True) if not copies]
    torch._foreach_lerp_([mean for mean, _ in floats], [value for _, value in floats], 1 - decay)
    for mean, value in itertools.compress(pairs, is_copied):
        mean.copy_(value)


def take_new_buffers(average: nn.Module, latest: nn.Module) -> None:
    """Gives the average the buffers that a network made in its first forward pass."""
    if sum(1 for _ in average.buffers()) == sum(1 for _ in latest.buffers()):
        return
    for mine, theirs in zip(average.modules(), latest.modules(), strict=True):
        for name, buffer in theirs._buffers.items():
            if mine._buffers.get(name) is None and buffer is not None:
                mine.register_buffer(name, buffer.clone(), name not in theirs._non_persistent_buffers_set)
