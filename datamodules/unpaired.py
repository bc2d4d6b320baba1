"""Any two data modules as two domains."""

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.tensors import UnpairedSets


class UnpairedDataModule(TensorDataModule):
    """The images of any two data modules as unpaired sets, such as house numbers and handwritten digits.

    Batches are `(x, y)`, in [-1, 1]; sizes and channels may differ. An epoch goes once through the larger set, and the
    smaller one starts over. Evaluation batches are `(x, y, label of x, label of y)` if both have labels, so that a
    classifier can tell whether a translation keeps the class; in training nothing sees a label. Evaluation images are
    those of the two data modules: choose them such that they are held out.

    Args:
        x: The data module of one domain; of pairs, only the targets are taken.
        y: The data module of the other domain.
        batch_size: Images of each domain per batch and process; those of `x` and `y` do not count.
    """

    def __init__(self, x: TensorDataModule, y: TensorDataModule, batch_size: int = 64):
        super().__init__(batch_size)
        self.x = x
        self.y = y
        self.reference = " and ".join(getattr(side, "reference", type(side).__name__) for side in (x, y))

    def prepare_data(self) -> None:
        self.x.prepare_data()
        self.y.prepare_data()

    def load(self) -> tuple[UnpairedSets, UnpairedSets]:
        self.x.setup("fit")
        self.y.setup("fit")
        labels = all(hasattr(side.evaluation, "label") for side in (self.x, self.y))
        training = UnpairedSets(self.x.training, self.y.training)
        return training, UnpairedSets(self.x.evaluation, self.y.evaluation, labels)
