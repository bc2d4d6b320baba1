"""The weights of another run to start from."""

from pathlib import Path
from typing import Any

from lightning import Callback, Trainer

from lightning_gans.mechanics.resume import read


class StartFrom(Callback):
    """Starts a new run from networks of another one, such as an SRGAN from its SRResNet.

    The weights alone are taken: optimizers, the count of images and the seed are the new run's. A generator and its
    moving average start alike. A run that is resumed goes on from its own checkpoint instead.

    Args:
        checkpoint: File of the other run.
        part: What to take of it: `generator_ema` for the moving average of its generator, `generator` for its last
            weights, or `discriminator`.
    """

    def __init__(self, checkpoint: str, part: str = "generator_ema"):
        self.checkpoint = checkpoint
        self.part = part

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.ckpt_path is not None or pl_module.images_seen:
            return
        if not Path(self.checkpoint).is_file():
            raise FileNotFoundError(f"`checkpoint` of `StartFrom` must be a file, and {self.checkpoint} is none.")
        weights = read(self.checkpoint)["state_dict"]
        name, prefix = self.part.removesuffix("_ema"), f"{self.part}."
        state = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        if not state or getattr(pl_module, name, None) is None:
            there = sorted({key.split(".")[0] for key in weights if "." in key})
            raise ValueError(
                f"`part` of `StartFrom` must be a network of both runs, got {self.part}: {self.checkpoint} holds "
                f"{', '.join(there)}."
            )
        own, average = getattr(pl_module, name), getattr(pl_module, f"{name}_ema", None)
        for network in [own] if average is None else [own, average]:
            try:
                network.load_state_dict(state)
            except RuntimeError as error:
                reason = " ".join(str(error).splitlines()[1].split()).rstrip(".:")
                raise ValueError(
                    f"`{self.part}` of {self.checkpoint} does not fit this run's {name} ({reason}): give both the same "
                    "network."
                ) from None
        pl_module.print(f"The {name} starts as `{self.part}` of {self.checkpoint}.")
