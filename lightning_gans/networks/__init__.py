from lightning_gans.networks.dcgan import DCGANDiscriminator as DCGANDiscriminator
from lightning_gans.networks.dcgan import DCGANGenerator as DCGANGenerator
from lightning_gans.networks.mlp import MLPDiscriminator as MLPDiscriminator
from lightning_gans.networks.mlp import MLPGenerator as MLPGenerator
