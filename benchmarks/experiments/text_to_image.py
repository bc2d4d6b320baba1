"""Draws described digits with GAN-INT-CLS, without wrong texts, and without texts between texts.

    python -m benchmarks.experiments.text_to_image RUNS

RUNS is the folder for the runs: three trainings of `gan_int_cls_digits`, or those that `--forms` names. A run that is
there already is not trained again. What follows goes to `lightning-gans fit`.

What the images show is read back and compared with their captions, of combinations of attributes that training shows
and of those that it never does. Between two captions that differ in the digit alone, the classifier says how sure it is
of the digit in an image drawn from a text on the way from one to the other. Writes `results/text_to_image.json`,
docs/images/gan_int_cls_digits.png (captions that training never shows, and six images of each) and
docs/images/gan_int_cls_between.png (from one caption to another, a row for each form).
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from benchmarks.recipes import data_of, train
from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans import AdversarialModule
from lightning_gans.callbacks.pictures import across, caption, down, mosaic
from lightning_gans.callbacks.scores.caption_accuracy import CaptionAccuracy
from lightning_gans.metrics.described_digits import ATTRIBUTES, attributes_of, found_digits, is_unseen, read
from lightning_gans.metrics.digits import DigitClassifier
from lightning_gans.metrics.features import as_8_bit

RECIPE = "gan_int_cls_digits"
FORMS = {
    "gan_int_cls": [],
    "without_wrong": ["--model.wrong_weight=0"],
    "without_between": ["--model.interpolation_weight=0"],
}
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
SURE = 0.5
PAIRS = 500
CAPTIONS, OF_EACH, SHOWN = 8, 6, 6


def trained(runs: Path, recipe: str, name: str, *options: str) -> AdversarialModule:
    """Trains a recipe into a folder of its own, or loads what was trained before."""
    folder = runs / name
    found = sorted(folder.glob("version_*/checkpoints/last.ckpt"))
    if not found:
        train(recipe, "--trainer.logger.save_dir", str(runs), "--trainer.logger.name", name, *options)
        found = sorted(folder.glob("version_*/checkpoints/last.ckpt"))
    module = AdversarialModule.load_from_checkpoint(found[-1], map_location="cpu", weights_only=True)
    return module


def drawn(module: AdversarialModule, text: Tensor, latent: Tensor | None = None) -> Tensor:
    """Returns images of texts (n, k) by the averaged generator."""
    parts = []
    for start in range(0, len(text), 100):
        some = text[start : start + 100, None]
        batch = [torch.zeros(len(some), 3, 1, 1), some, torch.arange(len(some))]
        parts.append(module.draw(batch, start, None if latent is None else latent[start : start + 100])["fake"])
    return torch.cat(parts)


def accuracy(draw: Callable[[Tensor], Tensor], evaluation: Any) -> dict[str, dict[str, float]]:
    """Returns the shares of images that show what seen and unseen captions say, and those of the real images."""
    image, text, label = evaluation[torch.arange(len(evaluation))]
    said, classifier, shares = attributes_of(label), DigitClassifier.pretrained(), CaptionAccuracy().shares
    with torch.no_grad():
        shown, real = (read(as_8_bit(some), classifier) == said for some in (draw(text[:, 0]), image))
    unseen = is_unseen(said)
    return {"seen": shares(shown[~unseen]), "unseen": shares(shown[unseen]), "real": shares(real)}


def pairs_of(data: Any) -> tuple[Tensor, Tensor]:
    """Returns the texts (n, k) of captions, and those with another digit, of captions that name every attribute."""
    words = ATTRIBUTES["digit"]
    captions = data.captions_of(torch.arange(len(data.evaluation)))[-PAIRS:]
    others = []
    for number, text in enumerate(captions):
        digit = next(place for place, word in enumerate(words) if f" {word} " in f" {text} ")
        others.append(text.replace(words[digit], words[(digit + 1 + number % 9) % 10]))
    return data.encoding(captions), data.encoding(others)


def between(
    module: AdversarialModule, one: Tensor, other: Tensor
) -> tuple[dict[str, Any], Float[Tensor, "steps n c h w"]]:
    """Returns how sure the classifier is of digits on the way from one text to another, and the images."""
    classifier = DigitClassifier.pretrained()
    torch.manual_seed(0)
    latent = module.latent(len(one))
    frames = torch.stack([drawn(module, (1 - share) * one + share * other, latent) for share in STEPS])
    values: dict[str, Any] = {}
    with torch.no_grad():
        for share, images in zip(STEPS, frames, strict=True):
            sure = classifier(found_digits(as_8_bit(images)).digit).softmax(1).amax(1)
            values[f"{share:g}"] = {"confidence": sure.mean().item(), "valid": (sure > SURE).double().mean().item()}
    return values, frames


def page(data: Any, module: AdversarialModule, rows: Tensor) -> Image.Image:
    """Returns captions, and images of each."""
    texts = data.captions_of(rows)
    vectors = data.encoding(texts).repeat_interleave(OF_EACH, 0)
    images = drawn(module, vectors).split(OF_EACH)
    lines = [caption(text) for text in texts]
    size = max(line.width for line in lines), lines[0].height
    lines = [ImageOps.pad(line, size, color="white", centering=(0, 0.5)) for line in lines]
    return down([across([mosaic(some, OF_EACH), line]) for some, line in zip(images, lines, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    args, options = parser.parse_known_args()

    modules = {form: trained(args.runs, RECIPE, f"{RECIPE}_{form}", *FORMS[form], *options) for form in args.forms}
    data = data_of(RECIPE)
    data.setup("test")
    one, other = pairs_of(data)
    values: dict[str, Any] = {}
    ways = {}
    for form, module in modules.items():
        values[form] = accuracy(lambda text: drawn(module, text), data.evaluation)  # noqa: B023  called at once
        values[form]["between"], ways[form] = between(module, one, other)
    values["real"] = [values[form].pop("real") for form in args.forms][0]
    with torch.no_grad():
        image = data.evaluation[torch.arange(len(data.evaluation))][0]
        sure = DigitClassifier.pretrained()(found_digits(image).digit).softmax(1).amax(1)
    values["real"] |= {"confidence": sure.mean().item(), "valid": (sure > SURE).double().mean().item()}
    args.pictures.mkdir(parents=True, exist_ok=True)
    unseen = is_unseen(attributes_of(data.evaluation.label)).nonzero().flatten()
    page(data, modules[args.forms[0]], unseen[:CAPTIONS]).save(args.pictures / f"{RECIPE}.png", optimize=True)
    rows = torch.stack([ways[form][:, :SHOWN] for form in args.forms])  # form, step, pair
    save_grid(rows.permute(2, 0, 1, 3, 4, 5).flatten(0, 2), len(STEPS), args.pictures / "gan_int_cls_between.png")
    protocol = {
        "images": f"{data.reference}; a half of each kind, one image of each caption, which names every attribute",
        "all": "digit, ink, paper, stroke, size and place are all as the caption says",
        "real": "what is read back from the real images, all of them",
        "between": f"{PAIRS} pairs of captions that differ in the digit alone; the mean of the largest probability "
        f"that the classifier gives a digit, and the share of images in which it is above {SURE}",
        "kimg": {form: module.images_seen / 1000 for form, module in modules.items()},
    }
    write_record("text_to_image", values, protocol, modules[args.forms[0]].seed, folder=args.results)
    print(json.dumps(values, indent=2))


if __name__ == "__main__":
    main()
