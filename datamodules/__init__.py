from lightning_gans.datamodules.celeba import CelebADataModule
from lightning_gans.datamodules.cifar10 import CIFAR10DataModule
from lightning_gans.datamodules.gaussian_mixture import GaussianMixtureDataModule
from lightning_gans.datamodules.image_folder import ImageFolderDataModule
from lightning_gans.datamodules.lsun import LSUNDataModule
from lightning_gans.datamodules.mnist import MNISTDataModule
from lightning_gans.datamodules.openmoji import OpenMojiDataModule
from lightning_gans.datamodules.tensors import TensorDataModule, TensorImages, TensorPoints

__all__ = [
    "CIFAR10DataModule",
    "CelebADataModule",
    "GaussianMixtureDataModule",
    "ImageFolderDataModule",
    "LSUNDataModule",
    "MNISTDataModule",
    "OpenMojiDataModule",
    "TensorDataModule",
    "TensorImages",
    "TensorPoints",
]
