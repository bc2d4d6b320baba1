"""Synthetic heads that turn: clips whose last frame is to be drawn from those before it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from lightning_gans.datamodules.data_module import TensorDataModule
from lightning_gans.datamodules.face_drawing import Camera, Head, head
from lightning_gans.datamodules.pixel_cache import cached_pixels, fingerprint_of
from lightning_gans.datamodules.tensors import Sequences

DRAWING = 1  # counts changes to how clips are drawn
FIRST, TURN = 90.0, 30.0  # degrees, largest first angle and largest turn from frame to frame
REACH = 1.25  # that a head fits into from all sides
LUMA = np.array((0.299, 0.587, 0.114), np.float32)[:, None, None]

Seed = tuple[int, ...]


class Motion(NamedTuple):
    """How a head turns about the vertical axis, in degrees to the viewer's right."""

    first: float
    """The angle in the first frame; 0 looks at the viewer."""
    turn: float
    """From each frame to the next."""
    jitter: float
    """What is added to the last turn."""

    def angles(self, frames: int) -> Float[np.ndarray, " frames"]:
        """Returns the angle in each frame."""
        angles = self.first + self.turn * np.arange(frames)
        angles[-1] += self.jitter
        return angles


class TurningFaces(Sequences):
    """Clips of turning heads in memory.

    Args:
        frames: The clips, 0 for black to 255 for white.
        motion: First angle, turn and jitter of each, in degrees.
        fingerprint: Names them.
    """

    noun = "clips"

    def __init__(self, frames: UInt8[Tensor, "n t c h w"], motion: Float32[Tensor, "n 3"], fingerprint: str):
        super().__init__(frames)
        self.motion = motion
        self.name = fingerprint

    @property
    def fingerprint(self) -> str:
        return self.name


class TurningFacesDataModule(TensorDataModule):
    """Gray clips of synthetic heads that turn at a constant speed, drawn in three dimensions.

    Batches are `(next, previous)`: the last frame (b, 1, h, w), and those before it (b, t, 1, h, w). As in the data of
    Lotter et al. (2016, https://arxiv.org/abs/1511.06380) each clip has a head of its own, which turns about the
    vertical axis from an angle of up to 90 degrees to either side by up to 30 degrees from frame to frame. The paper's
    heads are those of FaceGen, 4,000 to train with and 200 to test with at 150 pixels. These are others, with light and
    background that vary too, and scores on them are not scores on the paper's. Each clip is a function of `data_seed`
    and its number, and no head is evaluated on that was trained on. They are drawn once, about 30 clips in a second at
    64 pixels, and then lie in a file that every process and every later run maps into its memory.

    Args:
        num_images: Clips to train on.
        num_evaluation_images: Clips to evaluate on.
        size: Height and width in pixels.
        frames: Frames of a clip, at least 2, the one to draw among them.
        jitter: Standard deviation, in degrees, of what is added to the last turn alone, so that the last frame is not
            known from those before it; 0 is the paper's data.
        data_seed: Seed of the clips.
        batch_size: Clips per batch and process.
        cache: Folder for the drawn clips; `default` is `lightning-gans` in the user's folder for caches, null keeps
            them in the memory of each process, and draws them anew in each run.
    """

    origin = "the package, drawn"

    def __init__(
        self,
        num_images: int = 4000,
        num_evaluation_images: int = 200,
        size: int = 64,
        frames: int = 6,
        jitter: float = 0.0,
        data_seed: int = 0,
        batch_size: int = 16,
        cache: str | None = "default",
    ):
        super().__init__(batch_size)
        counts = (("num_images", num_images), ("num_evaluation_images", num_evaluation_images), ("size", size))
        for name, value in counts:
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if frames < 2:
            raise ValueError(f"`frames` must be at least 2, got {frames}.")
        if jitter < 0:
            raise ValueError(f"`jitter` must be 0 (none) or more degrees, got {jitter}.")
        if data_seed < 0:
            raise ValueError(f"`data_seed` must be at least 0, got {data_seed}.")
        self.num_images = num_images
        self.num_evaluation_images = num_evaluation_images
        self.size, self.frames, self.jitter = size, frames, jitter
        self.data_seed = data_seed
        self.cache = cache
        self.reference = f"{num_evaluation_images:,} synthetic heads held out, seed {data_seed}"

    def load(self) -> tuple[TurningFaces, TurningFaces]:
        return self.drawn(self.num_images, 0), self.drawn(self.num_evaluation_images, 1)

    def drawn(self, count: int, held_out: int) -> TurningFaces:
        """Returns clips to train with, or those held out."""
        purpose = "evaluation" if held_out else "training"
        what = f"{count}-{self.frames}x{self.size}px-jitter{self.jitter:g}-seed{self.data_seed}"
        name = f"turning-faces-{purpose}-{what}"
        fingerprint = fingerprint_of(DRAWING, name)
        seeds = [(self.data_seed, held_out, number) for number in range(count)]
        shape = (count, self.frames, 1, self.size, self.size)
        pixels = cached_pixels(self.cache, name, fingerprint, shape, lambda: self.clips(seeds))
        motion = torch.tensor([motion_of(np.random.default_rng(seed), self.jitter) for seed in seeds])
        return TurningFaces(pixels, motion, fingerprint)

    def clips(self, seeds: Sequence[Seed]) -> Iterator[UInt8[np.ndarray, "frames 1 size size"]]:
        """Draws the clip of each seed."""
        camera = Camera(self.size, REACH)
        for seed in seeds:
            random = np.random.default_rng(seed)
            angles = motion_of(random, self.jitter).angles(self.frames)
            yield seen(camera, head(random), angles)


def motion_of(random: np.random.Generator, jitter: float) -> Motion:
    """Draws how a head turns."""
    return Motion(random.uniform(-FIRST, FIRST), random.uniform(-TURN, TURN), jitter * random.standard_normal())


def person(seed: Seed) -> Head:
    """Draws the head of a seed, which is the same for any jitter."""
    random = np.random.default_rng(seed)
    motion_of(random, 0.0)
    return head(random)


def seen(camera: Camera, head: Head, angles: Float[np.ndarray, " t"]) -> UInt8[np.ndarray, "t 1 size size"]:
    """Draws a head in gray at each of some angles, in degrees."""
    frames = np.stack([camera(head, float(angle))[0] for angle in np.radians(angles)])
    return np.rint((frames * LUMA).sum(1, keepdims=True)).astype(np.uint8)
