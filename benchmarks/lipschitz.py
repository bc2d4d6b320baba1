"""How steep a trained discriminator is: the norm of its gradient, and the spectral norms of its layers.

python benchmarks/lipschitz.py runs/wgan_gp_mnist/version_0/checkpoints/last.ckpt
python benchmarks/lipschitz.py runs/sngan_mnist/version_0/checkpoints/last.ckpt
"""

import json
import sys
import time
from pathlib import Path

import torch
from lightning import LightningModule

from lightning_gans.datamodules import MNISTDataModule
from lightning_gans.networks.wrappers.spectral import spectral_norms
from lightning_gans.penalties import between, input_gradient

RESULTS = Path(__file__).parent / "results"
PAIRS = 1000


def main(path: str) -> None:
    started = time.monotonic()
    torch.manual_seed(0)
    module = LightningModule.load_from_checkpoint(path, weights_only=True).eval()
    recipe = Path(path).parts[-4]
    data = MNISTDataModule(size=28, batch_size=PAIRS)
    data.setup("fit")
    real = next(iter(data.val_dataloader()))[0]
    with torch.no_grad():
        fake = module.generator(module.latent(PAIRS))
    points = between(real, fake)
    norms = input_gradient(module.discriminator(points), points).norm(dim=1)
    scores = {"gradient_norm": norms.mean().item(), "gradient_norm_std": norms.std().item()}
    if layers := spectral_norms(module.discriminator).values():
        scores["spectral_norm_farthest_from_1"] = max(layers, key=lambda norm: abs(norm - 1))
    out = {
        "recipe": recipe,
        "seed": 0,
        "command": f"python benchmarks/lipschitz.py runs/{recipe}/version_0/checkpoints/last.ckpt",
        "seconds": round(time.monotonic() - started),
        "scores": scores,
        "protocol": {"gradient": f"at one point between each of {PAIRS} real digits and a sample of the last weights"},
    }
    (RESULTS / f"{recipe}_lipschitz.json").write_text(json.dumps(out, indent=2) + "\n")
    print(json.dumps(scores, indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
