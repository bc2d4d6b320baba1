"""Networks around a network, which add something to any architecture."""

from lightning_gans.networks.wrappers.conditional import LabelledDiscriminator as LabelledDiscriminator
from lightning_gans.networks.wrappers.conditional import LabelledGenerator as LabelledGenerator
from lightning_gans.networks.wrappers.diff_augment import DiffAugment as DiffAugment
from lightning_gans.networks.wrappers.instance_noise import InstanceNoise as InstanceNoise
from lightning_gans.networks.wrappers.minibatch_discrimination import MinibatchDiscrimination as MinibatchDiscrimination
from lightning_gans.networks.wrappers.minibatch_discrimination import MinibatchSimilarity as MinibatchSimilarity
from lightning_gans.networks.wrappers.spectral import SpectrallyNormalized as SpectrallyNormalized
from lightning_gans.networks.wrappers.spectral import spectral_norms as spectral_norms
from lightning_gans.networks.wrappers.virtual_batch_norm import ReferenceNorm as ReferenceNorm
from lightning_gans.networks.wrappers.virtual_batch_norm import VirtualBatchNorm as VirtualBatchNorm
