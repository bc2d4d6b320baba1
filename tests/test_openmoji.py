from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import config

from lightning_gans.datamodules import OpenMojiDataModule
from tests.test_packaging import elsewhere, installed, run, wheel  # noqa: F401  fixtures

TARGETS = ("group", "caption", "line", "color")
EMBEDDED = Path(__file__).parents[1] / "datamodules" / "embedded"


@pytest.fixture
def untyped():
    """Switches the run-time types off, so that a wrong value meets the check that users meet."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def ready(**settings):
    data = OpenMojiDataModule(**settings)
    data.setup("fit")
    return data


@pytest.mark.parametrize("size", [16, 32, 64])
def test_a_batch_holds_colour_drawings_and_their_groups(size):
    image, label = next(iter(ready(size=size, batch_size=8).train_dataloader()))
    assert image.shape == (8, 3, size, size) and image.dtype == torch.float32
    assert image.min() >= -1 and image.max() == 1
    assert label.shape == (8,) and label.dtype == torch.int64


def test_the_drawings_are_those_of_the_file_in_its_order():
    data = ready()
    with np.load(EMBEDDED / "openmoji_64.npz") as arrays:
        color, group, names = arrays["color"], arrays["group"], arrays["group_names"]
    assert data.training is data.evaluation and len(data.training) == 2186
    assert torch.equal(data.training.image[5, 2], torch.from_numpy(color[5, :, :, 2]))
    assert data.training.label.tolist() == group.tolist()
    named = OpenMojiDataModule.__doc__.split("names:")[1].split("Args")[0].replace(".", "").split(",")
    assert [name.strip() for name in named] == names.tolist() == data.classes


def test_every_group_has_drawings():
    count = ready(size=16).training.label.bincount()
    assert len(count) == 10 and count.min() == 85


def test_smaller_sizes_are_rounded_means_of_blocks():
    large, small = ready().training.image, ready(size=16).training.image
    for n, y, x in ((0, 7, 7), (100, 8, 3), (2185, 5, 12)):
        block = large[n, 1, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4].double()
        assert abs(block.mean().item() - small[n, 1, y, x].item()) <= 0.5


def test_drawings_are_on_white():
    corner = ready().training.image[:, :, 0, 0]
    assert (corner == 255).all(1).float().mean() > 0.98


def test_a_drawing_may_come_with_the_same_in_black_lines():
    data = ready(target="line", batch_size=8)
    assert data.classes == [] and "2,186 pairs of images" in data.summary
    image, line = next(iter(data.train_dataloader()))
    assert image.shape == (8, 3, 64, 64) and line.shape == (8, 1, 64, 64) and line.dtype == torch.float32
    image, line = data.training[torch.tensor([7, 5])]
    with np.load(EMBEDDED / "openmoji_64.npz") as arrays:
        expected = torch.from_numpy(arrays["line"][[7, 5], None]) / 127.5 - 1
    torch.testing.assert_close(line, expected)
    assert torch.equal(image, ready().training[torch.tensor([7, 5])][0])


def test_a_drawing_may_come_with_the_number_of_its_caption():
    data = ready(target="caption", batch_size=4)
    image, number = next(iter(data.train_dataloader()))
    assert number.dtype == torch.int64 and torch.equal(image, data.training[number][0])
    assert data.captions[5] == "grinning face with sweat" and len(data.captions) == 2186
    assert data.training.label.tolist() == list(range(2186))


def test_each_target_has_a_name_in_a_cache_of_its_own():
    assert len({ready(size=16, target=target).evaluation_name for target in TARGETS}) == 4


def test_another_target_is_refused(untyped):
    with pytest.raises(ValueError, match="`target` must be group, caption, line or color, got tags."):
        OpenMojiDataModule(target="tags")


def test_another_size_is_refused(untyped):
    with pytest.raises(ValueError, match="`size` must be 16, 32 or 64, got 48."):
        OpenMojiDataModule(size=48)


def test_the_notice_names_makers_and_licence():
    notice = " ".join((EMBEDDED / "OPENMOJI_NOTICE.txt").read_text().split())
    for words in ("OpenMoji", "HfG Schwaebisch Gmuend", "https://creativecommons.org/licenses/by-sa/4.0/"):
        assert words in notice


def test_the_installed_package_serves_the_drawings_with_their_notice(installed, elsewhere):  # noqa: F811
    code = (
        "import importlib.metadata, pathlib, lightning_gans.datamodules as datamodules\n"
        "data = datamodules.OpenMojiDataModule(size=32)\n"
        "data.setup('fit')\n"
        "print(datamodules.__file__)\n"
        "print(len(data.training), *data.training.image.shape[1:])\n"
        "print((pathlib.Path(datamodules.__file__).parent / 'embedded' / 'OPENMOJI_NOTICE.txt').is_file())\n"
        "print(any('OPENMOJI_NOTICE' in str(f) and '.dist-info' in str(f)\n"
        "          for f in importlib.metadata.files('lightning-gans')))\n"
    )
    package, facts, notice, licence = run(installed, code, elsewhere).splitlines()
    assert Path(package).is_relative_to(installed.parents[1])
    assert (facts, notice, licence) == ("2186 3 32 32", "True", "True")
