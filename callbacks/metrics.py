"""Scores of a generator: FID, KID and Inception Score, each with the protocol that made it."""

import hashlib
import warnings
from typing import Any, Literal

import torch
from jaxtyping import Float
from lightning import LightningModule, Trainer
from lightning.pytorch import Callback
from torch import Tensor, nn
from torchmetrics.image import FrechetInceptionDistance, InceptionScore, KernelInceptionDistance

from lightning_gans.callbacks.score_card import gather_rows, in_words, record_scores
from lightning_gans.metrics.digits import DigitClassifier

SEED = 0  # of the subsets in KID and the splits in the Inception Score
KID_SUBSETS, KID_SUBSET_SIZE, INCEPTION_SCORE_SPLITS = 100, 1000, 10


class GenerativeMetrics(Callback):
    """Scores generated images against real ones while Lightning validates or tests.

    Logs `fid` (Heusel et al., 2017, https://arxiv.org/abs/1706.08500), `kid` with `kid_std` (Binkowski et al., 2018,
    https://arxiv.org/abs/1801.01401) and, for a network with logits, `inception_score` with `inception_score_std`
    (Salimans et al., 2016, https://arxiv.org/abs/1606.03498), all computed by torchmetrics. For digits it also logs
    `digit_share_min` and `digit_share_max`, the shares of the rarest and the commonest digit among the samples: 0 says
    that a mode is missing. Each score is appended, with its protocol, to `metrics.json` in the run's folder.

    Needs a module whose `validation_step` and `test_step` return a dict with `fake`, images in [-1, 1] drawn with the
    generator's moving average (EMA) in eval mode, and which counts the training images of all processes in
    `images_seen`. Real images are a batch or its first element.

    Samples are scored as the 8-bit images that they would be saved as: rounded to 256 levels, then back to [-1, 1].
    The network runs in float32 whatever the trainer's precision. Features of the real images are computed at the first
    validation, and at the first test, of a run and kept. KID's random subsets and the Inception Score's random splits
    are drawn from a fixed seed, so these two depend on the order of the images (and so on the number of processes), FID
    only on the set. KID's subsets hold 1,000 images, or all of them where there are fewer.

    Args:
        features: the network that sees the images. `digits` is the `DigitClassifier` that ships with the package.
            Another module is called with float32 images (b, c, h, w) in [-1, 1], put into eval mode, and returns
            features (b, k); without logits there is no Inception Score. If it has a method
            `features_and_logits(image)` that returns both, there is one. The protocol quotes its `weights_hash`
            where it has one, else the hash of its state_dict.
        every_kimg: thousands of training images, over all processes, between two validations, rounded to whole batches.
            It replaces the trainer's own interval in batches or epochs; null leaves that as it is. A time-based
            `val_check_interval` of the trainer goes before it.
    """

    def __init__(self, features: Literal["digits"] | nn.Module = "digits", every_kimg: float | None = None) -> None:
        if every_kimg is not None and every_kimg <= 0:
            raise ValueError(f"`every_kimg` must be above 0, got {every_kimg}.")
        if isinstance(features, str) and features != "digits":
            raise ValueError(f"`features` must be 'digits' or a module, got {features!r}.")
        network = DigitClassifier.pretrained() if isinstance(features, str) else features
        self.network = network.requires_grad_(False).eval()
        self.every_kimg = every_kimg

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.network.to(trainer.strategy.root_device)
        self._real: dict[str, Tensor] = {}  # by stage
        self._entry: dict[str, Any] | None = None
        self._interval: int | None = None  # in batches
        self._every_kimg = None if trainer.fast_dev_run else self.every_kimg  # type: ignore[attr-defined]
        if stage == "fit" and self._every_kimg is not None:
            trainer.check_val_every_n_epoch = None  # counts batches over epochs; here, so that EarlyStopping sees it

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.enable_validation:
            raise ValueError(
                "`GenerativeMetrics` needs real images to compare with: give a validation dataloader and a "
                "`limit_val_batches` above 0."
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._every_kimg is None:
            return
        if self._interval is None:
            images = len(_images(batch)) * trainer.world_size
            self._interval = max(1, round(self._every_kimg * 1000 / images))
        trainer.val_check_batch = self._interval  # each time: a reloaded dataloader sets the trainer's own again

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start()

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not trainer.sanity_checking:
            self._add("validation", outputs, batch)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._add("test", outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._finish("validation", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish("test", trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print(trainer)

    def _start(self) -> None:
        self._parts: dict[str, list[Tensor]] = {"real": [], "fake": [], "logits": [], "label": []}

    def _add(self, stage: str, outputs: dict[str, Tensor], batch: Any) -> None:
        features, logits = self._see(outputs["fake"])
        self._parts["fake"].append(features)
        if logits is not None:
            self._parts["logits"].append(logits)
        if "label" in outputs:
            self._parts["label"].append(outputs["label"])
        if stage not in self._real:
            self._parts["real"].append(self._see(_images(batch))[0])

    def _see(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            image, both = as_8_bit(image), getattr(self.network, "features_and_logits", None)
            return both(image) if both else (self.network(image), None)

    def _finish(self, stage: str, trainer: Any, pl_module: Any) -> None:
        if stage not in self._real:
            self._real[stage] = gather_rows(self._parts["real"], trainer)
        real, fake = self._real[stage], gather_rows(self._parts["fake"], trainer)
        logits = gather_rows(self._parts["logits"], trainer) if self._parts["logits"] else None
        scores = compute_scores(real, fake, logits)
        if logits is not None and isinstance(self.network, DigitClassifier):
            share = logits.argmax(dim=1).bincount(minlength=10) / len(logits)
            scores |= {"digit_share_min": share.min().item(), "digit_share_max": share.max().item()}
            if self._parts["label"]:
                label = gather_rows(self._parts["label"], trainer)
                scores["class_accuracy"] = (logits.argmax(dim=1) == label).double().mean().item()
        self._entry = record_scores(
            type(self).__name__,
            trainer,
            pl_module,
            stage,
            scores,
            {
                "features": type(self.network).__name__,
                "features_hash": getattr(self.network, "weights_hash", None) or _hash(self.network),
                "reference": getattr(trainer.datamodule, "reference", f"{stage} dataloader"),
                "num_real": len(real),
                "num_fake": len(fake),
                "images": "8 bits per channel, shown to the network in [-1, 1]",
                "kid_subsets": KID_SUBSETS,
                "kid_subset_size": min(KID_SUBSET_SIZE, len(real), len(fake)),
                "inception_score_splits": INCEPTION_SCORE_SPLITS,
                "subset_seed": SEED,
            },
        )

    def _print(self, trainer: Trainer) -> None:
        if self._entry is None or not trainer.is_global_zero:
            return
        protocol = self._entry["protocol"]
        print(in_words(self._entry))
        print(
            f"    {protocol['num_fake']} samples ({protocol['generator']}) against {protocol['num_real']} real images "
            f"({protocol['reference']})\n"
            f"    features: {protocol['features']} {protocol['features_hash']}, images of 8 bits; KID: "
            f"{protocol['kid_subsets']} subsets of {protocol['kid_subset_size']}, subset seed {protocol['subset_seed']}"
        )


def as_8_bit(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The float32 image in [-1, 1] that is left after saving and loading it with 8 bits per channel."""
    return ((image.float() + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1


def compute_scores(
    real: Float[Tensor, "n k"], fake: Float[Tensor, "m k"], fake_logits: Float[Tensor, "m c"] | None = None
) -> dict[str, float]:
    """FID, KID and, with logits, the Inception Score: torchmetrics' values after `torch.manual_seed(SEED)`.

    Leaves the global random number generator as it found it.
    """
    if real.device.type == "mps":  # has no float64
        real, fake, fake_logits = real.cpu(), fake.cpu(), None if fake_logits is None else fake_logits.cpu()
    local: dict[str, Any] = {"sync_on_compute": False}  # the features are those of all processes
    in_float32 = torch.autocast(real.device.type, enabled=False)
    with torch.random.fork_rng(devices=[]), in_float32, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*will save all extracted features in buffer")
        fid = FrechetInceptionDistance(_Identity(real.shape[1]), **local).to(real.device)
        size = min(KID_SUBSET_SIZE, len(real), len(fake))
        kid = KernelInceptionDistance(nn.Identity(), subsets=KID_SUBSETS, subset_size=size, **local).to(real.device)
        for metric in (fid, kid):
            metric.update(real, real=True)
            metric.update(fake, real=False)
        scores = {"fid": fid.compute().item()}
        torch.default_generator.manual_seed(SEED)
        scores["kid"], scores["kid_std"] = (value.item() for value in kid.compute())
        if fake_logits is not None:
            inception_score = InceptionScore(nn.Identity(), splits=INCEPTION_SCORE_SPLITS, **local).to(real.device)
            inception_score.update(fake_logits)
            torch.default_generator.manual_seed(SEED)
            mean, std = inception_score.compute()
            scores |= {"inception_score": mean.item(), "inception_score_std": std.item()}
    return scores


class _Identity(nn.Module):
    """Hands features to FID, which asks for their number."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def _images(batch: Any) -> Tensor:
    return batch if isinstance(batch, Tensor) else batch[0]


def _hash(network: nn.Module) -> str:
    sha256 = hashlib.sha256()
    for name, value in network.state_dict().items():
        sha256.update(name.encode() + value.cpu().flatten().contiguous().view(torch.uint8).numpy().tobytes())
    return sha256.hexdigest()[:16]
