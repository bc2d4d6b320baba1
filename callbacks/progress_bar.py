"""A bar of how far training is, how fast it goes and how the players stand."""

import logging
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch import callbacks
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

TRAINING = "|{bar}| {n_fmt}/{total_fmt} {rate_fmt} {remaining} left  {desc}"
TRAINED = "|{bar}| {n_fmt}/{total_fmt} {rate_fmt} in {elapsed}  {desc}"
ENDLESS = "{n_fmt}img {rate_fmt} in {elapsed}  {desc}"  # how many are to come is unknown


class ProgressBar(callbacks.ProgressBar):
    """One bar for the whole training: images so far, images per second, time left and the latest loss terms.

    It takes the place of Lightning's, which counts batches and starts anew every epoch. It looks at the losses twice
    a second, so it does not hold up training. Where the output is not a terminal, it is a line every half minute.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_enabled = True
        self._bar: tqdm | None = None
        self._every = self._due = 0.0
        self._opened = ExitStack()

    def enable(self) -> None:
        self.is_enabled = True

    def disable(self) -> None:
        self.is_enabled = False

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        tqdm.write(sep.join(map(str, args)), **kwargs)

    # Training, in images.

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._first_step, self._first_image = trainer.global_step, pl_module.images_seen
        images = {"unit": "img", "unit_scale": True, "initial": self._first_image}
        self._open(**images, mininterval=0, delay=1e-9, bar_format=ENDLESS)  # nothing to show before the first batch

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *args: Any) -> None:
        if self._bar is not None and self._is_due():
            self._set(self._bar, trainer, pl_module, TRAINING)
            self._bar.update(pl_module.images_seen - self._bar.n)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self._bar is not None:
            self._set(self._bar, trainer, pl_module, TRAINED)
            self._bar.n = pl_module.images_seen
        self._close()

    def _set(self, bar: tqdm, trainer: Trainer, pl_module: Any, bar_format: str) -> None:
        batches, steps = trainer.estimated_stepping_batches, trainer.global_step - self._first_step
        if steps and 0 < batches < float("inf"):
            images_per_batch = (pl_module.images_seen - self._first_image) / steps
            bar.total = round(self._first_image + images_per_batch * (batches - self._first_step))
            bar.bar_format = bar_format
        metrics = trainer.callback_metrics | trainer.progress_bar_metrics
        terms = {short_name(name): float(value) for name, value in metrics.items() if "_loss/" in name}
        others_shown = {name: value for name, value in trainer.progress_bar_metrics.items() if "_loss/" not in name}
        state = bar.format_dict
        others = len(bar.format_meter(**state | {"ncols": None, "prefix": ""})) - 9  # leaves 1 column of 10 to the bar
        room = (state["ncols"] or 200) - others
        bar.set_description_str(whole_terms(terms | others_shown, room), refresh=False)

    def _is_due(self) -> bool:
        """Returns True at most every half second, without looking at anything but the clock."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + self._every
        return True

    # Everything else, in batches.

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._open(desc="validate", total=sum(trainer.num_val_batches), unit="batch")
        self._validation_start = time.time()

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if self._bar is None:
            return
        if trainer.state.fn == "validate":
            self._bar.update()
        elif self._is_due():
            self._bar.set_description_str("validating")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._close()
        elif self._bar is not None:
            pause = time.time() - self._validation_start  # the speed is the one of training alone
            self._bar.start_t += pause
            self._bar.last_print_t += pause

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open(desc="test", total=sum(trainer.num_test_batches), unit="batch")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open(desc="predict", total=sum(trainer.num_predict_batches), unit="batch")

    def on_test_batch_end(self, *args: Any) -> None:
        if self._bar is not None:
            self._bar.update()

    def on_predict_batch_end(self, *args: Any) -> None:
        if self._bar is not None:
            self._bar.update()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _open(self, **options: Any) -> None:
        if not self.is_enabled:
            return
        terminal = sys.stderr.isatty()
        self._every, self._due = 0.5 if terminal else 30.0, 0.0
        options = {"mininterval": self._every, "miniters": 1, "dynamic_ncols": True} | options
        lightning_logger = logging.getLogger("lightning.pytorch")
        if lightning_logger.handlers:  # its messages go above the bar, not into it
            self._opened.enter_context(logging_redirect_tqdm([lightning_logger]))
        self._bar = self._opened.enter_context(tqdm(file=sys.stderr if terminal else _Lines(), **options))

    def _close(self) -> None:
        self._opened.close()
        self._bar = None


class _Lines:
    """Lines on standard error where it is no terminal, one for each state of the bar."""

    def write(self, text: str) -> None:
        if line := text.strip():
            print(line, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def short_name(name: str) -> str:
    """Returns `D adversarial` for `discriminator_loss/adversarial`."""
    player, term = name.split("_loss/")
    return "".join(word[0].upper() for word in player.split("_")) + " " + term


def whole_terms(terms: Mapping[str, float], columns: int) -> str:
    """Returns as many of the terms as fit whole."""
    line = ""
    for name, value in terms.items():
        number = f"{value:.2g}" if abs(value) < 99.5 else f"{value:.0f}"
        longer = f"{line}  {name} {number}" if line else f"{name} {number}"
        if len(longer) > columns:
            break
        line = longer
    return line
