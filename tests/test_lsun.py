"""LSUN from lmdb databases such as are published."""

import sys
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import LSUN

from lightning_gans.datamodules import LSUNDataModule

lmdb = pytest.importorskip("lmdb")


def write(path, count, extension="webp", first=0):
    """A database of photographs of 32x24 pixels under hashes, as in those that are published."""
    with lmdb.open(str(path), map_size=2**24) as database, database.begin(write=True) as transaction:
        for index in range(first, first + count):
            pixels = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
            transaction.put(f"{index * 7919 % 1000:040x}".encode(), encoded(Image.fromarray(pixels), extension))
    (path / "lock.mdb").unlink()


def encoded(image, extension):
    file = BytesIO()
    image.save(file, extension)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "bedroom_train_lmdb", 20)
    write(tmp_path / "bedroom_val_lmdb", 3, first=20)
    write(tmp_path / "cat", 5, "jpeg")
    return tmp_path


def ready(folder, **settings):
    data = LSUNDataModule(str(folder), **{"size": 24, "cache": str(folder / "cache"), "batch_size": 2, **settings})
    data.prepare_data()
    data.setup("fit")
    return data


def test_images_are_those_of_torchvision_in_its_order(folder, monkeypatch):
    monkeypatch.chdir(folder)  # where torchvision leaves its files
    theirs = LSUN(str(folder), ["bedroom_train"])
    expected = np.stack([np.asarray(theirs[index][0].crop((4, 0, 28, 24))) for index in range(len(theirs))])
    for database in theirs.dbs:
        database.env.close()
    data = ready(folder)
    assert torch.equal(data.training.image.permute(0, 2, 3, 1), torch.from_numpy(expected))
    assert data.training.label.tolist() == [0] * 20 and data.evaluation is data.training
    assert data.reference == "LSUN bedroom train at 24x24"


def test_the_validation_images_may_be_the_reference(folder):
    data = ready(folder, evaluation_split="val")
    assert (len(data.training), len(data.evaluation)) == (20, 3)
    assert data.summary == (
        f"LSUNDataModule trains on 20 images of 1 class (bedroom: 20) from {folder}, and evaluates on 3 images "
        f"({data.reference})."
    )
    assert len(list((folder / "cache").glob("*.pixels"))) == 2


def test_an_object_has_one_database(folder):
    assert len(ready(folder, category="cat").training) == 5
    with pytest.raises(FileNotFoundError, match=r"cat_val_lmdb has no data\.mdb"):
        ready(folder, category="cat", evaluation_split="val")


def test_the_first_images_alone_may_be_read(folder):
    few, many = ready(folder, num_images=4), ready(folder, num_images=1000)
    assert len(few.training) == 4 and len(many.training) == 20
    assert torch.equal(few.training.image, many.training.image[:4])
    assert few.reference == "LSUN bedroom train, first 4 at 24x24"


def test_reading_leaves_no_file_in_the_working_directory(folder, monkeypatch, tmp_path_factory):
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    ready(folder)
    assert not list(here.iterdir())


def test_a_changed_database_is_decoded_anew(folder):
    before = ready(folder).evaluation_name
    write(folder / "bedroom_train_lmdb", 1, first=500)
    assert len(ready(folder).training) == 21 and ready(folder).evaluation_name != before


def test_a_missing_category_is_named_with_those_that_are_there(folder):
    sentence = (
        r"tower_train_lmdb has no data\.mdb: fetch it by the script of https://github\.com/fyu/lsun, and "
        r"unpack it there\. .* has the databases bedroom_train_lmdb, bedroom_val_lmdb, cat\."
    )
    with pytest.raises(FileNotFoundError, match=sentence):
        ready(folder, category="tower")


def test_a_packed_database_is_to_be_unpacked(folder):
    (folder / "tower_train_lmdb.zip").touch()
    with pytest.raises(FileNotFoundError, match=r"tower_train_lmdb has no data\.mdb: unpack .*tower_train_lmdb\.zip\."):
        ready(folder, category="tower")


def test_an_interrupted_download_is_refused(folder):
    path = folder / "bedroom_train_lmdb" / "data.mdb"
    path.write_bytes(path.read_bytes()[:-10_000])
    with pytest.raises(
        ValueError, match=r"data\.mdb has [\d,]+ of [\d,]+ bytes: its unpacking or download was interrupt"
    ):
        ready(folder)


@pytest.mark.parametrize("content", [b"", b"<html>no such file</html>" * 400], ids=["empty", "a page"])
def test_what_is_no_database_is_refused(folder, content):
    (folder / "bedroom_train_lmdb" / "data.mdb").write_bytes(content)
    with pytest.raises(ValueError, match=r"data\.mdb is no database of lmdb \(.*\): unpack or fetch it again\."):
        ready(folder)


def test_an_empty_database_is_refused(folder):
    write(folder / "tower_train_lmdb", 0)
    with pytest.raises(ValueError, match=r"tower_train_lmdb/data\.mdb holds no image: fetch it again\."):
        ready(folder, category="tower")


def test_an_unreadable_value_is_named_by_its_key(folder):
    with lmdb.open(str(folder / "cat"), map_size=2**24) as database, database.begin(write=True) as transaction:
        transaction.put(b"abc", b"no image")
    with pytest.raises(ValueError, match=r"cat/data\.mdb: abc is not a readable image"):
        ready(folder, category="cat")


def test_without_lmdb_the_remedy_is_said(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(ImportError, match=r"LSUN's databases are read by lmdb: pip install 'lightning-gans\[lsun\]'\."):
        ready(folder)


def test_a_wrong_number_of_images_is_refused(folder):
    with pytest.raises(ValueError, match="`num_images` must be at least 1, got 0."):
        ready(folder, num_images=0)
