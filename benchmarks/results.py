"""Keeps the scores of finished runs, and writes `docs/results.md` and `docs/gallery.md` from what was kept.

    python benchmarks/results.py keep runs/cgan_mnist/version_0
    python benchmarks/results.py write

`keep` puts the last scores of a run's folder, with their protocol and the table of a truncation sweep if there was one,
into `results/<recipe>_<seed>.json` here; other benchmarks write files of the same form. `results/systems.yaml` says
what of them stands in which row.
"""

import csv
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
RESULTS = HERE / "results"
DOCS = HERE.parent / "docs"
SOURCE = "https://arxiv.org/abs/"
READING = (
    "Commands run in a checkout of the repository. A path `runs/NAME/version_0` is made by the command beside it or\n"
    "by `lightning-gans fit --config NAME`; it is `version_1` if that was run before. `--data.folder data` is a\n"
    "folder with MNIST; with `--data.download true` it is brought there."
)


def keep(folder: Path) -> Path:
    """Keeps the last scores of every scorer of a run."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    recipe, seed = config["trainer"]["logger"]["init_args"]["name"], config["seed_everything"]
    entries = json.loads((folder / "metrics.json").read_text())
    last = [entry for entry in entries if entry["step"] == entries[-1]["step"]]
    result = {
        "recipe": recipe,
        "seed": seed,
        "command": last[0]["protocol"]["command"],
        "seconds": max(entry["seconds"] for entry in last),
        "scores": {name: value for entry in last for name, value in entry["scores"].items()},
        "protocol": {
            entry["scorer"]: {name: fact for name, fact in entry["protocol"].items() if name != "command"}
            for entry in last
        },
    }
    if (sweep := folder / "truncation.csv").exists():
        lines = [line for line in sweep.read_text().splitlines() if not line.startswith("#")]
        table = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]
        result["truncation"] = {f"{row['threshold']:g}": row for row in table}
    path = RESULTS / f"{recipe}_{seed}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def results_of(stem: str) -> list[dict[str, Any]]:
    """The kept results of a recipe or benchmark, one per seed."""
    paths = [path for path in sorted(RESULTS.glob("*.json")) if path.stem.rstrip("0123456789") in (stem, f"{stem}_")]
    return [json.loads(path.read_text()) for path in paths]


def shown(values: list[float], form: str) -> str:
    """A value, or mean and standard deviation over seeds."""
    if len(values) == 1:
        return format(values[0], form)
    return f"{format(statistics.mean(values), form)} +- {format(statistics.stdev(values), form)}"


def lookup(result: Any, path: str) -> Any:
    """What stands in a result at a path such as `runs/0/scores`."""
    for key in path.split("/"):
        result = result[int(key) if isinstance(result, list) else key]
    return result


def rows(system: dict[str, Any]) -> list[str]:
    """The lines of the table for one system: one per measurement."""
    lines = []
    for claim in system.get("claims", []):
        results = results_of(claim.get("results", system["recipe"]))
        form = claim.get("form", ".2f")
        if "at" in claim:  # several places in one file, or one
            paths = claim["at"] if isinstance(claim["at"], list) else [claim["at"]]
            ours, seeds = ", ".join(format(lookup(results[0], path), form) for path in paths), ""
        else:
            ours = shown([result["scores"][claim["score"]] for result in results], form)
            seeds = f"; {len(results)} seeds" if len(results) > 1 else "; 1 seed"
        minutes = [result["seconds"] / 60 for result in results if "seconds" in result]
        time = claim.get("time", f"{statistics.mean(minutes):.1f} min" if minutes else "")
        command = claim.get("command") or results[0]["command"]
        cells = [system["name"], claim["what"], claim.get("paper", ""), claim.get("asked", ""), ours]
        lines.append(f"| {' | '.join([*cells, claim['protocol'] + seeds, time])} | `{command.strip()}` |")
    return lines


def results_page(systems: list[dict[str, Any]], failed: list[str]) -> str:
    lines = [
        "# Results",
        "",
        "What each system does here, on two cores without a GPU. Written by `python benchmarks/results.py write` from",
        "the files in [`benchmarks/results`](../benchmarks/results), which hold each score with its whole protocol.",
        "Values with +- are mean and standard deviation over seeds; all others are one run. A paper's number is of the",
        "paper's own data, networks and protocol, so it is there for orientation. Times are of a busy machine, most",
        "runs on one core.",
        "",
        READING,
        "",
        "| system | what was measured | paper | asked for | here | protocol | time | command |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [line for system in systems for line in rows(system)]
    return "\n".join([*lines, "", "## What did not come out", "", *(f"- {text}" for text in failed), ""])


def gallery_page(systems: list[dict[str, Any]]) -> str:
    lines = [
        "# Gallery",
        "",
        "Each system with its one idea and, where it was run to show it, the picture that the command beside it made.",
        "",
        READING,
    ]
    for system in systems:
        if "paper" not in system:
            continue
        lines += ["", f"## {system['name']}", "", f"[{system['paper']}]({SOURCE}{system['arxiv']}), {system['year']}. "]
        lines[-1] += system["idea"].strip()
        files = f"[`{Path(system['file']).name}`](../{system['file']})"
        lines += ["", f"File: {files}. Recipe: [`{system['recipe']}`](../configs/{system['recipe']}.yaml)."]
        for picture in system.get("pictures", []):
            lines += ["", f"![{picture['shows']}](images/{picture['file']})", "", f"{picture['shows']}."]
            lines += ["", "```sh", *picture["command"].strip().splitlines(), "```"]
    return "\n".join([*lines, ""])


def write() -> None:
    known = yaml.safe_load((RESULTS / "systems.yaml").read_text())
    (DOCS / "results.md").write_text(results_page(known["systems"], known["failed"]))
    (DOCS / "gallery.md").write_text(gallery_page(known["systems"]))


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        write()
    elif len(sys.argv) > 2 and sys.argv[1] == "keep":
        for folder in sys.argv[2:]:
            print(keep(Path(folder)))
    else:
        sys.exit(__doc__)
