"""The base of every callback that scores: when it looks, and how its scores are kept and printed."""

from abc import abstractmethod
from typing import Any

from lightning import Callback, Trainer

from lightning_gans.callbacks.scores.score_card import Entry, printed, record_scores
from lightning_gans.mechanics.checks import as_batch
from lightning_gans.mechanics.players import Batch

Scored = tuple[dict[str, float], dict[str, Any]]


class Scorer(Callback):
    """Scores a variant while Lightning validates or tests; a subclass says how.

    The scores are logged, appended with their protocol to `metrics.json`, and those of the end are printed with it.
    They must be the same on all processes, as must be whether there are any.
    """

    stages: tuple[str, ...] = ("validation", "test")
    """When it scores."""
    needs: tuple[str, ...] = ()
    """Methods that a variant must have, such as `generate`; one without them is refused."""

    _entry: Entry | None = None

    @property
    def title(self) -> str:
        """Its name in `metrics.json`, different from those of the run's other scorers."""
        return type(self).__name__

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        pl_module.require(type(self).__name__, *self.needs)
        self._entry = None

    def check(self, pl_module: Any, outputs: Any, batch: Batch) -> None:
        """Refuses a first batch that cannot be scored, also in the sanity check before training."""

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        """Gets ready before the first batch."""

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        """Looks at a batch and the `outputs` of the variant's step; `index` counts the batches of all processes."""

    @abstractmethod
    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        """Returns the scores, and the facts of their protocol that `record_scores` cannot know."""

    def record(self, stage: str, trainer: Any, pl_module: Any) -> None:
        """Scores now, and keeps the scores."""
        scores, protocol = self.score(stage, trainer, pl_module)
        if scores:
            self._entry = record_scores(self.title, trainer, pl_module, stage, scores, protocol)

    def _begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        if stage in self.stages and not trainer.sanity_checking:
            self.begin(stage, trainer, pl_module)

    def _add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if stage not in self.stages:
            return
        batch = as_batch(batch)
        if batch_idx == 0:
            self.check(pl_module, outputs, batch)
        if not trainer.sanity_checking:
            index = batch_idx * trainer.world_size + trainer.global_rank
            self.add(stage, trainer, pl_module, outputs, batch, index)

    def _finish(self, stage: str, trainer: Any, pl_module: Any) -> None:
        if stage in self.stages and not trainer.sanity_checking:
            self.record(stage, trainer, pl_module)

    def _print(self, trainer: Trainer) -> None:
        if self._entry is not None and trainer.is_global_zero:
            print(printed(self._entry), flush=True)

    # Lightning's hooks.

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._begin("validation", trainer, pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._begin("test", trainer, pl_module)

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
