"""Compares wrappers inside and around torch.compile with plain ones, in a process of its own.

    python -m tests.compiled

The type checks of a test run would be traced too, at several times the cost. Prints a JSON object: for each wrapper and
place "equal", or what went wrong. The backend runs what was traced as it is, so no compiler is needed.
"""

import copy
import json
import warnings
from typing import Any

import torch
from torch import nn

from lightning_gans.networks import MLPGenerator
from lightning_gans.networks.wrappers import (
    DiffAugment,
    InstanceNoise,
    LabelledDiscriminator,
    LabelledGenerator,
    MinibatchDiscrimination,
    SpectrallyNormalized,
    VirtualBatchNorm,
)

WRAPPERS: dict[str, Any] = {
    "diff_augment": lambda network: DiffAugment(network, ["color"]),
    "instance_noise": InstanceNoise,
    "minibatch_discrimination": lambda network: MinibatchDiscrimination(network, 4, 2),
    "spectral_norm": SpectrallyNormalized,
    "virtual_batch_norm": lambda network: VirtualBatchNorm(network, 4),
    "labelled_discriminator": lambda network: LabelledDiscriminator(network, 2),
    "labelled_generator": lambda network: LabelledGenerator(network, 2),
}
PLACES = ("inside", "around")


def network_for(name: str) -> nn.Module:
    """Returns a small network that the wrapper accepts."""
    if name == "labelled_generator":
        return MLPGenerator(6, 1, 4, 4)
    norm = [nn.BatchNorm1d(4)] if name == "virtual_batch_norm" else []
    first = nn.Linear(48 if name == "labelled_discriminator" else 16, 4)
    return nn.Sequential(nn.Flatten(), first, *norm, nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0))


def results(network: nn.Module, *inputs: torch.Tensor) -> list[Any]:
    """Returns the output and the gradients of two calls; virtual batch norm takes its reference from the first."""
    found = []
    for _ in range(2):
        torch.manual_seed(2)
        network.zero_grad()
        output = network(*inputs)
        output.square().sum().backward()
        found += [output.detach(), *(p.grad for p in network.parameters())]
    return found


def compare(name: str, place: str) -> str:
    """Returns "equal" if compiling changes nothing, and otherwise what went wrong."""
    torch.compiler.reset()
    network, wrap = network_for(name), WRAPPERS[name]
    torch.manual_seed(1)
    plain = wrap(copy.deepcopy(network))
    torch.manual_seed(1)
    if place == "inside":
        compiled = wrap(torch.compile(network, backend="eager"))
    else:
        compiled = torch.compile(wrap(network), backend="eager")
    inputs = [torch.rand(6, 4) if name == "labelled_generator" else torch.rand(6, 1, 4, 4)]
    inputs += [torch.tensor([0, 1, 1, 0, 1, 0])] if name.startswith("labelled") else []
    try:
        torch.testing.assert_close(results(compiled, *inputs), results(plain, *inputs), rtol=1e-4, atol=1e-5)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "equal"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps({f"{name} {place}": compare(name, place) for name in WRAPPERS for place in PLACES}))
