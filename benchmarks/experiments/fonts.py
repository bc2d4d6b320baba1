"""Draws fonts held out from their attributes, and measures whether they have what was asked for.

    lightning-gans fit --config attribute2font_fonts
    python -m benchmarks.experiments.fonts runs/attribute2font_fonts/version_0 --lpips ALEXNET

ALEXNET is a file of torchvision's ImageNet weights of AlexNet, or of its convolutions, for LPIPS; without it LPIPS is
left out.

`drawn` are the characters of the fonts held out, each drawn from a font that was trained on, by the attributes alone.
Beside them stand `copy`, the given font as it is, and `nearest`, the font to train on whose attributes are nearest.
`l1` is the mean distance from the true font, in [0, 2]; `kept` the share of characters that a small classifier, trained
here on the fonts to train on, still reads. `same` asks for the attributes that the given font has. `sweeps` are of
`FontScores`, and `truth` is what the same measures find in the true fonts held out. Writes `results/<name of the
run>_<seed>.json`, and in docs/images <name>_alphabets.png, <name>_sweeps.png and <name>_held_out.png.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from jaxtyping import Float, Int64
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.record import PICTURES, RESULTS, save_grid, write_record
from lightning_gans import Attribute2Font
from lightning_gans.callbacks import FontScores
from lightning_gans.callbacks.scores.font_scores import VALUES, calibration, correlation_and_slope
from lightning_gans.datamodules import FontPairs, FontsDataModule
from lightning_gans.datamodules.tensors import shuffled
from lightning_gans.mechanics.given import Given
from lightning_gans.mechanics.precision import fast_precision
from lightning_gans.metrics import LPIPS
from lightning_gans.metrics.features import as_8_bit
from lightning_gans.metrics.glyphs import MEASURES

EPOCHS = 2  # of the classifier
SWEPT = ("Cabin-Regular", "Caladea-Regular")  # font to change, if it is held out; otherwise the first one
WORD = "Hamg"
COLUMNS = 26

Images = Float[Tensor, "n 1 h w"]


def classifier(characters: int, size: int) -> nn.Module:
    """Returns a small network from characters to logits."""
    layers: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (size // 8) ** 2, characters))


def trained_classifier(pairs: FontPairs) -> nn.Module:
    """Trains a classifier on the characters of the fonts to train on."""
    torch.manual_seed(0)
    fonts, characters = len(pairs.sources), pairs.image.shape[1]
    network = classifier(characters, pairs.image.shape[2])
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for epoch in range(EPOCHS):
        for place in shuffled(fonts * characters, fonts * characters, 0, epoch).split(64):
            character = place % characters
            image = pairs.drawn(pairs.sources[place // characters], character)
            optimizer.zero_grad()
            cross_entropy(network(image), character).backward()
            optimizer.step()
    return network.eval()


@torch.no_grad()
def kept(network: nn.Module, image: Images, character: Int64[Tensor, " n"]) -> float:
    """Returns the share of images that are read as their characters."""
    guess = torch.cat([network(part).argmax(1) for part in as_8_bit(image).split(200)])
    return (guess == character).double().mean().item()


def changed(module: Attribute2Font, given: Images, styles: Tensor, difference: Tensor) -> Images:
    """Returns characters with other attributes."""
    parts = zip(given.split(200), styles.split(200), difference.split(200), strict=True)
    drawn = [module.draw(Given(one, [], {"styles": two, "difference": three}), 0)["fake"] for one, two, three in parts]
    return torch.cat(drawn)


@torch.no_grad()
def distances(image: Images, truth: Images, lpips: LPIPS | None) -> dict[str, float]:
    """Returns the distances of images from the truth, both seen as 8 bits."""
    image, truth = as_8_bit(image), as_8_bit(truth)
    values = {"l1": (image - truth).abs().double().mean().item()}
    if lpips is not None:
        parts = zip(image.split(100), truth.split(100), strict=True)
        values["lpips"] = torch.cat([lpips(one, two) for one, two in parts]).double().mean().item()
    return values


def measured(data: FontsDataModule, image: Images, name: str) -> dict[str, float]:
    """Returns correlation and slope of what is measured in the fonts held out, whose images are in their order."""
    pairs: Any = data.evaluation
    rows = image.unflatten(0, (len(pairs.targets), -1))
    known = pairs.attribute[pairs.targets, data.attribute_names.index(name)].double()
    asked, found = [], []
    characters, measure = MEASURES[name]
    for character in characters:
        low, slope = calibration(data, name, character)
        found.append((measure(as_8_bit(rows[:, data.characters.index(character)])).double() - low) / slope)
        asked.append(known)
    return dict(zip(("correlation", "slope"), correlation_and_slope(torch.cat(asked), torch.cat(found)), strict=True))


def sweeps(module: Attribute2Font, data: FontsDataModule) -> dict[str, dict[str, float]]:
    """Returns correlation and slope of each attribute that is asked to change."""
    options: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(accelerator="cpu", callbacks=[FontScores()], enable_checkpointing=False, **options)
    trainer.validate(module, data, verbose=False)
    scores = {name: value.item() for name, value in trainer.callback_metrics.items()}
    return {name: {what: scores[f"{name}_{what}"] for what in ("correlation", "slope")} for name in MEASURES}


def sheet(module: Attribute2Font, data: FontsDataModule, font: int, text: str, differences: Tensor) -> Tensor:
    """Returns the characters of a font (values, characters, 1, h, w) for each difference of attributes."""
    pairs: Any = data.evaluation
    characters = torch.tensor([data.characters.index(letter) for letter in text])
    place = torch.full_like(characters, font)
    styles = pairs.drawn(place[:, None], pairs.in_order(torch.zeros(1, dtype=torch.long))[3:].T.expand(len(text), -1))
    given = pairs.drawn(place, characters)
    return torch.stack([changed(module, given, styles, d.expand(len(text), -1)) for d in differences])


def pictures(
    module: Attribute2Font, data: FontsDataModule, name: str, folder: Path, target: Images, fake: Images
) -> None:
    """Writes the three pictures."""
    pairs: Any = data.evaluation
    font = int(pairs.targets[0])
    for place in pairs.targets.tolist():
        font = place if data.font_names[place].endswith(SWEPT) else font
    own = pairs.attribute[font]

    def asked(attribute: str) -> Tensor:
        wanted = own.repeat(len(VALUES), 1)
        wanted[:, data.attribute_names.index(attribute)] = torch.tensor(VALUES)
        return wanted - own

    alphabets = sheet(module, data, font, data.characters[: 2 * COLUMNS], asked("weight"))
    save_grid(alphabets.flatten(0, 1), COLUMNS, folder / f"{name}_alphabets.png", padding=1)
    blocks = [sheet(module, data, font, WORD, asked(attribute)) for attribute in MEASURES]
    save_grid(
        torch.cat(blocks, 1).flatten(0, 1).repeat_interleave(2, 2).repeat_interleave(2, 3),
        len(MEASURES) * len(WORD),
        folder / f"{name}_sweeps.png",
    )
    source = pairs[torch.arange(len(pairs))][1]
    shown = [data.characters.index(letter) for letter in WORD[1:]]
    rows = [part.unflatten(0, (len(pairs.targets), -1))[::3, shown].flatten(0, 1) for part in (source, fake, target)]
    save_grid(torch.cat([row[: 12 * len(shown)] for row in rows]), 12 * len(shown), folder / f"{name}_held_out.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("--lpips", help="file of AlexNet's weights")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    args = parser.parse_args()

    config = yaml.safe_load((args.run / "config.yaml").read_text())
    module = LightningModule.load_from_checkpoint(args.run / "checkpoints" / "last.ckpt", "cpu", weights_only=True)
    if not isinstance(module, Attribute2Font):
        parser.error(f"{args.run} holds no Attribute2Font.")
    data = FontsDataModule(module.generator.size, batch_size=62)
    data.setup("fit")
    pairs: Any = data.evaluation
    batch = pairs[torch.arange(len(pairs))]
    target, source, styles, a, b, character, _ = batch
    fake = changed(module, source, styles, b - a)
    trained = pairs.attribute[pairs.sources]
    nearest = pairs.drawn(pairs.sources[torch.cdist(b, trained).argmin(1)], character)
    lpips = None if args.lpips is None else LPIPS(args.lpips, "alex")
    network = trained_classifier(data.training)

    values: dict[str, Any] = {}
    for what, image in (("drawn", fake), ("copy", source), ("nearest", nearest)):
        values[what] = distances(image, target, lpips) | {"kept": kept(network, image, character)}
        values[what] |= {attribute: measured(data, image, attribute) for attribute in MEASURES}
    values["truth"] = {"kept": kept(network, target, character)}
    values["truth"] |= {attribute: measured(data, target, attribute) for attribute in MEASURES}
    values["sweeps"] = sweeps(module, data)
    same = changed(module, source, styles, torch.zeros_like(b))
    values["same"] = distances(same, source, lpips) | {"kept": kept(network, same, character)}
    first = slice(0, 200)
    again = changed(module, source[first], styles[first], (b - a)[first])
    values["largest_difference_drawn_twice"] = (again - fake[first]).abs().max().item()
    protocol = {
        "fonts": f"{data.reference}: {len(pairs):,} characters of {len(pairs.targets)} fonts, each font from one other",
        "images": "8 bits per channel",
        "nearest": "of the fonts to train on, by Euclidean distance of the 12 attributes",
        "classifier": f"3 convolutions, {EPOCHS} epochs of the fonts to train on",
        "sweeps": f"one attribute at {', '.join(map(str, VALUES))}, all else as in the font held out",
        "measured": "weight, slant and serif of H, width of n, e and o, on a line fitted to the fonts to train on",
        "lpips": None if lpips is None else "AlexNet",
        "generator": "last weights" if module.generator_ema is None else "moving average (EMA)",
        "trained_in": config["trainer"]["precision"] or f"{fast_precision()[0]}, if on this machine",
        "images_seen": module.images_seen,
        "steps": module.steps_taken,
    }
    name, seed = config["trainer"]["logger"]["init_args"]["name"], config["seed_everything"]
    write_record(f"{name}_{seed}", values, protocol, seed, folder=args.results)
    pictures(module, data, name, args.pictures, target, fake)
    print(json.dumps(values, indent=2))


if __name__ == "__main__":
    main()
