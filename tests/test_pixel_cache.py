"""The file of decoded images: shared, rebuilt, safe from kills and from damage."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lightning_gans.datamodules import ImageFolderDataModule, pixel_cache, pixel_file
from lightning_gans.datamodules.decoding import Decoding

ROOT = Path(__file__).parents[1]
READER = """
import os, signal, sys, time
from lightning_gans.datamodules import ImageFolderDataModule
from lightning_gans.datamodules.decoding import Decoding

folder, cache, log, fails_after = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
read = Decoding.read

def noting(self, file):
    time.sleep(0.005)
    with open(log, "a") as notes:
        notes.write(f"{file}\\n")
    if 0 < fails_after <= len(open(log).readlines()):
        os.kill(os.getpid(), signal.SIGKILL)
    return read(self, file)

Decoding.read = noting
data = ImageFolderDataModule(folder, size=8, cache=cache)
data.setup("fit")
print(data.evaluation_name, data.training.image.sum().item())
"""


@pytest.fixture
def folder(tmp_path):
    """40 images of noise."""
    path = tmp_path / "photos"
    path.mkdir()
    for index in range(40):
        Image.fromarray(np.random.default_rng(index).integers(0, 256, (8, 8, 3), np.uint8)).save(path / f"{index}.png")
    return path


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch):
    """The files that were decoded."""
    files, read = [], Decoding.read
    monkeypatch.setattr(Decoding, "read", lambda self, file: files.append(file) or read(self, file))
    return files


def ready(folder, cache, **settings):
    data = ImageFolderDataModule(str(folder), cache=None if cache is None else str(cache), **{"size": 8, **settings})
    data.setup("fit")
    return data


def reader(folder, cache, log, fails_after=-1):
    """Another process that reads the folder, and notes what it decodes."""
    command = [sys.executable, "-c", READER, folder, cache, log, fails_after]
    return subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def kept(cache):
    (path,) = cache.glob("*.pixels")
    return path


def test_a_second_reading_decodes_nothing(folder, cache, reads):
    first = ready(folder, cache)
    assert len(reads) == 40
    second = ready(folder, cache)
    assert len(reads) == 40 and torch.equal(first.training.image, second.training.image)


def test_the_file_holds_what_memory_would(folder, cache):
    mapped, in_memory = ready(folder, cache), ready(folder, None)
    assert torch.equal(mapped.training.image, in_memory.training.image)
    assert torch.equal(load_file(kept(cache))["image"], in_memory.training.image)
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".pixels"]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's list of mapped files")
def test_all_processes_share_the_file(folder, cache):
    images = ready(folder, cache).training
    places = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    spans = {tuple(int(end, 16) for end in place[0].split("-")): place for place in places}
    (place,) = [place for (start, end), place in spans.items() if start <= images.image.data_ptr() < end]
    assert place[1] == "r--s" and place[-1] == str(kept(cache))  # shared with all processes, and written by none


def test_indexing_a_batch_copies_the_batch_alone(folder, cache):
    images = ready(folder, cache).training
    batch, _ = images[torch.tensor([3, 1])]
    assert batch.untyped_storage().nbytes() == 2 * 3 * 8 * 8 * 4


def test_the_default_folder_is_the_users(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    ImageFolderDataModule(str(folder), size=8).setup("fit")
    assert kept(tmp_path / "home" / "lightning-gans").name.startswith("photos-")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "0.png").rename(folder / "000.png"),
        lambda folder: (folder / "0.png").unlink(),
        lambda folder: os.utime(folder / "0.png", (1, 1)),
        lambda folder: Image.new("RGB", (8, 8)).save(folder / "0.png"),
        lambda folder: Image.new("RGB", (8, 8)).save(folder / "new.png"),
    ],
    ids=["renamed", "removed", "touched", "changed", "added"],
)
def test_a_changed_folder_is_decoded_anew_in_place(change, folder, cache):
    before = ready(folder, cache)
    change(folder)
    after = ready(folder, cache)
    assert torch.equal(after.training.image, ready(folder, None).training.image)
    assert after.evaluation_name != before.evaluation_name
    kept(cache)  # is one file still


def test_settings_have_files_of_their_own(folder, cache, reads):
    for _ in range(2):
        assert ready(folder, cache).training.image.shape == (40, 3, 8, 8)
        assert ready(folder, cache, size=4).training.image.shape == (40, 3, 4, 4)
        assert ready(folder, cache, channels=1).training.image.shape == (40, 1, 8, 8)
    assert len(reads) == 120


def test_the_evaluation_is_named_without_reading_the_images(folder, cache, monkeypatch):
    data, hashed = ready(folder, cache), []
    monkeypatch.setattr(pixel_cache, "hash_of", lambda tensors: hashed.extend(tensors.values()) or "0" * 16)
    name, _, count, size = data.evaluation_name
    assert name == "ImageFolder-" + "0" * 16 and (count, size) == (40, "3x8x8")
    assert [tensor.shape for tensor in hashed] == [(40,)]


def test_other_labels_make_another_name(folder, cache):
    lines = [f"{path.name},{index % 3}\n" for index, path in enumerate(sorted(folder.iterdir()))]
    (folder / "labels.csv").write_text("file,label\n" + "".join(lines))
    labelled = ready(folder, cache, labels=str(folder / "labels.csv"))
    assert labelled.evaluation_name != ready(folder, cache).evaluation_name
    kept(cache)  # the images are the same


def test_of_two_processes_one_decodes_and_the_other_waits(folder, cache, tmp_path):
    pair = [reader(folder, cache, tmp_path / "log") for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in pair]
    assert said[0] == said[1] and said[0]
    assert len(set((tmp_path / "log").read_text().splitlines())) == 40
    assert len((tmp_path / "log").read_text().splitlines()) == 40
    assert not list(cache.glob("*.part"))


def test_a_kill_in_mid_build_leaves_nothing_that_is_taken_for_whole(folder, cache, tmp_path):
    killed = reader(folder, cache, tmp_path / "log", fails_after=20)
    assert killed.wait(120) == -signal.SIGKILL
    assert list(cache.glob("*.part")) and not list(cache.glob("*.pixels"))
    assert torch.equal(ready(folder, cache).training.image, ready(folder, None).training.image)
    assert not list(cache.glob("*.part"))


def test_leftovers_of_other_images_are_removed_unless_they_are_being_written(folder, cache):
    cache.mkdir()
    (cache / "gone.pixels.part").write_bytes(b"half")
    (cache / "busy.pixels.part").write_bytes(b"half")
    with pixel_cache.FileLock(cache / "busy.pixels.lock"):
        ready(folder, cache)
    assert [path.name for path in cache.glob("*.part")] == ["busy.pixels.part"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: data + b"more",
        lambda data: data[:5000] + b"0000" + data[5004:],
        lambda data: b"no header" + data[9:],
    ],
    ids=["empty", "header cut", "cut", "longer", "other pixels", "no header"],
)
def test_a_damaged_file_is_refused(damage, folder, cache):
    ready(folder, cache)
    kept(cache).write_bytes(damage(kept(cache).read_bytes()))
    with pytest.raises(ValueError, match=r"photos.*\.pixels are damaged and are not used: delete the file, and it is"):
        ready(folder, cache)


def test_images_that_another_process_has_changed_meanwhile_are_refused(folder, cache, monkeypatch):
    ready(folder, cache)
    monkeypatch.setattr(pixel_cache, "kept_fingerprint", lambda path: pixel_cache.fingerprint_of("of before"))
    monkeypatch.setattr(pixel_cache, "write", lambda *_: None)
    with pytest.raises(
        ValueError, match=r"The images of .*\.pixels have changed since they were listed: start again\."
    ):
        (folder / "0.png").unlink()
        ready(folder, cache)


@pytest.mark.parametrize("place", [0, 10_000_000, 19_999_999])
def test_the_checksum_of_a_large_file_reads_all_over_it(place):
    pixels = np.zeros(20_000_000, np.uint8)
    before = pixel_file.checksum(pixels)
    pixels[place : place + 400_000] = 1
    assert pixel_file.checksum(pixels) != before


def test_a_failed_build_leaves_nothing(folder, cache):
    (folder / "7.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="not a readable image"):
        ready(folder, cache)
    assert not list(cache.glob("*.part")) and not list(cache.glob("*.pixels"))


def test_a_full_disk_is_said_before_decoding(folder, cache, reads, monkeypatch):
    usage = type("Usage", (), {"free": 2**29})
    monkeypatch.setattr(pixel_file.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(pixel_file, "HEADER", 2**30)
    with pytest.raises(OSError, match=r"cannot hold .* \(it takes 1.0 GiB, and 0.5 GiB are free\): choose another `c"):
        ready(folder, cache)
    assert not reads


def test_a_cache_that_is_no_folder_is_said(folder, cache):
    cache.touch()
    with pytest.raises(OSError, match=r"cache cannot hold the decoded images \(.*exists.*\): choose another `cache`\."):
        ready(folder, cache)
