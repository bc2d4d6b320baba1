"""Fonts with attributes: their batches and their order, the authors' layout, sheets, and how fonts are measured."""

from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from jaxtyping import config
from PIL import Image, ImageDraw
from torch import nn

from lightning_gans import GAN, Attribute2Font
from lightning_gans.__main__ import main
from lightning_gans.callbacks import FontScores, ImageWriter
from lightning_gans.callbacks.scores.font_scores import calibration, correlation_and_slope
from lightning_gans.datamodules import (
    AttributeFontFolderDataModule,
    FontPairs,
    FontsDataModule,
    FontSheetsDataModule,
    OwnImagesDataModule,
)
from lightning_gans.metrics.glyphs import MEASURES
from lightning_gans.models.attribute2font import ITEMS
from lightning_gans.networks import Attribute2FontDiscriminator, Attribute2FontGenerator
from tests.conftest import largest_difference, reduced, tiny, trainer

EMBEDDED = Path(__file__).parents[1] / "datamodules" / "embedded"


@pytest.fixture
def untyped():
    """Switches the run-time types off, so that a wrong value meets the check that users meet."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def write_fonts(folder: Path, fonts: int = 5, attributes: int = 3, size: int = 8) -> Path:
    """Writes a folder as the authors' `explor_all`; each character is one gray, and so are its attributes."""
    lines = [" ".join(f"attribute{number}" for number in range(attributes))]
    for font in range(fonts):
        (folder / "image" / f"font{font}").mkdir(parents=True, exist_ok=True)
        for number in range(10, 62):
            name = f"font{font}/{number}.png"
            Image.new("RGB", (size, size), (number + 20 * font,) * 3).save(folder / "image" / name)
            lines.append(" ".join([name, *(f"{10 * font + 0.5 * k:g}" for k in range(attributes))]))
    (folder / "attributes.txt").write_text("\n".join(lines) + "\n")
    return folder


def in_folder(folder: Path, **options) -> AttributeFontFolderDataModule:
    options = {"size": 8, "num_training": 2, "num_evaluation": 1, "cache": None, "batch_size": 4, **options}
    return AttributeFontFolderDataModule(str(folder), **options)


@pytest.fixture(scope="module")
def fonts() -> FontsDataModule:
    data = FontsDataModule(size=32, batch_size=8)
    data.setup("fit")
    return data


def test_the_fonts_are_those_of_the_file_and_whole_packages_are_held_out(fonts):
    with np.load(EMBEDDED / "fonts_64.npz") as arrays:
        image, attribute, test, name = (arrays[key] for key in ("image", "attribute", "test", "name"))
    data = FontsDataModule(size=64)
    data.setup("fit")
    assert torch.equal(data.training.image[7, 5], torch.from_numpy(image[7, 5]))
    np.testing.assert_allclose(data.training.attribute, attribute / 255, rtol=1e-6)
    assert data.evaluation.targets.tolist() == np.flatnonzero(test).tolist() and len(data.evaluation.targets) == 36
    held_out, trained = ({font.split("/")[0] for font in name[test == part]} for part in (True, False))
    assert not held_out & trained and len(data.training) == 244 * 62 and len(data.evaluation) == 36 * 62
    block = image[7, 5, 10:12, 20:22].mean()
    assert abs(fonts.training.image[7, 5, 5, 10].item() - block) <= 0.5


def test_a_batch_has_a_character_in_both_fonts_the_style_and_the_attributes_of_both(fonts):
    pairs = fonts.training
    order = pairs.order(0, 0)[:, :8]
    target, source, styles, of_source, of_target, character, unlabelled = pairs[order]
    for row in range(8):
        one, two, number, *shown = order[:, row].tolist()
        assert torch.equal(source[row, 0], pairs.image[one, number] / 127.5 - 1)
        assert torch.equal(target[row, 0], pairs.image[two, number] / 127.5 - 1)
        assert torch.equal(styles[row, :, 0], pairs.image[one, shown] / 127.5 - 1)
        assert torch.equal(of_source[row], pairs.attribute[one]) and torch.equal(of_target[row], pairs.attribute[two])
        assert character[row] == number and unlabelled[row].tolist() == [-1, -1]
    in_three = FontPairs(pairs.image, pairs.attribute, pairs.sources, pairs.targets, 9, channels=3)
    assert torch.equal(in_three[order][2], styles.expand(-1, -1, 3, -1, -1))


def test_an_epoch_goes_through_the_characters_of_the_sources_with_every_target_equally_often(fonts):
    pairs = fonts.training
    source, target, character, *styles = pairs.order(3, 1)
    place = pairs.sources.tolist().index
    assert sorted(place(s) * 62 + c for s, c in zip(source.tolist(), character.tolist(), strict=True)) == [
        *range(15128)
    ]
    assert target.bincount()[pairs.sources].tolist() == [62] * 244
    assert all(len({*shown}) == 4 for shown in zip(*(side.tolist() for side in styles), strict=True))
    assert not {*target.tolist()} & {*fonts.evaluation.targets.tolist()}


def test_the_order_is_a_function_of_seed_and_epoch(fonts):
    pairs = fonts.training
    assert torch.equal(pairs.order(3, 1), pairs.order(3, 1))
    for other in (pairs.order(3, 2), pairs.order(4, 1)):
        assert all((one != two).any() for one, two in zip(pairs.order(3, 1), other, strict=True))


def test_fonts_held_out_are_drawn_in_order_from_fonts_that_are_trained_on(fonts):
    pairs = fonts.evaluation
    target, source, character, *styles = pairs.in_order(torch.arange(len(pairs)))[[1, 0, 2, 3, 4, 5, 6]]
    assert target.tolist() == [font for font in pairs.targets.tolist() for _ in range(62)]
    assert character.tolist() == [*range(62)] * 36
    assert {*source.tolist()} <= {*fonts.training.targets.tolist()}
    assert (source.view(36, 62) == source[::62, None]).all() and len({*source.tolist()}) == 36
    assert all(side.unique().numel() == 1 for side in styles)


def test_an_epoch_may_have_fewer_characters_evenly_spread():
    data = FontsDataModule(size=32, num_images=100, num_evaluation_images=72)
    data.setup("fit")
    assert len(data.training.order(0, 0)[0]) == 100 and len(data.training.order(0, 0)[0].unique()) == 100
    assert data.evaluation[torch.arange(72)][4].unique(dim=0).shape[0] == 36


def test_where_fonts_are_unlabelled_a_coin_says_of_which_kind_the_target_is():
    data = FontsDataModule(size=32, unlabelled=0.9)
    data.setup("fit")
    pairs = data.training
    source, target, *_ = pairs.order(0, 0)
    number = pairs.unlabelled
    assert data.num_unlabelled == 220 and number.max() == 219
    assert (number[source] >= 0).float().mean() == pytest.approx(220 / 244, abs=1e-3)
    assert (number[target] >= 0).float().mean() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(pairs[pairs.order(0, 0)[:, :50]][6], number[torch.stack([source, target], 1)[:50]])
    assert (number[data.evaluation.targets] == -1).all()


def test_the_authors_layout_is_read(tmp_path):
    data = in_folder(write_fonts(tmp_path / "explor_all"), cache=str(tmp_path / "cache"))
    data.setup("fit")
    assert data.attribute_names == ["attribute0", "attribute1", "attribute2"]
    assert data.characters == "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert data.font_names == [f"font{font}" for font in range(5)] and data.num_unlabelled == 2
    target, source, styles, of_source, of_target, character, unlabelled = data.evaluation[torch.arange(52)]
    assert target.shape == (52, 3, 8, 8) and styles.shape == (52, 4, 3, 8, 8) and len(data.training) == 4 * 52
    grays = torch.arange(52) + 10 + 20 * 2
    torch.testing.assert_close(target, (grays / 127.5 - 1).view(-1, 1, 1, 1).expand(-1, 3, 8, 8), atol=1e-6, rtol=0)
    torch.testing.assert_close(of_target, torch.tensor([0.20, 0.205, 0.21]).expand(52, -1))
    assert data.training.unlabelled.tolist() == [-1, -1, -1, 0, 1] and data.training.sources.tolist() == [0, 1, 3, 4]


def broken(folder: Path, change) -> Path:
    lines = (write_fonts(folder) / "attributes.txt").read_text().splitlines()
    (folder / "attributes.txt").write_text("\n".join(change(lines)))
    return folder


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda lines: [], "must have the names of the attributes in its first line"),
        (lambda lines: [*lines[:2], lines[2] + " 4", *lines[3:]], "must have 3 values after .* in line 3, got 4"),
        (lambda lines: [*lines[:2], "font0/11.png 1 2 x"], r"must have numbers after font0/11.png in line 3, got"),
        (lambda lines: [*lines[:2], "font0/11.png 1 2 101"], "must have values from 0 to 100 after .* in line 3"),
        (lambda lines: [*lines[:2], "font0/62.png 1 2 3"], "must name pictures FONT/NN.png .* got font0/62"),
        (lambda lines: [line for line in lines if "font3/20" not in line], "the same characters|each picture once"),
        (lambda lines: [*lines[:53], lines[54], lines[53], *lines[55:]], "its lines together: font1 differs"),
        (lambda lines: lines[: 1 + 2 * 52], "must hold 3 labelled fonts and 0 others, got 2: lower `num_training`"),
    ],
)  # fmt: skip
def test_wrong_attributes_are_refused_in_a_sentence(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        in_folder(broken(tmp_path / "explor_all", change)).setup("fit")


def test_missing_files_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="`folder` must hold a folder `image` and a file attributes.txt"):
        in_folder(tmp_path).setup("fit")
    folder = write_fonts(tmp_path / "explor_all")
    (folder / "image" / "font1" / "15.png").unlink()
    with pytest.raises(FileNotFoundError, match="attributes.txt names image/font1/15.png, which is not there"):
        in_folder(folder).setup("fit")
    (folder / "image" / "font1" / "15.png").write_text("no picture")
    with pytest.raises(ValueError, match="15.png"):
        in_folder(folder).setup("fit")
    (folder / "attributes.txt").unlink()
    with pytest.raises(FileNotFoundError, match="There is no .*attributes.txt: it must name the attributes"):
        in_folder(folder).setup("fit")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"size": 48}, "`size` must be 32 or 64, got 48"),
        ({"num_images": 0}, "`num_images` must be at least 1, or null for all, got 0"),
        ({"num_styles": 0}, "`num_styles` must be at least 1, got 0"),
        ({"channels": 2}, "`channels` must be 1 or 3, got 2"),
        ({"unlabelled": 0.95}, "`unlabelled` must be from 0 to 0.9, got 0.95"),
    ],
)
def test_impossible_fonts_are_refused(options, message, untyped):
    with pytest.raises(ValueError, match=message):
        FontsDataModule(**options)


def letter(stem: float = 4, lean: float = 0.0, serif: float = 0.0, size: int = 64) -> torch.Tensor:
    """Draws an H of 24 to 40 by pixels eight times as fine."""
    fine = 8
    image = Image.new("L", (fine * size, fine * size), 255)
    draw = ImageDraw.Draw(image)
    for y in range(fine * 14, fine * 46):
        shift = lean * (fine * 46 - y)
        for left in (20, 36):
            wide = serif if y >= fine * 44 or y < fine * 16 else 0
            draw.line([(fine * (left - wide) + shift, y), (fine * (left + stem + wide) + shift - 1, y)], 0)
        if fine * 28 <= y < fine * 31:
            draw.line([(fine * 20 + shift, y), (fine * 38 + shift, y)], 0)
    pixels = torch.from_numpy(np.asarray(image).copy()).float().view(size, fine, size, fine).mean((1, 3))
    return (pixels / 127.5 - 1)[None, None]


def test_the_measures_of_h_are_those_it_is_drawn_with():
    (_, stem), (_, lean), (_, feet), (_, breadth) = (MEASURES[name] for name in ("weight", "slant", "serif", "width"))
    assert stem(letter(stem=4.5)).item() == pytest.approx(4.5 / 64, rel=0.01)
    assert stem(letter(stem=1.25, lean=0.2)).item() == pytest.approx(1.25 / 64, rel=0.01)
    assert lean(letter(lean=0.25)).item() == pytest.approx(0.25, abs=0.005)
    assert lean(letter(stem=9)).item() == pytest.approx(0, abs=1e-4)
    assert feet(letter(serif=2)).item() == pytest.approx(2, rel=0.02) and feet(letter()).item() == pytest.approx(
        1, rel=0.01
    )
    assert breadth(letter()).item() == pytest.approx(20 / 32, rel=0.01)
    blank = torch.ones(1, 1, 32, 32)
    assert all(measure(blank).isfinite().all() for _, measure in MEASURES.values())


@pytest.mark.parametrize("name, least", [("weight", 0.95), ("slant", 0.95), ("serif", 0.85), ("width", 0.6)])
def test_what_is_measured_in_the_pixels_follows_the_attributes_of_the_fonts(name, least, fonts):
    pairs, (characters, measure) = fonts.training, MEASURES[name]
    character = torch.full_like(pairs.sources, fonts.characters.index(characters[0]))
    known = pairs.attribute[pairs.sources, fonts.attribute_names.index(name)]
    found = measure(pairs.drawn(pairs.sources, character))
    assert np.corrcoef(known, found)[0, 1] > least
    low, slope = calibration(fonts, name, characters[0])
    expected = np.polyfit(known, found, 1)
    assert (slope, low) == pytest.approx(tuple(expected), rel=1e-3, abs=1e-4)


def test_correlation_and_slope_are_numpys_and_0_for_a_constant():
    one, two = torch.rand(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    expected = np.corrcoef(one, two)[0, 1], np.polyfit(one, two, 1)[0]
    assert correlation_and_slope(one, two) == pytest.approx(expected)
    assert correlation_and_slope(one, torch.ones_like(two)) == (0, 0)


class Shear(nn.Module):
    """Leans the source by the difference of slants times 0.3, as a perfect generator would."""

    num_unlabelled, size, channels, num_styles = 0, 32, 1, 4

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def attributes(self, known, unlabelled):
        return known

    def forward(self, source, styles, difference):
        lean = 0.3 * difference[:, 2]
        theta = torch.eye(2, 3).repeat(len(source), 1, 1)
        theta[:, 0, 1] = lean
        grid = nn.functional.affine_grid(theta, list(source.shape), align_corners=False)
        drawn = 1 - nn.functional.grid_sample(1 - source, grid, align_corners=False)
        return self.weight * drawn, torch.zeros(len(source), 62)


def perfect() -> Attribute2Font:
    return Attribute2Font(
        generator=Shear(), discriminator=Attribute2FontDiscriminator(size=32, width=1), ema_halflife=0.0
    )


def test_font_scores_find_the_slope_of_a_generator_that_leans_as_it_is_asked(tmp_path):
    data = FontsDataModule(size=32, num_evaluation_images=2232)
    ours = trainer(tmp_path, callbacks=[FontScores()], limit_val_batches=8)
    ours.validate(perfect(), data, verbose=False)
    scores = {name: value.item() for name, value in ours.callback_metrics.items()}
    assert scores["slant_slope"] == pytest.approx(1, abs=0.1) and scores["slant_correlation"] > 0.8
    assert abs(scores["serif_slope"]) < 0.1 and abs(scores["weight_slope"]) < 0.02


def test_font_scores_refuse_other_data_and_other_attributes(tmp_path):
    with pytest.raises(ValueError, match="`attributes` must be of weight, slant, serif, width, got mood"):
        FontScores(["mood"])
    ours = trainer(tmp_path, callbacks=[FontScores()])
    with pytest.raises(ValueError, match="`FontScores` needs a variant"):
        ours.validate(tiny(), verbose=False)

    class Any32(Shear):
        def forward(self, source, styles, difference):
            return source, torch.zeros(len(source), 52)

    module = Attribute2Font(generator=Any32(), discriminator=nn.Linear(1, 1), ema_halflife=0.0)
    with pytest.raises(ValueError, match="`FontScores` needs fonts with the attributes weight, .*, got attribute0"):
        ours = trainer(tmp_path, callbacks=[FontScores()])
        ours.validate(module, in_folder(write_fonts(tmp_path / "a")), verbose=False)


def sheet(folder: Path, module, **options) -> list[Path]:
    ours = trainer(folder, callbacks=[ImageWriter(str(folder / "sheets"))])
    ours.predict(module, FontSheetsDataModule(**options), return_predictions=False)
    return sorted((folder / "sheets").glob("*.png"))


def test_a_sheet_has_the_characters_of_a_font_once_for_each_value(tmp_path, fonts):
    (file,) = sheet(tmp_path, perfect(), attributes={"slant": [0.0, 1.0]}, font="OpenSans-Regular", text="AHx")
    assert file.name == "open-sans_OpenSans-Regular_slant_0_1.png"
    pixels = torch.from_numpy(np.asarray(Image.open(file)).copy()).float() / 127.5 - 1
    assert pixels.shape == (64, 96)
    place = fonts.font_names.index("open-sans/OpenSans-Regular")
    assert fonts.training.attribute[place, 2] == 0
    rows = pixels.view(2, 32, 3, 32).permute(0, 2, 1, 3)
    expected = fonts.training.image[place, [0, 7, 49]] / 127.5 - 1
    torch.testing.assert_close(rows[0], expected, atol=0.01, rtol=0)
    lean = MEASURES["slant"][1]
    assert lean(rows[1, 1][None, None]).item() == pytest.approx(0.3, abs=0.03)


def test_a_sheet_of_all_characters_has_two_rows(tmp_path, fonts):
    (file,) = sheet(tmp_path, perfect(), attributes={}, fonts=fonts)
    assert Image.open(file).size == (31 * 32, 2 * 32)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"attributes": {"mood": 0.5}}, "`attributes` must be of weight, width, .*, got mood"),
        ({"attributes": {"slant": 1.5}}, "`attributes` must be from 0 to 1, got {'slant': 1.5}"),
        ({"attributes": {"slant": [0.0, 1.0], "weight": [0.0, 0.5, 1.0]}}, "must be numbers, and lists of one length"),
        ({"attributes": {}, "font": "OpenSans-Regul"}, "OpenSans-Regul is none"),
        ({"attributes": {}, "font": "Regular"}, "Regular ends the names of"),
        ({"attributes": {}, "text": "A!"}, "`text` must be of the characters ABC.*, got !"),
        ({"attributes": {}, "text": ""}, "`text` must be of the characters ABC.*, got none"),
    ],
)  # fmt: skip
def test_sheets_that_cannot_be_drawn_are_refused_in_a_sentence(options, message, tmp_path, fonts):
    with pytest.raises(ValueError, match=message):
        sheet(tmp_path, perfect(), fonts=fonts, **options)


def test_variants_and_data_that_do_not_go_together_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`FontSheetsDataModule` needs a variant that makes images of other images"):
        sheet(tmp_path, tiny(GAN), attributes={})
    Image.new("L", (32, 32)).save(tmp_path / "a.png")
    ours = trainer(tmp_path)
    with pytest.raises(
        ValueError, match="`OwnImagesDataModule` has no styles and difference, which Attribute2Font asks"
    ):
        ours.predict(perfect(), OwnImagesDataModule(str(tmp_path), channels=1), return_predictions=False)
    with pytest.raises(ValueError, match="nothing to train on"):
        FontSheetsDataModule({}).setup("fit")


def test_the_command_line_draws_a_sheet_of_a_run(tmp_path):
    path = reduced("attribute2font_fonts", tmp_path, max_epochs=-1, max_steps=1, enable_checkpointing=True)
    cli = main(["fit", "--config", path])
    cli.trainer.save_checkpoint(tmp_path / "a.ckpt")
    own = [
        "--data",
        "FontSheetsDataModule",
        "--data.attributes",
        "{weight: [0, 1], serif: 0.5}",
        "--data.text",
        "Hamburg",
    ]
    main(["predict", "--config", path, "--ckpt_path", str(tmp_path / "a.ckpt"), *own])
    (file,) = tmp_path.rglob("*weight_0_1_serif_0.5.png")
    assert Image.open(file).size == (7 * 32, 2 * 32)


def test_the_items_of_a_batch_are_as_many_as_the_variant_takes_off(fonts):
    assert len(fonts.evaluation[torch.arange(2)]) == ITEMS
    assert Attribute2FontGenerator(size=32, width=1).num_styles == fonts.num_styles


def test_font_scores_change_nothing_and_are_those_of_seeded_draws(tmp_path, fonts):
    def trained(callbacks: list) -> tuple[Attribute2Font, dict]:
        torch.manual_seed(0)
        networks = {
            "generator": Attribute2FontGenerator(size=32, width=1, style_dim=2, blocks=1),
            "discriminator": Attribute2FontDiscriminator(size=32, width=1),
        }
        options = {"limit_val_batches": 8, "val_check_interval": 1, "check_val_every_n_epoch": None}
        ours = trainer(tmp_path, 2, callbacks=callbacks, **options)
        lightning.seed_everything(0, verbose=False)
        module = Attribute2Font(**networks)
        ours.fit(module, FontsDataModule(size=32, batch_size=8))
        return module, ours.callback_metrics

    (one, scores), (two, none) = trained([FontScores(["slant", "width"])]), trained([])
    assert largest_difference(one.state_dict(), two.state_dict()) == 0
    assert {*scores} - {*none} == {"l1", *(f"{a}_{b}" for a in ("slant", "width") for b in ("correlation", "slope"))}
    batch = fonts.evaluation[torch.arange(64)]
    fake = one.draw(batch, 5)["fake"]
    assert scores["l1"].item() == pytest.approx((fake - batch[0]).abs().mean().item(), abs=0.004)  # of 8 bits
