"""The styles whose image looks most like a given one."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from lightning import Trainer
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lightning_gans.callbacks.drawn import looking, name_of
from lightning_gans.callbacks.looks.first_batch import FirstBatchScorer, images_of_styles, latents, styles_of
from lightning_gans.callbacks.pictures import across, caption, down, mosaic
from lightning_gans.callbacks.run_folder import results_folder, save_picture, writes
from lightning_gans.callbacks.scores.scorer import Scored
from lightning_gans.datamodules.decoding import Decoding, decoded
from lightning_gans.datamodules.labels import image_names
from lightning_gans.datamodules.tensors import floats
from lightning_gans.mechanics.files import atomic_write
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import dealt, gather_rows
from lightning_gans.mechanics.randomness import global_seed, mix, seeded
from lightning_gans.metrics.features import fingerprint
from lightning_gans.metrics.float64 import as_float64
from lightning_gans.metrics.perceptual import Distance

AT_ONCE = 4  # images, on whatever number of processes
MEAN_OF = 4096  # latents
LARGEST = 256  # height and width that distances are measured at
RAMP_UP, RAMP_DOWN, NOISY = 0.05, 0.25, 0.75  # shares of the steps
STRIP = 8  # images of a path in the picture
MILLISECONDS, AT_THE_END = 80, 2000  # that a frame of the film is seen

Styles = Float[Tensor, "b n s"]
Images = Float[Tensor, "b c h w"]


class Projector(FirstBatchScorer):
    """Seeks the styles whose images look most like given ones, at a test (Karras et al., 2020, appendix D).

    Adam moves styles w from their mean to where the image g is nearest to the target x:

        min E[d(g(w + n), x)],    n ~ N(0, (noise t^2 sigma)^2),    sigma^2 = E[|w - mean|^2]

    t falls from 1 to 0 over three quarters of the steps, and the rate rises over the first twentieth and falls as a
    cosine over the last quarter, as in the authors' code (https://arxiv.org/abs/1912.04958). Larger images are compared
    at 256 pixels. The paper moves the generator's noise maps too; here they are drawn once, and stay.

    Writes `samples/projection.png`, each target with its path from the mean style, `samples/projection.gif`, the same
    as a film, and `projection.npz` with the styles `w` (b, n, s). Logs `projection_distance`, the mean distance at the
    end, `mean_style_distance`, the one at the start, and `projection_error`, the mean squared error of pixels in
    [-1, 1].

    Args:
        folder: Folder of targets, cropped to squares; null takes real images of the first test batch.
        num_images: Targets at most.
        num_steps: Steps of Adam; the paper has 1000.
        per_layer: Whether each layer has a style of its own, which comes nearer to any target.
        distance: d, of two image batches, (b,), with gradients; null is the mean squared error of pixels. The paper's
            is `LPIPS`. A classifier's features alone, as of `FeatureDistance`, may be near where images are not.
        rate: Highest rate of Adam.
        noise: Deviation of the noise at first, in units of sigma; 0 has none.
        num_frames: Frames of the film, both ends among them.
    """

    needs = ("synthesize",)

    def __init__(
        self,
        folder: str | None = None,
        num_images: int = 4,
        num_steps: int = 500,
        per_layer: bool = False,
        distance: nn.Module | Distance | None = None,
        rate: float = 0.1,
        noise: float = 0.05,
        num_frames: int = 40,
    ):
        for name, value, least in (
            ("num_images", num_images, 1),
            ("num_steps", num_steps, 1),
            ("num_frames", num_frames, 2),
        ):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}, got {value}.")
        if rate <= 0:
            raise ValueError(f"`rate` must be above 0, got {rate}.")
        if noise < 0:
            raise ValueError(f"`noise` must be 0 (none) or more, got {noise}.")
        if folder is not None and not Path(folder).is_dir():
            raise FileNotFoundError(f"`folder` must be an existing folder of images, got {folder}.")
        self.folder = folder
        self.num_images = num_images
        self.num_steps = num_steps
        self.per_layer = per_layer
        self.distance = pixel_error if distance is None else distance
        self.rate = rate
        self.noise = noise
        self.num_frames = num_frames

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if isinstance(self.distance, nn.Module):
            self.distance.to(trainer.strategy.root_device)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        batch, seed = self.first_batch(trainer), mix(global_seed())
        mean, spread = statistics_of(pl_module, batch, seed)
        target = self._targets(pl_module, batch, images_of_styles(pl_module, mean[None], seed))
        frames = torch.linspace(0, self.num_steps, self.num_frames).round().long()
        found = [mean.new_empty(0, self.num_frames, *mean.shape)]  # of a process that got no target
        order = [torch.empty(0, dtype=torch.long, device=mean.device)]
        for index in dealt(len(target), AT_ONCE, trainer):
            path = self._path(pl_module, target[index.to(target.device)], mean, spread, seed)
            found.append(path[:, frames.to(path.device)])
            order.append(index.to(mean.device))
        paths = gather_rows(found, trainer)[gather_rows(order, trainer).argsort()]
        images = torch.stack([self._images(pl_module, styles, seed) for styles in paths.unbind(1)], 1)
        self._save(trainer, target, images, paths[:, -1])
        with torch.no_grad():
            start, end = (as_float64(self._distances(image, target)) for image in (images[:, 0], images[:, -1]))
        scores = {
            "projection_distance": end.mean().item(),
            "mean_style_distance": start.mean().item(),
            "projection_error": as_float64(pixel_error(images[:, -1], target)).mean().item(),
        }
        network = getattr(self.distance, "network", None)
        return scores, {
            "targets": f"{len(target)} of " + ("the first batch" if self.folder is None else self.folder),
            "space": "a style for each layer" if self.per_layer else "one style for all layers",
            "distance": " of ".join(name_of(part) for part in (self.distance, network) if part is not None),
            "distance_hash": fingerprint(network) if isinstance(network, nn.Module) else "none",
            "steps": f"{self.num_steps} of Adam, rate {self.rate:g}, noise {self.noise:g}",
        }

    def _targets(self, module: Any, batch: Batch, like: Float[Tensor, "_ c h w"]) -> Images:
        """Returns the real images to be found, as large as the generator's."""
        if self.folder is None:
            return module.real(batch)[: self.num_images].to(like)
        names = image_names(Path(self.folder))[: self.num_images]
        decoder = Decoding(like.shape[-1], like.shape[1])
        files = [(name, Path(self.folder) / name) for name in names]
        return floats(torch.from_numpy(np.stack([*decoded(files, len(files), decoder)]))).to(like)

    def _path(
        self, module: Any, target: Images, mean: Float[Tensor, "n s"], spread: float, seed: int
    ) -> Float[Tensor, "b steps n s"]:
        """Returns the styles of all steps."""

        def losses(styles: Styles) -> Float[Tensor, " b"]:
            with seeded(seed, module.device):  # the same noise maps at each step
                image = module.synthesize(styles.expand(-1, len(mean), -1))
            return self._distances(image.float(), target)

        with module.evaluating(), seeded(mix(seed, 1), module.device), torch.inference_mode(False), torch.enable_grad():
            start = (mean if self.per_layer else mean[:1]).clone().repeat(len(target), 1, 1)
            target = target.clone()  # of a test, in which tensors know no gradients
            path = project(losses, start, self.num_steps, self.rate, self.noise * spread)
        return path.transpose(0, 1).expand(-1, -1, len(mean), -1)

    def _distances(self, image: Images, target: Images) -> Float[Tensor, " b"]:
        if max(image.shape[2:]) > LARGEST:
            image, target = (interpolate(part, (LARGEST, LARGEST), mode="area") for part in (image, target))
        with looking("Projector", self.distance):
            return self.distance(image, target)

    def _images(self, module: Any, styles: Styles, seed: int) -> Images:
        """Returns the images of styles, with the noise maps that they were sought with."""
        return torch.cat([images_of_styles(module, part, seed) for part in styles.split(AT_ONCE)])

    def _save(self, trainer: Any, target: Images, images: Float[Tensor, "b t c h w"], styles: Styles) -> None:
        """Writes the picture, the film and the styles."""
        early = (torch.linspace(0, 1, min(STRIP, self.num_frames)).square() * (self.num_frames - 1)).round().long()
        strip = images[:, early.unique().to(images.device)]
        sides = {
            "target": mosaic(target, 1),
            "from the mean style to the nearest": mosaic(strip.flatten(0, 1), strip.shape[1]),
        }
        save_picture(across([down([caption(name), side]) for name, side in sides.items()]), "projection", trainer)
        folder = results_folder(trainer)
        if writes(trainer):
            film = [mosaic(torch.cat([target, image]), len(target)) for image in images.unbind(1)]
            times = [MILLISECONDS] * (len(film) - 1) + [AT_THE_END]
            path = folder / "samples" / "projection.gif"
            film[0].save(path, save_all=True, append_images=film[1:], duration=times, loop=0)
            with atomic_write(folder / "projection.npz") as file:
                np.savez(file, w=styles.float().cpu().numpy())


def pixel_error(one: Images, two: Images) -> Float[Tensor, " b"]:
    """Returns the mean squared error of pixels."""
    return (one - two).square().mean((1, 2, 3))


def statistics_of(module: Any, batch: Batch, seed: int) -> tuple[Float[Tensor, "n s"], float]:
    """Returns the mean of styles, with the conditions of a batch, and their root mean square distance from it."""
    size = len(batch[0])
    drawn = [
        styles_of(module, latents(module, size, mix(seed, number)), batch) for number in range(-(-MEAN_OF // size))
    ]
    mean = torch.stack([styles.mean(0) for styles in drawn]).mean(0)
    square = torch.stack([(styles[:, 0] - mean[0]).square().sum(1).mean() for styles in drawn]).mean()
    return mean, square.sqrt().item()


def project(
    losses: Callable[[Styles], Float[Tensor, " b"]], start: Styles, num_steps: int, rate: float, noise: float
) -> Float[Tensor, "steps b n s"]:
    """Returns the styles before each step of Adam, and after the last one.

    Args:
        losses: Maps styles to what is minimized.
        start: The first styles.
        num_steps: Number of steps.
        rate: Highest rate.
        noise: Highest deviation of the noise that styles have while they are moved.
    """
    styles = start.requires_grad_()
    optimizer = torch.optim.Adam([styles], rate)
    path = [styles.detach().clone()]
    for step in range(num_steps):
        done = step / num_steps
        optimizer.param_groups[0]["lr"] = rate * ramp(done)
        deviation = noise * max(0.0, 1 - done / NOISY) ** 2
        loss = losses(styles + deviation * torch.randn_like(styles)).sum()
        if not loss.requires_grad:
            raise ValueError("`Projector` needs a distance with gradients, and this has none: give `LPIPS`.")
        (styles.grad,) = torch.autograd.grad(loss, styles)
        optimizer.step()
        path.append(styles.detach().clone())
    return torch.stack(path)


def ramp(done: float) -> float:
    """Returns the share of the highest rate, when this share of the steps is done."""
    return min(1.0, done / RAMP_UP) * (1 - math.cos(math.pi * min(1.0, (1 - done) / RAMP_DOWN))) / 2
