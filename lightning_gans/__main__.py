"""Command line: `lightning-gans fit --config dcgan_mnist`, or `python -m lightning_gans`."""

from lightning import LightningDataModule, LightningModule
from lightning.pytorch.cli import ArgsType, LightningCLI

import lightning_gans.callbacks
import lightning_gans.datamodules
import lightning_gans.models
import lightning_gans.networks  # noqa: F401  importing a class lets a config name it without its path


def main(args: ArgsType = None) -> LightningCLI:
    return LightningCLI(
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        save_config_kwargs={"overwrite": True},
        args=args,
    )


if __name__ == "__main__":
    main()
