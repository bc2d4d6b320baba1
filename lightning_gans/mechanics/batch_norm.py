"""Batch norm over all processes where torch's own does not run."""

from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch.plugins import LayerSync, TorchSyncBatchNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

DEVICES_OF_TORCH = ("cuda", "xpu", "hpu")  # where torch.nn.SyncBatchNorm runs


class SumOverProcesses(torch.autograd.Function):
    """Sums the tensors of all processes; the gradient is the sum of all their gradients."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        x = x.clone()
        torch.distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return summed_over_processes(gradient)


def summed_over_processes(x: Tensor) -> Tensor:
    """Returns the sum of the tensors of all processes, differentiably."""
    total: Tensor = SumOverProcesses.apply(x)
    return total


class SynchronizedBatchNorm(_BatchNorm):
    """Batch norm whose mean and variance are those of the batches of all processes."""

    def _check_input_dim(self, x: Tensor) -> None:
        if x.ndim < 2:
            raise ValueError(f"Batch norm needs (b, n, ...), got {x.ndim} dimensions.")

    def forward(self, x: Float[Tensor, "b n ..."]) -> Float[Tensor, "b n ..."]:
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        if x.numel() == x.shape[1] and torch.distributed.get_world_size() == 1:
            raise ValueError(f"Batch norm in training needs more than one value per channel, got {tuple(x.shape)}.")
        dims, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        count = precise.new_tensor([x.numel() / x.shape[1]])
        total = summed_over_processes(torch.cat([precise.sum(dims), count]))
        mean, count = total[:-1] / total[-1], total[-1].detach()
        centred = precise - mean.view(shape)
        variance = summed_over_processes(centred.square().sum(dims)) / count
        self.track(mean.detach(), variance.detach() * count / (count - 1))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(x.dtype)

    def track(self, mean: Float[Tensor, " n"], variance: Float[Tensor, " n"]) -> None:
        """Moves the running statistics."""
        if not self.track_running_stats:
            return
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        weight = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), weight)
        self.running_var.lerp_(variance.to(self.running_var), weight)


class AnyDeviceSync(LayerSync):
    """Lightning's `sync_batchnorm` for devices where torch's synchronized batch norm refuses to run."""

    def __init__(self) -> None:
        self._replaced: list[tuple[nn.Module, str, nn.Module]] = []

    def apply(self, model: nn.Module) -> nn.Module:
        """Puts a synchronized batch norm in the place of every other one, with its parameters and buffers."""
        for path, norm in list(model.named_modules(remove_duplicate=False)):
            if isinstance(norm, _BatchNorm):
                parent, _, name = path.rpartition(".")
                self._replaced.append((model.get_submodule(parent), name, norm))
                setattr(model.get_submodule(parent), name, synchronized(norm))
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Puts every batch norm back, since the other processes are no longer there to wait for."""
        for parent, name, norm in self._replaced:
            setattr(parent, name, norm)
        self._replaced = []
        return model


def synchronized(norm: nn.Module) -> SynchronizedBatchNorm:
    """Returns a synchronized batch norm that shares everything with another one."""
    twin = SynchronizedBatchNorm.__new__(SynchronizedBatchNorm)
    twin.__dict__ = norm.__dict__
    return twin


def synchronize_on_any_device(strategy: Any) -> None:
    """Lets Lightning's `sync_batchnorm` work on this strategy's device."""
    if isinstance(getattr(strategy, "_layer_sync", None), TorchSyncBatchNorm):
        if strategy.root_device.type not in DEVICES_OF_TORCH:
            strategy._layer_sync = AnyDeviceSync()
