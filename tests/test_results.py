"""What the documents say of results is what was kept."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from tests.conftest import ALL_RECIPES

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def results():
    spec = importlib.util.spec_from_file_location("results", ROOT / "benchmarks" / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def known():
    return yaml.safe_load((ROOT / "benchmarks" / "results" / "systems.yaml").read_text())


def test_the_pages_are_those_that_the_kept_results_make(results, known):
    assert (ROOT / "docs" / "results.md").read_text() == results.results_page(known["systems"], known["failed"])
    assert (ROOT / "docs" / "gallery.md").read_text() == results.gallery_page(known["systems"])


def test_what_the_gallery_shows_is_there_and_small(known):
    for system in known["systems"]:
        assert (ROOT / system["file"]).is_file() and system["recipe"] in ALL_RECIPES
        for picture in system.get("pictures", []):
            assert (ROOT / "docs" / "images" / picture["file"]).stat().st_size < 200_000
    assert sum(path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()) < 6_000_000


def test_means_and_deviations_are_over_seeds(results):
    assert results.shown([1.0], ".2f") == "1.00"
    assert results.shown([1.0, 2.0, 3.0], ".2f") == "2.00 +- 1.00"


def test_the_last_scores_of_a_run_are_kept_with_their_protocol(results, tmp_path, monkeypatch):
    import json

    monkeypatch.setattr(results, "RESULTS", tmp_path)
    config = {"seed_everything": 3, "trainer": {"logger": {"init_args": {"name": "cgan_mnist"}}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    entries = [
        {"scorer": "A", "step": 1, "seconds": 5, "scores": {"fid": 9.0}, "protocol": {}},
        {"scorer": "A", "step": 2, "seconds": 7, "scores": {"fid": 8.0}, "protocol": {"n": 1}},
        {"scorer": "B", "step": 2, "seconds": 8, "scores": {"accuracy": 0.5}, "protocol": {"n": 2}},
    ]
    (tmp_path / "metrics.json").write_text(json.dumps(entries))
    kept = json.loads(results.keep(tmp_path).read_text())
    assert kept["scores"] == {"fid": 8.0, "accuracy": 0.5} and kept["seconds"] == 8
    assert kept["command"] == "lightning-gans fit --config cgan_mnist --seed_everything 3"
    assert kept["protocol"] == {"A": {"n": 1}, "B": {"n": 2}}
    assert (tmp_path / "cgan_mnist_3.json").exists()
