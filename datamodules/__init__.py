from lightning_gans.datamodules.celeba import CelebADataModule
from lightning_gans.datamodules.cifar10 import CIFAR10DataModule
from lightning_gans.datamodules.cub import CUBDataModule
from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.degraded import DegradedDataModule
from lightning_gans.datamodules.described_digits import DescribedDigitsDataModule
from lightning_gans.datamodules.edited_digits import EditedDigitsDataModule
from lightning_gans.datamodules.emoji_styles import EmojiStylesDataModule
from lightning_gans.datamodules.faces import FacesDataModule
from lightning_gans.datamodules.gaussian_mixture import GaussianMixtureDataModule
from lightning_gans.datamodules.house_numbers import HouseNumbersDataModule
from lightning_gans.datamodules.image_folder import ImageFolderDataModule
from lightning_gans.datamodules.lsun import LSUNDataModule
from lightning_gans.datamodules.mnist import MNISTDataModule
from lightning_gans.datamodules.openmoji import OpenMojiDataModule
from lightning_gans.datamodules.openmoji_captions import OpenMojiCaptionsDataModule
from lightning_gans.datamodules.own_images import OwnImagesDataModule
from lightning_gans.datamodules.oxford_flowers import OxfordFlowersDataModule
from lightning_gans.datamodules.paired_folder import PairedFolderDataModule
from lightning_gans.datamodules.photos import PhotosDataModule
from lightning_gans.datamodules.svhn import SVHNDataModule
from lightning_gans.datamodules.tensors import (
    ImagePairs,
    Sequences,
    TensorImages,
    TensorPoints,
    TextImages,
    Unpaired,
    UnpairedSets,
)
from lightning_gans.datamodules.text import TextDataModule
from lightning_gans.datamodules.text_encoders import HashedWords, TextEncoder
from lightning_gans.datamodules.text_image_folder import TextImageFolderDataModule
from lightning_gans.datamodules.unpaired import UnpairedDataModule
from lightning_gans.datamodules.unpaired_folder import UnpairedFolderDataModule

__all__ = [
    "CIFAR10DataModule",
    "CUBDataModule",
    "CelebADataModule",
    "DegradedDataModule",
    "DescribedDigitsDataModule",
    "EditedDigitsDataModule",
    "EmojiStylesDataModule",
    "FacesDataModule",
    "GaussianMixtureDataModule",
    "HashedWords",
    "HouseNumbersDataModule",
    "ImageFolderDataModule",
    "ImagePairs",
    "LSUNDataModule",
    "MNISTDataModule",
    "OpenMojiCaptionsDataModule",
    "OpenMojiDataModule",
    "OwnImagesDataModule",
    "OxfordFlowersDataModule",
    "PairedFolderDataModule",
    "PhotosDataModule",
    "SVHNDataModule",
    "Sequences",
    "TensorDataModule",
    "TensorImages",
    "TensorPoints",
    "TextDataModule",
    "TextEncoder",
    "TextImageFolderDataModule",
    "TextImages",
    "Unpaired",
    "UnpairedDataModule",
    "UnpairedFolderDataModule",
    "UnpairedSets",
]
