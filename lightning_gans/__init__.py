"""Generative adversarial networks as Lightning modules: one loop, a variant is its equations."""

from lightning_gans.adversarial import AdversarialModule as AdversarialModule
from lightning_gans.models import AAE as AAE
from lightning_gans.models import ACGAN as ACGAN
from lightning_gans.models import GAN as GAN
from lightning_gans.models import LAPGAN as LAPGAN
from lightning_gans.models import WGAN as WGAN
from lightning_gans.models import WGANGP as WGANGP
from lightning_gans.models import BiGAN as BiGAN
from lightning_gans.models import CatGAN as CatGAN
from lightning_gans.models import InfoGAN as InfoGAN
from lightning_gans.models import RelativisticGAN as RelativisticGAN
from lightning_gans.models import UnrolledGAN as UnrolledGAN
