"""What every callback that scores has in common: when it looks, and how its scores are kept and printed."""

from abc import abstractmethod
from typing import Any

from lightning import Callback, Trainer

from lightning_gans.callbacks.score_card import Entry, in_words, record_scores

Scored = tuple[dict[str, float], dict[str, Any]]


class Scorer(Callback):
    """Scores a module while Lightning validates or tests; a subclass says how.

    The scores are logged, appended with their protocol to `metrics.json`, and those of the end are printed with it.
    They must be the same on all processes, as must be whether there are any.
    """

    stages: tuple[str, ...] = ("validation", "test")
    """At what it scores."""

    _entry: Entry | None = None

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        """Before the first batch."""

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        """Looks at a batch and the `outputs` of the module's step; `index` counts the batches of all processes."""

    @abstractmethod
    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        """The scores of what was seen, and what of their protocol `record_scores` cannot know."""

    def record(self, stage: str, trainer: Any, pl_module: Any) -> None:
        """Scores now, and keeps the scores."""
        scores, protocol = self.score(stage, trainer, pl_module)
        name = type(self).__name__ + (f" {prefix}" if (prefix := getattr(self, "prefix", "")) else "")
        self._entry = record_scores(name, trainer, pl_module, stage, scores, protocol)

    def _finish(self, stage: str, trainer: Any, pl_module: Any) -> None:
        if stage in self.stages and not trainer.sanity_checking:
            self.record(stage, trainer, pl_module)

    def _add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if stage in self.stages and not trainer.sanity_checking:
            index = batch_idx * trainer.world_size + trainer.global_rank
            self.add(stage, trainer, pl_module, outputs, batch, index)

    def _print(self, trainer: Trainer) -> None:
        if self._entry is not None and trainer.is_global_zero:
            print(in_words(self._entry), flush=True)

    # Lightning's hooks.

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        if "validation" in self.stages:
            self.begin("validation", trainer, pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        if "test" in self.stages:
            self.begin("test", trainer, pl_module)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._add("validation", trainer, pl_module, outputs, batch, batch_idx)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._add("test", trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._finish("validation", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._finish("test", trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._print(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.state.fn == "validate":  # by itself, not in between
            self._print(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._print(trainer)
