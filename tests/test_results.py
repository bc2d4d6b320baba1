"""The documents agree with the kept results."""

import importlib
import json
import re
import shlex
from argparse import ArgumentParser
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks import results
from lightning_gans.__main__ import main
from tests.conftest import ALL_RECIPES

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def known():
    return yaml.safe_load((ROOT / "benchmarks" / "results" / "systems.yaml").read_text())


def test_the_pages_are_those_that_the_kept_results_make(known):
    assert (ROOT / "docs" / "results.md").read_text() == results.results_page(known["systems"], known["failed"])
    assert (ROOT / "docs" / "gallery.md").read_text() == results.gallery_page(known["systems"])


def test_what_the_gallery_shows_is_there_and_small(known):
    for system in known["systems"]:
        assert (ROOT / system["file"]).is_file() and (system["recipe"] in ALL_RECIPES or "paper" not in system)
        for picture in system.get("pictures", []):
            assert (ROOT / "docs" / "images" / picture["file"]).stat().st_size < 200_000
    assert sum(path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()) < 6_000_000


def test_means_and_deviations_are_over_seeds():
    assert results.shown([1.0], ".2f") == "1.00"
    assert results.shown([1.0, 2.0, 3.0], ".2f") == "2.00 +- 1.00"


@pytest.fixture
def run(tmp_path) -> None:
    """Writes the files of a run of seed 3 with scores of two callbacks."""
    config = {"seed_everything": 3, "trainer": {"logger": {"init_args": {"name": "cgan_mnist"}}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    entries = [
        {"scorer": "A", "step": 1, "seconds": 5, "scores": {"fid": 9.0}, "protocol": {}},
        {
            "scorer": "A",
            "step": 2,
            "seconds": 7,
            "scores": {"fid": 8.0},
            "protocol": {"n": 1, "command": "lightning-gans fit --seed_everything 3"},
        },
        {
            "scorer": "B",
            "step": 2,
            "seconds": 8,
            "scores": {"accuracy": 0.5},
            "protocol": {"n": 2, "command": "lightning-gans test"},
        },
    ]
    (tmp_path / "metrics.json").write_text(json.dumps(entries))


def test_the_last_scores_of_a_run_are_kept_with_their_protocol(run, tmp_path):
    kept = json.loads(results.keep(tmp_path, folder=tmp_path).read_text())
    assert kept["name"] == "cgan_mnist_3" and kept["seconds"] == 8
    assert kept["values"] == {"fid": 8.0, "accuracy": 0.5}
    assert kept["command"] == "lightning-gans fit --seed_everything 3"
    assert kept["protocol"] == {"A": {"n": 1}, "B": {"n": 2}}


def test_a_truncation_sweep_is_kept_by_threshold(run, tmp_path):
    (tmp_path / "truncation.csv").write_text("# protocol: of it\nthreshold,fid\n0.5,9.0\n2.0,3.5\n")
    kept = json.loads(results.keep(tmp_path, folder=tmp_path).read_text())
    assert kept["values"]["truncation"] == {"0.5": {"threshold": 0.5, "fid": 9.0}, "2": {"threshold": 2.0, "fid": 3.5}}


def test_scores_of_some_callbacks_are_kept_under_another_name(run, tmp_path):
    path = results.keep(tmp_path, "part", ["B"], tmp_path)
    kept = json.loads(path.read_text())
    assert (
        path.name == "part_3.json" and kept["values"] == {"accuracy": 0.5} and kept["command"] == "lightning-gans test"
    )


def test_every_record_has_the_same_form():
    form = ["name", "seed", "command", "machine", "seconds", "values", "protocol"]
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        record = json.loads(path.read_text())
        assert list(record) == form and record["name"] == path.stem


def test_each_command_stands_once_in_the_results():
    told = re.findall(r"^`([^`]+)`", (ROOT / "docs" / "results.md").read_text(), re.MULTILINE)
    assert len(told) == len(set(told)) > 20


def test_every_benchmark_starts():
    for path in sorted((ROOT / "benchmarks").glob("*/*.py")):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        assert path.stem == "__init__" or callable(module.main)


def commands(known) -> set[str]:
    """Returns every command of the results, of the gallery and of the records."""
    shown = [picture["command"] for system in known["systems"] for picture in system.get("pictures", [])]
    kept = [json.loads(path.read_text()) for path in (ROOT / "benchmarks" / "results").glob("*.json")]
    told = [claim["command"] for system in known["systems"] for claim in system.get("claims", []) if "command" in claim]
    return {line for text in [*shown, *told, *(one["command"] for one in kept)] for line in text.strip().splitlines()}


def test_every_command_parses(known, tmp_path, monkeypatch):
    class Parsed(Exception):
        pass

    def parse(method):
        def only(parser, *args, **kwargs):
            method(parser, *args, **kwargs)
            raise Parsed

        return only

    monkeypatch.chdir(tmp_path)  # where a wrong one would write
    checkpoint = tmp_path / "last.ckpt"
    torch.save({}, checkpoint)
    for command in sorted(commands(known)):
        program, *arguments = shlex.split(re.sub(r"\S+/last.ckpt", str(checkpoint), command))
        if program == "lightning-gans":
            verb, *options = arguments
            if len(options) == 2:  # a recipe as it is, which other tests train
                continue
            with pytest.raises(SystemExit) as end:
                main([verb, *options, "--print_config"])
            assert end.value.code in (0, None), command
            continue
        assert program == "python" and arguments[0] == "-m"
        script = importlib.import_module(arguments[1])
        if "argparse" not in Path(script.__file__).read_text():
            assert len(arguments) == 2, command
            continue
        with monkeypatch.context() as patch:
            patch.setattr("sys.argv", arguments[1:])
            for name in ("parse_args", "parse_known_args"):
                patch.setattr(ArgumentParser, name, parse(getattr(ArgumentParser, name)))
            with pytest.raises(Parsed):
                script.main()
