"""The content of checkpoints, and arguments of a resumed run that differ from it."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from torch import nn

from lightning_gans.mechanics.messages import GO_ON


def keeps_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """Wraps a constructor, so that the outermost one saves its arguments as hyper-parameters.

    Built by the command line, a module saves everything, since there all arguments are plain. A module built in Python
    has live networks among its arguments, which `load_from_checkpoint` takes anew: it saves what is plain, and notes
    the names of the rest as `live_arguments`.
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        named = {name: value for name, value in bound.arguments.items() if name != "self"}
        loose: tuple[Any, ...] = ()
        for name, parameter in signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                named |= named.pop(name, {})
            elif parameter.kind is parameter.VAR_POSITIONAL:
                loose = named.pop(name, ())
        outermost = "_given" not in vars(self)
        if outermost:
            vars(self)["_given"] = named
            vars(self)["_loose"] = loose
        else:  # names what an outer constructor took as `*args`
            given = {name: value for name, value in named.items() if any(value is other for other in self._loose)}
            self._given.update(given)
        init(self, *args, **kwargs)
        if outermost:
            save_arguments(self, vars(self).pop("_given"))
            del vars(self)["_loose"]

    return wrapped


def save_arguments(module: Any, given: dict[str, Any]) -> None:
    """Saves arguments as hyper-parameters: all of the command line's, of others those that a checkpoint can hold."""
    module.live_arguments = []
    if _given_hyperparameters.get() is not None:  # those of the command line
        module.save_hyperparameters()
        return
    plain = {name: value for name, value in given.items() if is_plain(value)}
    module.save_hyperparameters(plain)
    signatures = [inspect.signature(base) for base in reversed(type(module).__mro__[:-1])]
    defaults = {name: p.default for signature in signatures for name, p in signature.parameters.items()}
    module.live_arguments = [name for name in given.keys() - plain.keys() if given[name] is not defaults.get(name)]


def is_plain(value: Any) -> bool:
    """Returns whether a checkpoint can hold it under `weights_only=True` and a later version can read it."""
    if type(value) in (list, tuple):
        return all(is_plain(item) for item in value)
    return type(value) in (type(None), bool, int, float, str)


def check(module: Any, checkpoint: dict[str, Any]) -> None:
    """Refuses a checkpoint of another kind of module, or of one that was built with more than this one.

    The command line gives every argument. Counters of older checkpoints stand beside the weights.
    """
    if "live_arguments" not in checkpoint:
        raise ValueError("The checkpoint must hold an adversarial module, and holds another one.")
    missing = set(checkpoint["live_arguments"]) - set(module.live_arguments)
    if missing and "_instantiator" not in module.hparams:
        raise ValueError(f"The checkpoint's module was built with {', '.join(sorted(missing))}: hand them in again.")
    if "images_seen" in checkpoint:
        counters = [checkpoint["images_seen"], -1 if checkpoint["seed"] is None else checkpoint["seed"]]
        checkpoint["state_dict"].setdefault("_extra_state", torch.tensor(counters))


def counters_of(checkpoint: Mapping[str, Any]) -> tuple[int, int | None]:
    """Returns the training images and the seed of the run that wrote a checkpoint; the seed is None if it had none."""
    images, seed = checkpoint["state_dict"].get("_extra_state", torch.tensor([0, -1])).tolist()
    return images, None if seed < 0 else seed


def check_finite(module: nn.Module, images_seen: int) -> None:
    """Refuses to write weights that are not finite."""
    for name, parameter in module.named_parameters():
        if not parameter.isfinite().all():
            raise FloatingPointError(
                f"`{name}` is no longer finite after {images_seen} images, so training stopped and the last "
                f"checkpoint stands; {GO_ON}."
            )


def close_epoch(fit_loop: dict[str, Any]) -> None:
    """Writes into a checkpoint's loop state whether the epoch at whose end it was written is over or was stopped.

    Lightning 2.6 leaves it between the two and, under `max_steps`, resumes with one batch more or another order.
    """
    epoch, batch = fit_loop["epoch_progress"], fit_loop["epoch_loop.batch_progress"]
    if epoch["current"]["processed"] != epoch["current"]["ready"]:
        return  # not written at an epoch's end
    for part in ("total", "current"):
        if batch["is_last_batch"]:
            epoch[part]["completed"] = epoch[part]["processed"]
        else:  # stopped by `max_steps`
            epoch[part]["processed"] = epoch[part]["completed"] = epoch[part]["ready"] - 1
    if batch["is_last_batch"]:
        batch["current"] = dict.fromkeys(batch["current"], 0)
        batch["is_last_batch"] = False


def make_buffers(module: nn.Module, state_dict: dict[str, Any], prefix: str) -> None:
    """Makes the module's own buffers that a state has and it has not yet, for that state to be loaded into."""
    for key, value in state_dict.items():
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and "." not in name and not hasattr(module, name):
            module.register_buffer(name, torch.zeros_like(value))
