"""Generative adversarial networks as Lightning modules: one loop, a variant is its equations."""

from lightning_gans.adversarial import AdversarialModule as AdversarialModule
from lightning_gans.models import GAN as GAN
from lightning_gans.models import WGANGP as WGANGP
