"""Keeps the scores of finished runs, and writes `docs/results.md` and `docs/gallery.md` from the kept records.

    python -m benchmarks.results keep runs/cgan_mnist/version_0
    python -m benchmarks.results keep runs/dcgan_mnist/version_0 --name latent_arithmetic --scorers LatentArithmetic
    python -m benchmarks.results write

`keep` writes the last scores of a run's folder as a record, `results/<recipe>_<seed>.json`, with the table of a
truncation sweep if there is one; run it on the machine that made the run. `results/systems.yaml` says which numbers of
which records stand in the documents.
"""

import argparse
import csv
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from benchmarks.record import RESULTS, write_record

DOCS = Path(__file__).parents[1] / "docs"
SOURCE = "https://arxiv.org/abs/"
READING = (
    "Commands run in a checkout of the repository. A path `runs/NAME/version_0` is made by the command beside it or\n"
    "by `lightning-gans fit --config NAME`; it is `version_1` if that was run before. In `--data.folder data`, `data`\n"
    "is a folder with MNIST; with `--data.download true` MNIST is downloaded into it."
)


def keep(run: Path, name: str | None = None, scorers: list[str] | None = None, folder: Path = RESULTS) -> Path:
    """Keeps the last scores of a run.

    Args:
        run: The folder of the run.
        name: The name of the record; None takes the recipe's. The seed is added to it.
        scorers: Those callbacks whose scores are kept; None keeps all.
        folder: The folder of the record.
    """
    config = yaml.safe_load((run / "config.yaml").read_text())
    name, seed = name or config["trainer"]["logger"]["init_args"]["name"], config["seed_everything"]
    entries = json.loads((run / "metrics.json").read_text())
    step = entries[-1]["step"]
    last = [entry for entry in entries if entry["step"] == step and (not scorers or entry["scorer"] in scorers)]
    values: dict[str, Any] = {name: value for entry in last for name, value in entry["scores"].items()}
    command = last[0]["protocol"]["command"]
    protocol = {entry["scorer"]: entry["protocol"] for entry in last}
    for facts in protocol.values():
        facts.pop("command", None)
    if (sweep := run / "truncation.csv").exists():
        lines = [line for line in sweep.read_text().splitlines() if not line.startswith("#")]
        table = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]
        values["truncation"] = {f"{row['threshold']:g}": row for row in table}
    seconds = max(entry["seconds"] for entry in last)
    return write_record(f"{name}_{seed}", values, protocol, seed, seconds, command, folder)


def records(stem: str) -> list[dict[str, Any]]:
    """Returns the records of a recipe or benchmark, one for each seed."""
    paths = [path for path in sorted(RESULTS.glob("*.json")) if path.stem.rstrip("0123456789") in (stem, f"{stem}_")]
    return [json.loads(path.read_text()) for path in paths]


def shown(values: list[float], form: str) -> str:
    """Formats a value, or mean and standard deviation over seeds."""
    if len(values) == 1:
        return format(values[0], form)
    return f"{format(statistics.mean(values), form)} +- {format(statistics.stdev(values), form)}"


def lookup(values: Any, path: str) -> Any:
    """Returns the value at a path such as `runs/0/scores`."""
    for key in path.split("/"):
        values = values[int(key) if isinstance(values, list) else key]
    return values


def row(claim: dict[str, Any], kept: list[dict[str, Any]]) -> str:
    """Returns the line of a table for one measurement."""
    form, value = claim.get("form", ".2f"), claim["value"]
    if isinstance(value, list):  # several numbers of one record
        here = ", ".join(format(lookup(kept[0]["values"], path), form) for path in value)
    else:
        here = shown([lookup(record["values"], value) for record in kept], form)
    measured = claim["what"] + (f" ({claim['protocol']})" if "protocol" in claim else "")
    return f"| {' | '.join([measured, claim.get('asked', ''), here, claim.get('paper', '')])} |"


def source(claim: dict[str, Any], kept: list[dict[str, Any]]) -> str:
    """Returns the line above a table: the command that measured it, seeds and time."""
    facts = [f"`{claim.get('command') or kept[0]['command']}`"]
    if kept[0]["seed"] is not None:
        facts.append("1 seed" if len(kept) == 1 else f"{len(kept)} seeds")
    if "time" in claim:
        facts.append(claim["time"])
    elif seconds := [record["seconds"] for record in kept if record["seconds"] is not None]:
        mean = statistics.mean(seconds)
        facts.append(f"{mean:.0f} s" if mean < 60 else f"{mean / 60:.1f} min")
    return "; ".join(facts)


def system_lines(system: dict[str, Any]) -> list[str]:
    """Returns the lines of one system: each command once, with the table of all that it measured."""
    tables: dict[str, list[str]] = defaultdict(list)
    for claim in system.get("claims", []):
        kept = records(claim.get("results", system["recipe"]))
        tables[source(claim, kept)].append(row(claim, kept))
    head = ["", "| measured | asked | here | paper |", "| --- | --- | --- | --- |"]
    return ["", f"## {system['name']}"] * bool(tables) + [
        line for command, rows in tables.items() for line in ["", command, *head, *rows]
    ]


def results_page(systems: list[dict[str, Any]], failed: list[str]) -> str:
    lines = [
        "# Results",
        "",
        "The numbers of each system here, on two cores without a GPU. Written by `python -m benchmarks.results write`",
        "from the records in [`benchmarks/results`](../benchmarks/results), each with its whole protocol.",
        "",
        "Unless a row says otherwise, a score compares 10,000 samples with the embedded digits, in the features of the",
        "digit classifier. Values with +- are mean and standard deviation over seeds. A paper's number is for",
        "orientation: it comes from other data, other networks and another protocol. Times are of a busy machine,",
        "mostly on one core.",
        "",
        READING,
    ]
    lines += [line for system in systems for line in system_lines(system)]
    return "\n".join([*lines, "", "## What did not come out", "", *(f"- {text}" for text in failed), ""])


def gallery_page(systems: list[dict[str, Any]]) -> str:
    lines = [
        "# Gallery",
        "",
        "Each system with its one idea and, where it was run, its picture with the command that made it.",
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("write", help="writes the two pages")
    keeper = verbs.add_parser("keep", help="writes the last scores of runs as records")
    keeper.add_argument("runs", type=Path, nargs="+", help="folders of runs")
    keeper.add_argument("--name", help="of the record; by default the recipe")
    keeper.add_argument("--scorers", nargs="+", help="callbacks whose scores are kept; by default all")
    args = parser.parse_args()
    if args.verb == "write":
        write()
    else:
        for run in args.runs:
            print(keep(run, args.name, args.scorers))


if __name__ == "__main__":
    main()
