"""The game every GAN plays: two players, two losses, one loop."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lightning_gans.mechanics import checkpoints, moving_average, processes
from lightning_gans.mechanics.batch_norm import synchronize_on_any_device
from lightning_gans.mechanics.checks import as_batch, check_arguments, check_trainer
from lightning_gans.mechanics.losses import LossWatch
from lightning_gans.mechanics.options import Options
from lightning_gans.mechanics.players import Batch, Player, Terms, adam, micro_batches, optimizers_of
from lightning_gans.mechanics.randomness import RandomState, fresh_seed, global_seed, mix, reseed
from lightning_gans.mechanics.schedules import Schedule, told
from lightning_gans.regularizer import Regularizer
from lightning_gans.variant import Variant

# Adam's second moments become denormal floats, which can slow a CPU down many times. Here, and not when training
# starts, since torch's threads keep what held when they were started.
torch.set_flush_denormal(True)


class AdversarialModule(Variant, ABC):
    """Trains a generator against a discriminator, one gradient step at a time.

    A variant says what each player minimizes, and by the methods of `Variant` how it draws and judges; this class
    decides who moves when. Every batch moves the discriminator once, and every `n_critic`-th batch also moves the
    generator. While one player moves the others are frozen, so a loss needs no `detach`. A variant reaches its networks
    through `self.generator` and `self.discriminator`, so that the moving average can take the generator's place. A
    subclass that overrides one of Lightning's hooks calls `super()`.

    Args:
        generator: Holds all that the generator's optimizer updates; several networks go in one container.
        discriminator: Holds all that the discriminator's optimizer updates, likewise.
        generator_optimizer: Makes the generator's optimizer from its parameters.
        discriminator_optimizer: Makes the discriminator's optimizer from its parameters.
        generator_scheduler: Makes the schedule of the generator's learning rate, stepped with its optimizer.
        discriminator_scheduler: Likewise for the discriminator.
        generator_clip: Largest norm of the generator's gradient; None does not clip.
        discriminator_clip: Likewise for the discriminator.
        n_critic: Discriminator steps per generator step.
        micro_batches: Parts into which a batch is cut to save memory; their gradients are accumulated.
        ema_halflife: Half-life of the generator's moving average, in thousands of images, at most 5 % of those so far
            unless it is a schedule; 0 keeps no average, and samples then come from the last weights.
        conditional: Whether the networks also get the second item of the batch, such as a class.
        regularizers: Add terms to the variant's losses, in this order; see `lightning_gans.regularizers`.
    """

    whole_batch = False
    """True if a loss describes the batch as a whole, and is not a mean over its images."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = checkpoints.keeps_arguments(cls.__init__)  # type: ignore[method-assign]

    @checkpoints.keeps_arguments
    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        generator_optimizer: OptimizerCallable = adam,
        discriminator_optimizer: OptimizerCallable = adam,
        generator_scheduler: LRSchedulerCallable | None = None,
        discriminator_scheduler: LRSchedulerCallable | None = None,
        generator_clip: float | None = None,
        discriminator_clip: float | None = None,
        n_critic: int = 1,
        micro_batches: int = 1,
        ema_halflife: float | Schedule = 10.0,
        conditional: bool = False,
        regularizers: Sequence[Regularizer] = (),
    ):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = generator, discriminator
        self.generator_ema = moving_average.copied(generator) if ema_halflife else None
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        self.generator_scheduler, self.discriminator_scheduler = generator_scheduler, discriminator_scheduler
        self.generator_clip, self.discriminator_clip = generator_clip, discriminator_clip
        self.n_critic, self.micro_batches = n_critic, micro_batches
        self.ema_halflife, self.conditional = ema_halflife, conditional
        self.regularizers = nn.ModuleList(regularizers)
        self.images_seen = 0  # in training, over all processes
        self.steps_taken = 0  # of the checkpoint that this came from; while training the trainer counts
        self.seed: int | None = None
        self._counted = False  # this batch, by Lightning
        self._options, self._losses = Options(), LossWatch()
        check_arguments(self, regularizers)

    @abstractmethod
    def discriminator_loss(self, batch: Batch) -> Terms:
        """Returns the terms that the discriminator minimizes on this batch."""

    @abstractmethod
    def generator_loss(self, batch: Batch) -> Terms:
        """Returns the terms that the generator minimizes on this batch."""

    def players(self) -> dict[str, Player]:
        """Returns the players by name."""
        discriminator = (self.discriminator, self.discriminator_loss, self.discriminator_optimizer)
        generator = (self.generator, self.generator_loss, self.generator_optimizer)
        return {
            "discriminator": Player(*discriminator, self.discriminator_scheduler, self.discriminator_clip),
            "generator": Player(*generator, self.generator_scheduler, self.generator_clip, averages=True),
        }

    def play(self, batch: Batch) -> None:
        """Makes the moves of one batch."""
        self.descend("discriminator", batch)
        if self.due(self.n_critic):
            self.descend("generator", batch)

    def due(self, every: int) -> bool:
        """Returns True on the last of each `every` training batches, counted across epochs."""
        return (self.trainer.fit_loop.total_batch_idx + 1) % every == 0

    def descend(self, player: str, batch: Batch) -> None:
        """Steps one player down the gradient of its loss, with every other player frozen."""
        mover, optimizer = self.players()[player], self.optimizer_of(player)
        total: Terms = {}
        with self.toggled_optimizer(optimizer), processes.local_backward(self.trainer.strategy):
            mover.module.zero_grad()
            for part, share in micro_batches(batch, self.micro_batches):
                terms = mover.loss(part)
                for regularizer in self.regularizers:
                    terms = regularizer.terms(player, self, part, terms)  # type: ignore[operator]
                terms = {name: share * term for name, term in terms.items()}
                self.manual_backward(sum(terms.values()))  # type: ignore[arg-type]
                total = {name: total.get(name, 0) + term.detach() for name, term in terms.items()}
        networks = [other.module for other in self.players().values()]
        total, uneven = self._reduce(optimizer, total, networks, len(batch[0]))
        named = {f"{player}_loss/{name}": term for name, term in total.items()}
        self._losses.add(self.trainer.fit_loop.total_batch_idx, named, self.device, uneven)
        self._step(optimizer)
        self._options.count(player)
        mover.module.zero_grad()  # frees their memory while the others move
        if mover.averages and self.generator_ema is not None:
            images = len(batch[0]) * self.trainer.world_size * self.n_critic  # since its last move
            moving_average.update(self.generator_ema, self.generator, images, self.ema_halflife, self.images_seen)

    def optimizer_of(self, player: str) -> Any:
        """Returns the optimizer of a player."""
        optimizers: Any = self.optimizers()
        return optimizers[list(self.players()).index(player)] if isinstance(optimizers, list) else optimizers

    def _step(self, optimizer: Any) -> None:
        """Takes the optimizer's step, of which Lightning counts one a batch: that is its `global_step`."""
        if self._counted:
            self.trainer.strategy.optimizer_step(optimizer.optimizer, closure=lambda: None)
        else:
            optimizer.step()
            self._counted = True
        for config in self.trainer.lr_scheduler_configs:
            if config.scheduler.optimizer is optimizer.optimizer:
                config.scheduler.step()

    # Lightning's hooks, in their order.

    def configure_callbacks(self) -> list[Callback]:
        return [RandomState()]

    def setup(self, stage: str) -> None:
        synchronize_on_any_device(self.trainer.strategy)
        if stage == "fit":
            check_trainer(self, self.trainer)
            processes.leave_to_the_loop(self, self.trainer.strategy)
            self._options.start()

    def configure_optimizers(self) -> Any:
        players = self.players()
        optimizers, schedulers = optimizers_of(players, str(self.trainer.precision))
        self._options.note(list(players), optimizers, schedulers)
        return optimizers, schedulers

    def on_fit_start(self) -> None:
        warnings.filterwarnings("ignore", "Using ModelCheckpoint with manual optimization")  # it is meant to come after
        self._losses, self._reduce = LossWatch(), processes.Reduction()
        if not self._options.is_resumed or self.seed is None:  # a second fit draws anew
            self.seed = self.trainer.strategy.broadcast(fresh_seed(self.images_seen))
        processes.take_from_first([*self.parameters(), *self.buffers()])
        self._reseed(self.current_epoch)

    def on_train_start(self) -> None:
        schedules = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        self._timed = told([*self.modules(), *schedules], self.images_seen)
        self._options.hold(self.trainer.optimizers, schedules)

    def on_train_epoch_start(self) -> None:
        self._reseed(self.current_epoch)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        batch = as_batch(batch)
        self._reseed(self.trainer.fit_loop.total_batch_idx, 1)
        self._counted = False
        self._reduce.begin(len(batch[0]), self.whole_batch or self.gathers, self.trainer)
        self.images_seen += len(batch[0]) * self.trainer.world_size
        told(self._timed, self.images_seen)
        self.play(batch)
        if (every := self.trainer.log_every_n_steps) and self.due(every):  # type: ignore[attr-defined]
            rates = zip(self.players(), self.trainer.optimizers, strict=True)
            self.log_dict(self._losses.latest, prog_bar=True)
            self.log_dict({f"{player}_lr": optimizer.param_groups[0]["lr"] for player, optimizer in rates})
            self.log("kimg", self.images_seen / 1000)

    def on_validation_start(self) -> None:
        self._losses.check()
        processes.take_from_first(b for b in self.buffers() if not b.is_floating_point())

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        # Where processes take batches in turn, this counts them as one process would: the same samples.
        index = batch_idx * self.trainer.world_size + self.global_rank
        return self.draw(batch, mix(global_seed(), index))

    test_step = predict_step = validation_step

    def on_train_end(self) -> None:
        self._losses.check()

    def get_extra_state(self) -> Tensor:
        """Returns what counts beside the weights, in the state dict, so that it comes back from other processes too."""
        return torch.tensor([self.images_seen, -1 if self.seed is None else self.seed])

    def set_extra_state(self, state: Tensor) -> None:
        self.images_seen, seed = state.tolist()
        self.seed = None if seed < 0 else seed
        told(self.modules(), self.images_seen)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._losses.check()
        checkpoints.check_finite(self, self.images_seen)
        checkpoint |= {"live_arguments": self.live_arguments, "options": self._options.save()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoints.check(self, checkpoint)
        self.steps_taken = checkpoint["global_step"]
        self._options.load(checkpoint)
        if fit := checkpoint.get("loops", {}).get("fit_loop"):
            checkpoints.close_epoch(fit)

    def _reseed(self, *counters: int) -> None:
        """Makes what is drawn next a function of the seed, this process's rank and the counters."""
        assert self.seed is not None
        reseed(mix(self.seed, self.global_rank, *counters), self.device)
