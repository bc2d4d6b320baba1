"""Running statistics of batch norm that are taken on request, instead of in every forward pass."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_gans.mechanics.processes import average


def hold_statistics(network: nn.Module) -> None:
    """Leaves the network's running statistics to `take_statistics`."""
    for norm in running_norms(network):
        norm.track_running_stats = False


@torch.no_grad()
def take_statistics(network: nn.Module, x: Tensor) -> None:
    """Moves a network's running statistics to those of the `x` of all processes, without noise and dropout."""
    norms = [norm for norm in running_norms(network) if norm.training]
    if not norms:
        return
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    for norm in norms:
        norm.train()
        norm.track_running_stats = True
    network(x)
    for norm in norms:
        norm.track_running_stats = False
    for module, training in modes:
        module.training = training
    if torch.distributed.is_initialized():
        average([b for norm in norms for b in norm.buffers() if b.is_floating_point()])


def running_norms(network: nn.Module) -> list[_BatchNorm]:
    """Returns the batch norms that keep running statistics."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    return [norm for norm in norms if norm.running_mean is not None]
