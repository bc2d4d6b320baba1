"""The options of optimizers and schedules, where those that are given beside a checkpoint differ from its own.

torch's optimizers and schedules restore, with their state, also the options they were made with. So a rate that is
given beside a checkpoint would be forgotten.
"""

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

NEED_STATE = ("amsgrad", "centered", "momentum")
"""Options that keep state of their own once they are not 0."""


class Options:
    """Keeps the options with which each player's optimizer and schedule were made, and how often it stepped."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}
        self._made: dict[str, dict[str, Any]] = {}
        self._groups: dict[str, list[dict[str, Any]]] = {}
        self._saved: dict[str, Any] | None = None
        self._schedules: dict[str, Any] = {}

    @property
    def is_resumed(self) -> bool:
        """True if the fit goes on from a checkpoint."""
        return self._saved is not None

    def start(self) -> None:
        """Begins a fit; a checkpoint that it goes on from is loaded after this."""
        self.steps, self._saved, self._schedules = {}, None, {}

    def note(self, names: Sequence[str], optimizers: list[Optimizer], schedulers: list[LRScheduler]) -> None:
        """Notes the options of fresh optimizers and schedules, in the order of the players."""
        for name, optimizer in zip(names, optimizers, strict=True):
            groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
            own = [scheduler for scheduler in schedulers if scheduler.optimizer is optimizer]
            self._groups[name] = copy.deepcopy(groups)
            self._made[name] = {
                "optimizer": type(optimizer).__name__,
                "groups": plain(groups),
                "schedules": [[type(scheduler).__name__, plain(scheduler.state_dict())] for scheduler in own],
            }

    def count(self, player: str) -> None:
        """Counts a step of a player."""
        self.steps[player] = self.steps.get(player, 0) + 1

    def save(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps."""
        return {"made": self._made, "steps": self.steps}

    def load(self, checkpoint: dict[str, Any]) -> None:
        """Takes the options and the states of schedules out of a checkpoint, which Lightning would give by position."""
        self._saved = checkpoint.get("options", {"made": {}, "steps": {}})
        self.steps = dict(self._saved["steps"])
        if self._saved["made"]:
            with_schedule = [name for name, made in self._saved["made"].items() if made["schedules"]]
            self._schedules = dict(zip(with_schedule, checkpoint.get("lr_schedulers", []), strict=False))
            checkpoint["lr_schedulers"] = []

    def hold(self, optimizers: list[Optimizer], schedulers: list[LRScheduler]) -> None:
        """Makes this run's options hold in optimizers whose state came from the checkpoint.

        A schedule that is not the checkpoint's stands where it would stand had it been there from the start.
        """
        if self._saved is None:
            return
        for (name, new), optimizer in zip(self._made.items(), optimizers, strict=True):
            old = self._saved["made"].get(name)
            if old is None:
                continue
            check(name, old, new)
            own = [scheduler for scheduler in schedulers if scheduler.optimizer is optimizer]
            if old == new:
                for scheduler in own:
                    scheduler.load_state_dict(self._schedules[name])
                continue
            for group, fresh in zip(optimizer.param_groups, self._groups[name], strict=True):
                group |= copy.deepcopy(fresh)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a schedule that steps before its optimizer
                for scheduler in own:
                    for _ in range(self.steps.get(name, 0)):
                        scheduler.step()


def check(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuses options that need state which the checkpoint does not have."""
    if old["optimizer"] != new["optimizer"]:
        raise ValueError(
            f"`{name}_optimizer` is {new['optimizer']} and the checkpoint's is {old['optimizer']}, whose state it "
            f"cannot go on from: give {old['optimizer']}, or start without the checkpoint."
        )
    for before, now in zip(old["groups"], new["groups"], strict=True):
        for option in NEED_STATE:
            if dict(now).get(option) and not dict(before).get(option):
                raise ValueError(
                    f"`{option}` of `{name}_optimizer` needs state that the checkpoint does not have: leave it out, or "
                    "start without the checkpoint."
                )


def plain(value: Any) -> Any:
    """Returns a description that a checkpoint can hold, equal for equal options."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return [[str(key), plain(item)] for key, item in value.items()]
    if isinstance(value, list | tuple | set | range):
        return [plain(item) for item in value]
    if callable(value) and hasattr(value, "__qualname__"):
        return value.__qualname__
    return [
        type(value).__qualname__,
        plain({k: v for k, v in getattr(value, "__dict__", {}).items() if k != "optimizer"}),
    ]
