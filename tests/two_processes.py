"""Run by both processes of a pair: trains every recipe, notes what each process saw and did."""

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

import lightning_gans
from lightning_gans.__main__ import main
from lightning_gans.mechanics import processes
from lightning_gans.mechanics.statistics import running_norms
from lightning_gans.networks import InstanceNoise
from tests.conftest import RECIPES, Judge, Line, loader, make_comparable, reduced, tiny, trainer
from tests.test_translation import Edits, Reads
from tests.toys import TOYS, ToyData

STEPS = 6  # with 5 critic steps for one of the generator, it moves once
CUT_AND_WHOLE = ["dcgan_mnist", "cyclegan_house_numbers", "stargan_digits", "wgan_gp_mnist"]
WITH_BATCH_NORM = ["dcgan_mnist", "biggan_mnist", "catgan_mnist"]
GROWTH = [  # fades in with the third batch of 8, and is complete with the fourth
    f"--model.{network}.init_args.level.init_args.kimg=0.016" for network in ("generator", "discriminator")
]
SPY = {"class_path": "tests.two_processes.Spy"}


def no_barrier(*args, **kwargs):
    raise AssertionError("A process waited at a barrier within a batch.")


class Spy(Callback):
    """Notes the reductions, the latents and, whenever they are to be alike, the state of every process."""

    def __init__(self) -> None:
        self.reduced: list[int] = []
        self.latents: list[torch.Tensor] = []
        self.states: dict[str, dict[str, torch.Tensor]] = {}

    def on_fit_start(self, trainer, pl_module):
        latent = pl_module.latent

        def noting_latent(size):
            self.latents.append(latent(size))
            return self.latents[-1]

        pl_module.latent = noting_latent

    def on_train_start(self, trainer, pl_module):
        if trainer.world_size == 1:
            return
        self.all_reduce = torch.distributed.all_reduce

        def counting_all_reduce(tensor, *args, **kwargs):
            self.reduced.append(tensor.numel())
            return self.all_reduce(tensor, *args, **kwargs)

        def never(state, bucket):
            raise AssertionError("DDP reduced gradients by itself.")

        torch.distributed.all_reduce = counting_all_reduce
        trainer.strategy.model.register_comm_hook(None, never)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.barrier, torch.distributed.barrier = torch.distributed.barrier, no_barrier

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        torch.distributed.barrier = self.barrier

    def on_validation_start(self, trainer, pl_module):
        self.note("scoring", pl_module)

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        self.note(f"saving {trainer.global_step}", pl_module)

    def on_train_end(self, trainer, pl_module):
        if trainer.world_size > 1:
            torch.distributed.all_reduce = self.all_reduce
        self.note("end", pl_module)
        players = [name.split("_loss/")[0] for name in pl_module._losses.latest]
        networks = [*pl_module.generator.named_buffers(), *pl_module.discriminator.named_buffers()]
        buffers = sum(buffer.numel() for name, buffer in networks if name.endswith(("running_mean", "running_var")))
        self.states["reduced"] = {  # in one move: each parameter, a flag for it, the terms, sizes, running statistics
            name: torch.tensor(
                sum(p.numel() + 1 for p in player.module.parameters()) + players.count(name) + 2 + buffers
            )
            for name, player in pl_module.players().items()
        }
        held = [norm for norm in running_norms(pl_module.discriminator) if not norm.track_running_stats]
        sizes = [2] * (pl_module.whole_batch or pl_module.gathers)
        once = sizes + [sum(2 * len(norm.running_mean) for norm in held)] * bool(held)
        self.states["once"] = {"once": torch.tensor(once)}  # a batch, beside the moves
        self.states["n_critic"] = {"n_critic": torch.tensor(pl_module.n_critic)}
        self.states["optimizers"] = {
            f"{player} {index} {name}": torch.as_tensor(value)
            for player, optimizer in zip(pl_module.players(), trainer.optimizers, strict=True)
            for index, state in optimizer.state_dict()["state"].items()
            for name, value in state.items()
        }

    def note(self, when, pl_module):
        self.states[when] = {name: value.clone() for name, value in pl_module.state_dict().items()}


class Comparable(Spy):
    """Also takes away what depends on how a batch is cut, see `make_comparable`."""

    def __init__(self, synchronised: bool = False) -> None:
        super().__init__()
        self.synchronised = synchronised

    def setup(self, trainer, pl_module, stage):
        make_comparable(pl_module, self.synchronised)


class Poison(Callback):
    """Spoils one weight on the second process alone."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 2 and trainer.global_rank == 1:
            with torch.no_grad():
                next(pl_module.discriminator.parameters()).fill_(float("nan"))


def variant_of(recipe: str) -> type[lightning_gans.AdversarialModule]:
    path = Path(lightning_gans.__file__).parent / "configs" / f"{recipe}.yaml"
    return getattr(lightning_gans, yaml.safe_load(path.read_text())["model"]["class_path"])


def cuts(recipe: str) -> list[int]:
    """The numbers of micro-batches that a recipe is compared with; what holds for two of them mostly holds for one."""
    return [1] if variant_of(recipe).whole_batch else [1, 2] if recipe in CUT_AND_WHOLE else [2]


def train(recipe: str, folder: Path, devices: int, *options: str, **changes) -> Spy:
    """Trains a small recipe on one or two processes with 8 images a batch in all."""
    folder.mkdir(parents=True, exist_ok=True)
    changes = {"max_epochs": -1, "max_steps": STEPS, "log_every_n_steps": 1, **changes}
    strategy = "ddp" if devices == 2 else "auto"
    path = reduced(recipe, folder, devices=devices, strategy=strategy, **changes)
    cli = main(["fit", "--config", path, f"--data.batch_size={8 // devices}", *options])
    return next(callback for callback in cli.trainer.callbacks if isinstance(callback, Spy))


def compare(
    recipe: str, folder: Path, devices: int, micro_batches: int, synchronised: bool = False, more: Sequence[str] = ()
) -> Spy:
    """Trains in float64 what equals one process to rounding; `synchronised` has batch norm and power iterations too."""
    callbacks = [{"class_path": "tests.two_processes.Comparable", "init_args": {"synchronised": synchronised}}]
    options = [f"--model.micro_batches={micro_batches}", "--model.generator_clip=0.1", "--model.discriminator_clip=0.1"]
    changes = {"precision": "64-true", "callbacks": callbacks, "sync_batchnorm": synchronised}
    return train(recipe, folder, devices, *options, *more, **changes)


def compare_toy(toy: str, folder: Path, devices: int) -> Spy:
    """Trains a toy variant in float64 on one or two processes with 8 images a batch in all."""
    folder.mkdir(parents=True, exist_ok=True)
    spy = Comparable()
    torch.manual_seed(0)
    options = {"devices": devices, "strategy": "ddp" if devices == 2 else "auto", "precision": "64-true"}
    run = trainer(folder, STEPS, max_epochs=-1, limit_val_batches=0, callbacks=[spy], **options)
    run.fit(TOYS[toy](), ToyData(toy, 8 // devices))
    return spy


class Counting(Line):
    """A generator that counts its calls, on the second process twice."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        self.calls += int(os.environ["LOCAL_RANK"]) + 1 if self.training else 0
        return super().forward(latent)


def fit_own_loaders(module: Any, folder: Path, length: int) -> None:
    """Trains on own loaders, whose length may differ between processes."""
    options = {"strategy": "ddp", "devices": 2, "use_distributed_sampler": False, "val_check_interval": 8}
    trainer(folder, 8, **options).fit(module, loader(length), loader(16))


def saver(folder: Path) -> dict:
    arguments = {"dirpath": str(folder), "filename": "{step}", "every_n_train_steps": 5, "save_top_k": -1}
    return {"class_path": f"{ModelCheckpoint.__module__}.ModelCheckpoint", "init_args": arguments}


def walk(folder: Path) -> None:
    """All of it; each process writes what its spy saw."""
    rank = os.environ["LOCAL_RANK"]

    def save(name: str, spy: Spy) -> None:
        torch.save([spy.reduced, spy.latents, spy.states], folder / f"{name}_{rank}.pt")

    with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.suppress(SystemExit):
        train(RECIPES[0], folder / "poisoned", 2, callbacks=[{"class_path": "tests.two_processes.Poison"}])
    (folder / f"poisoned_{rank}.txt").write_text(errors.getvalue())

    for recipe in WITH_BATCH_NORM:
        name = f"{recipe}_synchronised"
        save(name, compare(recipe, folder / name, 2, 1, synchronised=True))

    bound, processes.LARGE = processes.LARGE, 4 * 64  # bytes: then most tensors travel alone, in their own layout
    save("uncopied", compare("dcgan_mnist", folder / "uncopied", 2, 1))
    processes.LARGE = bound

    save("growing", compare("progan_mnist", folder / "growing", 2, 1, more=GROWTH))

    standing = {"class_path": "StandingStatistics", "init_args": {"num_batches": 3}}  # of 3 one process has 2
    scored = {"val_check_interval": STEPS, "check_val_every_n_epoch": None, "sync_batchnorm": True}
    save("standing", train("biggan_mnist", folder / "standing", 2, callbacks=[SPY, standing], **scored))

    for toy in TOYS:
        save(toy, compare_toy(toy, folder / toy, 2))

    stargan = lightning_gans.StarGAN(generator=Edits(10), discriminator=Reads(10))  # gathers labels
    for module in (tiny(lightning_gans.GAN), tiny(lightning_gans.RelativisticGAN), stargan):
        try:
            fit_own_loaders(module, folder / "uneven", 64 if rank == "0" else 61)
            refused = "nothing"
        except ValueError as error:
            refused = str(error)
        (folder / f"{type(module).__name__}_uneven_{rank}.txt").write_text(refused)

    judge = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 1), nn.Flatten(0))
    noisy = lightning_gans.GAN(generator=Line(), discriminator=InstanceNoise(judge))
    fit_own_loaders(noisy, folder / "noisy", 64)
    torch.save(noisy.state_dict(), folder / f"noisy_{rank}.pt")

    counting = lightning_gans.GAN(generator=Counting(), discriminator=Judge())
    fit_own_loaders(counting, folder / "counting", 64)
    torch.save(counting.generator.calls, folder / f"counting_{rank}.pt")

    for recipe in RECIPES:
        for micro_batches in cuts(recipe):
            name = f"{recipe}_{micro_batches}"
            save(name, compare(recipe, folder / name, 2, micro_batches))
        checkpoints = {"callbacks": [SPY, saver(folder / recipe)], "enable_checkpointing": True}
        save(
            f"{recipe}_straight",
            train(
                recipe,
                folder / recipe,
                2,
                max_steps=8,
                val_check_interval=6,
                check_val_every_n_epoch=None,
                **checkpoints,
            ),
        )
        resume = f"--ckpt_path={folder / recipe / 'step=5.ckpt'}"
        save(f"{recipe}_resumed", train(recipe, folder / recipe, 2, resume, max_steps=8, callbacks=[SPY]))
