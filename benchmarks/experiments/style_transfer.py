"""Draws photographs in the style of others (Gatys et al., 2016, CVPR): a row for each content, a column for each style.

    python -m benchmarks.experiments.style_transfer vgg16.pth

`vgg16.pth` holds torchvision's ImageNet weights of VGG16, or its convolutions alone. Contents and styles are names of
photographs that come with the package, or files. Layers, their weights and average pooling are the paper's, which has
them of a rescaled VGG19. Of each pair it measures how much of the content loss that the style image has is left, and
how much of the style loss that the content image has. Writes docs/images/style_transfer.jpg,
docs/images/style_transfer_curve.png and `results/style_transfer.json`.
"""

import argparse
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor

from benchmarks.record import PICTURES, write_record
from lightning_gans.callbacks.pictures import to_uint8
from lightning_gans.contents import Gram, Perceptual
from lightning_gans.datamodules.photos import EMBEDDED
from lightning_gans.metrics import VGGFeatures
from lightning_gans.style_transfer import Curve, stylize

CONTENT_LAYERS = {"relu4_2": 1.0}
STYLE_LAYERS = {f"relu{number}_1": 0.2 for number in range(1, 6)}
# In the public domain or without conditions (CC0), but for the brushes, which are by Trevor "Freespace" (CC BY 4.0).
CONTENTS = ["kingfisher", "wonders_colosseum", "france_eiffelTower"]
STYLES = ["india_hawaMahal", "crab", "Picture_1A_by_freespace"]
QUALITY = 88  # of the picture's JPEG, so that a grid of photographs stays small


def photograph(name: str) -> Image.Image:
    """Returns a photograph of the package by its name, or one of a file."""
    with np.load(EMBEDDED) as arrays:
        for part in ("train", "test"):
            if name in (names := arrays[f"{part}_name"].tolist()):
                jpeg = np.split(arrays[f"{part}_jpeg"], arrays[f"{part}_end"][:-1])[names.index(name)]
                return Image.open(BytesIO(jpeg.tobytes()))
    if not Path(name).is_file():
        raise FileNotFoundError(f"Contents and styles must be files or photographs of the package, and {name} is none.")
    return Image.open(name)


def image_of(name: str, size: tuple[int, int]) -> Tensor:
    """Returns the centre of a photograph in this width and height, in [-1, 1]."""
    image = ImageOps.fit(photograph(name).convert("RGB"), size, Image.Resampling.LANCZOS)
    return pil_to_tensor(image)[None] / 127.5 - 1


def left_over(features: nn.Module, result: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
    """Returns the content loss over that of the style image, and the style loss over that of the content image."""
    perceptual, of_style = Perceptual(features, CONTENT_LAYERS), Gram(features, STYLE_LAYERS, style=style)
    with torch.no_grad():
        return {
            "content": (perceptual(result, content) / perceptual(style, content)).item(),
            "style": (of_style(result, result) / of_style(content, content)).item(),
        }


def draw_grid(contents: list[Tensor], styles: list[Tensor], results: list[Tensor], path: Path) -> None:
    """Writes styles at the top, contents at the left, and what became of them between."""
    rows = [torch.cat([torch.ones_like(contents[0]), *styles], 3)]
    for number, content in enumerate(contents):
        rows.append(torch.cat([content, *results[number * len(styles) : (number + 1) * len(styles)]], 3))
    pixels = to_uint8(torch.cat(rows, 2))[0].permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(path, quality=QUALITY, optimize=True)


def draw_curves(curves: dict[str, Curve], path: Path) -> None:
    """Writes the weighted losses before each step, of each pair."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3.4), sharey=True)
    for axis, kind in zip(axes, ("content", "style"), strict=True):
        for pair, curve in curves.items():
            axis.semilogy(range(1, len(curve[kind]) + 1), curve[kind], linewidth=1, label=pair)
        axis.set(xlabel="evaluations", title=f"weighted loss of {kind}")
        axis.grid(alpha=0.3)
    axes[0].set_ylim(bottom=0.03)  # the content's loss begins at 0 where it is the first image
    axes[1].legend(fontsize=5)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="file of VGG16's weights")
    parser.add_argument("--contents", nargs="+", default=CONTENTS)
    parser.add_argument("--styles", nargs="+", default=STYLES)
    parser.add_argument("--size", type=int, nargs=2, default=[128, 96], help="width and height")
    parser.add_argument("--beta", type=float, default=100.0, help="weight of the style, that of the content is 1")
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--initial", default="content", help="content or noise")
    parser.add_argument("--folder", type=Path, default=PICTURES, help="of the pictures")
    parser.add_argument("--name", default="style_transfer", help="of the record and the pictures")
    args = parser.parse_args()

    features = VGGFeatures("vgg16", args.weights, pooling="average")
    size = (args.size[0], args.size[1])
    contents, styles = ([image_of(name, size) for name in names] for names in (args.contents, args.styles))
    results, curves, values = [], dict[str, Curve](), dict[str, dict[str, float]]()
    for content_name, content in zip(args.contents, contents, strict=True):
        for style_name, style in zip(args.styles, styles, strict=True):
            pair = f"{content_name} as {style_name}"
            image, curves[pair] = stylize(
                content,
                style,
                features,
                CONTENT_LAYERS,
                STYLE_LAYERS,
                beta=args.beta,
                iterations=args.iterations,
                initial=args.initial,
            )
            results.append(image)
            values[pair] = left_over(features, image, content, style)
            print(pair, values[pair], flush=True)
    largest = {kind: max(value[kind] for value in values.values()) for kind in ("content", "style")}
    args.folder.mkdir(parents=True, exist_ok=True)
    draw_grid(contents, styles, results, args.folder / f"{args.name}.jpg")
    draw_curves(curves, args.folder / f"{args.name}_curve.png")
    every = {pair: {kind: losses[::20] for kind, losses in curve.items()} for pair, curve in curves.items()}
    protocol = {
        "features": "VGG16 (ImageNet), average pooling",
        "layers": {"content": CONTENT_LAYERS, "style": STYLE_LAYERS},
        "alpha": 1.0,
        "beta": args.beta,
        "evaluations": args.iterations,
        "initial": args.initial,
        "size": f"{size[0]}x{size[1]}",
        "left": "content loss over that of the style image, style loss over that of the content image",
    }
    found = {"largest": largest, "left": values, "curve_every_20_evaluations": every}
    write_record(args.name, found, protocol, seed=None)


if __name__ == "__main__":
    main()
