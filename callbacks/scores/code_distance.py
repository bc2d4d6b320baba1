"""Distance of an encoder's codes from the prior."""

from typing import Any

from torch import Tensor

from lightning_gans.callbacks.evaluation_data import reference_of
from lightning_gans.callbacks.scores.scorer import Scored, Scorer
from lightning_gans.mechanics.players import Batch
from lightning_gans.mechanics.processes import gather_rows
from lightning_gans.mechanics.randomness import seeded
from lightning_gans.metrics.frechet import frechet_distance

SEED = 0  # of the draws from the prior


class CodeDistance(Scorer):
    """Scores an encoder by the distance between codes of the evaluation images and draws from the prior.

    Logs `code_distance`, the squared Frechet distance (Dowson & Landau, 1982,
    https://doi.org/10.1016/0047-259X(82)90077-X) between normal distributions with their means and covariances, as
    FID takes it: 0 where the first two moments agree, whatever the shape. It is not free of scale: codes that nothing
    holds to the prior have any.

    Needs a variant with `encode(image)` and `generate`; there are as many draws as codes, the same each time.
    """

    needs = ("encode", "generate")

    def begin(self, stage: str, trainer: Any, pl_module: Any) -> None:
        self._codes: list[Tensor] = []

    def add(self, stage: str, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, index: int) -> None:
        self._codes.append(pl_module.encode(pl_module.real(batch)))

    def score(self, stage: str, trainer: Any, pl_module: Any) -> Scored:
        codes = gather_rows(self._codes, trainer)
        with pl_module.evaluating(), seeded(SEED, pl_module.device):
            prior = pl_module.latent(len(codes))
        return {"code_distance": frechet_distance(codes, prior)}, {
            "distance": "squared Frechet distance of normal distributions with the means and covariances",
            "reference": reference_of(trainer, stage),
            "num_codes": len(codes),
            "num_draws": len(prior),
            "prior_seed": SEED,
        }
