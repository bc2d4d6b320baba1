"""The base of variants whose networks grow."""

from typing import Any

from lightning_gans.adversarial import AdversarialModule, Batch
from lightning_gans.networks.progan import Growing


class GrowingModule(AdversarialModule):
    """Trains networks that grow with the images seen (Karras et al., 2018, https://arxiv.org/abs/1710.10196).

    Players see real images with the detail that the generator has by now. When a fade begins or ends, the optimizers
    forget what they averaged, as in the authors' code. Both follow from the count of images, and so does a resumed run.

    Args:
        kwargs: See `AdversarialModule`. Generator and discriminator are `Growing`, with the same levels.
    """

    def play(self, batch: Batch) -> None:
        parts = [part for part in self._timed if isinstance(part, Growing)]
        before = self.images_seen - len(batch[0]) * self.trainer.world_size
        now, then = ({part.stage(images) for part in parts} for images in (self.images_seen, before))
        if len(now) > 1:
            raise ValueError("The networks must grow alike: give `level` and `size` the same values in both.")
        if {(finest, share < 1) for finest, share in now} != {(finest, share < 1) for finest, share in then}:
            for player in self.players():
                optimizer: Any = self.optimizer_of(player)
                optimizer.optimizer.state.clear()
        super().play([self.generator.seen(batch[0]), *batch[1:]])
