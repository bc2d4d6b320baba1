"""The images of any data module, to be restored."""

from typing import Literal

import torch

from lightning_gans.datamodules.crops import Views
from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.degradations import Degradation, Degraded


class DegradedDataModule(TensorDataModule):
    """The images of another data module, each with what is left of it, such as faces with a hole or digits in rain.

    Batches are `(target, source)`, as `PhotosDataModule` has them for each degradation. Rain and holes are functions of
    the index: an image is degraded anew in each epoch of training, and always alike in evaluation. Evaluation images
    are those of the other data module.

    Args:
        data: The data module; of its batches, only the images are taken.
        degradation: The way to the source: `down`, `rain`, `mask` or `none`.
        factor: Times that the source of `down` is smaller.
        hole: Where the hole of `mask` is: at a `random` place, or in the `center`.
        hole_size: Height and width of the hole in pixels; null takes half of the height of the images.
        batch_size: Images per batch and process; that of `data` does not count.
    """

    def __init__(
        self,
        data: TensorDataModule,
        degradation: Literal["down", "rain", "mask", "none"] = "mask",
        factor: int = 4,
        hole: Literal["random", "center"] = "random",
        hole_size: int | None = None,
        batch_size: int = 64,
    ):
        super().__init__(batch_size)
        self.data = data
        self.degradation = Degradation(degradation, factor, hole, hole_size)
        self.origin = data.origin
        self.reference = f"{getattr(data, 'reference', type(data).__name__)}, {degradation}"

    def prepare_data(self) -> None:
        self.data.prepare_data()

    def load(self) -> tuple[Degraded, Degraded]:
        self.data.setup("fit")
        for size in self.data.evaluation[torch.tensor([0])][0].shape[2:]:
            self.degradation.check(size)
        training = Degraded(Views(self.data.training), self.degradation)
        return training, Degraded(self.data.evaluation, self.degradation)
