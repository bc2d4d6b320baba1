"""Moving MNIST, in the file of its authors."""

from pathlib import Path

import numpy as np
import torch

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.tensors import Sequences

FILE = Path("MovingMNIST", "mnist_test_seq.npy")


class MovingMNISTDataModule(TensorDataModule):
    """Two digits that bounce in a square of 64 pixels (Srivastava et al., 2015, https://arxiv.org/abs/1502.04681).

    Batches are `(next, previous)`: a frame (b, 1, 64, 64), and those before it (b, t, 1, 64, 64). The file is the
    authors', `MovingMNIST/mnist_test_seq.npy`: bytes (20, 10000, 64, 64), the frames first. Papers test on these 10,000
    sequences of 20 frames, and train on others that they draw; here the last ones are held out and the others are
    trained on, so scores are not scores on Moving MNIST.

    Args:
        folder: The folder with `MovingMNIST`.
        frames: Frames of a clip, the one to draw among them, from 2 to 20. A sequence gives as many clips as fit into
            it one after the other.
        num_images: Sequences to train on, the first ones; null takes all that are not held out.
        num_evaluation_images: Sequences to evaluate on, the last ones.
        batch_size: Clips per batch and process.
    """

    def __init__(
        self,
        folder: str = "data",
        frames: int = 10,
        num_images: int | None = None,
        num_evaluation_images: int = 1000,
        batch_size: int = 16,
    ):
        super().__init__(batch_size)
        if frames < 2:
            raise ValueError(f"`frames` must be at least 2, got {frames}.")
        for name, value in (("num_images", num_images), ("num_evaluation_images", num_evaluation_images)):
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        self.folder = folder
        self.frames = frames
        self.num_images = num_images
        self.num_evaluation_images = num_evaluation_images
        self.origin = str(Path(folder, FILE))
        self.reference = f"Moving MNIST, the last {num_evaluation_images:,} sequences"

    def load(self) -> tuple[Sequences, Sequences]:
        sequences = torch.from_numpy(read(Path(self.folder, FILE))).movedim(1, 0)[:, :, None]
        count, length = sequences.shape[:2]
        if self.frames > length:
            raise ValueError(f"`frames` must be at most the {length} of a sequence, got {self.frames}.")
        left = count - self.num_evaluation_images
        wanted = left if self.num_images is None else self.num_images
        if not 1 <= wanted <= left:
            raise ValueError(
                f"`num_images` and `num_evaluation_images` must be at least 1 and together at most the {count} "
                f"sequences of {self.origin}, got {self.num_images} and {self.num_evaluation_images}."
            )
        windows = sequences.unfold(1, self.frames, self.frames).movedim(-1, 2).contiguous()
        return Sequences(windows[:wanted].flatten(0, 1)), Sequences(windows[left:].flatten(0, 1))


def read(path: Path) -> np.ndarray:
    """Reads sequences (t, n, h, w) of bytes from a numpy file, which executes nothing."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: put Moving MNIST's file there.")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is damaged ({error}): fetch it again.") from None
    if (
        not isinstance(array, np.ndarray)
        or array.dtype != np.uint8
        or array.ndim != 4
        or array.shape[2] != array.shape[3]
    ):
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise ValueError(
            f"{path} must hold bytes (frames, sequences, size, size), as Moving MNIST's file, got {found}."
        )
    return array
