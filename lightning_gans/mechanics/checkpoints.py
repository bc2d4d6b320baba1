"""What a checkpoint holds."""

from typing import Any

import torch
from torch import nn


def make_buffers(module: nn.Module, state_dict: dict[str, Any], prefix: str) -> None:
    """Makes the module's own buffers that a state has and it has not yet, for that state to be loaded into."""
    for key, value in state_dict.items():
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and "." not in name and not hasattr(module, name):
            module.register_buffer(name, torch.zeros_like(value))
