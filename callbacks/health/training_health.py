"""Looks at how the game goes, and sentences for what goes wrong."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.nn.utils.rnn import pad_sequence

from lightning_gans.callbacks.drawn import classes_of
from lightning_gans.callbacks.intervals import batches_of
from lightning_gans.callbacks.run_folder import results_folder, writes
from lightning_gans.mechanics.checks import as_batch
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_rows
from lightning_gans.mechanics.randomness import mix, seeded
from lightning_gans.metrics import health, nearest

WINDOW = 6  # looks over which the histogram of classes swings or does not
IMAGES_PER_CLASS = 4  # on average among the images looked at; with fewer, classes are not counted


class TrainingHealth(Callback):
    """Warns of what goes wrong with GANs as they train, once each, and logs the numbers as `health/<name>`.

    The warnings are kept in `health.txt` in the run's folder, too.

    A warning needs a number to be out of its limit in `patience` looks in a row, an exploding gradient in one. Numbers
    are those of all processes together. A variant that draws no `fake` has gradients and logits alone, one without
    `logits` has neither `right`, `sure` nor `memorized`, and a critic, or a variant without `objective`, has neither
    `right` nor `sure`.

    In brackets are what recipes of this package have shown, without their warm-up, and what runs made to fail have:
    `dcgan_mnist` at rates 100 times too high, with 50 steps of the discriminator for one of the generator, and with a
    latent of zeros.

    A look changes nothing of the training. Samples are those of the averaged generator in eval mode, always from the
    same latents. For `right` and `sure` the players judge and draw as they train, before they move, and their buffers
    are put back; for `memorized` the discriminator judges training images, held-out images and such samples in eval
    mode. The held-out images are the first of the last validation; without one in this run, or if the data module
    validates on its training images, nothing is held out. Classes are counted where batches hold labels of few enough
    classes: the class of a sample is the one of the nearest real image of its batch.

    Args:
        every_kimg: Thousands of training images between two looks, rounded to whole batches. A look ends with the batch
            by which all players have moved.
        warmup_kimg: Thousands of training images before looks count, but for an exploding gradient: a game that has
            just begun looks like one that fails.
        patience: Looks in a row that a warning needs.
        num_images: Images of each process that are looked at; smaller batches give fewer.
        seed: Seed of the latents.
        min_diversity: Of `diversity`, the mean distance between two samples as a share of that between two real images
            [0.06 and more; 0].
        min_classes: Of `classes`, the effective number of classes of samples as a share of the real images' [0.32 and
            more, but one look at 0.11; 0.10].
        max_swing: Of `swing`, the share of samples that change class from look to look, less what has a direction, over
            six looks [0.1 to 0.45].
        max_right: Of `right`, the share of real images and samples that the discriminator is right on [0.98 and less
            in `gan_mnist`, 0.83 elsewhere; 0.98 to 1].
        max_sure: Of `sure`, the share of those that it is right on and saturated [0.39 and less; 0.47].
        min_gradient: Of `gradient/<player>`, the norm of a player's gradient before it is clipped [from 0.001 with
            clipped weights; 0 to 0.00007].
        max_gradient: Likewise [to 60 with a gradient penalty, to 9 without; 20,000 to 1,000,000].
        max_memorized: Of `memorized`, how far held-out images lie on the way from training images to samples, in the
            discriminator's eyes [-0.27 to 0.47, all by chance].
        max_staleness: Of `staleness`, how far the running statistics of the worst batch norm of the averaged generator
            are from the statistics of its input, in standard deviations [0.08 to 0.16; as few].
    """

    def __init__(
        self,
        every_kimg: float = 5.0,
        warmup_kimg: float = 20.0,
        patience: int = 3,
        num_images: int = 64,
        seed: int = 0,
        min_diversity: float = 0.02,
        min_classes: float = 0.2,
        max_swing: float = 0.5,
        max_right: float = 0.99,
        max_sure: float = 0.5,
        min_gradient: float = 1e-5,
        max_gradient: float = 1e3,
        max_memorized: float = 0.6,
        max_staleness: float = 1.0,
    ):
        if every_kimg <= 0:
            raise ValueError(f"`every_kimg` must be positive, got {every_kimg}.")
        if patience < 1:
            raise ValueError(f"`patience` must be at least 1, got {patience}.")
        if num_images < 2:
            raise ValueError(f"`num_images` must be at least 2, got {num_images}.")
        self.every_kimg = every_kimg
        self.warmup_kimg = warmup_kimg
        self.patience = patience
        self.num_images = num_images
        self.seed = seed
        self.limits = {
            "diversity": min_diversity,
            "classes": min_classes,
            "swing": max_swing,
            "right": max_right,
            "sure": max_sure,
            "gradient": min_gradient,
            "exploding": max_gradient,
            "memorized": max_memorized,
            "staleness": max_staleness,
        }
        self._interval: int | None = None  # in batches
        self._warned: list[str] = []
        self._looks: list[dict[str, float]] = []
        self._shares: list[list[float]] = []
        self._held_out: Batch | None = None
        self._seen: dict[str, float] | None = None  # so far, while a look is under way

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self._seen, "warned": self._warned, "looks": self._looks, "shares": self._shares}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seen, self._warned = state_dict["seen"], state_dict["warned"]
        self._looks, self._shares = state_dict["looks"], state_dict["shares"]

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._folder = results_folder(trainer)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == dataloader_idx == 0:
            self._held_out = as_batch(batch)

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._interval is None:
            self._interval = batches_of(self.every_kimg, batch, trainer)
        # Not in a run's first batch, since some networks remember the first that they are shown.
        if self._seen is None and pl_module.images_seen and pl_module.due(self._interval):
            self._seen = self._see_logits(trainer, pl_module, as_batch(batch))

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        if self._seen is None:
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        scaled = scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False)  # a fused one unscales
        norm = get_total_norm(gradients).item() / (scaler.get_scale() if scaled else 1.0)  # type: ignore[union-attr]
        self._seen |= {f"gradient/{player}": norm for player, own in players_of(trainer, pl_module) if own is optimizer}

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._seen is None or {f"gradient/{player}" for player in pl_module.players()} - self._seen.keys():
            return
        numbers, self._seen = self._seen | self._see_samples(trainer, pl_module, self._part(as_batch(batch))), None
        if trainer.world_size > 1:
            values = torch.tensor(list(numbers.values()), device=pl_module.device)
            numbers = dict(zip(numbers, trainer.strategy.reduce(values, reduce_op="mean").tolist(), strict=True))
        numbers = {name: value for name, value in numbers.items() if not math.isnan(value)}
        self._looks = [*self._looks, numbers][-self.patience :]
        self._report(trainer, pl_module)
        self._looks = self._looks if self._is_warm(pl_module) else []

    def _part(self, batch: Batch, size: int | None = None) -> Batch:
        """Returns the first images of a batch, at most `num_images` and `size`."""
        size = self.num_images if size is None else min(size, self.num_images)
        return [item[:size] for item in batch]

    def _is_warm(self, module: Any) -> bool:
        return module.images_seen >= 1000 * self.warmup_kimg

    def _see_samples(self, trainer: Any, module: Any, batch: Batch) -> dict[str, float]:
        """Returns numbers of the averaged generator's samples, and of its batch norms as it draws them."""
        with module.averaged(), health.staleness_of(module.generator) as stale:
            fake = module.draw(batch, mix(self.seed, trainer.global_rank)).get("fake")
        numbers = {"staleness": torch.stack(stale).max().item()} if stale else {}
        if fake is None:
            return numbers
        real, label = module.real(batch), classes_of(module, batch)
        numbers["diversity"] = health.spread(fake) / max(health.spread(real), 1e-12)
        if label is not None and fake.shape[1:] == real.shape[1:]:
            numbers |= self._see_classes(trainer, module, fake, real, label)
        return numbers

    def _see_classes(self, trainer: Any, module: Any, fake: Tensor, real: Tensor, label: Tensor) -> dict[str, float]:
        known = label >= 0
        real, label = real[known], label[known]
        guess = label[nearest(fake.flatten(1).float(), real.flatten(1).float())[1]] if len(label) else label
        guess, label = (gather_rows([classes], trainer) for classes in (guess, label))
        if len(label) < IMAGES_PER_CLASS * len(label.unique()) or not len(label):
            return {}
        drawn, given = (health.shares(classes, int(label.max()) + 1) for classes in (guess, label))
        self._shares = [*self._shares, drawn.tolist()][-WINDOW:] if self._is_warm(module) else []
        numbers = {"classes": health.effective_number(drawn) / health.effective_number(given)}
        if len(self._shares) == WINDOW:
            history = pad_sequence([torch.tensor(share) for share in self._shares], batch_first=True)
            numbers["swing"] = health.swing(history)
        return numbers

    def _see_logits(self, trainer: Any, module: Any, batch: Batch) -> dict[str, float]:
        """Returns numbers of the discriminator's logits, before the players move; they may gather equal batches."""
        if module.logits is None:
            return {}
        held_out = self._held_out or [torch.empty(0)]
        sizes = torch.tensor([len(batch[0]), len(held_out[0])], device=trainer.strategy.root_device)
        size, others = (trainer.strategy.reduce(sizes, reduce_op="min") if trainer.world_size > 1 else sizes).tolist()
        part, numbers = self._part(batch, size), {}
        with seeded(mix(self.seed, trainer.global_rank), module.device):
            if module.objective is not None:
                with torch.no_grad(), torch.autocast(module.device.type, enabled=False), buffers_put_back(module):
                    real, fake = logits_of(module, part)
                numbers["right"], numbers["sure"] = health.right_and_sure(real, fake, module.objective)
            if others:
                with module.evaluating():
                    real, fake = logits_of(module, part)
                    unseen, _ = logits_of(module, self._part(held_out, others))
                numbers["memorized"] = health.memorized(real, unseen, fake)
        return numbers

    def _report(self, trainer: Trainer, pl_module: Any) -> None:
        numbers = {f"health/{name}": value for name, value in self._looks[-1].items()}
        pl_module.log_dict(numbers, logger=False)  # for other callbacks; the loggers would get every 50th batch's alone
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=trainer.global_step)
        for name, sentence in health.findings(self._looks, self.limits, self.patience):
            if name not in self._warned and (self._is_warm(pl_module) or name.startswith("exploding/")):
                self._warned.append(name)
                sentence += f" (Seen after {pl_module.images_seen / 1000:g} thousand images.)"
                rank_zero_warn(sentence)
                if writes(trainer):
                    self._keep(sentence)

    def _keep(self, sentence: str) -> None:
        """Adds a line to `health.txt` in the run's folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "health.txt").open("a") as file:
            file.write(f"{sentence}\n")


def players_of(trainer: Any, module: Any) -> list[tuple[str, Any]]:
    """Returns the name and the optimizer of each player."""
    return list(zip(module.players(), trainer.optimizers, strict=True))


def logits_of(module: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Returns the logits (n,) of what counts as real and of what counts as fake."""
    real, fake = module.logits(batch)
    return real.flatten(), fake.flatten()


@contextmanager
def buffers_put_back(module: nn.Module) -> Iterator[None]:
    """Puts all buffers back to what they were before it, such as running statistics."""
    kept = [(part, dict(part._buffers)) for part in module.modules()]
    values = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for part, buffers in kept:
            part._buffers = buffers
        for buffer, before in values:
            buffer.copy_(before)
