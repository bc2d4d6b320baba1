"""Scores of images beside the targets that they are to equal."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.callbacks.drawn import fake_images, name_of
from lightning_gans.callbacks.evaluation_data import reference_of
from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_rows
from lightning_gans.metrics.features import as_8_bit
from lightning_gans.metrics.fidelity import psnr, residual, ssim, stored


class RestorationScores(Scorer):
    """Scores each drawn image by its own target while Lightning validates or tests, and takes the means.

    Logs `psnr`, the peak signal-to-noise ratio in dB, `ssim`, the structural similarity (Wang et al., 2004,
    https://doi.org/10.1109/TIP.2003.819861), and with a `distance` `lpips`, the learned perceptual distance (Zhang et
    al., 2018, https://arxiv.org/abs/1801.03924), of which less is better. The first two favor what is blurred over what
    is sharp in the wrong place. They depend on what of an image is looked at by more than methods differ by, so compare
    them under one protocol alone.

    With `residual` it also logs that: the correlation of an image's error, image - target, with what was added to the
    target, source - target. It is 1 where nothing was taken away, and 0 where nothing is left.

    Needs a variant whose `fake` is drawn from the batch, such as `Restoration`.

    Args:
        luma: Whether `psnr` and `ssim` look at the brightness of color images alone (Y of BT.601), as is usual in
            super-resolution.
        crop: Pixels at each side that they leave out; usual is the factor of super-resolution.
        distance: Distance (b,) of two image batches in [-1, 1], such as `LPIPS`; null leaves `lpips` out.
        residual: Whether to log `residual`, for a source, the second item of the batch, that is the target with
            something added, such as rain.
    """

    def __init__(
        self,
        luma: bool = True,
        crop: int = 4,
        distance: nn.Module | Callable[..., Any] | None = None,
        residual: bool = False,
    ):
        if crop < 0:
            raise ValueError(f"`crop` must be 0 or more pixels, got {crop}.")
        self.luma = luma
        self.crop = crop
        self.distance = distance
        self.residual = residual

    def check(self, pl_module: Any, outputs: Any, batch: Batch) -> None:
        fake, real = fake_images("RestorationScores", pl_module, outputs), pl_module.real(batch)
        if fake.shape != real.shape:
            raise ValueError(
                f"`RestorationScores` needs targets of the size of what is drawn, got {tuple(real.shape[1:])} and "
                f"{tuple(fake.shape[1:])}: leave it out, or give other data."
            )
        if self.residual and (len(batch) < 2 or batch[1].shape != real.shape):
            raise ValueError(
                "`RestorationScores` needs a source as large as its target, a batch's second item, for `residual`: "
                "leave `residual` out, or give other data."
            )
        if min(fake.shape[2:]) < 11 + 2 * self.crop:
            raise ValueError(
                f"`RestorationScores` needs images of at least {11 + 2 * self.crop} pixels a side for a window of 11 "
                f"and a `crop` of {self.crop}, got {fake.shape[2]} x {fake.shape[3]}: leave it out, or crop less."
            )

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        names = ["psnr", "ssim", *["lpips"] * (self.distance is not None), *["residual"] * self.residual]
        self._parts: dict[str, list[Tensor]] = {name: [] for name in names}
        if isinstance(self.distance, nn.Module):
            self.distance.to(pl_module.device).requires_grad_(False).eval()

    @torch.no_grad()
    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        with torch.autocast(pl_module.device.type, enabled=False):
            fake, real = outputs["fake"], pl_module.real(batch)
            one, two = (stored(image, self.luma, self.crop) for image in (fake, real))
            self._parts["psnr"].append(psnr(one, two))
            self._parts["ssim"].append(ssim(one, two))
            if self.distance is not None:
                self._parts["lpips"].append(self.distance(as_8_bit(fake), as_8_bit(real)))
            if self.residual:
                self._parts["residual"].append(residual(as_8_bit(fake), real, batch[1]))

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        scores = {name: gather_rows(parts, trainer).double() for name, parts in self._parts.items()}
        count = len(scores["psnr"])
        facts = {
            "targets": reference_of(trainer, stage),
            "num_images": count,
            "images": "8 bits per channel",
            "looked_at": ("Y of BT.601 (16 to 235), peak 255" if self.luma else "all channels, peak 255")
            + f"; {self.crop} pixels left out at each side",
            "ssim": "Gaussian window of 11 pixels, standard deviation 1.5",
        }
        if self.distance is not None:
            facts["lpips"] = f"{name_of(self.distance)}, all channels, nothing left out"
        if self.residual:
            facts["residual"] = "correlation of image - target with source - target, means over channels"
        return {name: values.mean().item() for name, values in scores.items()}, facts
