from lightning_gans.datamodules.gaussian_mixture import GaussianMixtureDataModule
from lightning_gans.datamodules.image_folder import ImageFolderDataModule
from lightning_gans.datamodules.mnist import MNISTDataModule
from lightning_gans.datamodules.openmoji import OpenMojiDataModule
from lightning_gans.datamodules.tensors import TensorDataModule, TensorImages, TensorPoints

__all__ = [
    "GaussianMixtureDataModule",
    "ImageFolderDataModule",
    "MNISTDataModule",
    "OpenMojiDataModule",
    "TensorDataModule",
    "TensorImages",
    "TensorPoints",
]
