"""How far an encoder's codes are from the prior."""

from typing import Any

import torch
from jaxtyping import Float
from lightning import Callback, Trainer
from torch import Tensor

from lightning_gans.adversarial import as_batch
from lightning_gans.callbacks.score_card import gather_rows, record_scores
from lightning_gans.randomness import seeded

SEED = 0  # of the draws from the prior


class CodeDistance(Callback):
    """Scores an encoder by the distance between codes of the evaluation images and draws from the prior.

    Logs `code_distance`, the squared Frechet distance (Dowson & Landau, 1982,
    https://doi.org/10.1016/0047-259X(82)90077-X) between normal distributions with their means and covariances, as
    FID takes it: 0 where the first two moments agree, whatever the shape. It is not free of scale: codes that nothing
    holds to the prior have any.

    Needs a module with `encode(image)` and `latent(size)`; there are as many draws as codes, the same each time.
    """

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._codes: list[Tensor] = []

    on_test_epoch_start = on_validation_epoch_start

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._codes.append(pl_module.encode(as_batch(batch)[0]))

    on_test_batch_end = on_validation_batch_end

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self._score("validation", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._score("test", trainer, pl_module)

    def _score(self, stage: str, trainer: Any, pl_module: Any) -> None:
        codes = gather_rows(self._codes, trainer)
        with seeded(SEED, pl_module.device):
            prior = pl_module.latent(len(codes))
        protocol = {
            "distance": "squared Frechet distance of normal distributions with the means and covariances",
            "reference": getattr(trainer.datamodule, "reference", f"{stage} dataloader"),
            "num_codes": len(codes),
            "num_draws": len(prior),
            "prior_seed": SEED,
        }
        scores = {"code_distance": frechet_distance(codes, prior)}
        record_scores(type(self).__name__, trainer, pl_module, stage, scores, protocol)


def frechet_distance(one: Float[Tensor, "n k"], two: Float[Tensor, "m k"]) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the means and covariances, in float64."""
    one, two = one.double().cpu(), two.double().cpu()
    means = (one.mean(dim=0) - two.mean(dim=0)).square().sum()
    first, second = (points.T.cov().view(points.shape[1], points.shape[1]) for points in (one, two))
    roots = torch.linalg.eigvals(first @ second).real.clamp(min=0).sqrt()  # real and at least 0, but for rounding
    return (means + first.trace() + second.trace() - 2 * roots.sum()).item()
