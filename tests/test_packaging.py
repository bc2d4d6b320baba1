"""The wheel: what it holds, and that it works beside packages of the same names."""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.conftest import ALL_RECIPES

ROOT = Path(__file__).parents[1]
PARTS = ("lightning_gans", "callbacks", "datamodules", "configs", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of a copy of the tree, so that the build leaves nothing behind."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "tree"
    copy.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, copy / part)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(copy)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The Python of a fresh environment with the wheel, and with the dependencies of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python = scripts / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True, text=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    # A line of a .pth file adds a folder behind the environment's own, and does not run the .pth files in it, such as
    # the one that makes an editable install of this package importable.
    (Path(packages) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """A project of somebody else's with packages named like the folders of this one."""
    for name in ("callbacks", "datamodules"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("OWNER = 'somebody else'\n")
    return tmp_path


def run(python: Path, code: str, folder: Path) -> str:
    done = subprocess.run([python, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_one_package(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"lightning_gans"}


def test_the_wheel_holds_recipes_digits_weights_and_their_notices(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"lightning_gans/configs/{recipe}.yaml" for recipe in ALL_RECIPES}
    expected |= {f"lightning_gans/datamodules/embedded/{name}" for name in ("mnist_10k.npz", "MNIST_NOTICE.txt")}
    expected |= {"lightning_gans/metrics/digits.safetensors", "lightning_gans/py.typed"}
    expected |= {"lightning_gans/callbacks/pages/report.html", "lightning_gans/configs/defaults/trainer.yaml"}
    assert expected <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("MNIST_NOTICE.txt") and ".dist-info/" in name for name in names)


def test_every_module_of_the_tree_is_in_the_wheel(wheel):
    package = ROOT / "lightning_gans"
    folders = [package, *(path for path in package.iterdir() if path.is_dir() and path.name != "__pycache__")]
    modules = {f"lightning_gans/{path.relative_to(package)}" for folder in folders for path in folder.glob("*.py")}
    assert modules <= set(zipfile.ZipFile(wheel).namelist())


def test_the_installed_package_works_beside_packages_of_the_same_names(installed, elsewhere):
    code = (
        "import callbacks, datamodules, lightning_gans, lightning_gans.callbacks, lightning_gans.datamodules\n"
        "from lightning_gans.__main__ import RECIPES\n"
        "digits = lightning_gans.datamodules.MNISTDataModule(size=28)\n"
        "digits.setup('fit')\n"
        "lightning_gans.callbacks.GenerativeMetrics()\n"
        "print(lightning_gans.__file__)\n"
        "print(callbacks.OWNER, datamodules.OWNER, len(digits.training), sep=', ')\n"
        "print(*sorted(path.stem for path in RECIPES.glob('*.yaml')))\n"
    )
    package, facts, recipes = run(installed, code, elsewhere).splitlines()
    assert Path(package).is_relative_to(installed.parents[1])
    assert facts == "somebody else, somebody else, 10000"
    assert recipes.split() == ALL_RECIPES


def test_the_installed_program_knows_the_shipped_recipes(installed, elsewhere):
    program = installed.with_name("lightning-gans")
    command = [program, "fit", "--config", "dcgan_mnist", "--print_config"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    printed = yaml.safe_load(done.stdout)
    assert printed["model"]["class_path"] == "lightning_gans.GAN"
    assert printed["trainer"]["logger"]["init_args"]["save_dir"] == "runs"  # a default


def test_dependencies_have_lower_bounds_and_no_others():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]
    assert all(
        requirement.count(">=") == 1 and not set("<,=!~") & set(requirement.replace(">=", "", 1))
        for requirement in requirements
    )
