"""Adversarial autoencoder."""

from dataclasses import replace

from jaxtyping import Float
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from lightning_gans.adversarial import AdversarialModule, Batch, Player, Terms, adam
from lightning_gans.objectives import NonSaturating, Objective


class AAE(AdversarialModule):
    """Adversarial autoencoder (Makhzani et al., 2016, https://arxiv.org/abs/1511.05644).

    An autoencoder whose codes an adversary makes look like draws from a standard normal prior, so that decoded draws
    look like data. Each batch has three moves: encoder Q and decoder P reconstruct the image, then the discriminator
    tells draws from codes, then the encoder alone, which is the generator here, makes codes that pass for draws.

        L_autoencoder = E[(P(Q(x)) - x)^2]
        L_D = loss of D(z) as real and of D(Q(x)) as fake
        L_Q = loss of D(Q(x)) that wants it real

    A decoder that gets the class beside the code needs the code for style alone (section 4).

    The container `generator` holds both networks, so the moving average is of both, though the player `generator`
    moves the encoder alone.

    Args:
        encoder: Q; maps images to codes of its `latent_dim`.
        decoder: P; maps codes, or codes and labels, to images.
        autoencoder_optimizer: Makes the optimizer by which encoder and decoder learn to reconstruct.
        autoencoder_scheduler: Makes the schedule of its learning rate.
        autoencoder_clip: Largest norm of its gradient; None does not clip.
        objective: Losses of both players on the discriminator's logits.
        kwargs: See `AdversarialModule`. `generator_optimizer` is for the encoder's move against the discriminator; at
            a rate of 0 this is a plain autoencoder. With `conditional` the decoder gets the label.
    """

    discriminate = None  # type: ignore[assignment]  # the discriminator judges codes, not images

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        autoencoder_optimizer: OptimizerCallable = adam,
        autoencoder_scheduler: LRSchedulerCallable | None = None,
        autoencoder_clip: float | None = None,
        objective: Objective = NonSaturating(),
        **kwargs,
    ):
        super().__init__(generator=nn.ModuleDict({"encoder": encoder, "decoder": decoder}), **kwargs)
        if decoder.latent_dim != encoder.latent_dim:
            raise ValueError(
                f"`decoder` must have the encoder's `latent_dim` of {encoder.latent_dim}, got {decoder.latent_dim}."
            )
        self.autoencoder_optimizer = autoencoder_optimizer
        self.autoencoder_scheduler = autoencoder_scheduler
        self.autoencoder_clip = autoencoder_clip
        self.objective = objective

    def players(self) -> dict[str, Player]:
        players = super().players()
        encoder = replace(players["generator"], module=self.generator["encoder"])
        optimizer, scheduler = self.autoencoder_optimizer, self.autoencoder_scheduler
        autoencoder = Player(self.generator, self.autoencoder_loss, optimizer, scheduler, self.autoencoder_clip)
        return players | {"generator": encoder, "autoencoder": autoencoder}

    def play(self, batch: Batch) -> None:
        self.descend("autoencoder", batch)
        super().play(batch)

    def autoencoder_loss(self, batch: Batch) -> Terms:
        code = self.generator["encoder"](self.real(batch))
        return {"reconstruction": mse_loss(self.generate(code, batch), self.real(batch))}

    def discriminator_loss(self, batch: Batch) -> Terms:
        return {"adversarial": self.objective.discriminator(*self.logits(batch))}

    def generator_loss(self, batch: Batch) -> Terms:
        return {
            "adversarial": self.objective.generator(self.discriminator(self.generator["encoder"](self.real(batch))))
        }

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns D(z) and D(Q(x)): draws from the prior count as real, codes as fake."""
        prior, code = self.latent(len(batch[0])), self.generator["encoder"](self.real(batch))
        return self.discriminator(prior), self.discriminator(code)

    def latent(self, size: int) -> Tensor:
        return self.normal(size, self.generator["encoder"].latent_dim)

    def generate(self, latent: Tensor, batch: Batch) -> Tensor:
        return self.generator["decoder"](latent, *self.condition(batch))

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        code = self.generator["encoder"](self.real(batch))
        return super().samples(batch) | {"real": self.real(batch), "reconstruction": self.generate(code, batch)}

    def encode(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z"]:
        """Returns Q(x) of the averaged encoder in evaluation mode."""
        with self.evaluating():
            return self.generator["encoder"](image)
