"""A person's own images: how they are cut, what becomes of them, and where it is written."""

import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

from lightning_gans import GAN, CycleGAN, Restoration, StarGAN
from lightning_gans.__main__ import main
from lightning_gans.callbacks import ImageWriter, ProgressBar, SampleWriter
from lightning_gans.contents import Pixels
from lightning_gans.datamodules import OwnImagesDataModule
from lightning_gans.datamodules.own_images import Pieces, cut
from lightning_gans.networks import SRGANGenerator
from lightning_gans.networks.translation import check_sides
from tests.conftest import Judge, tiny, trainer


class Fill(nn.Module):
    """Adds a number to an image, and knows a number of domains."""

    num_classes = 3

    def __init__(self, number: float = 0.0) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number))

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        if label is not None and label.ndim == 1:
            return image + label.view(-1, 1, 1, 1) / 4
        return image + self.number if label is None else image + label.sum(1).view(-1, 1, 1, 1) / 4


class Strided(Fill):
    """Takes images of multiples of 8 alone."""

    def forward(self, image: Tensor) -> Tensor:
        check_sides(image, 8, 8)
        return image


class Completion(Restoration):
    """Paints white where a mask is."""

    def convert(self, image: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        return torch.where(mask > 0, 1.0, image)


def restoration(network: nn.Module, kind: type[Restoration] = Restoration) -> Restoration:
    return kind(generator=network, contents=[Pixels()], adversarial_weight=0.0, ema_halflife=0.0)


def cyclegan() -> CycleGAN:
    return CycleGAN(Fill(0.5), Fill(-0.5), Judge(), Judge())


def stargan() -> StarGAN:
    return StarGAN(generator=Fill(), discriminator=Judge())


@pytest.fixture
def photos(tmp_path) -> Path:
    return tmp_path / "photos"


def save(path: Path, size: tuple[int, int], value: int | None = 64, mode: str = "RGB") -> None:
    """Writes an image of a width and height, in one tone or, for None, of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], len(mode)) if len(mode) > 1 else size[::-1]
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(noise if value is None else np.full(shape, value, np.uint8), mode).save(path)


def converted(photos: Path, module, writer: ImageWriter | None = None, callbacks=(), **options) -> Path:
    """Converts a folder of images into another one beside it, and returns it."""
    out = photos.parent / "out"
    writer = writer or ImageWriter(str(out))
    data = OwnImagesDataModule(str(photos), **options)
    trainer(photos.parent, callbacks=[writer, *callbacks]).predict(module, data, return_predictions=False)
    return out


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# Pieces.


@pytest.mark.parametrize("size", [(1, 1), (32, 20), (40, 70), (64, 64), (65, 200), (7, 301), (128, 96)])
@pytest.mark.parametrize("tile, overlap, multiple", [(32, 16, 4), (64, 0, 8), (64, 32, 1), (None, 32, 8)])
def test_the_centres_of_tiles_cover_each_pixel_once(size, tile, overlap, multiple):
    count = np.zeros(size, int)
    for place in cut("a.png", size, tile, overlap, multiple):
        (top, bottom), (left, right), (y, x) = place.rows, place.columns, place.corner
        count[top:bottom, left:right] += 1
        assert y % multiple == x % multiple == 0
        side = tile or 1000
        assert y + side - bottom >= overlap // 2 or bottom == size[0]
        assert top - y >= overlap // 2 or top == 0
        assert x + side - right >= overlap // 2 or right == size[1]
        assert left - x >= overlap // 2 or left == 0
    assert (count == 1).all()


class Keep(ImageWriter):
    """Keeps images as they are before they become bytes."""

    def __init__(self, whole: Tensor) -> None:
        super().__init__("not written")
        self.whole = whole

    def on_predict_batch_end(self, trainer, pl_module, outputs, batch, *args) -> None:
        factor = outputs["fake"].shape[-1] // batch.image.shape[-1]
        for place, piece in zip(batch.places, outputs["fake"], strict=True):
            (top, bottom), (left, right), (y, x) = place.rows, place.columns, place.corner
            rows, columns = (
                slice(factor * (top - y), factor * (bottom - y)),
                slice(factor * (left - x), factor * (right - x)),
            )
            self.whole[:, factor * top : factor * bottom, factor * left : factor * right] = piece[:, rows, columns]


@pytest.mark.parametrize(
    "network, factor",
    [
        (lambda: SRGANGenerator(factor=4, width=4, blocks=2), 4),
        (lambda: nn.Sequential(nn.Conv2d(3, 8, 4, 2, 1), nn.Tanh(), nn.ConvTranspose2d(8, 3, 4, 2, 1)), 1),
    ],
)
def test_tiles_make_what_the_whole_image_makes(network, factor, photos):
    save(photos / "a.png", (128, 72), None)
    module = restoration(network())
    made = []
    for options in ({}, {"tile": 64, "overlap": 32, "num_tiles": 3}, {"tile": 64, "overlap": 0}):
        keep = Keep(torch.full((3, 72 * factor, 128 * factor), torch.nan))
        converted(photos, module, keep, **options)
        made.append(keep.whole)
    whole, enough, too_little = made
    assert (whole - enough).abs().max() < 1e-5
    assert (whole - too_little).abs().max() > 1e-3


def test_the_pictures_of_tiles_and_of_whole_images_are_the_same(photos, tmp_path):
    save(photos / "a.png", (101, 75), None)
    module = restoration(SRGANGenerator(factor=2, width=4, blocks=1))
    whole = pixels(converted(photos, module) / "a.png")
    tiled = converted(photos, module, ImageWriter(str(tmp_path / "tiled")), tile=64)
    assert whole.shape == (150, 202, 3)
    difference = np.abs(whole.astype(int) - pixels(tiled.parent / "tiled" / "a.png"))
    assert difference[:-40, :-40].max() <= 1  # which is what rounding makes; the padding of both differs


def test_networks_that_need_multiples_take_images_of_any_size(photos):
    for size in ((1, 1), (3, 50), (37, 22)):
        save(photos / f"{size[0]}.png", size)
    out = converted(photos, restoration(Strided()))
    assert [pixels(out / f"{width}.png").shape for width in (1, 3, 37)] == [(1, 1, 3), (50, 3, 3), (22, 37, 3)]


def test_padding_is_a_reflection(photos):
    save(photos / "a.png", (5, 3), None, "L")
    data = OwnImagesDataModule(str(photos), channels=1, multiple=4)
    data.setup("predict")
    ((image, _, _),) = list(data.pieces)
    assert image.shape == (1, 1, 4, 8)
    assert torch.equal(image[..., 3, :], image[..., 1, :]) and torch.equal(image[..., 5], image[..., 3])


def test_processes_take_whole_images_in_turn():
    data = OwnImagesDataModule.__new__(OwnImagesDataModule)
    data.tile, data.overlap, data.multiple, data.num_tiles = 64, 32, 8, 2
    pieces = Pieces(data, ["a", "b"], [(Path("a"), None)] * 2, [(64, 64), (64 + 32, 64 + 64)])
    assert [len(places) for places in pieces.places] == [1, 6]
    assert len(pieces) == 1 + 3


def test_each_process_gets_its_share(photos, monkeypatch):
    for name in "abc":
        save(photos / f"{name}.png", (8, 8))
    shares = []
    for rank in range(4):
        data = OwnImagesDataModule(str(photos))
        data.trainer = type("T", (), {"world_size": 4, "global_rank": rank, "lightning_module": cyclegan()})()
        data.setup("predict")
        shares.append(data.pieces.names)
    assert shares == [["a.png"], ["b.png"], ["c.png"], []]


# Kinds of images.


def test_images_keep_their_names_and_folders(photos):
    for name in ("a b.jpg", "sub/a b.JPG", "sub/deeper/c.tar.webp"):
        save(photos / name, (8, 8))
    (photos / "notes.txt").write_text("no image")
    out = converted(photos, cyclegan())
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert written == ["a b.png", "sub/a b.png", "sub/deeper/c.tar.png"]


def test_files_that_are_no_images_are_counted(photos):
    save(photos / "a.png", (8, 8))
    (photos / "notes.txt").write_text("no image")
    data = OwnImagesDataModule(str(photos))
    data.setup("predict")
    assert data.summary == f"OwnImagesDataModule holds 1 image from {photos}, and passes over 1 other file."


def test_an_image_is_turned_upright(photos):
    photos.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    image = np.zeros((8, 16), np.uint8)
    image[:, :8] = 255  # left, which is above once it is upright
    Image.fromarray(image).save(photos / "a.png", exif=exif)
    made = pixels(converted(photos, restoration(Fill()), channels=1) / "a.png")
    assert made.shape == (16, 8) and made[:8].min() == 255 and made[8:].max() == 0


@pytest.mark.parametrize("mode, channels, shape", [("L", 3, (8, 8, 3)), ("RGB", 1, (8, 8)), ("RGBA", 3, (8, 8, 3))])
def test_images_have_the_channels_that_the_network_asks_for(mode, channels, shape, photos):
    save(photos / "a.png", (8, 8), 0, mode)
    made = pixels(converted(photos, restoration(Fill()), channels=channels) / "a.png")
    assert made.shape == shape
    assert (made == (255 if mode == "RGBA" else 0)).all()  # what is transparent is white


def test_images_of_16_bits_keep_their_range(photos):
    photos.mkdir()
    Image.fromarray(np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)).save(photos / "a.png")
    made = pixels(converted(photos, restoration(Fill()), channels=1) / "a.png")
    assert made.tolist() == [[0, 100], [200, 255]]


# What images become.


def test_cyclegan_goes_both_ways(photos, tmp_path):
    save(photos / "a.png", (8, 8), 128)
    assert pixels(converted(photos, cyclegan()) / "a.png").flat[0] == 192
    converted(photos, cyclegan(), ImageWriter(str(tmp_path / "x")), to="x")
    assert pixels(tmp_path / "x" / "a.png").flat[0] == 64
    with pytest.raises(ValueError, match="`to` must be one of the domains y, x of CycleGAN, got 'z'."):
        converted(photos, cyclegan(), ImageWriter(str(tmp_path / "z")), to="z")


@pytest.mark.parametrize("to, value", [(0, 0), (2, 64), ([1, 1, 1], 96)])
def test_stargan_goes_to_a_chosen_domain(to, value, photos):
    save(photos / "a.png", (8, 8), 0)
    assert pixels(converted(photos, stargan(), to=to) / "a.png").flat[0] == value


@pytest.mark.parametrize(
    "to, sentence",
    [
        (3, "`to` must be the number of a domain, 0 to 2, or a list of attributes, got 3."),
        ("smiling", "`to` must be the number of a domain, 0 to 2, or a list of attributes, got smiling."),
        ([1, 0], r"`to` must give 0 or 1 for each of the 3 attributes, got \[1, 0\]."),
        (None, "`to` is missing, which StarGAN asks for: give it."),
    ],
)
def test_a_domain_that_is_not_there_is_refused(to, sentence, photos):
    save(photos / "a.png", (8, 8))
    with pytest.raises(ValueError, match=sentence):
        converted(photos, stargan(), to=to)


def test_a_mask_says_where_an_image_is_filled(photos, tmp_path):
    save(photos / "sub/a.jpg", (40, 40), 0)
    mask = np.zeros((40, 40), np.uint8)
    mask[30:, :5] = 255
    (tmp_path / "masks/sub").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "masks/sub/a.png")
    options = {"masks": str(tmp_path / "masks"), "tile": 32, "overlap": 16, "num_tiles": 2}
    made = pixels(converted(photos, restoration(Fill(), Completion), **options) / "sub/a.png")
    assert (made == mask[..., None]).all()


def test_a_mask_that_is_missing_or_of_another_size_is_refused(photos, tmp_path):
    save(photos / "a.png", (8, 8))
    save(photos / "b.png", (8, 8))
    save(tmp_path / "masks/a.png", (8, 8))
    module, masks = restoration(Fill(), Completion), str(tmp_path / "masks")
    with pytest.raises(ValueError, match="`masks` is missing, which Completion asks for: give it."):
        converted(photos, module)
    with pytest.raises(ValueError, match="masks holds no mask for b.png: add a file"):
        converted(photos, module, masks=masks)
    save(tmp_path / "masks/b.png", (8, 9))
    with pytest.raises(ValueError, match="b.png must be 8x8 as .*b.png, is 8x9: resize it."):
        converted(photos, module, masks=masks)
    with pytest.raises(ValueError, match="`masks` is of no use to Restoration: leave it out."):
        converted(photos, restoration(Fill()), masks=masks)


def test_a_variant_that_draws_from_noise_alone_is_refused(photos):
    save(photos / "a.png", (8, 8))
    with pytest.raises(ValueError, match="needs a variant that makes images of other images, which GAN does not"):
        converted(photos, tiny(GAN))


# Files.


def test_nothing_is_overwritten_and_nothing_drawn_before_that_is_known(photos, tmp_path):
    save(photos / "a.jpg", (8, 8))
    save(photos / "b.jpg", (8, 8))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/b.png").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="b.png` exists already: move it away, or give another `folder`."):
        converted(photos, cyclegan())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]
    assert (tmp_path / "out/b.png").read_bytes() == b"precious"


def test_images_that_would_have_one_name_are_refused(photos):
    save(photos / "a.jpg", (8, 8))
    save(photos / "a.png", (8, 8))
    with pytest.raises(ValueError, match="a.jpg and a.png differ in nothing but their ending"):
        converted(photos, cyclegan())


def test_an_unreadable_image_is_refused_by_name(photos, tmp_path):
    save(photos / "a.jpg", (64, 64), None)
    (photos / "b.jpg").write_text("no image")
    with pytest.raises(ValueError, match="b.jpg is not a readable image"):
        converted(photos, cyclegan())
    (photos / "b.jpg").write_bytes((photos / "a.jpg").read_bytes()[:2000])  # only its start
    with pytest.raises(ValueError, match="b.jpg is not a readable image"):
        converted(photos, cyclegan())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_a_folder_without_images_is_refused(photos):
    photos.mkdir()
    with pytest.raises(ValueError, match="photos holds no image"):
        converted(photos, cyclegan())
    with pytest.raises(FileNotFoundError, match="`folder` must be an existing folder of images, got nowhere."):
        OwnImagesDataModule("nowhere")


def test_the_writer_of_samples_is_silent_beside_the_writer_of_images(photos, tmp_path):
    save(photos / "a.png", (8, 8))
    converted(photos, cyclegan(), callbacks=[SampleWriter()])
    assert not list(tmp_path.rglob("samples*"))


def test_the_bar_counts_the_pieces(photos, tmp_path, capsys):
    save(photos / "a.png", (100, 64))
    bar = {"callbacks": [ImageWriter(str(tmp_path / "out")), ProgressBar()], "enable_progress_bar": True}
    data = OwnImagesDataModule(str(photos), tile=64)
    trainer(tmp_path, **bar).predict(cyclegan(), data, return_predictions=False)
    assert "predict: 100%" in (printed := capsys.readouterr().err) and " 3/3 " in printed


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"overlap": 12}, "`overlap` must be a multiple of `multiple`, 8, or 0, got 12."),
        ({"tile": 40}, "`tile` must be a multiple of 8, and at least 64"),
        ({"tile": 68}, "`tile` must be a multiple of 8, and at least 64"),
        ({"multiple": 0}, "`multiple` must be at least 1, got 0."),
        ({"num_tiles": 0}, "`num_tiles` must be at least 1, got 0."),
    ],
)
def test_impossible_options_are_refused(options, sentence, photos):
    photos.mkdir()
    with pytest.raises(ValueError, match=sentence):
        OwnImagesDataModule(str(photos), **options)


# The command line.

RECIPE = """
model:
  class_path: Restoration
  init_args:
    adversarial_weight: 0
    contents: [{class_path: Pixels}]
    generator: {class_path: UNetGenerator, init_args: {source_channels: 1, channels: 3, size: 16, width: 2}}
data:
  class_path: OpenMojiDataModule
  init_args: {size: 16, batch_size: 8, target: line}
trainer: {max_steps: 1, limit_val_batches: 0, accelerator: cpu, devices: 1}
"""


def test_the_command_that_a_run_prints_converts_a_folder(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(yaml.safe_dump(yaml.safe_load(RECIPE)))
    with redirect_stdout(io.StringIO()) as printed:
        main(["fit", "--config", "recipe.yaml"])
    command = re.search("^  convert +lightning-gans (.*)", printed.getvalue(), re.MULTILINE)[1]
    save(photos / "sub/a.jpg", (30, 50), None)
    more = "--data.channels 1 --data.tile 16 --data.overlap 8"
    main(shlex.split(f"{command.replace('YOUR_FOLDER', 'photos')} {more}"))
    assert pixels(*Path("runs").rglob("images/sub/a.png")).shape == (50, 30, 3)
    assert not list(tmp_path.rglob("samples.npz"))
