from lightning_gans.datamodules.celeba import CelebADataModule
from lightning_gans.datamodules.cifar10 import CIFAR10DataModule
from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.gaussian_mixture import GaussianMixtureDataModule
from lightning_gans.datamodules.image_folder import ImageFolderDataModule
from lightning_gans.datamodules.lsun import LSUNDataModule
from lightning_gans.datamodules.mnist import MNISTDataModule
from lightning_gans.datamodules.openmoji import OpenMojiDataModule
from lightning_gans.datamodules.own_images import OwnImagesDataModule
from lightning_gans.datamodules.tensors import ImagePairs, Sequences, TensorImages, TensorPoints, Unpaired

__all__ = [
    "CIFAR10DataModule",
    "CelebADataModule",
    "GaussianMixtureDataModule",
    "ImageFolderDataModule",
    "ImagePairs",
    "LSUNDataModule",
    "MNISTDataModule",
    "OpenMojiDataModule",
    "OwnImagesDataModule",
    "Sequences",
    "TensorDataModule",
    "TensorImages",
    "TensorPoints",
    "Unpaired",
]
