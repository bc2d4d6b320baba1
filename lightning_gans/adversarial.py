"""The game every GAN plays: two players, two losses, one loop."""

import copy
import inspect
import itertools
import math
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_gans.mechanics.batch_norm import synchronise_on_any_device
from lightning_gans.mechanics.messages import GO_ON
from lightning_gans.mechanics.randomness import global_seed, mix, reseed, seeded

Batch = Sequence[Tensor]
Terms = dict[str, Tensor]  # The summands of a loss by name, each a scalar that already carries its weight.

EMA_RAMPUP = 0.05  # The half-life is at most this share of the images so far, as in StyleGAN2-ADA's code.
CHECK_EVERY = 100  # Moves between looks at the losses on an accelerator, where each look waits for it.


# Adam's second moments become denormal floats, which can slow a CPU down many times. Here, and not when training
# starts, since torch's threads keep what held when they were started.
torch.set_flush_denormal(True)


def adam(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Adam as in DCGAN (Radford et al., 2016, https://arxiv.org/abs/1511.06434), the usual choice for GANs."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


class Regularizer(nn.Module, ABC):
    """Something that a recipe adds to the losses of any variant; what it remembers are its buffers."""

    @abstractmethod
    def terms(self, player: str, module: "AdversarialModule", batch: Batch, terms: Terms) -> Terms:
        """What the moving player minimises in place of `terms`, which the variant and earlier regularizers gave."""


class AdversarialModule(LightningModule, ABC):
    """Trains a generator against a discriminator, one gradient step at a time.

    A variant says what each player minimises; this class says who moves when. Every batch moves the
    discriminator once, and every `n_critic`-th batch also moves the generator. While one player moves the
    others are frozen, so a loss needs no `detach`. A subclass that overrides one of Lightning's hooks calls `super()`.

    Args:
        generator: All that the generator's optimizer updates; several networks go in one container.
        discriminator: All that the discriminator's optimizer updates, likewise.
        generator_optimizer: Makes the generator's optimizer from its parameters.
        discriminator_optimizer: Makes the discriminator's optimizer from its parameters.
        generator_scheduler: Makes the schedule of the generator's learning rate, stepped with its optimizer.
        discriminator_scheduler: Likewise for the discriminator.
        generator_clip: Largest norm of the generator's gradient; None does not clip.
        discriminator_clip: Likewise for the discriminator.
        n_critic: Discriminator steps per generator step.
        micro_batches: Parts into which a batch is cut to save memory; their gradients are accumulated.
        ema_halflife: Half-life of the generator's moving average, in thousands of images; 0 keeps no average,
            and samples then come from the last weights.
        regularizers: What is added to the variant's losses, in this order; see `lightning_gans.regularizers`.
    """

    whole_batch = False
    """Whether a loss says something of the batch as a whole, and is not a mean over its images."""

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
        ema_halflife: float = 10.0,
        regularizers: Sequence[Regularizer] = (),
    ):
        super().__init__()
        for name, value in (("n_critic", n_critic), ("micro_batches", micro_batches)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if self.whole_batch and micro_batches > 1:
            raise ValueError(
                f"`micro_batches` must be 1 for {type(self).__name__}, whose loss is one of the whole batch, "
                f"got {micro_batches}."
            )
        for name, limit in (("generator_clip", generator_clip), ("discriminator_clip", discriminator_clip)):
            if limit is not None and limit <= 0:
                raise ValueError(f"`{name}` must be positive, or null to clip nothing, got {limit}.")
        if ema_halflife < 0:
            raise ValueError(f"`ema_halflife` must be 0 (no average) or more thousands of images, got {ema_halflife}.")
        self.automatic_optimization = False
        self._save_plain_hyperparameters()
        self.generator = generator
        self.discriminator = discriminator
        self.generator_ema = copy.deepcopy(generator).requires_grad_(False) if ema_halflife else None
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.generator_scheduler = generator_scheduler
        self.discriminator_scheduler = discriminator_scheduler
        self.generator_clip = generator_clip
        self.discriminator_clip = discriminator_clip
        self.n_critic = n_critic
        self.micro_batches = micro_batches
        self.ema_halflife = ema_halflife
        self.regularizers = nn.ModuleList(regularizers)
        self.images_seen = 0  # training images so far, over all processes
        self.steps_taken = 0  # of the checkpoint that this came from; while training the trainer counts
        self.seed: int | None = None
        self._truncation: float | None = None
        self._terms: Terms = {}  # the latest of each player
        self._unchecked: list[tuple[int, Terms]] = []

    # What a variant says.

    @abstractmethod
    def discriminator_loss(self, batch: Batch) -> Terms:
        """What the discriminator minimises on this batch."""

    @abstractmethod
    def generator_loss(self, batch: Batch) -> Terms:
        """What the generator minimises on this batch."""

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Named image batches (b, c, h, w) worth looking at; callbacks draw, score and save them."""
        return {"fake": self.generator(self.latent(len(batch[0])))}

    def latent(self, size: int) -> Tensor:
        """Draws (size, latent_dim) standard normal latents for this generator."""
        generator: Any = self.generator
        return self.normal(size, generator.latent_dim)

    def players(self) -> dict[str, nn.Module]:
        """Who plays, and with which parameters. Each has its `<player>_loss` and `<player>_optimizer`."""
        return {"discriminator": self.discriminator, "generator": self.generator}

    def play(self, batch: Batch) -> None:
        """The moves of one batch."""
        self.descend("discriminator", batch)
        if self.due(self.n_critic):
            self.descend("generator", batch)

    # What every variant can use.

    def normal(self, *size: int) -> Tensor:
        """Draws from the standard normal distribution, on this module's device and in its precision."""
        if self._truncation is None:
            return torch.randn(*size, device=self.device, dtype=self.dtype)  # type: ignore[arg-type]
        # The same as drawing anew what lies beyond, and for a lower threshold the same numbers nearer to 0.
        within = math.erf(self._truncation / math.sqrt(2))
        drawn = math.sqrt(2) * torch.erfinv(within * (2 * torch.rand(*size, device=self.device) - 1))
        return drawn.clamp(-self._truncation, self._truncation).to(self.dtype)  # type: ignore[arg-type]

    def uniform(self, *size: int) -> Tensor:
        """Draws from [-1, 1], on this module's device and in its precision."""
        return 2 * torch.rand(*size, device=self.device, dtype=self.dtype) - 1  # type: ignore[arg-type]

    def due(self, every: int) -> bool:
        """True on the last of each `every` training batches, counted across epochs."""
        return (self.trainer.fit_loop.total_batch_idx + 1) % every == 0

    def descend(self, player: str, batch: Batch) -> None:
        """Steps one player down the gradient of its loss, with every other player frozen."""
        optimizers: Any = self.optimizers()
        optimizer = dict(zip(self.players(), optimizers, strict=True))[player]
        total: Terms = {}
        with self.toggled_optimizer(optimizer), self._local_backward():
            optimizer.zero_grad()
            for part, share in self._parts(batch):
                terms = getattr(self, f"{player}_loss")(part)
                for regularizer in self.regularizers:
                    terms = regularizer.terms(player, self, part, terms)  # type: ignore[operator]
                terms = {name: share * term for name, term in terms.items()}
                self.manual_backward(sum(terms.values()))
                total = {name: total.get(name, 0) + term.detach() for name, term in terms.items()}
        total = self._average_gradients(optimizer, total)
        self._watch({f"{player}_loss/{name}": term for name, term in total.items()})
        self._step(optimizer)
        if player == "generator":
            self._update_ema(len(batch[0]))

    def everyone(self, rows: Tensor) -> Tensor:
        """The rows of all processes, for a loss of the whole batch; its gradient is then that of one process."""
        if self._trainer is None or self.trainer.world_size == 1:
            return rows
        gathered: Any = self.all_gather(rows, sync_grads=rows.requires_grad)
        return gathered.flatten(0, 1)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it, `self.generator` is the moving average of the generator."""
        generator = self.generator
        self.generator = self.generator_ema or generator
        try:
            yield
        finally:
            self.generator = generator

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Within it, as in `averaged`, and all modules in evaluation mode, without gradients and in full precision."""
        modes = [(module, module.training) for module in self.modules()]
        with self.averaged(), torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            self.eval()
            try:
                yield
            finally:
                for module, training in modes:
                    module.training = training

    @contextmanager
    def truncated(self, threshold: float) -> Iterator[None]:
        """Within it, `normal` draws anew what lies beyond `threshold` (Brock et al., 2019, https://arxiv.org/abs/1809.11096)."""
        if threshold <= 0:
            raise ValueError(f"`threshold` must be above 0, got {threshold}.")
        self._truncation = threshold
        try:
            yield
        finally:
            self._truncation = None

    def draw(self, batch: Batch | Tensor, seed: int, latent: Tensor | None = None) -> dict[str, Tensor]:
        """`samples(batch)` by the averaged generator in evaluation mode.

        Args:
            batch: As in training; a variant takes from it what it is told, such as labels.
            seed: What is drawn is a function of it, the batch and `latent` alone.
            latent: What `latent(size)` is to return in place of a draw, one row for each of the batch.
        """
        with self.evaluating(), seeded(seed, self.device):
            if latent is not None:
                self.latent = lambda size: latent  # type: ignore[method-assign]
            try:
                return self.samples(as_batch(batch))
            finally:
                if latent is not None:
                    del self.latent

    # Lightning's hooks.

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        optimizers, schedulers = [], []
        for player, module in self.players().items():
            parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
            optimizers.append(optimizer := getattr(self, f"{player}_optimizer")(parameters))
            if limit := getattr(self, f"{player}_clip", None):
                if self.trainer.precision == "16-mixed" and getattr(optimizer, "_step_supports_amp_scaling", False):
                    raise ValueError(f"`{player}_clip` needs an optimizer that is not fused under 16-mixed.")
                # When the step begins, gradients are averaged over processes and, under a GradScaler, unscaled.
                optimizer.register_step_pre_hook(partial(clip, parameters, limit))
            if make := getattr(self, f"{player}_scheduler", None):
                schedulers.append(scheduler := make(optimizer))
                if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
                    raise ValueError(f"`{player}_scheduler` must not wait for a metric, got ReduceLROnPlateau.")
        return optimizers, schedulers

    def setup(self, stage: str) -> None:
        synchronise_on_any_device(self.trainer.strategy)

    def on_fit_start(self) -> None:
        strategy = self.trainer.strategy
        if self.trainer.world_size > 1 and not isinstance(strategy, DDPStrategy):
            raise ValueError(f"`strategy` must be ddp on several processes, got {type(strategy).__name__}.")
        warnings.filterwarnings("ignore", "Using ModelCheckpoint with manual optimization")  # it is meant to come after
        if self.seed is None:
            seed = int(os.environ.get("PL_GLOBAL_SEED", torch.initial_seed() & 0xFFFFFFFF))
            self.seed = strategy.broadcast(seed)
        self._reseed(self.current_epoch)

    def on_train_epoch_start(self) -> None:
        self._reseed(self.current_epoch)

    def training_step(self, batch: Batch | Tensor, batch_idx: int) -> None:
        batch = as_batch(batch)
        self._reseed(self.trainer.fit_loop.total_batch_idx, 1)
        self._counted = False
        self.images_seen += len(batch[0]) * self.trainer.world_size
        self.play(batch)
        self._average_buffers()
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and self.due(every):
            self._log_terms()

    def on_validation_start(self) -> None:
        self._check_terms()

    def on_train_end(self) -> None:
        self._check_terms()

    def validation_step(self, batch: Batch | Tensor, batch_idx: int) -> dict[str, Tensor]:
        # Where processes take batches in turn, this counts them as one process would: the same samples.
        index = batch_idx * self.trainer.world_size + self.global_rank
        return self.draw(batch, mix(global_seed(), index))

    test_step = predict_step = validation_step

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._check_terms()
        for name, parameter in self.named_parameters():
            if not parameter.isfinite().all():
                raise FloatingPointError(
                    f"`{name}` is no longer finite after {self.images_seen} images, so training stopped and the last "
                    f"checkpoint stands; {GO_ON}."
                )
        checkpoint |= {"images_seen": self.images_seen, "seed": self.seed, "live_arguments": self._live_arguments}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "images_seen" not in checkpoint:
            raise ValueError("The checkpoint must hold an adversarial module, and holds another one.")
        missing = set(checkpoint["live_arguments"]) - set(self._live_arguments)
        if missing and "_instantiator" not in self.hparams:  # the command line gives every argument
            raise ValueError(
                f"The checkpoint's module was built with {', '.join(sorted(missing))}: hand them in again."
            )
        self.images_seen, self.seed = checkpoint["images_seen"], checkpoint["seed"]
        self.steps_taken = checkpoint["global_step"]
        if fit := checkpoint.get("loops", {}).get("fit_loop"):
            close_epoch(fit)

    # The mechanics.

    def _reseed(self, *counters: int) -> None:
        """Makes what is drawn next a function of the seed, this process's rank and the counters."""
        assert self.seed is not None
        reseed(mix(self.seed, self.global_rank, *counters), self.device)

    def _parts(self, batch: Batch) -> Iterator[tuple[Batch, float]]:
        """The micro-batches and their shares of the batch."""
        size = len(batch[0])
        count = min(self.micro_batches, size)
        ends = [size * i // count for i in range(count + 1)]
        for start, end in itertools.pairwise(ends):
            yield (batch, 1.0) if count == 1 else ([item[start:end] for item in batch], (end - start) / size)

    def _local_backward(self) -> AbstractContextManager:
        """Keeps DDP from reducing in backward: it would wait for every player, and just one of them moves."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, DDPStrategy) else nullcontext()

    def _average_gradients(self, optimizer: Any, terms: Terms) -> Terms:
        """Averages the moving player's gradients and terms over all processes, in one reduction.

        All processes then agree on whether a term is finite. A parameter that no process used keeps no gradient,
        as with one process: a flag for each goes along.
        """
        if self.trainer.world_size == 1:
            return terms
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flags = gradients[0].new_tensor([float(p.grad is not None) for p in parameters])
        everything_used = all(p.grad is not None for p in parameters)
        losses = torch.stack([term.to(flags) for term in terms.values()])
        self._average_in_place([*gradients, flags, losses])
        used = itertools.repeat(True) if everything_used else flags.tolist()  # reading flags waits for the device
        for parameter, gradient, use in zip(parameters, gradients, used, strict=False):
            parameter.grad = gradient if use else None
        return dict(zip(terms, losses.unbind(), strict=True))

    def _average_buffers(self) -> None:
        """Makes the processes agree on batch norm's running statistics and their like."""
        if self.trainer.world_size == 1:
            return
        if buffers := [buffer for buffer in self.buffers() if buffer.is_floating_point()]:
            self._average_in_place(buffers)

    def _average_in_place(self, tensors: list[Tensor]) -> None:
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        parts = self.trainer.strategy.reduce(flat, reduce_op="mean").split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

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

    @torch.no_grad()
    def _update_ema(self, batch_size: int) -> None:
        if self.generator_ema is None:
            return
        images = batch_size * self.trainer.world_size * self.n_critic
        decay = 0.5 ** (images / min(1000 * self.ema_halflife, EMA_RAMPUP * self.images_seen))
        averages = itertools.chain(self.generator_ema.parameters(), self.generator_ema.buffers())
        latest = itertools.chain(self.generator.parameters(), self.generator.buffers())
        pairs = list(zip(averages, latest, strict=True))
        # A mean of singular vectors is none, and would leave weights larger than their norm says.
        vectors = {id(v) for m in self.generator.modules() if isinstance(m, _SpectralNorm) for v in m.buffers()}
        copied = [not value.is_floating_point() or id(value) in vectors for _, value in pairs]  # counters, vectors
        floats = [pair for pair, copy in zip(pairs, copied, strict=True) if not copy]
        torch._foreach_lerp_([average for average, _ in floats], [value for _, value in floats], 1 - decay)
        for average, value in itertools.compress(pairs, copied):
            average.copy_(value)

    def _watch(self, terms: Terms) -> None:
        """Keeps the terms for the log, and stops the run if one is not finite.

        On the CPU before the step is taken; on an accelerator, where looking waits, every so many moves and
        before a checkpoint is written.
        """
        self._terms |= terms
        self._unchecked.append((self.trainer.fit_loop.total_batch_idx, terms))
        if self.device.type == "cpu" or len(self._unchecked) == CHECK_EVERY:
            self._check_terms()

    def _check_terms(self) -> None:
        unchecked, self._unchecked = self._unchecked, []
        values = [term for _, terms in unchecked for term in terms.values()]
        if not values or torch.stack(values).isfinite().all():
            return
        step, name, term = next(
            (step, name, term) for step, terms in unchecked for name, term in terms.items() if not term.isfinite()
        )
        raise FloatingPointError(
            f"`{name}` is {term.item()} at step {step}, so training stopped and the last checkpoint stands; {GO_ON}."
        )

    def _log_terms(self) -> None:
        rates = {
            f"{player}_lr": optimizer.param_groups[0]["lr"]
            for player, optimizer in zip(self.players(), self.trainer.optimizers, strict=True)
        }
        self.log_dict(self._terms, prog_bar=True)
        self.log_dict({**rates, "kimg": self.images_seen / 1000})

    def _save_plain_hyperparameters(self) -> None:
        """Saves what a checkpoint needs to rebuild the module: built by the command line, everything.

        A module built in Python has live networks among its arguments, which `load_from_checkpoint` takes anew.
        """
        frames = [info.frame for info in inspect.stack(0) if info.function == "__init__"]
        constructors = [inspect.getargvalues(frame) for frame in frames if frame.f_locals.get("self") is self]
        self.save_hyperparameters(ignore=[name for constructor in constructors for name in constructor.locals])
        self._live_arguments: list[str] = []
        if "_instantiator" in self.hparams:  # the command line's arguments are plain
            self.save_hyperparameters()
            return
        names, _, keywords, values = constructors[-1]  # of the variant
        given = {name: values[name] for name in names if name != "self"} | values.get(keywords or "", {})
        plain = {name: value for name, value in given.items() if is_plain(value)}
        self.save_hyperparameters(plain)
        signatures = [inspect.signature(base) for base in reversed(type(self).__mro__[:-1])]
        defaults = {name: p.default for signature in signatures for name, p in signature.parameters.items()}
        self._live_arguments = [name for name in given.keys() - plain.keys() if given[name] is not defaults.get(name)]


def close_epoch(fit_loop: dict[str, Any]) -> None:
    """Says in the state of a checkpoint written at an epoch's end whether the epoch is over or was stopped in it.

    Lightning 2.6 leaves it between the two and, under `max_steps`, resumes with one batch more or another order.
    """
    epoch, batch = fit_loop["epoch_progress"], fit_loop["epoch_loop.batch_progress"]
    if epoch["current"]["processed"] != epoch["current"]["ready"]:
        return  # not written at an epoch's end
    for part in ("total", "current"):
        if batch["is_last_batch"]:
            epoch[part]["completed"] = epoch[part]["processed"]
        else:  # stopped by `max_steps`
            epoch[part]["processed"] = epoch[part]["completed"]
    if batch["is_last_batch"]:
        batch["current"] = dict.fromkeys(batch["current"], 0)
        batch["is_last_batch"] = False


def as_batch(batch: Batch | Tensor) -> Batch:
    """A batch of images alone as a batch of one item."""
    return (batch,) if isinstance(batch, Tensor) else batch


def is_plain(value: Any) -> bool:
    """Whether a checkpoint can hold it under `weights_only=True` and a later version can read it."""
    if type(value) in (list, tuple):
        return all(is_plain(item) for item in value)
    return type(value) in (type(None), bool, int, float, str)


def clip(parameters: list[nn.Parameter], limit: float, *step: Any) -> None:
    """Scales the gradient of all parameters down to a norm of `limit`, before an optimizer's step."""
    clip_grad_norm_(parameters, limit)
