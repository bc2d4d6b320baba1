"""Images with the noise of all layers, of none and of one."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float, Int64
from lightning import Trainer
from torch import Tensor

from lightning_gans.callbacks.drawn import looking
from lightning_gans.callbacks.looks.first_batch import (
    CHUNK,
    FirstBatchScorer,
    images_of_styles,
    latents,
    rows_of,
    styles_of,
)
from lightning_gans.callbacks.pictures import GUTTER, across, caption, down, mosaic
from lightning_gans.callbacks.run_folder import save_picture
from lightning_gans.callbacks.scores.real_features import RealFeatures
from lightning_gans.callbacks.scores.scorer import Scored
from lightning_gans.mechanics.files import cache_folder
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import dealt, gather_rows
from lightning_gans.mechanics.randomness import global_seed, mix
from lightning_gans.metrics.features import Network, extract, feature_network
from lightning_gans.metrics.float64 import as_float64
from lightning_gans.metrics.scores import Features, compute_scores

Images = Float[Tensor, "b c h w"]
Styles = Float[Tensor, "b n s"]


class NoiseLayers(FirstBatchScorer):
    """Draws images with the noise of all layers, of none and of one, at a test (Karras et al., 2019, figures 4 and 5).

    The picture is `samples/noise_layers.png` in the run's folder (https://arxiv.org/abs/1812.04948), an image each row:
    without noise, with it, and how much each pixel changes with the noise of all layers and of each alone. Layers are
    counted from 0, the coarsest; white is the largest change in the picture.

    Logs `noise_std`, the standard deviation of pixels, which lie in [-1, 1], over draws of the noise of all layers,
    as the root of its mean square over pixels and images; `noise_std_layer_<k>` where layer k alone has noise; to
    compare, `style_std`, over styles without noise; and FID of as many samples as there are test images,
    `fid_with_noise` and `fid_without_noise`.

    Args:
        num_images: Images whose pixels are measured.
        num_draws: Draws of the noise of each of them.
        num_rows: Images shown.
        features: See `GenerativeMetrics`; null leaves FID out.
        cache: See `GenerativeMetrics`.
    """

    needs = ("synthesize",)

    def __init__(
        self,
        num_images: int = 20,
        num_draws: int = 20,
        num_rows: int = 6,
        features: Network | None = "digits",
        cache: str | None = "default",
    ):
        for name, value, least in (
            ("num_images", num_images, 1),
            ("num_draws", num_draws, 2),
            ("num_rows", num_rows, 1),
        ):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}, got {value}.")
        self.num_images = num_images
        self.num_draws = num_draws
        self.num_rows = num_rows
        self.network = None if features is None else feature_network(features)
        self.cache = cache

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if self.network is not None:
            self.network.to(trainer.strategy.root_device)
            self.real = RealFeatures(self.network, cache_folder(self.cache))

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        super().begin(stage, trainer, pl_module)
        self._features: dict[bool, list[Tensor]] = {True: [], False: []}
        if self.network is not None:
            self.real.begin(stage, trainer, pl_module)

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        super().add(stage, trainer, pl_module, outputs, batch, index)
        if self.network is None:
            return
        styles = styles_of(pl_module, latents(pl_module, len(batch[0]), mix(global_seed(), 1, index)), batch)
        for noise, features in self._features.items():
            image = images_of_styles(pl_module, styles, mix(global_seed(), 2, index), noise)
            with looking("NoiseLayers", self.network):
                features.append(extract(self.network, image)[0])
        self.real.add(stage, pl_module, batch)

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        batch = self.first_batch(trainer)
        self._draw_picture(trainer, pl_module, batch)
        none = torch.empty(0, 2 + pl_module.num_noises, device=pl_module.device)
        seen = [self._look(pl_module, batch, index) for index in dealt(self.num_images, CHUNK, trainer)]
        power = as_float64(gather_rows([none, *seen], trainer)).mean(0)
        names = ["style_std", "noise_std", *(f"noise_std_layer_{layer}" for layer in range(pl_module.num_noises))]
        scores = dict(zip(names, power.sqrt().tolist(), strict=True))
        protocol = {
            "std": f"of pixels in [-1, 1], root of the mean square over pixels and {self.num_images} images",
            "num_draws": self.num_draws,
        }
        if self.network is not None:
            real = self.real.all(stage, trainer)
            for noise, features in self._features.items():
                drawn = Features(gather_rows(features, trainer))
                scores["fid_with_noise" if noise else "fid_without_noise"] = compute_scores(["fid"], real, drawn)["fid"]
            protocol |= self.real.protocol(stage, trainer, len(drawn.features))
        return scores, protocol

    def _styles(self, module: Any, batch: Batch, index: Int64[Tensor, " b"], kind: int) -> Styles:
        """Returns the styles of new latents, with the conditions of rows of the batch."""
        latent = latents(module, len(index), mix(global_seed(), kind, int(index[0])))
        return styles_of(module, latent, rows_of(batch, index))

    def _spreads(self, module: Any, styles: Styles, seed: int) -> list[Images]:
        """Returns the variance of each pixel over draws of the noise of all layers, and of each alone."""
        count = module.num_noises
        kinds: list[bool | list[bool]] = [True, *([layer == other for other in range(count)] for layer in range(count))]
        return [
            variance(images_of_styles(module, styles, mix(seed, draw), kind) for draw in range(self.num_draws))
            for kind in kinds
        ]

    def _look(self, module: Any, batch: Batch, index: Int64[Tensor, " b"]) -> Float[Tensor, "b k"]:
        """Returns the mean square change of each image with its styles, all noise, and each layer's."""
        one, two = (self._styles(module, batch, index, kind) for kind in (3, 4))
        seed = mix(global_seed(), 5, int(index[0]))
        image, other = (images_of_styles(module, styles, seed, False) for styles in (one, two))
        parts = [(image - other).square() / 2, *self._spreads(module, one, seed)]
        return torch.stack([part.flatten(1).mean(1) for part in parts], 1)

    def _draw_picture(self, trainer: Any, module: Any, batch: Batch) -> None:
        styles, seed = self._styles(module, batch, torch.arange(self.num_rows), 6), mix(global_seed(), 7)
        columns = {
            name: images_of_styles(module, styles, seed, noise) for name, noise in (("none", False), ("all", True))
        }
        spreads = [spread.sqrt().mean(1, keepdim=True) for spread in self._spreads(module, styles, seed)]
        white = max(spread.max().item() for spread in spreads) or 1.0
        names = ["all", *map(str, range(module.num_noises))]
        maps = {name: 2 * spread / white - 1 for name, spread in zip(names, spreads, strict=True)}
        halves = []
        for title, part in (("noise", columns), (f"change with the noise of layers, white: {white:.2f}", maps)):
            named = [down([caption(name), mosaic(image, 1)]) for name, image in part.items()]
            halves.append(down([caption(title), across(named, GUTTER)]))
        save_picture(across(halves), "noise_layers", trainer)


def variance(images: Iterable[Images]) -> Images:
    """Returns the variance of each pixel, one image of each at a time (Welford, 1962)."""
    mean = squares = torch.zeros(())
    for count, image in enumerate(images, 1):
        step = image - mean
        mean = mean + step / count
        squares = squares + step * (image - mean)
    return squares / (count - 1)
