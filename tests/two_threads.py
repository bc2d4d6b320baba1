"""Two processes played by two threads that take turns, to score with a callback at no cost of starting processes."""

import threading
from types import SimpleNamespace
from unittest.mock import Mock

import torch
from lightning import Trainer

from lightning_gans.mechanics.randomness import global_seed, mix


class Ranks:
    """As many threads as processes; one works at a time, until it waits for what another has."""

    def __init__(self, size):
        self.size, self.turn, self.barrier, self.slots = size, threading.Lock(), threading.Barrier(size), {}

    def exchange(self, rank, value):
        """Returns what each thread handed in."""
        self.slots[rank] = value
        self.turn.release()
        self.barrier.wait()
        values = [self.slots[other] for other in range(self.size)]
        self.barrier.wait()
        self.turn.acquire()
        return values


def scores_on(size, make, batches, folder, monkeypatch, data=None):
    """Returns the scores of a callback on each of `size` processes; `make()` gives each its callback and module."""
    ranks, results, own = Ranks(size), {}, threading.local()

    def work(rank):
        own.rank = rank
        with ranks.turn:
            strategy = SimpleNamespace(
                broadcast=lambda value: ranks.exchange(rank, value)[0],
                batch_to_device=lambda batch: batch,
                root_device=torch.device("cpu"),
            )
            trainer = Mock(spec=Trainer)
            trainer.configure_mock(
                world_size=size,
                global_rank=rank,
                is_global_zero=rank == 0,
                fast_dev_run=False,
                state=SimpleNamespace(fn="fit"),
                log_dir=str(folder),
                strategy=strategy,
                datamodule=data,
            )
            callback, module = make()
            try:
                callback.setup(trainer, module, "test")
                callback.begin("test", trainer, module)
                for index in range(rank, len(batches), size):
                    outputs = module.draw(batches[index], mix(global_seed(), index))
                    callback.add("test", trainer, module, outputs, batches[index], index)
                results[rank] = callback.score("test", trainer, module)[0]
            except BaseException:
                ranks.barrier.abort()
                raise

    monkeypatch.setattr(
        "lightning_gans.mechanics.processes.gather_all_tensors", lambda rows: ranks.exchange(own.rank, rows)
    )
    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[rank] for rank in range(size)]
