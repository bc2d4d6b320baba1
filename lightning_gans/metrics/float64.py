"""Scores are computed in float64, wherever the features were."""

from jaxtyping import Float, Float64
from torch import Tensor


def as_float64(values: Float[Tensor, "..."]) -> Float64[Tensor, "..."]:
    """On the same device, or on the CPU where the device has no float64."""
    return (values.cpu() if values.device.type == "mps" else values).double()
