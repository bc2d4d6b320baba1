"""Trains CycleGAN from OpenMoji to Twemoji without pairs, and compares it with the pairs held out.

    python -m benchmarks.experiments.emoji_styles runs

RUNS is the folder for the run; what follows goes to `lightning-gans fit --config cyclegan_house_numbers`, with the
drawings as data. What the two artists drew of the same thing is known for the pairs held out, so the translated
drawings, and beside them the untranslated ones, are compared with what the other artist drew.

Writes `results/emoji_styles.json` and docs/images/cyclegan_emoji_styles.png: each drawing of OpenMoji, its translation,
the drawing of Twemoji, and the other way round.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from benchmarks.experiments.pix2pix_ablation import scores
from benchmarks.recipes import train
from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans.datamodules.tensors import spread_evenly
from lightning_gans.metrics.features import as_8_bit

OPTIONS = (
    "--data=EmojiStylesDataModule --data.size=32 --data.batch_size=4 --model.identity_weight=5 "
    "--model.generator_xy.channels=3 --model.generator_yx.source_channels=3 --model.discriminator_y.channels=3 "
    "--trainer.max_steps=1200 --model.generator_scheduler.factor.kimg=2.4 --model.generator_scheduler.factor.after=2.4 "
    "--model.discriminator_scheduler.factor.kimg=2.4 --model.discriminator_scheduler.factor.after=2.4 "
    "--trainer.callbacks=NewestCheckpoint --trainer.limit_val_batches=0 --trainer.logger.name=cyclegan_emoji_styles"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURES / "cyclegan_emoji_styles.png")
    args, options = parser.parse_known_args()
    recipe = "cyclegan_house_numbers"
    cli: Any = train(recipe, *OPTIONS.split(), "--trainer.logger.save_dir", str(args.runs), *options)
    module, data = cli.model, cli.datamodule
    x, y = data.evaluation[torch.arange(len(data.evaluation))]
    parts = [module.draw(batch, seed=0) for batch in zip(x.split(32), y.split(32), strict=True)]
    fake_y, fake_x = (as_8_bit(torch.cat([part[name] for part in parts])) for name in ("fake", "fake_x"))
    values = {
        "to_twemoji": {"translated": scores(fake_y, y), "as_it_was": scores(as_8_bit(x), y)},
        "to_openmoji": {"translated": scores(fake_x, x), "as_it_was": scores(as_8_bit(y), x)},
    }
    for way, measured in values.items():
        for name, numbers in measured.items():
            print(way, name, numbers)
    rows = spread_evenly(16, len(x))
    columns = torch.stack([x[rows], fake_y[rows], y[rows], y[rows], fake_x[rows], x[rows]], 1)
    save_grid(columns.flatten(0, 1), 12, args.picture)
    protocol = {
        "pairs": data.reference,
        "images": "8 bits per channel",
        "generator": "last weights, eval mode",
        "steps": cli.trainer.max_steps,
        "identity_weight": module.identity_weight,
    }
    write_record("emoji_styles", values, protocol, module.seed, folder=args.results)


if __name__ == "__main__":
    main()
