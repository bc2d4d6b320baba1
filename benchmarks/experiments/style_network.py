"""Draws what a network makes of held-out photographs in one style (Johnson et al., 2016), beside what `stylize` makes.

    python -m benchmarks.experiments.style_network write india_hawaMahal data/style.jpg
    lightning-gans fit --config style_transfer_photos
    python -m benchmarks.experiments.style_network draw runs/style_transfer_photos/version_0/checkpoints/last.ckpt

`write` makes a file of a photograph of the package, as the recipe asks for. `draw` takes the recipe's terms from the
checkpoint, lets `stylize` descend the same terms from the photograph, and measures of both how much of the content loss
that the style image has is left, how much of the style loss that the photograph has, and the seconds. Writes
docs/images/style_network.jpg, with the photograph, the network's image and that of `stylize` from left to right below
the style, and `results/style_network.json`.
"""

import argparse
import time
from pathlib import Path

import torch
from lightning import LightningModule
from PIL import Image
from torch import Tensor

from benchmarks.experiments.style_transfer import QUALITY, image_of, photograph
from benchmarks.record import PICTURES, write_record
from lightning_gans import Restoration
from lightning_gans.callbacks.pictures import to_uint8
from lightning_gans.contents import Gram, Perceptual
from lightning_gans.style_transfer import stylize

PHOTOGRAPHS = ["kingfisher", "wonders_colosseum", "france_montStMichel"]  # held out; CC0 or in the public domain
SIZE = (240, 160)


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Returns the mean of each number."""
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def draw(checkpoint: Path, style: Path, evaluations: int, picture: Path) -> None:
    """Draws and measures.

    Args:
        checkpoint: Of a run of the recipe.
        style: The style image, for its content loss and for the picture.
        evaluations: Of the losses by `stylize`.
        picture: The file to write.
    """
    module = LightningModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
    assert isinstance(module, Restoration)
    perceptual, gram = (next(c for c in module.contents if isinstance(c, kind)) for kind in (Perceptual, Gram))
    style_image = image_of(str(style), SIZE)
    rows, found = [], dict[str, list[dict[str, float]]](network=[], stylize=[])
    for name in PHOTOGRAPHS:
        content = image_of(name, SIZE)

        def by_stylize(image: Tensor) -> Tensor:
            layers = {"content_layers": perceptual.layers, "style_layers": gram.layers}
            weights = {"alpha": perceptual.weight, "beta": gram.weight}
            with Image.open(style) as file:
                full = image_of(str(style), file.size)
            return stylize(image, full, perceptual.features, **layers, **weights, iterations=evaluations)[0]

        images = [content]
        for way, make in (("network", module.convert), ("stylize", by_stylize)):
            started = time.perf_counter()
            with torch.set_grad_enabled(way == "stylize"):
                images.append(make(content))
            seconds = time.perf_counter() - started
            with torch.no_grad():
                left = {
                    "content": (perceptual(images[-1], content) / perceptual(style_image, content)).item(),
                    "style": (gram(images[-1], content) / gram(content, content)).item(),
                }
            found[way].append({**left, "seconds": seconds})
            print(name, way, found[way][-1], flush=True)
        rows.append(torch.cat(images, 3))
    blank = torch.ones_like(style_image)
    rows.insert(0, torch.cat([style_image, blank, blank], 3))
    pixels = to_uint8(torch.cat(rows, 2))[0].permute(1, 2, 0).numpy()
    picture.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(picture, quality=QUALITY, optimize=True)
    protocol = {
        "photographs": PHOTOGRAPHS,
        "size": "x".join(map(str, SIZE)),
        "layers": {"content": perceptual.layers, "style": gram.layers},
        "evaluations": evaluations,
        "images_seen": module.images_seen,
        "left": "content loss over that of the style image, style loss over that of the photograph; means",
        "seconds": "for one photograph",
    }
    write_record("style_network", {way: means(left) for way, left in found.items()}, protocol, seed=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    writer = verbs.add_parser("write", help="writes a photograph of the package")
    writer.add_argument("name")
    writer.add_argument("file", type=Path)
    drawer = verbs.add_parser("draw", help="draws what a trained network makes of photographs")
    drawer.add_argument("checkpoint", type=Path)
    drawer.add_argument("--style", type=Path, default=Path("data/style.jpg"))
    drawer.add_argument("--evaluations", type=int, default=60)
    drawer.add_argument("--picture", type=Path, default=PICTURES / "style_network.jpg")
    args = parser.parse_args()
    if args.verb == "write":
        args.file.parent.mkdir(parents=True, exist_ok=True)
        photograph(args.name).save(args.file, quality=95)
    else:
        draw(args.checkpoint, args.style, args.evaluations, args.picture)


if __name__ == "__main__":
    main()
