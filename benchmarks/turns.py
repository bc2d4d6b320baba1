"""Times steps of contestants by turns, a block each, so that what else a machine does slows all of them alike.

A module of this project trains in a `Trainer` of its own, whose loader is the clock: all that Lightning does between
two batches counts. The first step of a block is not counted. A ratio is the median over the rounds, with its quartiles.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger

Times = tuple[float, float]
"""Seconds of a step on the clock, and of the processor."""

Contestant = Callable[[Sequence[Any]], Times]
"""Takes a step for each batch, and returns the times of a step without the first."""


def now() -> Times:
    return time.perf_counter(), time.process_time()


def since(start: Times, steps: int) -> Times:
    """Returns the times of each of the steps since a start."""
    wall, processor = ((b - a) / steps for a, b in zip(start, now(), strict=True))
    return wall, processor


def by_hand(step: Callable[[Any], None]) -> Contestant:
    """Returns the contestant that calls a function for each batch."""

    def run(batches: Sequence[Any]) -> Times:
        step(batches[0])
        start = now()
        for batch in batches[1:]:
            step(batch)
        return since(start, len(batches) - 1)

    return run


class Clock:
    """A loader that notes when the steps of its second batch and of its last but one begin and end.

    It has no length, so that Lightning takes a batch ahead: it asks for one after the step of the one before the last.
    """

    def __init__(self, batches: Sequence[Any]):
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        first, second, *others = [*self.batches, self.batches[0]]
        yield first
        yield second
        start = now()  # after the step of the first
        yield from others
        self.times = since(start, len(others))


def trained(module: Any, precision: str) -> Contestant:
    """Returns the contestant that trains a module in Lightning."""

    def run(batches: Sequence[Any]) -> Times:
        clock = Clock(batches)
        with TemporaryDirectory() as folder:
            options: Any = {"precision": precision, "logger": CSVLogger(folder), "accelerator": "cpu", "max_epochs": 1}
            quiet: Any = {"enable_checkpointing": False, "enable_model_summary": False, "enable_progress_bar": False}
            Trainer(**options, **quiet).fit(module, clock)
        return clock.times

    return run


def take_turns(
    contestants: dict[str, Contestant], batches: dict[str, Sequence[Any]], rounds: int, steps: int
) -> dict[str, list[Times]]:
    """Returns the times of each contestant in each round; a round before them warms up.

    Args:
        contestants: Those who take turns, by name.
        batches: Those of each contestant, which start over.
        rounds: Blocks of each contestant that are counted.
        steps: Steps of a block that are counted.
    """
    times: dict[str, list[Times]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(rounds + 1):
        first = turn % len(names)
        order = names[first:] + names[:first]
        for name in order if turn % 2 else order[::-1]:
            given = batches[name]
            took = contestants[name]([given[(turn * steps + step) % len(given)] for step in range(steps + 1)])
            if turn:
                times[name].append(took)
    return times


def milliseconds(times: Sequence[Times], clock: int) -> float:
    """Returns the median of a step, on the clock (0) or of the processor (1)."""
    return 1000 * median(took[clock] for took in times)


def ratio(ours: Sequence[Times], theirs: Sequence[Times], clock: int) -> tuple[float, float, float]:
    """Returns the median over the rounds of our time over theirs, and its quartiles around it."""
    low, middle, high = quantiles([own[clock] / other[clock] for own, other in zip(ours, theirs, strict=True)], n=4)
    return low, middle, high


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table in Markdown."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) + " |")


def compared(times: dict[str, list[Times]], clock: int, ours: str = "ours") -> Iterator[str]:
    """Yields cells of a table: milliseconds of ours, then of each other with the ratio and its quartiles."""
    yield f"{milliseconds(times[ours], clock):.1f}"
    for name, theirs in times.items():
        if name != ours:
            low, middle, high = ratio(times[ours], theirs, clock)
            yield f"{milliseconds(theirs, clock):.1f}"
            yield f"{middle:.3f} ({low:.3f}-{high:.3f})"
