"""Batch norm's statistics, taken anew for the samples that are scored."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_gans.adversarial import as_batch
from lightning_gans.callbacks.score_card import gather_rows, own_data
from lightning_gans.datamodules import TensorDataModule
from lightning_gans.mechanics.randomness import global_seed, mix, seeded
from lightning_gans.metrics.float64 import as_float64


class StandingStatistics(Callback):
    """Gives the generator that is scored batch norm statistics of its own samples (Brock et al., 2019, appendix C).

    Running averages, gathered while weights moved and in small batches, need not be those of the averaged generator. At
    each validation and test, and for as long as it lasts, they make way for the mean over some batches that this
    generator draws (https://arxiv.org/abs/1809.11096).

    Labels are those of evaluation images: spread evenly over those of a data module of the package, since those of a
    folder stand class by class; else of the first batches. Each process takes its share.

    Args:
        num_batches: Batches, of the data module's size, over all processes.
    """

    def __init__(self, num_batches: int = 16):
        if num_batches < 1:
            raise ValueError(f"`num_batches` must be at least 1, got {num_batches}.")
        self.num_batches = num_batches
        self._kept: list[tuple[_BatchNorm, dict[str, Tensor], float | None]] = []

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._take(trainer, pl_module, trainer.val_dataloaders)

    def on_test_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._take(trainer, pl_module, trainer.test_dataloaders)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._give_back(pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._give_back(pl_module)

    def _take(self, trainer: Any, pl_module: Any, loaders: Any) -> None:
        with pl_module.averaged():
            norms = [
                module
                for module in pl_module.generator.modules()
                if isinstance(module, _BatchNorm) and module.track_running_stats
            ]
        if not norms:
            raise ValueError(
                f"`StandingStatistics` needs a generator with batch norm, and that of {type(pl_module).__name__} has "
                "none: leave it out."
            )
        self._kept = [
            (norm, {name: buffer.clone() for name, buffer in norm.named_buffers()}, norm.momentum) for norm in norms
        ]
        pl_module.standing_batches = self.num_batches
        for norm in norms:
            norm.momentum = 1.0  # the last batch alone
        rows, places = [], []
        with isolate_rng(), pl_module.evaluating(), alone(norms):
            for norm in norms:
                norm.train()
            for index, batch in self._batches(trainer, loaders):
                with seeded(mix(global_seed(), index, 2), pl_module.device):
                    pl_module.samples(batch)
                rows.append(torch.cat([part for norm in norms for part in statistics(norm)])[None])
                places.append(torch.tensor([index], device=pl_module.device))
        everyone, order = gather_rows(rows, trainer), gather_rows(places, trainer).argsort()
        means = as_float64(everyone)[order].mean(0)  # in one order, so that it is the same on any number of processes
        parts = [part for norm in norms for part in statistics(norm)]
        for part, mean in zip(parts, means.split([len(part) for part in parts]), strict=True):
            part.copy_(mean)

    def _batches(self, trainer: Any, loaders: Any) -> Iterator[tuple[int, Any]]:
        """This process's share of the batches, with their places among those of all processes."""
        places = range(trainer.global_rank, self.num_batches, trainer.world_size)
        data = own_data(trainer)
        if isinstance(data, TensorDataModule):
            size = self.num_batches * data.batch_size
            spread = torch.arange(size) * len(data.evaluation) // size
            for index in places:
                batch = data.evaluation[spread[index :: self.num_batches]]
                yield index, as_batch(trainer.strategy.batch_to_device(batch))
            return
        batches = chain.from_iterable(CombinedLoader(loaders, "sequential").flattened[:1])
        for index, batch in zip(places, islice(batches, len(places)), strict=False):
            yield index, as_batch(trainer.strategy.batch_to_device(batch))

    def _give_back(self, pl_module: Any) -> None:
        pl_module.standing_batches = 0
        for norm, buffers, momentum in self._kept:
            norm.momentum = momentum
            for name, buffer in norm.named_buffers():
                buffer.copy_(buffers[name])
        self._kept = []


@contextmanager
def alone(norms: list[_BatchNorm]) -> Iterator[None]:
    """Within it, synchronised norms do not wait for other processes, which may have unequal numbers of batches."""
    for norm in norms:
        norm.forward = partial(_BatchNorm.forward, norm)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def statistics(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Its running mean and variance."""
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean, norm.running_var
