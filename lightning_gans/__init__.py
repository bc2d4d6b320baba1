"""Generative adversarial networks as Lightning modules: one loop, a variant is its equations."""

from lightning_gans.adversarial import AdversarialModule as AdversarialModule
from lightning_gans.models import *  # noqa: F403  every variant
