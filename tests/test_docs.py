"""Every block of README.md and docs/ runs, in a project of somebody else's with packages of the same names as ours."""

import functools
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
from PIL import Image

from lightning_gans.__main__ import main
from lightning_gans.metrics import SCORES

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
TRAIN = "pip install -e . && lightning-gans fit --config dcgan_mnist"
TEST = "pip install -e '.[test]' && pytest"


def blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    """Returns the language and the text of each block of a page that is in one of the languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found if language in languages]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """Makes a working folder with its own `callbacks` and `datamodules`, and some pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("callbacks", "datamodules"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("OWNER = 'somebody else'\n")
    for name in ("callbacks", "datamodules", "their_gan", "their_regularizer", "their_callback"):
        monkeypatch.setitem(sys.modules, name, None)  # so that its removal, and that of what a page imports, is undone
        del sys.modules[name]
    monkeypatch.setitem(SCORES, "mean_distance", None)  # likewise
    del SCORES["mean_distance"]
    (tmp_path / "photos").mkdir()
    for i in range(64):
        Image.new("L", (40, 36), 3 * i).save(tmp_path / "photos" / f"{i}.png")
    return tmp_path


@pytest.fixture
def briefly(monkeypatch) -> None:
    """Makes every trainer stop after a few batches: two, and two more when it resumes."""
    for verb in ("fit", "validate", "test", "predict"):
        run = getattr(lightning.Trainer, verb)

        @functools.wraps(run)
        def brief(trainer: Any, *args: Any, run: Callable = run, **kwargs: Any) -> Any:
            trainer.fit_loop.epoch_loop.max_steps = 4 if kwargs.get("ckpt_path") else 2
            trainer.limit_val_batches = trainer.limit_test_batches = trainer.limit_predict_batches = 1
            return run(trainer, *args, **kwargs)

        monkeypatch.setattr(lightning.Trainer, verb, brief)


def run_python(text: str, namespace: dict[str, Any]) -> None:
    """Runs a block, or writes it to the file that its first line names."""
    if file := re.match(r"# ([\w/]+\.py)\n", text):
        Path(file[1]).write_text(text)
    else:
        exec(compile(text, "block", "exec"), namespace)


def run_command(line: str) -> None:
    """Runs one line of a shell, without installing and testing the package."""
    if line in (TRAIN, TEST):
        line = line.partition(" && ")[2]
    if line == "pytest":
        return
    command = shlex.split(line)
    program = 1 if command[0] == "lightning-gans" else 3
    assert command[:program] in (["lightning-gans"], ["python", "-m", "lightning_gans"]), line
    args = command[program:]
    if "ddp" in args:  # starts processes, which tests/test_distributed.py does
        args.append("--print_config")
    if "--print_config" not in args:
        main(args)
        return
    with pytest.raises(SystemExit) as exit:
        main(args)
    assert exit.value.code == 0


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_runs(page, elsewhere, briefly):
    namespace: dict[str, Any] = {"__name__": "page"}
    for language, text in blocks(page, "python", "console"):
        if language == "python":
            run_python(text, namespace)
        else:
            for line in text.splitlines():
                run_command(line)
    import callbacks
    import datamodules

    assert {Path(module.__file__).parents[1] for module in (callbacks, datamodules)} == {elsewhere}


def test_the_guide_trains_what_it_says(elsewhere, briefly):
    namespace: dict[str, Any] = {"__name__": "page"}
    for _, text in blocks("docs/your_own_project.md", "python"):
        run_python(text, namespace)
    assert len(namespace["losses"].history) == 2
    assert type(namespace["trained"]).__name__ == "SmoothGAN" and namespace["trained"].smoothness_weight == 0.2
    assert 0 <= namespace["logged"]["fooled_share"] <= 1
    assert namespace["fake"].shape == (16, 1, 28, 28) and namespace["fake"].abs().max() <= 1
    assert len(list(Path("lightning_logs").glob("*/metrics.json"))) == 1


def test_eight_lines_train_something():
    _, text = blocks("README.md", "python")[0]
    assert len([line for line in text.splitlines() if line]) == 8


def test_the_readme_has_the_two_commands_and_ci_runs_the_second():
    lines = [line for _, text in blocks("README.md", "console") for line in text.splitlines()]
    assert [line for line in lines if "pip " in line or "pytest" in line] == [TRAIN, TEST]
    assert f"({TEST})" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_catalogue_names_each_recipe_and_its_files():
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if "](configs/" in line]
    named = [pair for row in rows for pair in re.findall(r"\[`(\w+)`\]\(configs/(\w+)\.yaml\)", row)]
    recipes = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    assert sorted(shown for shown, _ in named) == recipes and all(shown == file for shown, file in named)


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_to_a_file_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", (ROOT / page).read_text())
    missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert missing == []
