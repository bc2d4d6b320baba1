"""Adversarial autoencoder."""

from jaxtyping import Float
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from lightning_gans.adversarial import AdversarialModule, Batch, Terms, adam
from lightning_gans.objectives import NonSaturating, Objective


class AAE(AdversarialModule):
    """Adversarial autoencoder (Makhzani et al., 2016, https://arxiv.org/abs/1511.05644).

    An autoencoder whose codes an adversary makes look like draws from a standard normal prior, so that decoded draws
    look like data. Each batch has three moves: encoder Q and decoder P reconstruct the image, then the discriminator
    tells draws from codes, then the encoder alone, which is the generator here, makes codes that pass for draws.

        L_autoencoder = E[(P(Q(x)) - x)^2]
        L_D = loss of D(z) as real and of D(Q(x)) as fake
        L_Q = loss of D(Q(x)) that wants it real

    A decoder that is told the class besides the code needs the code for style alone (section 4).

    The container `generator` holds both networks, so the moving average is of both, though the player `generator`
    moves the encoder alone.

    Args:
        encoder: Q; maps images to codes of its `latent_dim`.
        decoder: P; maps codes, or codes and labels, to images.
        autoencoder_optimizer: Makes the optimizer by which encoder and decoder learn to reconstruct.
        autoencoder_scheduler: Makes the schedule of its learning rate.
        labelled: Whether the decoder is called with (code, label), the label from the batch.
        objective: What the players make of the discriminator's logits.
        kwargs: See `AdversarialModule`. `generator_optimizer` is for the encoder's move against the discriminator; at
            a rate of 0 this is a plain autoencoder.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        autoencoder_optimizer: OptimizerCallable = adam,
        autoencoder_scheduler: LRSchedulerCallable | None = None,
        labelled: bool = False,
        objective: Objective = NonSaturating(),
        **kwargs,
    ):
        super().__init__(generator=nn.ModuleDict({"encoder": encoder, "decoder": decoder}), **kwargs)
        self.latent_dim: int = encoder.latent_dim  # type: ignore[assignment]
        if decoder.latent_dim != self.latent_dim:
            raise ValueError(
                f"`decoder` must have the encoder's `latent_dim` of {self.latent_dim}, got {decoder.latent_dim}."
            )
        self.autoencoder_optimizer = autoencoder_optimizer
        self.autoencoder_scheduler = autoencoder_scheduler
        self.labelled = labelled
        self.objective = objective

    def players(self) -> dict[str, nn.Module]:
        encoder = self.networks()["encoder"]
        return {"discriminator": self.discriminator, "generator": encoder, "autoencoder": self.networks()}

    def play(self, batch: Batch) -> None:
        self.descend("autoencoder", batch)
        super().play(batch)

    def autoencoder_loss(self, batch: Batch) -> Terms:
        image = batch[0]
        return {"reconstruction": mse_loss(self.decode(self.networks()["encoder"](image), batch), image)}

    def discriminator_loss(self, batch: Batch) -> Terms:
        prior, code = self.latent(len(batch[0])), self.networks()["encoder"](batch[0])
        return {"adversarial": self.objective.discriminator(self.discriminator(prior), self.discriminator(code))}

    def generator_loss(self, batch: Batch) -> Terms:
        code = self.networks()["encoder"](batch[0])
        return {"adversarial": self.objective.generator(self.discriminator(code))}

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        image = batch[0]
        images = {
            "fake": self.decode(self.latent(len(image)), batch),
            "real": image,
            "reconstruction": self.decode(self.networks()["encoder"](image), batch),
        }
        return images | ({"label": batch[1]} if self.labelled else {})

    def latent(self, size: int) -> Tensor:
        return self.normal(size, self.latent_dim)

    def decode(self, code: Float[Tensor, "b z"], batch: Batch) -> Float[Tensor, "b c h w"]:
        """P's images of the codes, of the batch's classes where P is told them."""
        decoder = self.networks()["decoder"]
        return decoder(code, batch[1]) if self.labelled else decoder(code)

    def encode(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z"]:
        """Q(x) of the averaged encoder in evaluation mode."""
        with self.evaluating():
            return self.networks()["encoder"](image)

    def networks(self) -> nn.ModuleDict:
        """`encoder` and `decoder`."""
        assert isinstance(self.generator, nn.ModuleDict)
        return self.generator
