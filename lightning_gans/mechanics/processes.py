"""Several processes that train as one: what they send to each other, and how often."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, distributed, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torchmetrics.utilities.distributed import gather_all_tensors

from lightning_gans.mechanics.players import Terms

CHUNK = 25 * 2**20  # bytes of small tensors that travel as one copy; as DDP's buckets
LARGE = 2**20  # bytes from which a tensor travels alone, and uncopied: copying costs as much time as sending


def leave_to_the_loop(module: nn.Module, strategy: Any) -> None:
    """Keeps DDP from making buckets for gradients and from sending buffers, since the loop sends what has to be sent.

    DDP wants one parameter at least: it gets the smallest vector if there is one, since it cannot send 1 x 1 kernels in
    channels_last. Lazy ones it refuses itself.
    """
    if not isinstance(strategy, DDPStrategy):
        return
    known = {name: p for name, p in module.named_parameters() if not isinstance(p, nn.UninitializedParameter)}
    sizes = {name: (p.dim() > 1, p.numel()) for name, p in known.items() if p.requires_grad}
    smallest = min(sizes, key=lambda name: sizes[name], default=None)
    names = [*known, *(name for name, _ in module.named_buffers())]
    module._ddp_params_and_buffers_to_ignore = [name for name in names if name != smallest]  # type: ignore[assignment]


def local_backward(strategy: Any) -> AbstractContextManager:
    """Keeps DDP from reducing in backward: it would wait for every player, and just one of them moves."""
    return strategy.block_backward_sync() if isinstance(strategy, DDPStrategy) else nullcontext()


def chunks(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """Yields the tensors in groups of at most `CHUNK` bytes, or of one tensor."""
    group: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if group and size + tensor.nbytes > CHUNK:
            yield group
            group, size = [], 0
        group.append(tensor)
        size += tensor.nbytes
    if group:
        yield group


def average(tensors: list[Tensor]) -> None:
    """Replaces each tensor by its mean over all processes, on which its strides must be the same."""
    count = distributed.get_world_size()
    for group in chunks([tensor for tensor in tensors if tensor.nbytes < LARGE]):
        flat = torch.cat([tensor.flatten() for tensor in group])
        distributed.all_reduce(flat)
        parts = flat.div_(count).split([tensor.numel() for tensor in group])
        for tensor, part in zip(group, parts, strict=True):
            tensor.copy_(part.view_as(tensor))
    large = [in_memory_order(tensor) for tensor in tensors if tensor.nbytes >= LARGE]
    sums = [tensor.contiguous() for tensor in large]  # itself, unless it has gaps
    running = [distributed.all_reduce(total, async_op=True) for total in sums]
    for tensor, total, work in zip(large, sums, running, strict=True):
        work.wait()
        torch.div(total, count, out=tensor)


def in_memory_order(tensor: Tensor) -> Tensor:
    """Returns a view with the dimensions in the order of their strides: contiguous also for channels_last."""
    return tensor.permute(sorted(range(tensor.dim()), key=tensor.stride, reverse=True))


def first_process(tensor: Tensor) -> Tensor:
    """Returns the tensor of the first process, on all of them."""
    if distributed.is_initialized():
        tensor = tensor.contiguous()
        distributed.broadcast(tensor, 0)
    return tensor


@torch.no_grad()
def take_from_first(tensors: Iterable[Tensor]) -> None:
    """Replaces each tensor by the one of the first process."""
    if distributed.is_initialized():
        for tensor in tensors:
            tensor.copy_(first_process(tensor.clone()))


def local_buffers(module: nn.Module) -> list[Tensor]:
    """Returns the buffers that differ between processes, such as running statistics: each has its own images.

    Left out are integers, and the own buffers of modules that are the same on all processes by construction: those
    with `same_on_all_processes`, and spectral norm, whose iterations see weights alone.
    """
    same = [m for m in module.modules() if isinstance(m, _SpectralNorm) or getattr(m, "same_on_all_processes", False)]
    left_out = {id(buffer) for m in same for buffer in m.buffers(recurse=False)}
    return [b for b in module.buffers() if b.is_floating_point() and id(b) not in left_out]


class Reduction:
    """Averages what one move leaves on each process: gradients, loss terms and running statistics, in one go."""

    def __init__(self) -> None:
        self._usual_size: int | None = None  # of a process's batch
        self._numbers: dict[tuple[float, ...], Tensor] = {}  # on the device, so that no batch waits for a copy

    def begin(self, size: int, whole_batch: bool, trainer: Any) -> None:
        """Starts a batch.

        Args:
            size: Images of this process.
            whole_batch: Whether losses gather the rows of all processes: then batches of unequal size are refused at
                once. Otherwise that goes along with the gradients.
            trainer: The trainer.
        """
        if trainer.world_size == 1:
            self._usual_size = None
            return
        if self._usual_size is None:
            self._usual_size = trainer.strategy.broadcast(size)
        if whole_batch:
            sizes = torch.tensor([size, -size], device=trainer.strategy.root_device)
            distributed.all_reduce(sizes, distributed.ReduceOp.MAX)
            if sizes.sum():
                raise ValueError(UNEVEN)

    @torch.no_grad()
    def __call__(
        self, optimizer: Any, terms: Terms, networks: Iterable[nn.Module], size: int
    ) -> tuple[Terms, Tensor | None]:
        """Averages in place, and returns the terms of all processes and whether their batches differ in size.

        All processes then agree on whether a term is finite. A parameter that no process used keeps no gradient, as
        with one process: a flag for each goes along.

        Args:
            optimizer: Of the player that moves; its parameters' gradients are averaged.
            terms: The player's loss on this process.
            networks: Their running statistics are averaged; see `local_buffers`.
            size: Images of this process.
        """
        if self._usual_size is None:
            return terms, None
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        used = tuple(float(p.grad is not None) for p in parameters)
        gradients = [gradient_of(p) for p in parameters]
        flags = self._on_device(used, gradients[0])
        numbers = torch.stack([term.to(flags) for term in terms.values()])
        deviation = float(size - self._usual_size)
        sizes = self._on_device((deviation, deviation**2), gradients[0])
        buffers = {id(buffer): buffer for network in networks for buffer in local_buffers(network)}  # each once
        average([flags, numbers, sizes, *gradients, *buffers.values()])
        # Reading flags waits for the device; where everything was used here, it was used somewhere.
        anywhere = used if all(used) else flags.tolist()
        for parameter, gradient, use in zip(parameters, gradients, anywhere, strict=True):
            parameter.grad = gradient if use else None
        mean, square = sizes
        return dict(zip(terms, numbers.unbind(), strict=True)), square - mean.square() > 1e-3 + 1e-5 * square

    def _on_device(self, values: tuple[float, ...], like: Tensor) -> Tensor:
        """Returns a copy of numbers that were sent to the device once."""
        if values not in self._numbers:
            self._numbers[values] = like.new_tensor(values)
        return self._numbers[values].clone()


def gradient_of(parameter: nn.Parameter) -> Tensor:
    """Returns the gradient, zero if there is none, with the strides of the parameter."""
    if parameter.grad is None:
        return torch.zeros_like(parameter)
    same = parameter.grad.stride() == parameter.stride()
    return parameter.grad if same else torch.empty_like(parameter).copy_(parameter.grad)


UNEVEN = (
    "The processes' batches must be of equal size, and were not: give each process a sampler of as many images, or set "
    "`drop_last` in your DataLoader."
)


def dealt(count: int, size: int, trainer: Any) -> list[Tensor]:
    """Returns this process's share of `count` rows: they are cut alike on any number of processes, which take turns.

    Args:
        count: Number of rows.
        size: Rows in a part.
        trainer: The trainer.
    """
    return list(torch.arange(count).split(size)[trainer.global_rank :: trainer.world_size])


def gather_rows(parts: list[Tensor], trainer: Any) -> Tensor:
    """Returns the rows of all processes, one process after the other, also where their numbers differ."""
    rows = torch.cat(parts)
    return torch.cat(gather_all_tensors(rows)) if trainer.world_size > 1 else rows


def gather_objects(own: Any, trainer: Any) -> list[Any]:
    """Returns what each process hands in, one process after the other."""
    if trainer.world_size == 1:
        return [own]
    everyones = [None] * trainer.world_size
    distributed.all_gather_object(everyones, own)
    return everyones


def gather_on_first(own: Any, trainer: Any) -> list[Any]:
    """Returns what each process hands in on the first process, and nothing on the others."""
    if trainer.world_size == 1:
        return [own]
    everyones = [None] * trainer.world_size if trainer.is_global_zero else None
    distributed.gather_object(own, everyones)
    return everyones or []
