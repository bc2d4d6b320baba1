"""Whether the loss tells how good the samples are: rank correlation of losses with FID, for WGAN and for GAN.

    lightning-gans fit --config wgan_mnist
    lightning-gans fit --config dcgan_mnist --trainer.max_steps 1500 --trainer.callbacks GenerativeMetrics \\
        --trainer.callbacks.every_kimg 9.6 --trainer.logger.name dcgan_short
    python benchmarks/wgan_correlation.py runs/wgan_mnist/version_0 runs/dcgan_short/version_0

The claim of figures 3 and 4 of Arjovsky et al. (2017, https://arxiv.org/abs/1701.07875). The loss at a score is the
mean of what was logged since the score before.
"""

import csv
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

HERE = Path(__file__).parent
KINDS = {  # of a run, by the name of its discriminator's term: which sum of losses, its sign and its name
    "discriminator_loss/wasserstein": (-1.0, "minus the critic's loss"),
    "discriminator_loss/adversarial": (1.0, "the discriminator's loss"),
}


def curve(folder: Path) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """What the loss is called, thousands of images, losses and FIDs at each score of a run."""
    with open(folder / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    term = next(name for name in KINDS if name in rows[0])
    sign, name = KINDS[term]
    since: list[float] = []
    points = []
    kimg = 0.0
    for row in rows:
        if row[term]:
            since.append(sign * float(row[term]))
            kimg = float(row["kimg"])
        if row["fid"] and since:
            points.append((kimg, float(np.mean(since)), float(row["fid"])))
            since = []
    return name, *np.array(points).T


def main(wgan: str, gan: str) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), dpi=80)
    scores = {}
    for axis, folder, system in zip(axes, (wgan, gan), ("wgan", "gan"), strict=True):
        name, kimg, loss, fid = curve(Path(folder))
        scores[f"{system}_rank_correlation"] = float(spearmanr(loss, fid).statistic)
        scores[f"{system}_num_scores"] = len(fid)
        axis.plot(kimg, loss, color="tab:blue")
        axis.set_xlabel("thousand images")
        axis.set_ylabel(name, color="tab:blue")
        other = axis.twinx()
        other.plot(kimg, fid, color="tab:red")
        other.set_ylabel("FID", color="tab:red")
        axis.set_title(f"{system.upper()}: rank correlation {scores[f'{system}_rank_correlation']:.2f}")
    figure.tight_layout()
    figure.savefig(HERE.parent / "docs" / "images" / "wgan_correlation.png")
    metrics = json.loads((Path(wgan) / "metrics.json").read_text())[-1]
    out = {
        "recipe": "wgan_mnist",
        "seed": 0,
        "command": "python benchmarks/wgan_correlation.py runs/wgan_mnist/version_0 runs/dcgan_mnist/version_0",
        "seconds": metrics["seconds"],
        "scores": scores,
        "protocol": {"loss": "mean of the logged values since the score before", "fid": metrics["protocol"]},
    }
    (HERE / "results" / "wgan_correlation.json").write_text(json.dumps(out, indent=2) + "\n")
    print(json.dumps(scores, indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
