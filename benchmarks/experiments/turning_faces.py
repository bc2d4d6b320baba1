"""Draws the next frame of turning heads by the squared error alone and with the adversary, and measures both.

    python -m benchmarks.experiments.turning_faces frames RUNS
    python -m benchmarks.experiments.turning_faces states RUNS
    python -m benchmarks.experiments.turning_faces jitter RUNS

RUNS is the folder for the runs, trainings of `pgn_turning_faces`. One goes as far as the squared error is alone, and
two go on from there, by the squared error and with the adversary, which is bit for bit what two whole runs would be. A
run that is there already is not trained again; with `--only NAME` nothing is done but one of them. What follows goes to
`lightning-gans fit`. All is measured on clips held out.

`frames`: the squared error of what is drawn, beside that of the last frame as it is; its sharpness, which is the energy
of the Laplacian over that of the truth; and its identity, which is the error from the true head over that from the most
similar of 12 other heads at the true angle. Writes `results/turning_faces.json` and, in docs/images,
`turning_faces.png`, with what was given, the truth, and what was drawn by the squared error and with the adversary, and
`turning_faces_ahead.png`, with ten frames drawn one behind the other: the truth, by the squared error, and with the
adversary, three times.

`states`: what a ridge regression reads from the LSTM's state: the angle (sine and cosine) in the last given frame, the
turn, and the head (main components of views from the front), beside states of an autoencoder, which draws the last
given frame again, and of an untrained network. Writes `results/turning_faces_states.json`.

`jitter`: the same as `frames` for heads whose last turn has a jitter of 10 degrees, on which two other runs go on from
the first. The mean of all futures can be computed, since heads can be drawn again at any angle: it has the least
squared error that is possible, and is blurred. Writes `results/turning_faces_jitter.json`.
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
from lightning_gans.mechanics.randomness import seeded
from lightning_gans.metrics.fidelity import gradient_energy, laplacian_energy

RECIPE = "pgn_turning_faces"
ALONE = "--model.adversarial_weight=0"
JITTER = 10.0  # degrees
START = 2000  # steps of the recipe by the squared error alone
RUNS: dict[str, tuple[str | None, list[str]]] = {  # the run that each goes on from, and its options
    "start": (None, [f"--trainer.max_steps={START}"]),
    "squared error": ("start", [ALONE]),
    "adversarial": ("start", []),
    "autoencoder": (None, [ALONE, "--data=benchmarks.experiments.turning_faces.LastFrames"]),
    "squared error, jitter": ("start", [f"--data.jitter={JITTER}", ALONE]),
    "adversarial, jitter": ("start", [f"--data.jitter={JITTER}"]),
}
FUTURES, OTHERS, AHEAD, STATES, COMPONENTS = 24, 12, 10, 1000, 8
ROWS, ENLARGED = 6, 2  # of a picture


class LastFrames(TurningFacesDataModule):
    """Turning heads whose last given frame is to be drawn again."""

    def load(self) -> tuple[TurningFaces, TurningFaces]:
        training, evaluation = super().load()
        for clips in (training, evaluation):
            clips.frames = torch.cat([clips.frames[:, :-1], clips.frames[:, -2:-1]], 1)
            clips.name += "-last"
        return training, evaluation


def checkpoint_of(runs: Path, run: str, options: list[str]) -> Path:
    """Trains a run, unless it was trained before, and returns its checkpoint."""
    name = f"{RECIPE}_{run.replace(', ', '_').replace(' ', '_')}"
    checkpoint = runs / name / "version_0" / "checkpoints" / "last.ckpt"
    if not checkpoint.exists():
        before, own = RUNS[run]
        if before is not None:
            own = [*own, f"--ckpt_path={checkpoint_of(runs, before, options)}"]
        train(RECIPE, f"--trainer.logger.save_dir={runs}", f"--trainer.logger.name={name}", *options, *own)
    return checkpoint


def trained(runs: Path, run: str, options: list[str]) -> PGN:
    """Returns what a run trained."""
    return PGN.load_from_checkpoint(checkpoint_of(runs, run, options), map_location="cpu", weights_only=True)


def drawn(module: PGN, clips: TurningFaces, start: int = 0) -> Tensor:
    """Returns what the averaged generator draws behind each clip, from seeds that begin with `start`."""
    batches = torch.arange(len(clips)).split(50)
    return torch.cat([module.draw(clips[index], seed)["fake"] for seed, index in enumerate(batches, start)])


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


def frames(data: TurningFacesDataModule, modules: dict[str, PGN], pictures: Path) -> dict[str, Any]:
    """Returns the scores of what is drawn behind clips, and draws pictures of it."""
    clips, count = data.evaluation, len(data.evaluation)
    target, previous = clips[torch.arange(count)]
    studio = Studio(data)
    images = {"last frame": previous[:, -1], **{run: drawn(module, clips) for run, module in modules.items()}}
    values: dict[str, Any] = {
        name: likeness(fake, target) | studio.identity(fake, clips) for name, fake in images.items()
    }
    columns = [*previous.unbind(1), target, *list(images.values())[1:]]
    rows = torch.stack(columns, 1)[:: count // ROWS][:ROWS]
    save_grid(enlarged(rows.flatten(0, 1)), len(columns), pictures / "turning_faces.png")
    length = clips.frames.shape[1]
    motions = [Motion(*motion) for motion in clips.motion.tolist()]
    ahead = torch.stack([studio.view(n, m.angles(length + AHEAD - 1)[length - 1 :]) for n, m in enumerate(motions)])
    strips = [ahead]
    values["last frame"]["ahead"] = [error(previous[:, -1], frame).mean().item() for frame in ahead.unbind(1)]
    for run, module in modules.items():
        with module.evaluating(), seeded(0, module.device):
            strips.append(module.extrapolate(previous, AHEAD))
        pairs = zip(strips[-1].unbind(1), ahead.unbind(1), strict=True)
        values[run]["ahead"] = [error(*pair).mean().item() for pair in pairs]
        energies = [laplacian_energy(strip[:, -1]).mean() for strip in (strips[-1], ahead)]
        values[run]["laplacian_ahead"] = (energies[0] / energies[1]).item()
    some = torch.stack([strip[:: count // 3][:3] for strip in strips], 1)
    save_grid(enlarged(some.flatten(0, 2)), AHEAD, pictures / "turning_faces_ahead.png")
    return values


def read_outs(data: TurningFacesDataModule, modules: dict[str, PGN], pictures: Path) -> dict[str, Any]:
    """Returns R^2 of what is read from the states of networks."""
    clips, count = data.evaluation, len(data.evaluation)
    known = torch.stack([floats(torch.from_numpy(front)) for front in fronts(data)])
    mean = known.flatten(1).mean(0)
    torch.manual_seed(0)
    axes = torch.pca_lowrank(known.flatten(1) - mean, COMPONENTS)[2]
    wanted = facts(data.training, known, axes, mean)
    true = facts(clips, Studio(data).front, axes, mean)
    torch.manual_seed(0)
    networks: dict[str, Any] = {**modules, "untrained": module_of(RECIPE)}
    return {
        name: read_out(states(module, data.training, len(known)), states(module, clips, count), wanted, true)
        for name, module in networks.items()
    }


def several(data: TurningFacesDataModule, modules: dict[str, PGN], pictures: Path) -> dict[str, Any]:
    """Returns the scores of what is drawn where several futures are possible."""
    clips, count = data.evaluation, len(data.evaluation)
    length, studio = clips.frames.shape[1], Studio(data)
    truth, previous = clips[torch.arange(count)]
    futures = [studio.futures(number, Motion(*motion), length) for number, motion in enumerate(clips.motion.tolist())]
    mean = torch.stack([future.mean(0) for future in futures])
    values = {
        "last frame": likeness(previous[:, -1], truth),
        "mean of futures": likeness(mean, truth),
        "one future": likeness(torch.stack([future[FUTURES // 2] for future in futures]), truth),
    }
    spread = torch.stack([future.std(0).mean() for future in futures]).mean()
    for run, module in modules.items():
        again = torch.stack([drawn(module, clips, start) for start in (0, 1000, 2000, 3000)])
        values[run.partition(",")[0]] = likeness(again[0], truth) | {
            "error_from_mean": error(again[0], mean).mean().item(),
            "spread": (again.std(0).mean() / spread).item(),
        }
    return values


PARTS = {  # what is measured, on which runs
    "frames": (frames, ["squared error", "adversarial"]),
    "states": (read_outs, ["squared error", "adversarial", "autoencoder"]),
    "jitter": (several, ["squared error, jitter", "adversarial, jitter"]),
}
LIKENESS = {
    "samples": "moving average (EMA), eval mode, float32",
    "error": "mean squared error of values from 0 to 1",
    "laplacian": "mean square of the Laplacian over that of the truth",
    "gradient": "mean squared difference of neighbors over that of the truth",
}
PROTOCOLS = {
    "frames": LIKENESS
    | {
        "identity_margin": f"median of the error from the true head over that from the nearest of {OTHERS} others, "
        "which look most alike from the front, at the true angle",
        "identity_found": "share of clips where it is below 1",
        "ahead": f"error of each of {AHEAD} frames, each drawn from as many before it as are given",
        "laplacian_ahead": "as laplacian, of the last of them",
    },
    "states": {
        "weights": "moving average (EMA), float32",
        "values": f"R^2 on clips held out of ridge regressions that learned from {STATES} clips",
        "head": f"{COMPONENTS} main components of views from the front",
    },
    "jitter": LIKENESS
    | {
        "mean of futures": f"of {FUTURES} equally likely last frames",
        "error_from_mean": "as error, from the mean of futures",
        "spread": "standard deviation over 4 draws, over that of the futures",
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--only", choices=[*RUNS], help="trains this run, and does nothing else")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    args, options = parser.parse_known_args()
    if args.only:
        checkpoint_of(args.runs, args.only, options)
        return

    measure, runs = PARTS[args.part]
    modules = {run: trained(args.runs, run, options) for run in runs}
    data = data_of(RECIPE)
    data.jitter = JITTER if args.part == "jitter" else 0.0
    data.setup("test")
    values = measure(data, modules, args.pictures)
    protocol = {
        "images": f"{len(data.evaluation)} clips of heads held out, seed {data.data_seed}, {data.size} pixels",
        "given": f"{data.frames - 1} frames",
        "jitter": f"{data.jitter:g} degrees",
        "kimg": {run: module.images_seen / 1000 for run, module in modules.items()},
        **PROTOCOLS[args.part],
    }
    name = "turning_faces" if args.part == "frames" else f"turning_faces_{args.part}"
    write_record(name, values, protocol, modules[runs[0]].seed, folder=args.results)
    print(json.dumps(values, indent=2))


def fronts(data: TurningFacesDataModule) -> list[np.ndarray]:
    """Returns views from the front of heads that are trained on."""
    camera = Camera(data.size, REACH)
    count = min(STATES, data.num_images)
    return [seen(camera, person((data.data_seed, 0, number)), np.zeros(1))[0] for number in range(count)]


if __name__ == "__main__":
    main()
