from lightning_gans.models.gan import GAN as GAN
from lightning_gans.models.wgan_gp import WGANGP as WGANGP
