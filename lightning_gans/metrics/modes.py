"""Scores of the modes that samples cover."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import interpolate


def gaussian_modes(
    fake: Float[Tensor, "n 2"], centers: Float[Tensor, "k 2"], std: float, min_count: int = 1
) -> dict[str, float]:
    """Returns `modes_covered`, modes with at least `min_count` samples within 3 std, and `high_quality_share`.

    The latter is the share of samples within 3 std of any mode.

    Source: Metz et al., 2017, https://arxiv.org/abs/1611.02163; Srivastava et al., 2017, https://arxiv.org/abs/1705.07761.
    """
    distance, mode = torch.cdist(fake, centers, compute_mode="donot_use_mm_for_euclid_dist").min(1)
    near = distance <= 3 * std
    covered = mode[near].bincount(minlength=len(centers)) >= min_count
    return {"modes_covered": float(covered.sum()), "high_quality_share": near.float().mean().item()}


def class_modes(label: Int64[Tensor, " n"], num_modes: int) -> dict[str, float]:
    """Returns `modes_covered` and `mode_divergence`, in nats, from the modes that a classifier recognized.

    The divergence is KL(samples || uniform), 0 if all modes are equally frequent. For Stacked MNIST (Metz et al.,
    2017, https://arxiv.org/abs/1611.02163) there are 1,000 modes, see `stacked_digits`.
    """
    share = label.cpu().bincount(minlength=num_modes).double() / len(label)
    covered = share > 0
    return {
        "modes_covered": float(covered.sum()),
        "mode_divergence": (share[covered] * (share[covered] * num_modes).log()).sum().item(),
    }


def stacked_digits(image: Float[Tensor, "b 3 h w"], classifier: torch.nn.Module) -> Int64[Tensor, " b"]:
    """Reads the number, 0 to 999, whose digits are the channels of an image of Stacked MNIST.

    Images of 16 pixels a side are enlarged to 32 for a classifier that knows these.
    """
    if image.shape[-1] == 16:
        image = interpolate(image, scale_factor=2, mode="bicubic").clamp(-1, 1)
    digits = classifier(image.flatten(0, 1)[:, None]).argmax(1).view(-1, 3)
    return digits @ torch.tensor([100, 10, 1], device=digits.device)
