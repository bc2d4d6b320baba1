"""Names for what tensors hold."""

import hashlib

import torch
from torch import Tensor


def hash_of(tensors: dict[str, Tensor]) -> str:
    """The start of the SHA-256 of names, shapes and bytes."""
    sha256 = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        sha256.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        sha256.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return sha256.hexdigest()[:16]
