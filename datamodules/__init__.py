from lightning_gans.datamodules.image_folder import ImageFolderDataModule
from lightning_gans.datamodules.mnist import MNISTDataModule
from lightning_gans.datamodules.tensors import TensorDataModule, TensorImages

__all__ = ["ImageFolderDataModule", "MNISTDataModule", "TensorDataModule", "TensorImages"]
