"""Looks at how the game goes, and says in a sentence what goes wrong."""

import math
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.nn.utils.rnn import pad_sequence

from lightning_gans.adversarial import Batch, as_batch
from lightning_gans.callbacks.score_card import gather_rows, results_folder
from lightning_gans.mechanics.randomness import mix, seeded
from lightning_gans.metrics import health, nearest
from lightning_gans.objectives import Logits, Objective, Scalar

WINDOW = 6  # looks over which the histogram of classes swings or does not
IMAGES_PER_CLASS = 4  # on average among the images looked at; with fewer, classes are not counted


class TrainingHealth(Callback):
    """Warns of what goes wrong with GANs as they train, once each, and logs the numbers as `health/<name>`.

    The warnings are kept in `health.txt` in the run's folder, too.

    A warning needs a number to be out of its limit in `patience` looks in a row, an exploding gradient in one. Numbers
    are those of all processes together. The logits are those of the variant's `objective`, noted as its loss is
    computed; a variant without one has neither `right` nor `sure`, and nor has a critic.

    In brackets are what recipes of this package have shown, without their warm-up, and what runs made to fail have:
    `dcgan_mnist` at rates 100 times too high, with 50 steps of the discriminator for one of the generator, and with a
    latent of zeros.

    A look changes nothing of the training: samples are those of the averaged generator in eval mode, always from the
    same latents, and `memorised` computes `discriminator_loss` twice in eval mode, so that loss must not keep anything
    between calls. The held-out images are the first of the last validation; without one in this run, or if the data
    module validates on its training images, nothing is held out. Classes are counted where batches hold labels of few
    enough classes: a sample's is that of the nearest real image of its batch.

    Args:
        every_kimg: Thousands of training images between two looks, rounded up to a batch in which all players move.
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
        max_right: Of `right`, the share of real images and samples that the discriminator is right on [0.80 and less;
            0.99 to 1].
        max_sure: Of `sure`, the share of those that it is right on and saturated [0.07 and less; 0.47].
        min_gradient: Of `gradient/<player>`, the norm of a player's gradient before it is clipped [from 0.001 with
            clipped weights; 0 to 0.00007].
        max_gradient: Likewise [to 60 with a gradient penalty, to 9 without; 20,000 to 1,000,000].
        max_memorised: Of `memorised`, how far held-out images lie on the way from training images to samples, in the
            discriminator's eyes [-0.26 to 0.47, all by chance].
        max_staleness: Of `staleness`, how far the running statistics of the worst batch norm of the averaged generator
            are from those of what it sees, in standard deviations [0.08 to 0.16; as few].
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
        max_memorised: float = 0.6,
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
            "memorised": max_memorised,
            "staleness": max_staleness,
        }
        self._period = 0  # the last one, of `every_kimg`, that was looked at
        self._warned: list[str] = []
        self._looks: list[dict[str, float]] = []
        self._shares: list[list[float]] = []
        self._held_out: Batch | None = None
        self._noting: NotingObjective | None = None
        self._norms: dict[str, Tensor] | None = None  # while a batch is looked at

    def state_dict(self) -> dict[str, Any]:
        return {"period": self._period, "warned": self._warned, "looks": self._looks, "shares": self._shares}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._period, self._warned = state_dict["period"], state_dict["warned"]
        self._looks, self._shares = state_dict["looks"], state_dict["shares"]

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == dataloader_idx == 0:
            self._held_out = [item[: self.num_images] for item in as_batch(batch)]

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._period_of(pl_module) > self._period and pl_module.due(pl_module.n_critic):  # all players move
            self._norms = {}
            self._noting = note_logits(pl_module)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        if self._norms is None:
            return
        player = list(pl_module.players())[[other is optimizer for other in trainer.optimizers].index(True)]
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        scaled = scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False)  # a fused one unscales
        self._norms[player] = get_total_norm(gradients) / (scaler.get_scale() if scaled else 1.0)  # type: ignore[union-attr]

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self._stop_noting(pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._norms is None:
            return
        numbers = {f"gradient/{player}": norm.item() for player, norm in self._norms.items()}
        noting = self._stop_noting(pl_module)
        if noting and noting.real:
            logits = torch.cat(noting.real), torch.cat(noting.fake)
            numbers["right"], numbers["sure"] = health.right_and_sure(*logits, noting.objective)
        part = [item[: self.num_images] for item in as_batch(batch)]
        numbers |= self._see_samples(trainer, pl_module, part) | self._see_held_out(pl_module, part)
        if trainer.world_size > 1:
            values = torch.tensor(list(numbers.values()), device=pl_module.device)
            numbers = dict(zip(numbers, trainer.strategy.reduce(values, reduce_op="mean").tolist(), strict=True))
        numbers = {name: value for name, value in numbers.items() if not math.isnan(value)}
        self._period = self._period_of(pl_module)
        self._looks = [*self._looks, numbers][-self.patience :]
        self._report(trainer, pl_module)
        self._looks = self._looks if self._is_warm(pl_module) else []

    def _period_of(self, module: Any) -> int:
        return int(module.images_seen // (1000 * self.every_kimg))

    def _is_warm(self, module: Any) -> bool:
        return module.images_seen >= 1000 * self.warmup_kimg

    def _stop_noting(self, module: Any) -> "NotingObjective | None":
        noting, self._noting, self._norms = self._noting, None, None
        if noting:
            module.objective = noting.objective
        return noting

    def _see_samples(self, trainer: Trainer, module: Any, batch: Batch) -> dict[str, float]:
        """What the averaged generator draws, and what its batch norms see as it does."""
        with health.staleness_of(module.generator_ema or module.generator) as stale:
            drawn = module.draw(batch, mix(self.seed, trainer.global_rank))
        fake, real = drawn["fake"], drawn.get("real", batch[0])
        numbers = {"diversity": health.spread(fake) / max(health.spread(real), 1e-12)}
        if stale:
            numbers["staleness"] = torch.stack(stale).max().item()
        if len(batch) > 1 and batch[1].dtype == torch.long and batch[1].ndim == 1 and fake.shape[1:] == real.shape[1:]:
            numbers |= self._see_classes(trainer, module, fake, real, batch[1])
        return numbers

    def _see_classes(
        self, trainer: Trainer, module: Any, fake: Tensor, real: Tensor, label: Tensor
    ) -> dict[str, float]:
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

    def _see_held_out(self, module: Any, batch: Batch) -> dict[str, float]:
        if self._held_out is None:
            return {}
        held_out = [item.clone() for item in self._held_out]  # no gradient flows to tensors made in inference mode
        train, unseen = judged(module, batch, self.seed), judged(module, held_out, self.seed)
        return {"memorised": health.memorised(train[0], unseen[0], train[1])} if train and unseen else {}

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
                keep_sentence(trainer, sentence)


def keep_sentence(trainer: Any, sentence: str) -> None:
    """Adds a line to `health.txt` in the run's folder."""
    folder = results_folder(trainer)  # a broadcast: on every process
    if trainer.is_global_zero and not trainer.fast_dev_run:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "health.txt").open("a") as file:
            file.write(f"{sentence}\n")


class NotingObjective(Objective):
    """An objective that keeps the logits of the discriminator's own loss.

    Args:
        objective: What it passes everything on to.
        discriminator: Its parameters need a gradient while it moves, and no other player moves then.
    """

    def __init__(self, objective: Objective, discriminator: torch.nn.Module):
        self.objective = objective
        self.network = discriminator
        self.real: list[Tensor] = []
        self.fake: list[Tensor] = []

    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        if any(parameter.requires_grad for parameter in self.network.parameters()):
            self.real.append(real.detach().flatten())
            self.fake.append(fake.detach().flatten())
        return self.objective.discriminator(real, fake)

    def generator(self, fake: Logits) -> Scalar:
        return self.objective.generator(fake)


def note_logits(module: Any) -> NotingObjective | None:
    """Puts a noting objective in the place of the module's; None if it has none."""
    objective = getattr(module, "objective", None)
    if not isinstance(objective, Objective):
        return None
    module.objective = NotingObjective(objective, module.discriminator)
    return module.objective


def judged(module: Any, batch: Batch, seed: int) -> tuple[Tensor, Tensor] | None:
    """The discriminator's logits of real and fake in eval mode, None where it has not one for each image.

    The first are those of a call with the batch's images, if there is no objective to note them.
    """
    calls: list[tuple[bool, Tensor]] = []
    handle = module.discriminator.register_forward_hook(
        lambda _, args, logits: calls.append((args[0] is batch[0], logits.detach()))
    )
    noting = note_logits(module)
    try:
        with module.evaluating(), torch.enable_grad(), seeded(seed, module.device):  # a penalty needs a gradient
            module.discriminator_loss(batch)
    finally:
        handle.remove()
        if noting:
            module.objective = noting.objective
    if noting and noting.real:
        return torch.cat(noting.real), torch.cat(noting.fake)
    real, fake = ([logits for of_real, logits in calls if of_real is kind] for kind in (True, False))
    return (real[0], fake[0]) if real and fake and real[0].ndim == 1 else None
