"""Measures how well a loss tells the quality of samples: rank correlation of losses with FID, for WGAN and for GAN.

    lightning-gans fit --config wgan_mnist
    lightning-gans fit --config dcgan_mnist --trainer.max_steps 1500 --trainer.callbacks GenerativeMetrics \\
        --trainer.callbacks.every_kimg 9.6 --trainer.logger.name dcgan_short
    python -m benchmarks.experiments.wgan_correlation runs/wgan_mnist/version_0 runs/dcgan_short/version_0

The claim of figures 3 and 4 of Arjovsky et al. (2017, https://arxiv.org/abs/1701.07875). The loss at a score is the
mean of the losses logged since the score before. Writes docs/images/wgan_correlation.png and
`results/wgan_correlation.json`.
"""

import argparse
import csv
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

from benchmarks.recipes import entries_of
from benchmarks.record import PICTURES, write_record

KINDS = {  # the name of a logged loss: its sign in the picture, and its name there
    "discriminator_loss/wasserstein": (-1.0, "minus the critic's loss"),
    "discriminator_loss/adversarial": (1.0, "the discriminator's loss"),
}


def curve(folder: Path) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Returns the name of the loss, and thousands of images, loss and FID at each score of a run."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wgan", type=Path, help="folder of the run of WGAN")
    parser.add_argument("gan", type=Path, help="folder of the run of GAN")
    args = parser.parse_args()
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), dpi=80)
    values = {}
    for axis, folder, system in zip(axes, (args.wgan, args.gan), ("wgan", "gan"), strict=True):
        name, kimg, loss, fid = curve(folder)
        values[f"{system}_rank_correlation"] = float(spearmanr(loss, fid).statistic)
        values[f"{system}_num_scores"] = len(fid)
        axis.plot(kimg, loss, color="tab:blue")
        axis.set_xlabel("thousand images")
        axis.set_ylabel(name, color="tab:blue")
        other = axis.twinx()
        other.plot(kimg, fid, color="tab:red")
        other.set_ylabel("FID", color="tab:red")
        axis.set_title(f"{system.upper()}: rank correlation {values[f'{system}_rank_correlation']:.2f}")
    figure.tight_layout()
    figure.savefig(PICTURES / "wgan_correlation.png")
    metrics = entries_of(args.wgan)[-1]
    protocol = {"loss": "mean of the logged values since the score before", "fid": metrics["protocol"]}
    write_record("wgan_correlation", values, protocol, seed=0, seconds=metrics["seconds"])
    print(json.dumps(values, indent=2))


if __name__ == "__main__":
    main()
