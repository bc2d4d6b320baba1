"""Parts of a page that needs nothing beside itself: charts, pictures, tables, folds."""

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from lightning_gans.callbacks.words import Number

Point = Sequence[Number | str]
"""x, y, and then a spread of y or a name."""

MOST_POINTS = 800  # of a line; a page of 50 lines has then 1 MB of them at most
READABLE = 500  # pixels that a picture is wide, about
LARGE = 1024  # pixels that a compressed picture is wide and high at most


def thinned(points: list[Point]) -> list[Point]:
    """Returns the points, or of many the lowest and the highest of each stretch, in their order."""
    if len(points) <= MOST_POINTS:
        return points
    size = math.ceil(2 * len(points) / MOST_POINTS)
    stretches = [range(start, min(start + size, len(points))) for start in range(0, len(points), size)]
    kept = [{pick(stretch, key=lambda i: points[i][1]) for pick in (min, max)} for stretch in stretches]
    return [points[index] for pair in kept for index in sorted(pair)]


def finite(points: list[Point]) -> list[Point]:
    return [point for point in points if math.isfinite(point[0]) and math.isfinite(point[1])]  # type: ignore[arg-type]


def tidy(point: Point) -> list[Number | str]:
    """Returns a point to five digits."""
    return [part if isinstance(part, str) else float(f"{part:.5g}") for part in point]


def chart(title: str, lines: Mapping[str, list[Point]], x: str, note: str = "", dots: bool = False) -> str:
    """Returns a figure that the page's script draws: lines by name over `x`; empty without a point."""
    curves = [{"name": name, "points": [tidy(p) for p in thinned(finite(line))]} for name, line in lines.items()]
    curves = [curve for curve in curves if curve["points"]]
    if not curves:
        return ""
    data = escape(json.dumps({"x": x, "dots": dots, "lines": curves}, separators=(",", ":")))
    return f'<figure class="chart" data-chart="{data}">{caption(title, note)}</figure>'


def charts(figures: Iterable[str]) -> str:
    """Returns charts beside each other, as many as there is room for."""
    html = "".join(figures)
    return f'<div class="charts">{html}</div>' if html else ""


def picture(path: Path, compress: bool = False, attributes: str = "") -> str:
    """Returns an image within the page; a small one is enlarged, each pixel a square."""
    data, kind = path.read_bytes(), "png"
    with Image.open(path) as image:
        width, height = image.size
        if compress:
            smaller = image.convert("RGB")
            smaller.thumbnail((LARGE, LARGE))
            smaller.save(buffer := BytesIO(), "webp", quality=80)
            data, kind = buffer.getvalue(), "webp"
    times = max(1, round(READABLE / width))
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    size = f'width="{times * width}" height="{times * height}"'
    attributes += " data-strip" if width > 2.5 * height else ""  # not squeezed on a narrow screen
    return f'<img {attributes} {size} alt="{escape(path.stem)}" src="{source}">'


def figure(title: str, html: str, kind: str = "") -> str:
    return f'<figure class="picture {kind}"><div class="scroll">{html}</div>{caption(title)}</figure>'


def caption(title: str, note: str = "") -> str:
    more = f" <small>{escape(note)}</small>" if note else ""
    return f"<figcaption>{escape(title)}{more}</figcaption>"


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = (), kind: str = "facts") -> str:
    """Returns rows of cells; without a head, the first cell of each is a name."""
    body = ""
    for row in rows:
        tags = ["td" if head or i else "th" for i in range(len(row))]
        cells = [f"<{tag}>{escape(cell)}</{tag}>" for tag, cell in zip(tags, row, strict=True)]
        body += f"<tr>{''.join(cells)}</tr>"
    top = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" if head else ""
    return f'<div class="scroll"><table class="{kind}">{top}{body}</table></div>'


def fold(title: str, html: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{html}</details>"
