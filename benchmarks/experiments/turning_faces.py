"""Draws the next frame of turning heads by the squared error alone and with the adversary, and measures both.

    python -m benchmarks.experiments.turning_faces RUNS

RUNS is the folder for the runs, trainings of `pgn_turning_faces` of equally many steps: by the squared error alone and
with the adversary, each on heads that turn evenly and on heads whose last turn has a jitter of 10 degrees, and an
autoencoder that draws the last frame again. A run that is there already is not trained again; with `--only NAME`
nothing is done but one of them. What follows goes to `lightning-gans fit`.

Clips held out are drawn behind. Of each drawing there is the squared error, beside that of the last frame as it is; the
energy of its Laplacian, which is its sharpness, over that of the truth; and the identity: the error from the true head
over that from the most similar of 12 other heads, all at the true angle. With jitter the mean of all futures can be
computed, since the heads can be drawn again at any angle: it has the least squared error that is possible, and it is
blurred. A ridge regression then reads from the LSTM's state the angle (sine and cosine) in the last given frame, the
turn, and the head (main components of views from the front). Writes `results/turning_faces.json` and, in docs/images,
`turning_faces.png`, with what was given, the truth and what was drawn by the squared error and with the adversary, and
`turning_faces_ahead.png`, with ten frames drawn one behind the other.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.recipes import data_of, module_of, train
from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans import PGN
from lightning_gans.datamodules import TurningFacesDataModule
from lightning_gans.datamodules.face_drawing import Camera, Head
from lightning_gans.datamodules.tensors import floats
from lightning_gans.datamodules.turning_faces import REACH, Motion, TurningFaces, person, seen
from lightning_gans.metrics.fidelity import gradient_energy, laplacian_energy

RECIPE = "pgn_turning_faces"
ALONE = ["--model.adversarial_weight=0", "--model.discriminator=null"]
JITTER = 10.0  # degrees
RUNS = {
    "squared error": ALONE,
    "adversarial": [],
    "autoencoder": [*ALONE, "--data=benchmarks.experiments.turning_faces.LastFrames"],
    "squared error, jitter": [*ALONE, f"--data.jitter={JITTER}"],
    "adversarial, jitter": [f"--data.jitter={JITTER}"],
}
FUTURES, OTHERS, AHEAD, STATES, COMPONENTS = 24, 12, 10, 2000, 8
ROWS, ENLARGED = 6, 2  # of a picture


class LastFrames(TurningFacesDataModule):
    """Turning heads whose last given frame is to be drawn again."""

    def load(self) -> tuple[TurningFaces, TurningFaces]:
        training, evaluation = super().load()
        for clips in (training, evaluation):
            clips.frames = torch.cat([clips.frames[:, :-1], clips.frames[:, -2:-1]], 1)
            clips.name += "-last"
        return training, evaluation


def name_of(run: str) -> str:
    """Returns the name of a run's folder."""
    return f"{RECIPE}_{run.replace(', ', '_').replace(' ', '_')}"


def trained(runs: Path, run: str, options: list[str]) -> PGN:
    """Trains a run, or loads what was trained before."""
    checkpoint = runs / name_of(run) / "version_0" / "checkpoints" / "last.ckpt"
    if not checkpoint.exists():
        logger = [f"--trainer.logger.save_dir={runs}", f"--trainer.logger.name={name_of(run)}"]
        train(RECIPE, *logger, *RUNS[run], *options)
    return PGN.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)


def drawn(module: PGN, clips: TurningFaces) -> Tensor:
    """Returns what the averaged generator draws behind each clip."""
    batches = torch.arange(len(clips)).split(50)
    return torch.cat([module.draw(clips[index], seed)["fake"] for seed, index in enumerate(batches)])


def error(one: Tensor, two: Tensor) -> Tensor:
    """Returns the mean squared error of images, of values from 0 to 1."""
    return (one - two).square().flatten(1).mean(1) / 4


def likeness(fake: Tensor, true: Tensor) -> dict[str, float]:
    """Returns how near images are to the true ones, and how sharp."""
    sharpness = {"laplacian": laplacian_energy, "gradient": gradient_energy}
    shares = {name: (energy(fake).mean() / energy(true).mean()).item() for name, energy in sharpness.items()}
    return {"error": error(fake, true).mean().item(), **shares}


class Studio:
    """Draws the heads of the clips held out again, at any angle.

    Args:
        data: The clips.
    """

    def __init__(self, data: TurningFacesDataModule):
        self.camera = Camera(data.size, REACH)
        self.heads: list[Head] = [person((data.data_seed, 1, number)) for number in range(data.num_evaluation_images)]
        self.front = torch.cat([self.view(number, np.zeros(1)) for number in range(len(self.heads))])

    def view(self, number: int, angles: np.ndarray) -> Tensor:
        """Returns a head at some angles."""
        return floats(torch.from_numpy(seen(self.camera, self.heads[number], angles)))

    def identity(self, fake: Tensor, clips: TurningFaces) -> dict[str, float]:
        """Returns the error from the true head over that from the most similar other head, at the true angle."""
        distance = torch.cdist(self.front.flatten(1), self.front.flatten(1))
        margins = []
        for number, image in enumerate(fake):
            angle = Motion(*clips.motion[number].tolist()).angles(clips.frames.shape[1])[-1:]
            nearest = distance[number].argsort()[: OTHERS + 1].tolist()  # the first is the head itself
            views = torch.cat([self.view(other, angle) for other in nearest])
            own, *others = error(image.expand_as(views), views).tolist()
            margins.append(own / min(others))
        found = torch.tensor(margins)
        return {"identity_margin": found.median().item(), "identity_found": (found < 1).double().mean().item()}

    def futures(self, number: int, motion: Motion, frames: int) -> Tensor:
        """Returns equally likely last frames of a clip."""
        share = (torch.arange(FUTURES) + 0.5) / FUTURES
        jitter = JITTER * torch.distributions.Normal(0, 1).icdf(share)
        expected = motion._replace(jitter=0.0).angles(frames)[-1]
        return self.view(number, expected + jitter.numpy())


@torch.no_grad()
def states(module: PGN, clips: TurningFaces, count: int) -> np.ndarray:
    """Returns the LSTM's state after the frames that are given."""
    with module.evaluating():
        parts = [module.generator.encode(clips[index][1]) for index in torch.arange(count).split(50)]
    return torch.cat(parts).double().numpy()


def facts(clips: TurningFaces, front: Tensor, axes: Tensor, mean: Tensor) -> dict[str, np.ndarray]:
    """Returns what is to be read from states."""
    motion = clips.motion.double().numpy()[: len(front)]
    angle = np.radians(motion[:, 0] + motion[:, 1] * (clips.frames.shape[1] - 2))
    head = ((front.flatten(1) - mean) @ axes).double().numpy()
    return {"angle": np.stack([np.sin(angle), np.cos(angle)], 1), "turn": motion[:, 1:2], "head": head}


def read_out(known: np.ndarray, x: np.ndarray, wanted: dict[str, np.ndarray], true: dict[str, np.ndarray]) -> dict:
    """Returns R^2 on clips held out of ridge regressions from states, the mean over numbers weighted by variance."""
    scale = StandardScaler().fit(known)
    known, x = scale.transform(known), scale.transform(x)
    result = {}
    for name, target in wanted.items():
        ridge = RidgeCV(alphas=np.logspace(0, 5, 11)).fit(known, target)
        residual = np.square(ridge.predict(x).reshape(true[name].shape) - true[name]).sum()
        result[name] = float(1 - residual / np.square(true[name] - true[name].mean(0)).sum())
    return result


def enlarged(rows: Tensor) -> Tensor:
    """Returns images with each pixel as a square."""
    return interpolate(rows, scale_factor=ENLARGED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--only", choices=[*RUNS], help="trains this run, and does nothing else")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    args, options = parser.parse_known_args()
    if args.only:
        trained(args.runs, args.only, options)
        return

    modules = {run: trained(args.runs, run, options) for run in RUNS}
    data = data_of(RECIPE)
    data.setup("test")
    clips, count = data.evaluation, len(data.evaluation)
    target, previous = clips[torch.arange(count)]
    studio = Studio(data)
    images = {"last frame": previous[:, -1], **{run: drawn(modules[run], clips) for run in list(RUNS)[:2]}}
    values: dict[str, Any] = {
        name: likeness(fake, target) | studio.identity(fake, clips) for name, fake in images.items()
    }
    columns = [*previous.unbind(1), target, *list(images.values())[1:]]
    rows = torch.stack(columns, 1)[:: count // ROWS][:ROWS]
    save_grid(enlarged(rows.flatten(0, 1)), len(columns), args.pictures / "turning_faces.png")

    # Ten frames ahead.
    length = clips.frames.shape[1]
    motions = [Motion(*motion) for motion in clips.motion.tolist()]
    ahead = torch.stack([studio.view(n, m.angles(length + AHEAD - 1)[length - 1 :]) for n, m in enumerate(motions)])
    strips = [ahead]
    values["ahead"] = {"last frame": [error(previous[:, -1], frame).mean().item() for frame in ahead.unbind(1)]}
    for run in list(RUNS)[:2]:
        with modules[run].evaluating():
            torch.manual_seed(0)
            strips.append(modules[run].extrapolate(previous, AHEAD))
        pairs = zip(strips[-1].unbind(1), ahead.unbind(1), strict=True)
        values["ahead"][run] = [error(*pair).mean().item() for pair in pairs]
        energies = [laplacian_energy(frames[:, -1]).mean() for frames in (strips[-1], ahead)]
        values[run]["laplacian_ahead"] = (energies[0] / energies[1]).item()
    some = torch.stack([strip[:: count // 3][:3] for strip in strips], 1)
    save_grid(enlarged(some.flatten(0, 2)), AHEAD, args.pictures / "turning_faces_ahead.png")

    # Several futures.
    jittered = TurningFacesDataModule(
        data.num_images, count, data.size, data.frames, JITTER, data.data_seed, cache=data.cache
    )
    jittered.setup("test")
    truth, _ = jittered.evaluation[torch.arange(count)]
    futures = [studio.futures(number, motion, length) for number, motion in enumerate(motions)]
    mean = torch.stack([future.mean(0) for future in futures])
    values["mean of futures"] = likeness(mean, truth)
    values["one future"] = likeness(torch.stack([future[FUTURES // 2] for future in futures]), truth)
    first = jittered.evaluation[torch.arange(min(50, count))]
    for run in list(RUNS)[3:]:
        fake = drawn(modules[run], jittered.evaluation)
        again = torch.stack([modules[run].draw(first, seed)["fake"] for seed in range(8)])
        spread = torch.stack([future.std(0).mean() for future in futures[: len(first[0])]]).mean()
        values[run] = likeness(fake, truth) | {
            "error_from_mean": error(fake, mean).mean().item(),
            "spread": (again.std(0).mean() / spread).item(),
        }

    # What the state knows.
    known = torch.stack([floats(torch.from_numpy(front)) for front in fronts(data)])
    center = known.flatten(1).mean(0)
    axes = torch.pca_lowrank(known.flatten(1) - center, COMPONENTS)[2]
    wanted, true = (facts(c, f, axes, center) for c, f in ((data.training, known), (clips, studio.front)))
    torch.manual_seed(0)
    readers = {run: modules[run] for run in list(RUNS)[:3]} | {"untrained": module_of(RECIPE)}
    values["read"] = {
        name: read_out(states(module, data.training, len(known)), states(module, clips, count), wanted, true)
        for name, module in readers.items()
    }
    protocol = {
        "images": f"{count} clips of heads held out, seed {data.data_seed}, {data.size} pixels, {length - 1} given",
        "samples": "moving average (EMA), eval mode, float32",
        "error": "mean squared error of values from 0 to 1",
        "laplacian": "mean square of the Laplacian over that of the truth",
        "gradient": "mean squared difference of neighbors over that of the truth",
        "identity_margin": f"median of the error from the true head over that from the nearest of {OTHERS} others, "
        "which look most alike from the front, at the true angle",
        "ahead": f"error of each of {AHEAD} frames, each drawn from the {length - 1} before it",
        "mean of futures": f"of {FUTURES} equally likely last frames, jitter {JITTER:g} degrees",
        "spread": "standard deviation over 8 draws, over that of the futures",
        "read": f"R^2 of ridge regressions from the LSTM's state, {len(known)} clips to learn from",
        "kimg": {run: module.images_seen / 1000 for run, module in modules.items()},
    }
    write_record("turning_faces", values, protocol, modules["adversarial"].seed, folder=args.results)
    print(json.dumps(values, indent=2))


def fronts(data: TurningFacesDataModule) -> list[np.ndarray]:
    """Returns views from the front of heads that are trained on."""
    camera = Camera(data.size, REACH)
    count = min(STATES, data.num_images)
    return [seen(camera, person((data.data_seed, 0, number)), np.zeros(1))[0] for number in range(count)]


if __name__ == "__main__":
    main()
