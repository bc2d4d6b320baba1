"""The weights of another run to start from."""

from typing import Any

from lightning import Callback, Trainer
from torch import nn

from lightning_gans.mechanics.resume import newest, read
from lightning_gans.networks.wrappers.frozen import Frozen


class StartFrom(Callback):
    """Starts a new run from networks of another one, such as an SRGAN from its SRResNet.

    The weights alone are taken: optimizers, the count of images and the seed are the new run's. A generator and its
    moving average start alike. A run that is resumed goes on from its own checkpoint instead.

    Args:
        checkpoint: File of the other run. Or a folder, of the run or of all runs of its recipe: it is then the newest
            checkpoint of the newest run.
        part: What to take of it: `generator_ema` for the moving average of its generator, `generator` for its last
            weights, or `discriminator`.
        into: The network of this run that gets the weights, such as `generator.stage1`; null is the one that `part`
            names.
    """

    def __init__(self, checkpoint: str, part: str = "generator_ema", into: str | None = None):
        self.checkpoint = checkpoint
        self.part = part
        self.into = into

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.ckpt_path is not None or pl_module.images_seen:
            return
        path = newest(self.checkpoint)
        if path is None:
            raise FileNotFoundError(
                f"`checkpoint` of `StartFrom` must be a file, or a folder of runs, and {self.checkpoint} is none."
            )
        weights = read(path)["state_dict"]
        prefix = f"{self.part}."
        state = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        name = self.into or self.part.removesuffix("_ema")
        networks = alike(pl_module, name)
        if not state or not networks:
            there = sorted({key.split(".")[0] for key in weights if "." in key})
            raise ValueError(
                f"`part` of `StartFrom` must be a network of {'the other run' if self.into else 'both runs'}, got "
                f"{self.part}: {path} holds {', '.join(there)}."
            )
        for network in networks:
            try:
                network.load_state_dict(state)
            except RuntimeError as error:
                reason = " ".join(str(error).splitlines()[1].split()).rstrip(".:")
                raise ValueError(
                    f"`{self.part}` of {path} does not fit this run's {name} ({reason}): give both the same network."
                ) from None
        pl_module.print(f"The {name} starts as `{self.part}` of {path}.")


def alike(module: Any, name: str) -> list[nn.Module]:
    """Returns a network of a variant, and that of its moving average; hidden ones are found, too."""
    player, _, inner = name.partition(".")
    holders = [getattr(module, player, None), getattr(module, f"{player}_ema", None)]
    try:
        found = [holder.get_submodule(inner) for holder in holders if holder is not None]
    except AttributeError:
        raise ValueError(f"`into` of `StartFrom` must be a network of this run, got {name}.") from None
    return [network.network if isinstance(network, Frozen) else network for network in found]
