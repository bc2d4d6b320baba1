"""Pictures and films of what `predict` draws behind a person's own sequences."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.functional import pad

from lightning_gans.callbacks.pictures import across, caption, down, mosaic
from lightning_gans.callbacks.run_folder import refuse_taken, results_folder
from lightning_gans.datamodules.own_sequences import OwnSequencesDataModule
from lightning_gans.mechanics.files import atomic_write
from lightning_gans.mechanics.given import Given

MILLISECONDS, AT_THE_END = 150, 1000  # that a frame of the film is seen
BORDER = 2  # pixels around the frames of a film: black around those given, white around those drawn


class SequenceWriter(Callback):
    """Writes what `predict` draws behind the sequences of `OwnSequencesDataModule`.

    For each there is `<name>.png`, a strip of the frames that were given and of those drawn, and `<name>.gif`, the same
    as a film, with a white border around what is drawn. Nothing is overwritten: a file that is there already is refused
    before the first frame is drawn. `SampleWriter` then writes nothing. Several processes take the sequences in turn.

    Args:
        folder: Where to write; null is `sequences` in the run folder.
    """

    def __init__(self, folder: str | None = None):
        self.folder = folder

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "predict":
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, OwnSequencesDataModule):
            raise ValueError(
                "`SequenceWriter` needs sequences to name files after: give OwnSequencesDataModule, or leave it out."
            )
        run_folder = results_folder(trainer)  # a broadcast
        self._folder = run_folder / "sequences" if self.folder is None else Path(self.folder)
        refuse_taken([self._folder / f"{name}{ending}" for name in data.names for ending in (".png", ".gif")])
        plural = "sequence goes" if len(data.names) == 1 else "sequences go"
        pl_module.print(f"{len(data.names):,} {plural} to {self._folder}")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Given,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        given, drawn = batch.image[0], outputs["fake"][0]
        path = self._folder / f"{batch.places[0].name}.png"
        self._folder.mkdir(parents=True, exist_ok=True)
        sides = {"given": given, "drawn": drawn}
        strip = across([down([caption(name), mosaic(frames, len(frames))]) for name, frames in sides.items()])
        with atomic_write(path) as file:
            strip.save(file, "PNG")
        film = [mosaic(frame[None], 1) for frame in torch.cat([framed(given, -1.0), framed(drawn, 1.0)])]
        times = [MILLISECONDS] * (len(film) - 1) + [AT_THE_END]
        with atomic_write(path.with_suffix(".gif")) as file:
            film[0].save(file, "GIF", save_all=True, append_images=film[1:], duration=times, loop=0)


def framed(frames: Float[Tensor, "t c h w"], shade: float) -> Float[Tensor, "t c _ _"]:
    """Returns frames with a border."""
    return pad(frames, [BORDER] * 4, value=shade)
