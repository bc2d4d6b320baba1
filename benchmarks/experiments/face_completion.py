"""Completes faces with one term of the loss after the other, and scores what fills the holes.

    python -m benchmarks.experiments.face_completion RUNS --lpips ALEXNET

RUNS is the folder for the runs: four trainings of `face_completion_faces` of equally many steps, with the
reconstruction alone, then with the local discriminator too, the global one too, and the parser too. A run that is there
already is not trained again. What follows goes to `lightning-gans fit`. ALEXNET is a file of torchvision's ImageNet
weights of AlexNet, or of its convolutions, for LPIPS; without it LPIPS is left out.

Faces held out are scored, each with one hole at a random place: PSNR and sharpness in the hole; LPIPS of the whole
image; the seam, which is the mean step across the border of the hole over that in the true image; and how well the
parser finds the true parts in the hole, beside what it finds there in the true image. Writes
`results/face_completion.json` and docs/images/face_completion_faces.png: from left to right the truth, the hole, and
what the four fill it with.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.recipes import data_of, train
from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans import FaceCompletion
from lightning_gans.datamodules.face_drawing import PARTS
from lightning_gans.datamodules.faces import intersection_over_union
from lightning_gans.metrics import LPIPS, FaceParser
from lightning_gans.metrics.features import as_8_bit
from lightning_gans.metrics.fidelity import gradient_energy, psnr, stored
from lightning_gans.models.face_completion import around

RECIPE = "face_completion_faces"
WEIGHTS = ("local", "global", "parsing")
FORMS = ("reconstruction", "+ local", "+ global", "+ parsing")
SHOWN = 8


def trained(runs: Path, form: str, options: list[str]) -> FaceCompletion:
    """Trains with the terms up to one form, or loads what was trained before."""
    name = f"{RECIPE}_{form.strip('+ ')}"
    checkpoint = runs / name / "version_0" / "checkpoints" / "last.ckpt"
    if not checkpoint.exists():
        without = [f"--model.{weight}_weight=0" for weight in WEIGHTS[FORMS.index(form) :]]
        logger = ["--trainer.logger.save_dir", str(runs), "--trainer.logger.name", name]
        train(RECIPE, *logger, *without, *options)
    return FaceCompletion.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)


def drawn(module: FaceCompletion, target: Tensor, mask: Tensor) -> Tensor:
    """Returns faces with their holes filled by the averaged generator."""
    parts = zip(target.split(50), mask.split(50), strict=True)
    return torch.cat([module.draw(batch, seed)["fake"] for seed, batch in enumerate(parts)])


def step_across(image: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean difference of neighbors of which one is in the hole and the other is not."""
    steps = [image.diff(dim=axis).abs().mean(1)[mask.diff(dim=axis)[:, 0] != 0] for axis in (2, 3)]
    return torch.cat(steps).mean()


def scores(fake: Tensor, target: Tensor, mask: Tensor, part: Tensor, distance: LPIPS | None) -> dict[str, Any]:
    """Returns the scores of completed faces, which are seen as 8 bits."""
    fake, target = as_8_bit(fake), as_8_bit(target)
    size = int(mask[0].sum(1).amax())  # all holes are squares of one size
    filled, true = around(fake, mask, size), around(target, mask, size)
    parser = FaceParser()
    with torch.no_grad():
        found = intersection_over_union(parser(fake).argmax(1), part, mask)
    result: dict[str, Any] = {
        "psnr": psnr(stored(filled, luma=False), stored(true, luma=False)).mean().item(),
        "sharpness": (gradient_energy(filled).mean() / gradient_energy(true).mean()).item(),
        "seam": (step_across(fake, mask) / step_across(target, mask)).item(),
        "parts": found.mean().item(),
        "parts_by_name": dict(zip(PARTS, found.tolist(), strict=True)),
    }
    if distance is not None:
        with torch.no_grad():
            pairs = zip(fake.split(50), target.split(50), strict=True)
            result["lpips"] = torch.cat([distance(one, two) for one, two in pairs]).mean().item()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--lpips", help="file of AlexNet's weights")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    args, options = parser.parse_known_args()

    modules = {form: trained(args.runs, form, options) for form in FORMS}
    data = data_of(RECIPE)
    data.setup("test")
    index = torch.arange(len(data.evaluation))
    target, mask = data.evaluation[index]
    _, part = data.data.evaluation[index]
    distance = None if args.lpips is None else LPIPS(args.lpips, "alex")
    images = {form: drawn(module, target, mask) for form, module in modules.items()}
    values: dict[str, Any] = {form: scores(fake, target, mask, part, distance) for form, fake in images.items()}
    true = scores(target, target, mask, part, None)
    values["truth"] = {name: true[name] for name in ("parts", "parts_by_name")}
    gray = torch.where(mask > 0, 0, target)
    rows = torch.stack([target, gray, *images.values()], 1)[:: len(target) // SHOWN][:SHOWN]
    save_grid(rows.flatten(0, 1), rows.shape[1], args.pictures / f"{RECIPE}.png")
    protocol = {
        "images": f"{len(target)} faces held out, seed {data.data.data_seed}, each with one hole at a random place",
        "hole": f"{int(mask[0].sum(1).amax())} of {target.shape[3]} pixels a side",
        "psnr": "in the hole, all channels, 8 bits",
        "sharpness": "mean squared difference of neighbors in the hole over that of the truth",
        "seam": "mean difference of neighbors across the border of the hole over that of the truth",
        "parts": "intersection over union in the hole, mean over the parts, by the parser that also trained",
        "lpips": None if distance is None else "AlexNet, whole image",
        "kimg": {form: module.images_seen / 1000 for form, module in modules.items()},
    }
    write_record("face_completion", values, protocol, modules[FORMS[0]].seed, folder=args.results)
    print(json.dumps(values, indent=2))


if __name__ == "__main__":
    main()
