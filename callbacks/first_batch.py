"""What callbacks that look into a trained generator have in common: one batch for all, and its latents."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from lightning.fabric.utilities.apply_func import move_data_to_device
from PIL import Image
from torch import Tensor

from lightning_gans.adversarial import Batch, as_batch
from lightning_gans.callbacks.score_card import results_folder
from lightning_gans.callbacks.scorer import Scorer
from lightning_gans.mechanics.randomness import seeded

CHUNK = 50  # images drawn at a time, on whatever number of processes


class FirstBatchScorer(Scorer):
    """Scores a trained module at a test, and keeps the first batch, of which pictures are the same on all processes."""

    stages = ("test",)

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        self._first: Batch | None = None

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        if index == 0:
            self._first = as_batch(batch)

    def first_batch(self, trainer: Any) -> Batch:
        """The first batch, on all processes."""
        return trainer.strategy.batch_to_device(trainer.strategy.broadcast(move_data_to_device(self._first, "cpu")))


def check_latents(scorer: str, module: Any, batch: Batch) -> None:
    """Refuses a module whose samples are no images, or are drawn without `latent`."""
    calls: list[int] = []
    own = module.latent

    def noting(size: int) -> Tensor:
        calls.append(size)
        return own(size)

    module.latent = noting
    try:
        fake = module.draw(batch, 0).get("fake")
    finally:
        del module.latent
    if not calls or fake is None or fake.ndim != 4:
        raise ValueError(
            f"`{scorer}` needs a variant that draws images from `latent(size)`, and {type(module).__name__} does not: "
            "take the callback out."
        )


def latents(module: Any, size: int, seed: int) -> Float[Tensor, "b z"]:
    """Latents as the module draws them."""
    with module.evaluating(), seeded(seed, module.device):
        return module.latent(size)


def rows_of(batch: Batch, index: Int64[Tensor, " n"]) -> Batch:
    """Rows of a batch, which begins anew at its end."""
    return [item[(index % len(item)).to(item.device)] for item in batch]


def dealt(count: int, trainer: Any) -> list[Int64[Tensor, " n"]]:
    """This process's chunks of `count` rows; they are cut alike on any number of processes, which take them in turn."""
    return list(torch.arange(count).split(CHUNK)[trainer.global_rank :: trainer.world_size])


def save_picture(picture: Image.Image, name: str, trainer: Any) -> None:
    """Writes `samples/<name>.png` into the run's folder; all processes call this."""
    folder = results_folder(trainer) / "samples"
    if trainer.is_global_zero and not trainer.fast_dev_run:
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{name}.png")
