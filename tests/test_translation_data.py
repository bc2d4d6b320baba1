"""Data to translate and to restore: files as they are published, batches as functions of their indices."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import config
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import SVHN

from lightning_gans import datamodules
from lightning_gans.datamodules import (
    DegradedDataModule,
    EditedDigitsDataModule,
    EmojiStylesDataModule,
    HouseNumbersDataModule,
    ImageFolderDataModule,
    MNISTDataModule,
    OpenMojiDataModule,
    PairedFolderDataModule,
    PhotosDataModule,
    SVHNDataModule,
    UnpairedDataModule,
    UnpairedFolderDataModule,
)
from lightning_gans.datamodules.batches import TrainingBatches
from lightning_gans.datamodules.crops import Crops, tiles
from lightning_gans.datamodules.degradations import mask, rain, smaller
from lightning_gans.datamodules.tensors import held_out
from lightning_gans.metrics.strokes import slant, thickness
from tests import conftest
from tests.test_datamodules import Witness

EMBEDDED = Path(datamodules.__file__).parent / "embedded"


@pytest.fixture
def untyped():
    """Switches the run-time types off, so that a wrong value meets the check that users meet."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def ready(data):
    data.setup("fit")
    return data


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def in_bytes(images):
    """Floats in [-1, 1] as (b, h, w, c) bytes."""
    return ((images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def numbers(images):
    """The values of images of one color each."""
    return in_bytes(images)[:, 0, 0, 0].tolist()


def epoch(data, batch_size=2, number=0, processes=1, rank=0, seed=0):
    """The training batches of one process."""
    sampler = TrainingBatches(data.training, batch_size, processes, rank, seed)
    sampler.set_epoch(number)
    return [data.training[index] for index in sampler]


def equal(one, two):
    return len(one) == len(two) and all(
        torch.equal(a, b) for first, second in zip(one, two, strict=True) for a, b in zip(first, second, strict=True)
    )


@pytest.fixture
def halves(tmp_path):
    return write_halves(tmp_path)


@pytest.fixture
def domains(tmp_path):
    return write_domains(tmp_path)


def write_halves(folder):
    """Four pairs to train on and two for each of the other splits, A | B; the right half is brighter by 100."""
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for index in range(count):
            left = noise(12, 12, 3, seed=index + len(split) * 10) // 2
            save(folder / split / f"{index}.png", np.concatenate([left, left + 100], 1))
    return folder


def write_domains(folder):
    """Five images of one domain and three of the other, each of one color, and two of each to test with."""
    for name, count, start in (("trainA", 5, 0), ("trainB", 3, 100), ("testA", 2, 50), ("testB", 2, 150)):
        for index in range(count):
            save(folder / name / f"{index}.png", np.full((10, 14, 3), start + index, np.uint8))
    return folder


def paired(folder, **settings):
    return ready(PairedFolderDataModule(str(folder), **{"size": 8, "resize": 12, "cache": None, **settings}))


def unpaired(folder, **settings):
    return ready(UnpairedFolderDataModule(str(folder), **{"size": 8, "cache": None, **settings}))


def photos(**settings):
    return ready(PhotosDataModule(**{"size": 16, "num_crops": 12, "num_evaluation_crops": 5, "cache": None} | settings))


def street(*sizes):
    return HouseNumbersDataModule(*(sizes or (12, 6)), cache=None)


# Pairs in folders


def test_the_halves_of_a_file_are_a_pair(halves):
    target, source = paired(halves).evaluation[torch.tensor([1])]
    assert target.shape == source.shape == (1, 3, 8, 8)
    target, source = paired(halves, size=12, resize=12, flip=False).training[torch.tensor([1])]
    left = np.asarray(Image.open(halves / "train" / "1.png"))[:, :12]
    assert (in_bytes(source)[0] == left).all() and (in_bytes(target)[0] == left + 100).all()


def test_the_target_may_be_the_left_half(halves):
    right, left = (paired(halves, target=one, source=two) for one, two in (("right", "left"), ("left", "right")))
    index = torch.arange(4)
    assert equal([right.training[index]], [left.training[index][::-1]])


def test_evaluation_is_another_split_that_is_chosen(halves):
    val, test = paired(halves), paired(halves, evaluation_split="test")
    assert len(val.evaluation) == len(test.evaluation) == 2 and len(val.training) == 4
    assert "val, right from left at 8x8" in val.reference
    Image.new("RGB", (24, 12), (9, 9, 9)).save(halves / "test" / "0.png")
    assert numbers(paired(halves, evaluation_split="test").evaluation[torch.tensor([0])][0]) == [9]


def test_both_images_of_a_pair_are_cropped_and_mirrored_alike(halves):
    for target, source in epoch(paired(halves)):
        assert (in_bytes(target) == in_bytes(source) + 100).all()


def test_evaluation_pairs_are_neither_cropped_nor_mirrored(halves):
    data = paired(halves, size=12)
    left = np.asarray(Image.open(halves / "val" / "0.png"))[:, :12]
    assert (in_bytes(data.evaluation[torch.tensor([0])][1])[0] == left).all()


@pytest.mark.parametrize("layout", ["train/{}", "{}/train", "train{}"])
def test_pairs_may_lie_in_two_folders(tmp_path, layout):
    for split in ("train", "val"):
        for index in range(2):
            place = layout.replace("train", split)
            save(tmp_path / place.format("clean") / f"{index}.png", np.full((8, 8, 3), index, np.uint8))
            save(tmp_path / place.format("rainy") / f"{index}.bmp", np.full((8, 8, 3), 100 + index, np.uint8))
    target, source = paired(tmp_path, target="clean", source="rainy").training[torch.tensor([1, 0])]
    assert numbers(target) == [1, 0] and numbers(source) == [101, 100]


def test_one_clean_image_may_have_several_rainy_ones(tmp_path):
    for split in ("train", "val"):
        for index in (1, 10):
            save(tmp_path / split / "clean" / f"{index}.png", np.full((8, 8, 3), index, np.uint8))
            for rainy in (1, 2):
                pixels = np.full((8, 8, 3), 100 + index + rainy, np.uint8)
                save(tmp_path / split / "rainy" / f"{index}_{rainy}.png", pixels)
    data = paired(tmp_path, target="clean", source="rainy", match="prefix")
    target, source = data.training[torch.arange(4)]
    assert sorted(zip(numbers(target), numbers(source), strict=True)) == [(1, 102), (1, 103), (10, 111), (10, 112)]


@pytest.mark.parametrize("extra, here", [("clean", "clean"), ("rainy", "rainy")])
def test_an_image_without_a_partner_is_refused(tmp_path, extra, here):
    for name in ("clean", "rainy"):
        save(tmp_path / "train" / name / "1.png", noise(8, 8, 3))
    save(tmp_path / "train" / extra / "7.png", noise(8, 8, 3))
    with pytest.raises(ValueError, match=rf"1 images of \S*{here} have no partner by `name` in \S*, first 7.png: add"):
        paired(tmp_path, target="clean", source="rainy")


def test_images_of_unequal_size_are_no_pair(tmp_path):
    save(tmp_path / "train" / "clean" / "1.png", noise(8, 8, 3))
    save(tmp_path / "train" / "rainy" / "1.png", noise(8, 9, 3))
    with pytest.raises(ValueError, match=r"clean/1.png has 8x8 pixels and \S*rainy/1.png has 9x8: both images of a pa"):
        paired(tmp_path, target="clean", source="rainy")


def test_names_that_differ_in_their_endings_are_refused(tmp_path):
    for name in ("clean/1.png", "clean/1.jpg", "rainy/1.png"):
        save(tmp_path / "train" / name, noise(8, 8, 3))
    with pytest.raises(ValueError, match="clean has two images called 1 that differ in their endings: remove one."):
        paired(tmp_path, target="clean", source="rainy")


def test_an_odd_width_has_no_halves(halves):
    save(halves / "train" / "2.png", noise(12, 23, 3))
    with pytest.raises(ValueError, match=r"2.png is not a readable image \(it is 23 pixels wide, an odd number, and"):
        paired(halves)


def test_unreadable_pairs_are_named(halves):
    (halves / "train" / "2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="2.png is not a readable image"):
        paired(halves)


def test_an_unreadable_image_of_two_folders_is_named(tmp_path):
    for name in ("clean", "rainy"):
        save(tmp_path / "train" / name / "1.png", noise(8, 8, 3))
    (tmp_path / "train" / "rainy" / "1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="rainy/1.png is not a readable image"):
        paired(tmp_path, target="clean", source="rainy")


def test_a_missing_split_is_refused_with_those_that_are_there(halves):
    with pytest.raises(FileNotFoundError, match=r"There is no folder \S*valid: name one.*holds test, train, val."):
        paired(halves, evaluation_split="valid")


def test_an_empty_folder_is_refused(halves):
    (halves / "other").mkdir()
    with pytest.raises(ValueError, match="other holds no image: expected files that end in"):
        paired(halves, evaluation_split="other")


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"target": "left"},
            "`target` and `source` must be the two halves left and right, or two folders, got left and",
        ),
        (
            {"target": "clean"},
            "`target` and `source` must be the two halves left and right, or two folders, got clean an",
        ),
        ({"match": "stem"}, "`match` must be name or prefix, got stem."),
        ({"size": 0}, "`size` must be at least 1, got 0."),
        ({"resize": 7}, "`resize` must be at least the `size` of 8, got 7."),
        ({"evaluation_split": "train"}, "`evaluation_split` must be another split than train, such as val or test."),
    ],
)
def test_pairs_refuse_settings(halves, untyped, settings, message):
    with pytest.raises(ValueError, match=message):
        paired(halves, **settings)


def test_a_resize_of_null_is_that_of_the_paper(halves):
    assert PairedFolderDataModule(str(halves)).resize == 286


def test_pairs_are_decoded_once(halves, tmp_path, monkeypatch):
    settings = {"cache": str(tmp_path / "cache"), "evaluation_split": "test"}
    first = paired(halves, **settings)
    monkeypatch.setattr("lightning_gans.datamodules.pixel_cache.decoded", None)
    assert equal(epoch(first), epoch(paired(halves, **settings)))
    assert first.evaluation_name == paired(halves, **settings).evaluation_name


# Views


def test_view_0_is_the_centre_and_each_epoch_has_another_view():
    image = torch.arange(100, dtype=torch.uint8).view(1, 1, 10, 10)
    crops = Crops([image], 4)
    (center,) = crops[torch.tensor([0])]
    assert (in_bytes(center)[0, :, :, 0] == image[0, 0, 3:7, 3:7].numpy()).all()
    seen = [in_bytes(crops[crops.order(0, number)][0])[0, :, :, 0] for number in range(60)]
    for crop in seen:
        assert abs(crop[0, 0].astype(int) - crop[0, 1]) == 1 and abs(crop[1, 0].astype(int) - crop[0, 0]) == 10
    assert len({crop.min() for crop in seen}) > 25
    assert 15 < sum(bool(crop[0, 0] > crop[0, 1]) for crop in seen) < 45


def test_crops_without_flip_are_never_mirrored():
    crops = Crops([torch.arange(100, dtype=torch.uint8).view(1, 1, 10, 10)], 4, flip=False)
    for number in range(20):
        crop = in_bytes(crops[crops.order(0, number)][0])[0, :, :, 0]
        assert crop[0, 0] < crop[0, 1]


def test_a_smaller_side_is_cropped_at_the_same_place():
    small = torch.arange(25, dtype=torch.uint8).view(1, 1, 5, 5)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    crops = Crops([large, small], 4, factor=2)
    for number in range(20):
        one, two = crops[crops.order(0, number)]
        assert torch.equal(one, two.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_tiles_lie_around_the_centre():
    image = torch.arange(70, dtype=torch.uint8).view(1, 7, 10)
    corners = [tile[0, 0, 0].item() for tile in tiles(image, 3)]
    assert corners == [0, 3, 6, 30, 33, 36]
    assert [tile[0, 0, 0].item() for tile in tiles(image, 4)] == [11, 15]
    assert [tile[0, 0, 0].item() for tile in tiles(image, 4, multiple=2)] == [0, 4]


def street_and_folder(folder):
    images = ImageFolderDataModule(str(folder / "trainA"), size=8, evaluation_folder=str(folder / "testA"), cache=None)
    return ready(UnpairedDataModule(street(), images))


MAKE = {
    "halves": lambda folder: paired(write_halves(folder)),
    "domains": lambda folder: unpaired(write_domains(folder)),
    "down": lambda folder: photos(degradation="down"),
    "rain": lambda folder: photos(degradation="rain"),
    "mask": lambda folder: photos(degradation="mask"),
    "degraded": lambda folder: ready(DegradedDataModule(street())),
    "two data modules": lambda folder: street_and_folder(write_domains(folder)),
}


@pytest.fixture(scope="module", params=MAKE)
def twins(request, tmp_path_factory):
    """Two data modules of the same data."""
    return [MAKE[request.param](tmp_path_factory.mktemp("data")) for _ in range(2)]


def test_a_batch_is_a_function_of_its_indices(twins):
    data, again = twins
    index = data.training.order(0, 3)
    turned = again.training[index.flip(-1)]
    assert equal([data.training[index]], [[part.flip(0) for part in turned]])


def test_the_same_data_have_the_same_name_in_a_cache(twins):
    data, again = twins
    assert data.evaluation_name == again.evaluation_name
    assert data.training.fingerprint != data.evaluation.fingerprint


def test_an_epoch_is_a_function_of_the_seed_and_its_number(twins):
    data, again = twins
    assert equal(epoch(data, number=2, seed=5), epoch(again, number=2, seed=5))
    assert not equal(epoch(data, number=2, seed=5), epoch(data, number=2, seed=4))
    assert not equal(epoch(data, number=2, seed=5), epoch(data, number=1, seed=5))


def test_two_processes_share_the_batches_of_one(twins):
    ranks = [epoch(each, 1, processes=2, rank=rank) for rank, each in enumerate(twins)]
    joined = [[torch.cat(parts) for parts in zip(*shares, strict=True)] for shares in zip(*ranks, strict=True)]
    assert equal(joined, epoch(twins[0], 2))


def test_evaluation_batches_are_the_same_each_time(twins):
    data, again = twins
    assert equal(list(data.val_dataloader()), list(again.val_dataloader()))
    assert data.evaluation_name[2] == len(data.evaluation) and data.evaluation is not data.training


def test_a_resumed_run_sees_the_next_crops(tmp_path):
    class Pairs(Witness):
        def training_step(self, batch, batch_idx):
            return super().training_step([batch[0], batch[1].flatten()[:50]], batch_idx)

    def data():
        return PhotosDataModule(size=16, degradation="rain", num_crops=8, batch_size=2)

    straight, resumed = Pairs(), Pairs()
    third = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    settings = {"enable_checkpointing": True, "callbacks": [third], "limit_val_batches": 0}
    conftest.trainer(tmp_path, 7, **settings).fit(straight, data())
    conftest.trainer(tmp_path, 7, limit_val_batches=0).fit(resumed, data(), ckpt_path=tmp_path / "step=3.ckpt")
    assert resumed.trained == straight.trained[3:] and len({str(batch) for batch in straight.trained}) == 7


# Unpaired folders


def test_both_domains_have_numbers_of_their_own(domains):
    data = unpaired(domains, batch_size=1)
    assert len(data.training) == 5 and len(data.evaluation) == 2
    batches = epoch(data, 1)
    x, y = (sum((numbers(batch[side]) for batch in batches), []) for side in (0, 1))
    assert sorted(x) == [0, 1, 2, 3, 4] and sorted(y[:3]) == [100, 101, 102] and len(set(y[3:])) == 2
    assert all(image.shape == (1, 3, 8, 8) for image in batches[0])


def test_test_folders_are_evaluated_on_in_order(domains):
    x, y = unpaired(domains).evaluation[torch.arange(2)]
    assert numbers(x) == [50, 51] and numbers(y) == [150, 151]


def test_domains_may_have_other_names(domains):
    for split in ("train", "test"):
        (domains / f"{split}A").rename(domains / f"{split}horses")
    x, _ = unpaired(domains, x="horses").evaluation[torch.arange(2)]
    assert numbers(x) == [50, 51]


def test_a_missing_domain_is_refused(domains):
    with pytest.raises(FileNotFoundError, match=r"no folder \S*train/C or \S*C/train or \S*trainC: name one that"):
        unpaired(domains, y="C")
    with pytest.raises(ValueError, match="`x` and `y` must be two folders, got B for both."):
        unpaired(domains, x="B")


# Photographs


def test_the_photographs_of_the_package_are_59_and_7():
    with np.load(EMBEDDED / "photos.npz") as arrays:
        names = arrays["train_name"].tolist(), arrays["test_name"].tolist()
    data = ready(PhotosDataModule(size=96))
    assert [len(part) for part in names] == [59, 7] and not set(names[0]) & set(names[1])
    assert len(data.training.images.sides[0]) == 59 and len(data.evaluation) == 85
    notice = (EMBEDDED / "PHOTOS_NOTICE.txt").read_text()
    assert all(f"\n{name}: " in notice for name in names[0] + names[1])


def test_a_smaller_image_is_what_pillow_makes_of_it():
    pixels = noise(32, 24, 3)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    expected = np.asarray(Image.fromarray(pixels).resize((6, 8), Image.Resampling.BICUBIC))
    assert abs(in_bytes(smaller(image, 4))[0].astype(int) - expected).max() <= 1


def test_the_source_is_smaller_by_the_factor():
    target, source = next(iter(photos(factor=4, batch_size=3).train_dataloader()))
    assert target.shape == (3, 3, 16, 16) and source.shape == (3, 3, 4, 4) and source.min() >= -1 and source.max() <= 1
    assert (source * 127.5 + 127.5 - (source * 127.5 + 127.5).round()).abs().max() < 1e-3


def test_rain_is_what_is_added_to_the_target():
    data = photos(degradation="rain", size=32)
    index = torch.arange(5)
    target, source = data.evaluation[index]
    layer = torch.stack([rain((32, 32), number) for number in index.tolist()])
    torch.testing.assert_close(source, (target + 2 * layer).clamp(max=1))
    assert layer.min() == 0 and 0.2 < layer.amax((1, 2, 3)).min() and layer.max() <= 0.9


def test_rain_covers_a_small_part_and_differs():
    layers = torch.stack([rain((64, 64), number) for number in range(20)])
    wet = (layers > 0.1).float().mean((1, 2, 3))
    assert 0.03 < wet.min() and wet.max() < 0.4 and len(set(wet.tolist())) == 20


@pytest.mark.parametrize("hole", ["random", "center"])
def test_a_mask_is_1_in_one_square_hole(hole):
    target, source = photos(degradation="mask", hole=hole, hole_size=6).evaluation[torch.arange(5)]
    assert target.shape == (5, 3, 16, 16) and source.shape == (5, 1, 16, 16)
    assert set(source.unique().tolist()) == {0, 1} and source.sum((1, 2, 3)).tolist() == [36] * 5
    assert (len(source.unique(dim=0)) == 1) == (hole == "center")
    assert torch.equal(mask((16, 16), 6, None)[0, 5:11, 5:11], torch.ones(6, 6))


def test_an_image_may_be_its_own_source():
    target, source = photos(degradation="none").training[torch.arange(3)]
    assert torch.equal(target, source)


@pytest.fixture
def div2k(tmp_path):
    """Photographs of unequal sizes with smaller ones, in DIV2K's folders, and Set5's."""
    for name, (height, width) in {"0001": (18, 24), "0002": (33, 21)}.items():
        save(tmp_path / "HR" / f"{name}.png", noise(height, width, 3, seed=int(name)))
        small = Image.open(tmp_path / "HR" / f"{name}.png").resize((width // 2, -(-height // 2)))
        save(tmp_path / "LR" / "X2" / f"{name}x2.png", np.asarray(small))
    for name in ("baby", "bird"):
        pixels = save(tmp_path / "Set5" / "GTmod12" / f"{name}.png", noise(24, 36, 3))
        save(tmp_path / "Set5" / "LRbicx2" / f"{name}.png", pixels[::2, ::2])
    return tmp_path


def own(folder, **settings):
    folders = {"folder": "HR", "evaluation_folder": "Set5/GTmod12"} | settings
    paths = {key: str(folder / value) if "folder" in key else value for key, value in folders.items()}
    return photos(**{"size": 8, "factor": 2, "num_evaluation_crops": None} | paths)


def test_photographs_of_your_own_have_any_size(div2k):
    data = own(div2k)
    assert [tuple(image.shape) for image in data.training.images.sides[0]] == [(3, 18, 24), (3, 33, 21)]
    assert len(data.evaluation) == 2 * 3 * 4
    target, source = data.training[data.training.order(0, 0)]
    assert target.shape == (12, 3, 8, 8) and source.shape == (12, 3, 4, 4)


def test_photographs_may_come_with_smaller_ones(div2k):
    data = own(div2k, source_folder="LR/X2", evaluation_source_folder="Set5/LRbicx2")
    sizes = [[tuple(image.shape[1:]) for image in side] for side in data.training.sides]
    assert sizes == [[(18, 24), (32, 20)], [(9, 12), (16, 10)]]
    target, source = data.evaluation[torch.arange(24)]
    assert torch.equal(target[:, :, ::2, ::2], source)


def test_photographs_are_decoded_once_into_one_file(div2k, monkeypatch):
    settings = {"source_folder": "LR/X2", "cache": str(div2k / "cache")}
    first = own(div2k, **settings)
    monkeypatch.setattr("lightning_gans.datamodules.photos.decoded", None)
    assert equal(epoch(first), epoch(own(div2k, **settings)))


def test_a_photograph_that_lies_on_its_side_is_upright(div2k):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(10, 30, 3)).save(div2k / "HR" / "0003.png", exif=exif)
    image = own(div2k).training.images.sides[0][2]
    assert (image.permute(1, 2, 0).numpy() == np.rot90(noise(10, 30, 3), 3)).all()


def test_a_smaller_photograph_must_be_smaller_by_the_factor(div2k):
    for path in (div2k / "LR" / "X2").glob("*"):
        path.rename(path.with_name(path.name.replace("x2", "x4")))
    with pytest.raises(ValueError, match=r"0001x4.png has 12x9 pixels where \S*0001.png has 24x16: it must be 4 times"):
        own(div2k, source_folder="LR/X2", factor=4)


def test_a_photograph_without_a_smaller_one_is_refused(div2k):
    (div2k / "LR" / "X2" / "0002x2.png").unlink()
    with pytest.raises(ValueError, match=r"1 images of \S*HR have no partner by `name` in \S*X2, first 0002.png"):
        own(div2k, source_folder="LR/X2")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"size": 20}, r"0001.png has 24x18 pixels, less than the `size` of 20: lower it."),
        ({"size": 7}, "The size of images must be a multiple of `factor`, got 7 and 2."),
        ({"degradation": "snow"}, "`degradation` must be down, rain, mask or none, got snow."),
        ({"degradation": "mask", "hole_size": 9}, "`hole_size` must be from 1 to the size of images, 8, got 9."),
        ({"hole": "left"}, "`hole` must be random or center, got left."),
        ({"num_crops": 0}, "`num_crops` must be at least 1, got 0."),
        (
            {"degradation": "rain", "source_folder": "LR/X2"},
            "`source_folder` needs a `folder` and the degradation down",
        ),
    ],
)
def test_photographs_refuse_settings(div2k, untyped, settings, message):
    with pytest.raises(ValueError, match=message):
        own(div2k, **settings)


def test_photographs_of_your_own_need_others_to_evaluate_on(div2k):
    with pytest.raises(ValueError, match="`folder` needs an `evaluation_folder` of other photographs, got none."):
        PhotosDataModule(str(div2k / "HR"))


def test_unreadable_photographs_are_named(div2k):
    (div2k / "HR" / "0002.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="0002.png is not a readable image"):
        own(div2k)


# House numbers


@pytest.fixture
def svhn(tmp_path, monkeypatch):
    """SVHN's two files with a few images each; torchvision expects their hashes."""
    split_list = dict(SVHN.split_list)
    for seed, split in enumerate(("train", "test")):
        url, name, _ = split_list[split]
        images = {"X": noise(32, 32, 3, 5, seed=seed), "y": np.array([[1], [10], [9], [2], [10]], np.uint8)}
        savemat(tmp_path / name, images)
        split_list[split] = [url, name, hashlib.md5((tmp_path / name).read_bytes()).hexdigest()]
    monkeypatch.setattr(SVHN, "split_list", split_list)
    return tmp_path


def test_svhn_is_read_from_its_mat_files(svhn):
    data = ready(SVHNDataModule(str(svhn), batch_size=2))
    assert data.training.label.tolist() == [1, 0, 9, 2, 0] and data.classes == list("0123456789")
    for seed, part in enumerate((data.training, data.evaluation)):
        assert (part.image.permute(2, 3, 1, 0).numpy() == noise(32, 32, 3, 5, seed=seed)).all()


def test_a_missing_or_damaged_file_of_svhn_is_named(svhn):
    (svhn / "test_32x32.mat").write_bytes(b"no mat")
    with pytest.raises(FileNotFoundError, match=r"test_32x32.mat is damaged: pass `download=true`, or put http\S* the"):
        ready(SVHNDataModule(str(svhn)))
    (svhn / "train_32x32.mat").unlink()
    with pytest.raises(FileNotFoundError, match="train_32x32.mat is missing: pass `download=true`, or put"):
        ready(SVHNDataModule(str(svhn)))


def test_svhn_takes_the_place_of_house_numbers(svhn):
    options = ["--data.x", "SVHNDataModule", "--data.x.folder", str(svhn)]
    assert conftest.parsed("cyclegan_house_numbers", *options)["data"]["init_args"]["x"]["class_path"].endswith(
        "SVHNDataModule"
    )
    data = ready(UnpairedDataModule(SVHNDataModule(str(svhn)), datamodules.MNISTDataModule(size=32, held_out=0.2)))
    x, y, of_x, _ = data.evaluation[torch.arange(5)]
    assert x.shape == (5, 3, 32, 32) and y.shape == (5, 1, 32, 32) and of_x.tolist() == [1, 0, 9, 2, 0]


def test_house_numbers_are_functions_of_the_seed_and_their_number():
    few, more, other = (ready(HouseNumbersDataModule(*sizes, cache=None)) for sizes in ((3, 2), (5, 2), (3, 2, 1)))
    assert torch.equal(few.training.image, more.training.image[:3])
    assert few.training.label.tolist() == more.training.label[:3].tolist()
    assert not torch.equal(few.training.image, other.training.image)
    assert few.training.image.shape == (3, 3, 32, 32) and few.evaluation.image.float().std() > 10


def test_house_numbers_held_out_are_of_other_fonts():
    with np.load(EMBEDDED / "house_number_digits.npz") as arrays:
        families = [{name.split("/")[0] for name in arrays["name"][arrays["test"] == part]} for part in (False, True)]
        assert arrays["test"].sum() == 30 and len(arrays["test"]) == 230
    assert not families[0] & families[1]
    notice = (EMBEDDED / "HOUSE_NUMBERS_NOTICE.txt").read_text()
    assert all(f"\nfonts-{name}: " in notice for name in families[0] | families[1])


def test_house_numbers_have_all_digits_and_are_drawn_once(tmp_path, monkeypatch):
    data = ready(HouseNumbersDataModule(60, 2, cache=str(tmp_path)))
    assert data.training.label.bincount().min() > 0
    monkeypatch.setattr("lightning_gans.datamodules.house_numbers.house_number", None)
    again = ready(HouseNumbersDataModule(60, 2, cache=str(tmp_path)))
    assert torch.equal(data.training.image, again.training.image)


# Other data modules in one


def test_images_of_a_data_module_are_degraded_anew_in_each_epoch():
    digits = street()
    data = ready(DegradedDataModule(digits, "rain"))
    first, second = (
        {tuple(target.flatten().tolist()): source for target, source in zip(*data.training[order], strict=True)}
        for order in (data.training.order(0, number) for number in (0, 1))
    )
    assert first.keys() == second.keys() and len(first) == 12
    assert all(not torch.equal(first[target], second[target]) for target in first)
    target, source = data.evaluation[torch.arange(6)]
    assert torch.equal(target, digits.evaluation[torch.arange(6)][0]) and not torch.equal(target, source)


def test_a_hole_larger_than_the_images_is_refused():
    with pytest.raises(ValueError, match="`hole_size` must be from 1 to the size of images, 32, got 40."):
        ready(DegradedDataModule(street(), "mask", hole_size=40))


def test_unpaired_evaluation_batches_hold_the_labels_of_both_and_training_batches_none():
    street_, digits = street(), MNISTDataModule(held_out=0.2)
    data = ready(UnpairedDataModule(street_, digits, batch_size=4))
    x, y = next(iter(data.train_dataloader()))
    assert x.shape == (4, 3, 32, 32) and y.shape == (4, 1, 32, 32)
    x, y, of_x, of_y = data.evaluation[torch.tensor([0, 7])]
    assert torch.equal(x, street_.evaluation[torch.tensor([0, 1])][0]) and of_x.tolist() == [
        street_.evaluation.label[number].item() for number in (0, 1)
    ]
    assert torch.equal(y, digits.evaluation[torch.tensor([0, 7])][0])
    assert torch.equal(of_y, digits.evaluation.label[torch.tensor([0, 7])])


def test_of_pairs_the_targets_are_taken():
    data = ready(UnpairedDataModule(OpenMojiDataModule(target="line", held_out=0.1), street(), batch_size=4))
    assert [tuple(part.shape) for part in next(iter(data.val_dataloader()))] == [(4, 3, 64, 64), (4, 3, 32, 32)]


def test_the_shorter_set_starts_over_in_another_order():
    data = ready(UnpairedDataModule(street(4, 2), street(12, 2)))
    first, second = data.training.order(0, 0)
    rounds = [first[start : start + 4].tolist() for start in (0, 4, 8)]
    assert all(sorted(one) == [0, 1, 2, 3] for one in rounds) and len({str(one) for one in rounds}) > 1
    assert sorted(second.tolist()) == list(range(12))


# Emoji


def test_emoji_held_out_are_other_things_than_those_trained_on():
    data = ready(OpenMojiDataModule(target="line", held_out=0.1))
    assert len(data.training) + len(data.evaluation) == 2186 and 219 <= len(data.evaluation) < 260
    with np.load(EMBEDDED / "openmoji_64.npz") as arrays:
        _, concept = np.unique([code.split("-")[0] for code in arrays["hexcode"].tolist()], return_inverse=True)
    training, evaluation = held_out(torch.from_numpy(concept), 0.1)
    assert not set(concept[training].tolist()) & set(concept[evaluation].tolist())
    whole = ready(OpenMojiDataModule(target="line"))
    assert torch.equal(data.evaluation.target, whole.training.target[evaluation])
    assert torch.equal(data.training.source, whole.training.source[training])


def test_those_held_out_do_not_depend_on_the_seed_of_the_run():
    torch.manual_seed(5)
    first = held_out(torch.arange(100), 0.2)
    torch.manual_seed(6)
    assert equal([first], [held_out(torch.arange(100), 0.2)])
    assert set(first[1].tolist()) < set(held_out(torch.arange(100), 0.3)[1].tolist())


def test_lines_may_be_drawn_from_colour():
    (color, line), (target, source) = (
        ready(OpenMojiDataModule(target=name, held_out=0.1)).evaluation[torch.arange(3)] for name in ("line", "color")
    )
    assert torch.equal(target, line) and torch.equal(source, color)


@pytest.mark.parametrize("module", [OpenMojiDataModule, MNISTDataModule])
def test_a_share_to_hold_out_has_bounds(module):
    with pytest.raises(ValueError, match="`held_out` must be from 0 to 0.5, got 0.6."):
        module(held_out=0.6)


def test_digits_of_a_folder_are_not_held_out():
    with pytest.raises(ValueError, match="`held_out` must be 0 with a `folder`, which has a test set, got 0.1."):
        MNISTDataModule("somewhere", held_out=0.1)


def test_digits_held_out_are_not_trained_on():
    data = ready(MNISTDataModule(size=28, held_out=0.1))
    assert len(data.training) == 9000 and len(data.evaluation) == 1000 and "10% held out" in data.reference
    digits = {digit.numpy().tobytes() for digit in data.training.image}
    assert sum(digit.numpy().tobytes() in digits for digit in data.evaluation.image) == 0


def test_emoji_styles_are_trained_apart_and_evaluated_in_pairs():
    data, other = ready(EmojiStylesDataModule()), ready(EmojiStylesDataModule(x="twemoji"))
    assert (len(data.training.x), len(data.training.y), len(data.evaluation)) == (648, 687, 279)
    with np.load(EMBEDDED / "twemoji_64.npz") as arrays:
        rows = [set(arrays[name].tolist()) for name in ("train_a_row", "train_b_row", "test_row")]
        first, styled = int(arrays["test_row"][0]), arrays["test_b"][0]
    assert len(set.union(*rows)) == sum(map(len, rows))
    x, y = data.evaluation[torch.tensor([0])]
    assert torch.equal(x[0], ready(OpenMojiDataModule()).training[torch.tensor([first])][0][0])
    assert (in_bytes(y)[0] == styled).all()
    assert equal([(x, y)], [other.evaluation[torch.tensor([0])][::-1]])


@pytest.mark.parametrize("name", ["PHOTOS", "TWEMOJI", "HOUSE_NUMBERS"])
def test_the_notices_name_licences(name):
    assert "https://" in (EMBEDDED / f"{name}_NOTICE.txt").read_text()


def test_the_command_line_takes_two_data_modules(capsys):
    options = ["--data", "UnpairedDataModule", "--data.x", "HouseNumbersDataModule", "--data.x.num_images", "50"]
    options += ["--data.y", "MNISTDataModule", "--data.y.held_out", "0.2"]
    data = conftest.parsed("dcgan_mnist", *options)["data"]["init_args"]
    assert data["x"]["init_args"]["num_images"] == 50 and data["y"]["init_args"]["held_out"] == 0.2


def test_digits_are_brought_to_the_stroke_and_slant_of_their_domain():
    data = EditedDigitsDataModule(num_images=36, num_evaluation_images=40)
    data.setup("fit")
    index = torch.arange(40)
    for domain, name in enumerate(data.classes):
        image = data.evaluation.edited(index, torch.full((40,), domain))
        color, stroke, lean = name.split(", ")
        grey = image.amax(1, keepdim=True)
        assert slant(grey).mean().item() == pytest.approx({"left": -0.35, "upright": 0, "right": 0.35}[lean], abs=0.02)
        assert thickness(grey).mean().item() == pytest.approx({"thin": 2.2, "thick": 4.2}[stroke], abs=0.3)
        assert image.mean((0, 2, 3)).argmax() == ["red", "green", "blue"].index(color)
    image, label = data.training[torch.arange(36)]
    assert label.bincount().tolist() == [2] * 18
    assert torch.equal(image, data.training.edited(torch.arange(36), label))
    with pytest.raises(ValueError, match="at most 10,000 together, got 9999 and 2"):
        EditedDigitsDataModule(num_images=9999, num_evaluation_images=2)


def test_unpaired_sets_are_in_color_where_asked():
    data = UnpairedDataModule(
        HouseNumbersDataModule(20, 5, cache=None), datamodules.MNISTDataModule(held_out=0.2), 4, in_color=True
    )
    data.setup("fit")
    x, y, *labels = data.evaluation[torch.arange(4)]
    assert x.shape == y.shape == (4, 3, 32, 32) and len(labels) == 2
    assert torch.equal(y[:, 0], y[:, 2])
