"""A page to look at when a run is over."""

import csv
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from lightning import Callback, Trainer

from lightning_gans.callbacks.pages.page import Point, chart, charts, figure, fold, picture, table
from lightning_gans.callbacks.run_folder import results_folder, writes
from lightning_gans.callbacks.scores.score_card import Entry
from lightning_gans.callbacks.scores.truncation_sweep import CHANGES, curves_of
from lightning_gans.callbacks.words import Number, number, said, words
from lightning_gans.mechanics.files import atomic_write
from lightning_gans.metrics.health import WATCHED

MOST_GRIDS = 30  # of a kind
MOST_BYTES = 2_000_000  # of pictures as they lie; more of them are compressed


class Report(Callback):
    """Writes `report.html` in the run's folder when `fit` or `test` ends: one file that opens without a network.

    It shows all that the other callbacks and `CSVLogger` left in the folder: grids of samples with a slider, losses,
    scores and their protocols, the truncation curve, numbers and warnings of `TrainingHealth`, the recipe. A section
    without data is left out; of many or large pictures there are fewer, compressed. A test renews the report of the run
    that its checkpoint is of.
    For a run that was cut short, `write_report(Path(folder))` makes it.
    """

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._write(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._write(trainer)

    def _write(self, trainer: Any) -> None:
        folder = results_folder(trainer)
        if writes(trainer):
            for logger in trainer.loggers:
                logger.save()  # otherwise its last lines are still in memory
            write_report(folder)


def write_report(folder: Path) -> Path:
    """Writes `report.html` of the files in a run's folder, and returns its path."""
    scores = folder / "metrics.json"
    entries = json.loads(scores.read_text()) if scores.exists() else []
    groups = grouped(folder / "metrics.csv", {"step", "kimg", "epoch"}.union(*(entry["scores"] for entry in entries)))
    recipe = next((path for path in (folder / "config.yaml", folder / "hparams.yaml") if path.exists()), None)
    sections = {
        "Samples": samples(folder / "samples"),
        "Scores": key_figures(entries),
        "Losses": charts(html for name, html in groups.items() if name.endswith("_loss")),
        "Scores over time": score_charts(entries),
        "Truncation": truncation(folder),
        "Health": health(folder / "health.txt", [html for name, html in groups.items() if name.startswith("health/")]),
        "Other numbers": charts(html for name, html in groups.items() if not re.search("^health/|_loss$", name)),
        "Protocol": "".join(protocol(entry) for entry in reversed(entries)),
        "Recipe": fold(recipe.name, f"<pre>{escape(recipe.read_text())}</pre>") if recipe else "",
    }
    anchors = {name: name.lower().replace(" ", "-") for name, html in sections.items() if html}
    place = folder.resolve()
    parts = {
        "title": escape(place.parent.name if place.name.startswith("version_") else place.name),
        "facts": escape(" · ".join([place.name.replace("_", " "), *facts(folder / "config.yaml", entries)])),
        "nav": "".join(f'<a href="#{anchor}">{name}</a>' for name, anchor in anchors.items()),
        "body": "".join(f'<section id="{a}"><h2>{name}</h2>{sections[name]}</section>' for name, a in anchors.items()),
        "foot": f"lightning-gans {version('lightning-gans')}, {datetime.now():%Y-%m-%d %H:%M}",
    }
    template = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    path = folder / "report.html"
    with atomic_write(path) as file:
        file.write(re.sub("<!-- (title|facts|nav|body|foot) -->", lambda name: parts[name[1]], template).encode())
    return path


def facts(config: Path, entries: list[Entry]) -> list[str]:
    """Returns the names of the run's parts, and its length."""
    recipe = yaml.safe_load(config.read_text()) if config.exists() else {}
    model = recipe.get("model") or {}
    networks = [(model.get("init_args") or {}).get(name) for name in ("objective", "generator", "discriminator")]
    parts = [part for part in (model, *networks, recipe.get("data")) if isinstance(part, dict)]
    seen = [f"{number(max(entry['kimg'] for entry in entries))} thousand images"] if entries else []
    return [part["class_path"].rpartition(".")[2] for part in parts if "class_path" in part] + seen


def heading(entry: Entry) -> str:
    """Returns scorer, stage and time of an entry."""
    return f"{entry.get('scorer', 'Scores')}, {entry['stage']} at {number(entry['kimg'])} thousand images"


def with_spread(scores: Mapping[str, Number]) -> list[tuple[str, Number, Number]]:
    """Returns name, value and standard deviation, 0 if none is known, of each score."""
    finite = {name: score for name, score in scores.items() if math.isfinite(score)}
    values = [name for name in scores if not (name.endswith("_std") and name.removesuffix("_std") in scores)]
    return [(name, scores[name], finite.get(f"{name}_std", 0.0)) for name in values]


def key_figures(entries: list[Entry]) -> str:
    """Returns the last scores of each scorer."""
    parts = []
    for entry in {entry.get("scorer"): entry for entry in entries}.values():
        parts.append(f'<p class="source">{escape(heading(entry))}</p><dl class="figures">')
        for name, value, spread in with_spread(entry["scores"]):
            more = f" <small>± {spread:.2g}</small>" if spread else ""
            parts.append(f"<div><dt>{escape(words(name))}</dt><dd>{number(value)}{more}</dd></div>")
        parts.append("</dl>")
    return "".join(parts)


def score_charts(entries: list[Entry]) -> str:
    """Returns charts of the scores that were taken at several times."""
    scores: dict[tuple[str, str], dict[str, list[Point]]] = {}
    for entry in sorted(entries, key=lambda entry: entry["kimg"]):
        for name, value, spread in with_spread(entry["scores"]):
            lines = scores.setdefault((entry.get("scorer", ""), name), {})
            lines.setdefault(entry["stage"], []).append((entry["kimg"], value, spread))
    return charts(
        chart(words(name), lines, "thousand images", dots=True)
        for (_, name), lines in scores.items()
        if len({point[0] for line in lines.values() for point in line}) > 1
    )


def protocol(entry: Entry) -> str:
    """Returns an entry's scores to their last digit, and how they were taken."""
    rows = [(name, repr(score)) for name, score in entry["scores"].items()]
    rows += [(name.replace("_", " "), said(fact)) for name, fact in entry.get("protocol", {}).items()]
    return fold(heading(entry), table(rows))


def read_table(path: Path) -> list[dict[str, str]]:
    """Returns the rows of comma-separated values below lines that begin with #; none of a missing file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def grouped(path: Path, known: set[str]) -> dict[str, str]:
    """Returns a chart for each group of numbers that `CSVLogger` wrote, such as the terms of a player's loss.

    Args:
        path: Of `metrics.csv`.
        known: Columns to leave out.
    """
    rows = read_table(path)
    clock = [(float(row["step"]) + 1, float(row["kimg"])) for row in rows if row.get("kimg")]
    steps, kimg = np.array([(0.0, 0.0), *clock]).T
    groups: dict[str, dict[str, list[Point]]] = {}
    for row in rows:
        x = float(row.get("kimg") or (np.interp(float(row["step"]), steps, kimg) if clock else row["step"]))
        for name, cell in row.items():
            if cell and name not in known:
                topic, group, line = re.fullmatch("(health/)?([^/]*)/?(.*)", name).groups("")  # type: ignore[union-attr]
                groups.setdefault(topic + group, {}).setdefault(line or group, []).append((x, float(cell)))
    axis = "thousand images" if clock else "step"
    constant = {
        name for name, lines in groups.items() if len({rate for line in lines.values() for _, rate in line}) < 2
    }
    return {
        name: chart(words(name.removeprefix("health/")), lines, axis, note_of(name))
        for name, lines in sorted(groups.items())
        if not (name.endswith("_lr") and name in constant)
    }


def note_of(group: str) -> str:
    """Returns the meaning of a group of numbers, where it is one of `TrainingHealth`."""
    watched = WATCHED.get(group.removeprefix("health/"))
    return watched.note if watched else ""


def samples(folder: Path) -> str:
    """Returns grids over time under one slider beside the real images, and below them pictures of other kinds."""
    dated: dict[str, dict[float, Path]] = {}
    still = []
    for path in sorted(folder.glob("*.png")):
        if match := re.fullmatch(r"(.+)_(\d+\.\d+)kimg", path.stem):
            dated.setdefault(match[1], {})[float(match[2])] = path
        else:
            still.append(path)
    dated = {kind: evenly(frames) for kind, frames in dated.items()}
    files = [*still, *(path for frames in dated.values() for path in frames.values())]
    compress = sum(path.stat().st_size for path in files) > MOST_BYTES
    kinds = {
        kind: "".join(picture(path, compress, f'class="frame" data-kimg="{time}"') for time, path in frames.items())
        for kind, frames in dated.items()
    }
    kinds |= {path.stem: picture(path, compress) for path in still}
    beside = "".join(figure(words(kind), kinds[kind]) for kind in (*dated, "real") if kind in kinds)
    below = "".join(figure(words(path.stem), kinds[path.stem], "wide") for path in still if path.stem != "real")
    times = sorted({time for frames in dated.values() for time in frames})
    slider = (
        f'<div class="slider"><button type="button">Play</button><input type="range" min="0" max="{len(times) - 1}" '
        f'value="{len(times) - 1}" data-kimg="{json.dumps(times)}" aria-label="Thousand images seen">'
        "<span><output></output> thousand images</span></div>"
    )
    pictures = f'<div class="pictures">{beside}</div>' if beside else ""
    return (slider if len(times) > 1 else "") + pictures + below


def evenly(frames: dict[float, Path]) -> dict[float, Path]:
    """Returns at most `MOST_GRIDS` of the frames in order, the first and the last among them."""
    times = sorted(frames)
    chosen = np.linspace(0, len(times) - 1, min(len(times), MOST_GRIDS)).round().astype(int)
    return {times[index]: frames[times[index]] for index in chosen}


def truncation(folder: Path) -> str:
    """Returns quality against diversity by threshold, how the images change with it, and samples."""
    rows = [{name: float(value) for name, value in row.items()} for row in read_table(folder / "truncation.csv")]
    drawn, numbers = [], ""
    if rows:
        for x, y in curves_of(rows):
            points: list[Point] = [(row[x], row[y], number(row["threshold"])) for row in rows]
            drawn.append(chart(words(y), {"": points}, words(x), "by threshold", dots=True))
        lines: dict[str, list[Point]] = {
            name: [(row["threshold"], row[name] / rows[-1][name]) for row in rows]
            for name in CHANGES
            if rows[-1].get(name)
        }
        note = f"relative to those at {number(rows[-1]['threshold'])}"
        drawn.append(chart("Images", lines, "threshold", note))
        cells = [[number(value) for value in row.values()] for row in rows]
        numbers = fold("All numbers", table(cells, [words(name) for name in rows[0]], "numbers"))
    path = folder / "truncation_samples.png"
    shown = figure("Samples by threshold", picture(path), "wide") if path.exists() else ""
    return charts(drawn) + shown + numbers


def health(warnings: Path, drawn: list[str]) -> str:
    """Returns the warnings, and charts of the numbers that were watched."""
    sentences = warnings.read_text().splitlines() if warnings.exists() else []
    said = f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>" if sentences else ""
    return (said or ("<p>No warning is on file.</p>" if drawn else "")) + charts(drawn)
