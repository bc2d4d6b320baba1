"""Any kind of image from any folder, with labels from sub-folders or a CSV file."""

import json
import struct
import zipfile

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image

from lightning_gans.datamodules import ImageFolderDataModule
from lightning_gans.datamodules.batches import TrainingBatches
from lightning_gans.datamodules.image_files import ImageFiles
from tests import conftest
from tests.test_datamodules import Witness


def ready(folder, **settings):
    data = ImageFolderDataModule(str(folder), **{"size": 8, "cache": None, **settings})
    data.setup("fit")
    return data


def only(folder, **settings):
    """The one image of a folder, (h, w, c) bytes."""
    (image,) = ready(folder, **settings).training.image
    return image.permute(1, 2, 0).numpy()


def noise(*shape, below=256, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, below, shape, dtype)


# Kinds of images


def test_a_grey_image_has_three_equal_channels(tmp_path):
    grey = noise(8, 8)
    Image.fromarray(grey).save(tmp_path / "1.png")
    assert (only(tmp_path) == grey[..., None]).all()


def test_black_and_white_becomes_black_and_white(tmp_path):
    Image.fromarray(noise(8, 8) > 127).save(tmp_path / "1.png")
    assert (only(tmp_path, channels=1)[..., 0] == (noise(8, 8) > 127) * 255).all()


@pytest.mark.parametrize("extension", ["png", "webp", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_transparent_is_white(tmp_path, channels, extension):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4, :, 3] = 255  # black above, nothing below
    Image.fromarray(rgba).save(tmp_path / f"1.{extension}", lossless=True)
    image = only(tmp_path, channels=channels)
    assert (image[:4] == 0).all() and (image[4:] == 255).all()


def test_grey_with_alpha_is_on_white(tmp_path):
    Image.fromarray(np.stack([np.zeros((8, 8)), np.full((8, 8), 102)], -1).astype(np.uint8), "LA").save(
        tmp_path / "1.png"
    )
    assert (only(tmp_path) == 153).all()


@pytest.mark.parametrize("extension", ["png", "bmp"])
def test_a_palette_becomes_its_colours(tmp_path, extension):
    image = Image.fromarray(noise(8, 8, below=3), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / f"1.{extension}")
    assert (only(tmp_path) == np.eye(3)[noise(8, 8, below=3)] * 255).all()


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    image = Image.fromarray(noise(8, 8, below=2), "P")
    image.putpalette([255, 0, 0, 0, 0, 0])
    image.save(tmp_path / "1.png", transparency=1)
    assert (only(tmp_path)[noise(8, 8, below=2) == 1] == 255).all()
    assert (only(tmp_path)[noise(8, 8, below=2) == 0] == [255, 0, 0]).all()


def test_a_transparent_colour_without_a_palette_is_white(tmp_path):
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "1.png", transparency=(1, 2, 3))
    assert (only(tmp_path) == 255).all()


@pytest.mark.parametrize("ink, expected", [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0)])
def test_ink_of_four_colours_becomes_light(tmp_path, ink, expected):
    Image.new("CMYK", (8, 8), ink).save(tmp_path / "1.jpg")
    assert abs(only(tmp_path).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("extension", ["png", "tif", "pgm"])
def test_16_bits_keep_their_range(tmp_path, extension):
    deep = noise(8, 8, below=65536, dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / f"1.{extension}")
    assert abs(only(tmp_path, channels=1)[..., 0] - deep / 257).max() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_32_bits_are_refused(tmp_path, dtype):
    Image.fromarray(np.ones((8, 8), dtype)).save(tmp_path / "1.tif")
    with pytest.raises(ValueError, match=r"1\.tif is not a readable image \(32 bits per pixel, whose range it does "):
        ready(tmp_path)


@pytest.mark.parametrize("orientation, turned", [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_a_turned_photograph_is_upright(tmp_path, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise(8, 8, 3)).save(tmp_path / "1.png", exif=exif)
    assert (only(tmp_path) == np.rot90(noise(8, 8, 3), turned)).all()


@pytest.mark.parametrize("size", [(8, 200), (200, 8), (1, 1), (3, 1000)])
def test_any_shape_becomes_a_square(tmp_path, size):
    Image.new("RGB", size, (9, 8, 7)).save(tmp_path / "1.png")
    assert (only(tmp_path) == [9, 8, 7]).all() and only(tmp_path).shape == (8, 8, 3)


# What is refused


def test_all_unreadable_images_are_named_at_once(tmp_path):
    for index in range(9):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{index}.png")
    for index in (2, 5):
        (tmp_path / f"{index}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2 of 9 are not .* images, .*2\.png, .*5\.png \(it is empty\): repair or"):
        ready(tmp_path)


def test_of_many_unreadable_images_the_first_are_named(tmp_path):
    for index in range(9):
        (tmp_path / f"{index}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"9 of 9 .*4\.png and others \(it is empty\)"):
        ready(tmp_path)


def test_an_interrupted_jpeg_is_refused(tmp_path):
    Image.fromarray(noise(64, 64, 3)).save(tmp_path / "1.jpg")
    (tmp_path / "1.jpg").write_bytes((tmp_path / "1.jpg").read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"1\.jpg is not a readable image \(.*truncated.*\): repair or remove it\."):
        ready(tmp_path)


def test_an_image_that_claims_billions_of_pixels_is_refused(tmp_path):
    header = struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60000, 60000, 1, 24, *[0] * 6)
    (tmp_path / "1.bmp").write_bytes(b"BM" + header)
    with pytest.raises(ValueError, match=r"1\.bmp is not a readable image \(.*pixels"):
        ready(tmp_path)


def test_hidden_files_are_passed_over(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "._1.png").write_bytes(b"what some systems leave beside files")
    assert len(ready(tmp_path).training) == 1


# Labels


@pytest.fixture
def three(tmp_path):
    """Three images, `c.png` in a sub-folder."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "b.png", "more/c.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    return folder


def csv(folder, text, name="labels.csv"):
    path = folder.parent / name
    path.write_text(text, encoding="utf-8-sig")
    return str(path)


def test_labels_come_from_a_file(three):
    path = csv(three, "label,file,note\nzebra,a.png,x\nant,b.png,\nzebra,more/c.png,\n")
    assert ready(three, labels=path).training.label.tolist() == [1, 0, 1]


def test_numbers_are_sorted_by_value(three):
    path = csv(three, "file,label\na.png,10\nb.png,9\nmore/c.png,100\n")
    data = ready(three, labels=path)
    assert data.training.label.tolist() == [1, 0, 2] and data.classes == ["9", "10", "100"]


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", r"The first line of .*labels\.csv must name the columns `file` and `label`, it has nothing\."),
        ("name,label\n", r"must name the columns `file` and `label`, it has name, label\."),
        ("file,label\na.png,1\n", r"2 images of .*images are not in .*labels\.csv, first b\.png: add lines for them"),
        ("file,label\na.png,1\nb.png,\n", r"Line 3 of .*labels\.csv has no label\."),
        ("file,label\na.png,1\na.png,2\n", r"Line 3 of .*labels\.csv names a\.png a second time: remove one\."),
        (
            "file,label\na.png,1\nb.png,1\nmore/c.png,2\nd.png,2\n",
            r"1 images of .*labels\.csv are not in .*images, first d\.png: remove their lines\.",
        ),
    ],
)
def test_a_file_of_labels_that_does_not_fit_is_refused(three, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        ready(three, labels=csv(three, text))


def test_a_missing_file_of_labels_is_refused(three):
    with pytest.raises(FileNotFoundError, match=r"none\.csv is no file: `labels` must be a CSV file with the columns"):
        ready(three, labels=str(three.parent / "none.csv"))


# As NVlabs' dataset_tool writes them


@pytest.fixture(params=["folder", "zip"])
def written(request, tmp_path):
    """Writes a folder or zip file of four images in two sub-folders, and what its `dataset.json` holds."""

    def write(text):
        folder, path = tmp_path / "set", tmp_path / "set.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for index, pixels in enumerate(noise(4, 8, 8, 3)):
                name = f"{index // 2:05}/img{index:08}.png"
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / name, compress_level=0)
                archive.write(folder / name, name)
            archive.writestr("__MACOSX/._img.png", b"no image")
            archive.writestr("dataset.json", text)
        (folder / "dataset.json").write_text(text)
        return folder if request.param == "folder" else path

    return write


def listed(*labels):
    names = (f"{index // 2:05}/img{index:08}.png" for index in range(4))
    return json.dumps({"labels": list(map(list, zip(names, labels, strict=False)))})


@pytest.mark.parametrize("cached", [False, True])
def test_what_the_dataset_tool_wrote_is_read_as_it_is(written, tmp_path, cached):
    path = written(listed(6, 9, 6, 1))
    data = ready(path, cache=str(tmp_path / "cache") if cached else None)
    assert (data.training.image.permute(0, 2, 3, 1).numpy() == noise(4, 8, 8, 3)).all()
    assert data.training.label.tolist() == [6, 9, 6, 1] and len(data.classes) == 10
    assert data.training.label.dtype == torch.int64


def test_sub_folders_mean_nothing_where_labels_are_null(written):
    data = ready(written('{"labels": null}'))
    assert data.training.label.tolist() == [0, 0, 0, 0] and data.classes == []


@pytest.mark.parametrize(
    "text, sentence",
    [
        (listed(1, 2, 3), r"1 images of .*set.* are not in .*dataset\.json, first 00001/img00000003\.png: add lines"),
        (listed(1, 2, 3, 0.5), r"dataset\.json gives 00001/img00000003\.png the label 0\.5: labels must be whole"),
        (listed(1, 2, 3, [1, 0]), r"the label \[1, 0\]: labels must be whole numbers from 0\."),
        ("[1, 2]", r'dataset\.json must hold {"labels": \[\["a\.png", 6\], \.\.\.\]}, or null for the list\.'),
        ("{", r"dataset\.json must hold"),
    ],
)
def test_a_list_of_labels_that_does_not_fit_is_refused(written, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        ready(written(text))


def test_several_readers_do_not_share_a_place(written):
    path = written(listed(0, 1, 2, 3))
    files = ImageFiles(str(path))
    for one, two in zip(files.sources(), files.sources(), strict=True):  # in turns, each by a handle of its own
        assert one == two


def test_a_damaged_zip_file_is_refused(written, tmp_path):
    written(listed(0, 1, 2, 3))
    path = tmp_path / "set.zip"
    content = bytearray(path.read_bytes())
    content[100] ^= 255  # within the first image
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"set\.zip is not a readable zip file \(Bad CRC-32.*\): write or fetch it"):
        ready(path)


def test_mirrored_images_come_behind_the_others(written):
    data = ready(written(listed(6, 9, 6, 1)), mirror=True)
    image, label = data.training[torch.tensor([0, 3, 4, 7])]
    assert torch.equal(image[2:], image[:2].flip(3)) and label.tolist() == [6, 1, 6, 1]
    assert len(data.training) == 8 and data.evaluation is data.training
    assert "8 images of 10 classes (0: 0; 1: 2;" in data.summary
    assert data.training.fingerprint != ready(data.folder).training.fingerprint


# Evaluation images of their own


@pytest.fixture
def pair(tmp_path):
    """Folders to train and to evaluate on, of the classes ant, bee, cat and of bee alone."""
    for folder, classes in {"train": "ant bee cat", "test": "bee"}.items():
        for name in classes.split():
            (tmp_path / folder / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), "white" if folder == "train" else "black").save(tmp_path / folder / name / "1.png")
    return tmp_path / "train", str(tmp_path / "test")


def test_classes_of_the_evaluation_are_numbered_as_in_training(pair):
    data = ready(pair[0], evaluation_folder=pair[1])
    assert data.training.label.tolist() == [0, 1, 2] and data.evaluation.label.tolist() == [1]
    assert (data.training.image == 255).all() and (data.evaluation.image == 0).all()
    assert data.reference == "all images of test at 8x8"


def test_a_class_of_the_evaluation_alone_is_refused(pair):
    (pair[0] / "bee").rename(pair[0] / "bat")
    with pytest.raises(ValueError, match="test holds the class bee, which the training images have not: ant, bat, cat"):
        ready(pair[0], evaluation_folder=pair[1])


def test_both_folders_may_have_files_of_labels(pair):
    train = csv(pair[0], "file,label\nant/1.png,x\nbee/1.png,y\ncat/1.png,z\n")
    test = csv(pair[0], "file,label\nbee/1.png,z\n", "test.csv")
    data = ready(pair[0], labels=train, evaluation_folder=pair[1], evaluation_labels=test)
    assert data.evaluation.label.tolist() == [2]
    with pytest.raises(ValueError, match="`labels` and `evaluation_labels` must be given both or neither"):
        ready(pair[0], labels=train, evaluation_folder=pair[1])
    with pytest.raises(ValueError, match=r"`evaluation_labels` needs an `evaluation_folder`, got .*test\.csv alone"):
        ready(pair[0], labels=train, evaluation_labels=test)


def test_a_missing_evaluation_folder_is_refused(pair):
    with pytest.raises(FileNotFoundError, match="`evaluation_folder` must be an existing folder or zip file of images"):
        ready(pair[0], evaluation_folder="none")


def test_two_processes_read_the_images_of_one(pair):
    data = ready(pair[0], cache=str(pair[0].parent / "cache"))
    (pair[0] / "bee" / "2.png").write_bytes((pair[0] / "bee" / "1.png").read_bytes())
    data = ready(pair[0], cache=str(pair[0].parent / "cache"))
    (one,) = [data.training[index][1] for index in TrainingBatches(data.training, 4)]
    shares = [next(iter(TrainingBatches(data.training, 2, 2, rank))) for rank in (0, 1)]
    assert torch.equal(torch.cat([data.training[index][1] for index in shares]), one)
    assert sorted(one.tolist()) == [0, 1, 1, 2]


# With a trainer


def test_a_resumed_run_reads_the_next_batch_of_the_mapped_file(tmp_path):
    (tmp_path / "images").mkdir()
    for index in range(12):
        Image.new("L", (8, 8), index * 20).save(tmp_path / "images" / f"{index:02}.png")
    path = csv(tmp_path / "images", "file,label\n" + "".join(f"{index:02}.png,{index}\n" for index in range(12)))

    def data():
        cache = str(tmp_path / "cache")
        return ImageFolderDataModule(str(tmp_path / "images"), size=8, batch_size=3, labels=path, cache=cache)

    straight, resumed = Witness(), Witness()
    each_step = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    conftest.trainer(tmp_path, steps=8, enable_checkpointing=True, callbacks=[each_step]).fit(straight, data())
    conftest.trainer(tmp_path, steps=8).fit(resumed, data(), ckpt_path=tmp_path / "step=3.ckpt")
    assert resumed.trained == straight.trained[3:] and len(straight.trained) == 8
    assert sorted(sum(straight.trained[:4], [])) == list(range(12))
    mapped = data()
    mapped.setup("fit")
    image, label = next(iter(mapped.train_dataloader()))
    torch.testing.assert_close((image[:, 0, 0, 0] + 1) * 127.5, label * 20.0)
