"""The precision that is fast and safe on this machine, and full precision where it must be."""

import torch
from torch import Tensor


def full_precision(logits: Tensor) -> Tensor:
    """Returns logits in float32 at least, so that losses are not computed in the 8 bits of bf16."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def fast_precision(accelerator: str = "auto") -> tuple[str, str]:
    """Returns the precision to give `Trainer(precision=...)`, and why.

    bf16 where the hardware multiplies it faster than float32, float32 elsewhere. float16 is never chosen: its
    range is too small for gradient penalties.

    Args:
        accelerator: The accelerator that the Trainer was asked for.

    Returns:
        "bf16-mixed" or "32-true", and the reason as a short phrase.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed", "this GPU has bf16"
        return "32-true", "this GPU has no bf16"
    if accelerator not in ("auto", "cpu") or torch.backends.mps.is_available() and accelerator == "auto":
        return "32-true", "bf16 is untested on this accelerator"
    capabilities: dict[str, bool] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # older versions of torch cannot tell
    if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"):
        return "bf16-mixed", "this CPU has bf16 instructions"
    return "32-true", "this CPU has no bf16 instructions"
