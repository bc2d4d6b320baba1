"""Batch norm's statistics, taken anew for the samples that are scored."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_gans.callbacks.evaluation_data import own_data
from lightning_gans.datamodules import TensorDataModule
from lightning_gans.datamodules.tensors import spread_evenly
from lightning_gans.mechanics.checks import as_batch
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_rows
from lightning_gans.mechanics.randomness import global_seed, mix, seeded
from lightning_gans.mechanics.statistics import running_norms
from lightning_gans.metrics.float64 import as_float64


class StandingStatistics(Callback):
    """Gives the generator that is scored batch norm statistics of its own samples (Brock et al., 2019, appendix C).

    Running averages, gathered while weights moved and in small batches, need not be those of the averaged generator. At
    each validation and test, and for as long as it lasts, they make way for the mean over some batches that this
    generator draws (https://arxiv.org/abs/1809.11096).

    Labels come from evaluation images: spread evenly over a data module of the package, since images of a folder stand
    class by class; otherwise from the first batches. Each process takes its share.

    Args:
        num_batches: Batches, of the data module's size, over all processes.
    """

    def __init__(self, num_batches: int = 16):
        if num_batches < 1:
            raise ValueError(f"`num_batches` must be at least 1, got {num_batches}.")
        self.num_batches = num_batches
        self._kept: list[tuple[Tensor, Tensor]] = []  # each running statistic, and its value before

    @property
    def batches_in_use(self) -> int:
        """Number of batches whose statistics the generator has now; 0 where it has its own running averages."""
        return self.num_batches if self._kept else 0

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        if not norms_of(pl_module):
            raise ValueError(
                f"`StandingStatistics` needs a generator with batch norm, which {type(pl_module).__name__} does "
                "not have: leave it out."
            )

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._take(trainer, pl_module, trainer.val_dataloaders)

    def on_test_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._take(trainer, pl_module, trainer.test_dataloaders)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._give_back()

    def on_test_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._give_back()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self._give_back()

    def _take(self, trainer: Any, pl_module: Any, loaders: Any) -> None:
        norms = norms_of(pl_module)
        self._kept = [(part, part.clone()) for norm in norms for part in statistics(norm)]
        rows, places = [], []
        with isolate_rng(), pl_module.evaluating(), own_statistics(norms):
            for index, batch in self._batches(trainer, loaders):
                with seeded(mix(global_seed(), index, 2), pl_module.device):
                    pl_module.samples(batch)
                rows.append(torch.cat([part for part, _ in self._kept])[None])
                places.append(torch.tensor([index], device=pl_module.device))
        everyones, order = gather_rows(rows, trainer), gather_rows(places, trainer).argsort()
        means = as_float64(everyones)[order].mean(0)  # in one order, so that it is the same on any number of processes
        for (part, _), mean in zip(self._kept, means.split([len(part) for part, _ in self._kept]), strict=True):
            part.copy_(mean)

    def _batches(self, trainer: Any, loaders: Any) -> Iterator[tuple[int, Batch]]:
        """Yields this process's share of the batches, with their places among those of all processes."""
        places = range(trainer.global_rank, self.num_batches, trainer.world_size)
        data = own_data(trainer)
        if isinstance(data, TensorDataModule):
            spread = spread_evenly(self.num_batches * data.batch_size, len(data.evaluation))
            for index in places:
                batch = data.evaluation[spread[index :: self.num_batches]]
                yield index, as_batch(trainer.strategy.batch_to_device(batch))
            return
        batches = chain.from_iterable(CombinedLoader(loaders, "sequential").flattened[:1])
        for index, batch in zip(places, islice(batches, len(places)), strict=False):
            yield index, as_batch(trainer.strategy.batch_to_device(batch))

    def _give_back(self) -> None:
        for part, before in self._kept:
            part.copy_(before)
        self._kept = []


def norms_of(module: Any) -> list[_BatchNorm]:
    """Returns the batch norms with running statistics of the generator that draws the samples."""
    with module.averaged():
        return running_norms(module.generator)


@contextmanager
def own_statistics(norms: list[_BatchNorm]) -> Iterator[None]:
    """Has each norm take the statistics of its input on this process, as in training, and keep the last."""

    def as_in_training(norm: Any, args: Any, result: Tensor) -> Tensor:
        return batch_norm(args[0], norm.running_mean, norm.running_var, norm.weight, norm.bias, True, 1.0, norm.eps)

    handles = [norm.register_forward_hook(as_in_training) for norm in norms]
    try:
        with torch.compiler.set_stance("force_eager"):  # compiled code calls no hooks
            yield
    finally:
        for handle in handles:
            handle.remove()


def statistics(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Returns a norm's running mean and variance."""
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean, norm.running_var
