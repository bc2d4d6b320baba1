"""The precision of scores, whatever that of the features."""

from jaxtyping import Float, Float64
from torch import Tensor


def as_float64(values: Float[Tensor, "..."]) -> Float64[Tensor, "..."]:
    """Returns the values in float64 on the same device, or on the CPU if the device has no float64."""
    return (values.cpu() if values.device.type == "mps" else values).double()
