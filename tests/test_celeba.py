"""CelebA from images and text files such as are published."""

import hashlib
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CelebA

from lightning_gans import StarGAN
from lightning_gans.datamodules import CelebADataModule
from lightning_gans.networks import StarGANDiscriminator, StarGANGenerator

ATTRIBUTES = """5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair
Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones
Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
Wearing_Necktie Young""".split()
NAMES = [f"{index:06}.jpg" for index in range(1, 10)]
PARTITION = [0, 0, 0, 0, 0, 1, 1, 2, 2]
SIGNS = np.random.default_rng(0).choice([-1, 1], (9, 40))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Nine faces, 5 of them to train on, 2 to validate, 2 to test; torchvision expects the hashes of their files."""
    inside = tmp_path / "celeba"
    (inside / "img_align_celeba").mkdir(parents=True)
    for index, name in enumerate(NAMES):
        face = Image.new("RGB", (178, 218), "white")
        face.paste((0, 0, index * 20), (0, 20, 178, 198))  # what the square of the whole width leaves
        face.save(inside / "img_align_celeba" / name, quality=95)
    attributes = [f"{name}  {' '.join(f'{sign:2}' for sign in row)}" for name, row in zip(NAMES, SIGNS, strict=True)]
    write(inside, "list_attr_celeba.txt", ["9", " ".join(ATTRIBUTES) + " ", *attributes])
    write(inside, "list_eval_partition.txt", [f"{name} {split}" for name, split in zip(NAMES, PARTITION, strict=True)])
    write(inside, "identity_CelebA.txt", [f"{name} {index}" for index, name in enumerate(NAMES)])
    write(
        inside, "list_bbox_celeba.txt", ["9", "image_id x_1 y_1 width height", *(f"{n}    95  71 226 3" for n in NAMES)]
    )
    points = [f"{name} 69  109  106  113   77  142   73  152  108  154 " for name in NAMES]
    eyes = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y "
    write(inside, "list_landmarks_align_celeba.txt", ["9", eyes, *(point.strip() for point in points)])
    expect(inside, monkeypatch)
    return tmp_path


def write(inside, name, lines):
    (inside / name).write_text("\n".join(lines) + "\n")


def expect(inside, monkeypatch):
    """Makes the text files in a folder the published ones."""
    files = [
        (file_id, hashlib.md5((inside / name).read_bytes()).hexdigest() if name.endswith(".txt") else md5, name)
        for file_id, md5, name in CelebA.file_list
    ]
    monkeypatch.setattr(CelebA, "file_list", files)


def ready(folder, **settings):
    data = CelebADataModule(str(folder), **{"size": 16, "batch_size": 2, "cache": str(folder / "cache"), **settings})
    data.prepare_data()
    data.setup("fit")
    return data


def test_the_splits_are_those_of_the_partition(folder):
    data = ready(folder)
    assert data.training.image.shape == (5, 3, 16, 16) and data.evaluation.image.shape == (2, 3, 16, 16)
    blue = torch.tensor([0, 20, 40, 60, 80])
    assert (data.training.image[:, 2, 8, 8] - blue).abs().max() <= 3
    assert ready(folder, evaluation_split="valid").evaluation.image[:, 2, 8, 8].tolist() == pytest.approx(
        [100, 120], abs=3
    )
    assert len(list((folder / "cache").glob("*.pixels"))) == 3
    same = ready(folder, evaluation_split="train")
    assert same.evaluation is same.training


def test_all_attributes_are_the_label(folder):
    data = ready(folder)
    image, label = next(iter(data.val_dataloader()))
    assert label.shape == (2, 40) and label.dtype == torch.int64
    assert torch.equal(label, torch.from_numpy(SIGNS[7:] > 0).long())
    assert list(data.attributes) == ATTRIBUTES


def test_one_attribute_is_the_label(folder):
    data = ready(folder, attribute="Smiling")
    assert data.training.label.tolist() == (SIGNS[:5, ATTRIBUTES.index("Smiling")] > 0).astype(int).tolist()
    assert data.classes == ["not Smiling", "Smiling"]
    with pytest.raises(ValueError, match="`attribute` must be one of 5_o_Clock_Shadow, .*, Young, got Happy."):
        ready(folder, attribute="Happy")


def test_stargan_takes_chosen_attributes_as_domains(folder, fit):
    names = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"]  # the paper's
    data = ready(folder, attribute=names)
    _, label = next(iter(data.val_dataloader()))
    assert label.tolist() == (SIGNS[7:, [ATTRIBUTES.index(name) for name in names]] > 0).astype(int).tolist()
    networks = {"generator": StarGANGenerator(5, 3, 2, 1), "discriminator": StarGANDiscriminator(5, 3, 16, 2, 2)}
    module = StarGAN(**networks, n_critic=1, ema_halflife=0.0)
    run = fit(module, 2, data, log_every_n_steps=1)
    terms = {name: value for name, value in run.callback_metrics.items() if "_loss/" in name}
    assert len(terms) == 6 and all(value.isfinite() for value in terms.values())
    image, label = data.evaluation[torch.arange(2)]
    assert module.convert(image, [0, 1, 0, 1, 1]).shape == (2, 3, 16, 16)
    edits = module.samples((image, label))["edits"]  # the image, then with each attribute changed
    other = (label - torch.tensor([0, 0, 0, 1, 0])).abs()
    assert edits.shape == (2, 6, 3, 16, 16)
    torch.testing.assert_close(edits[:, 4], module.edited(image, other))
    with pytest.raises(ValueError, match="`attribute` must be one of 5_o_Clock_Shadow, .*, Young, got Happy."):
        ready(folder, attribute=["Male", "Happy"])
    with pytest.raises(ValueError, match="`attribute` must name at least one attribute, or be null"):
        ready(folder, attribute=[])


def test_half_of_the_training_faces_are_mirrored_others_in_each_epoch(folder):
    pixels = np.tile(np.linspace(0, 255, 178).astype(np.uint8)[None, :, None], (218, 1, 3))  # darker at the left
    for name in NAMES:
        Image.fromarray(pixels).save(folder / "celeba" / "img_align_celeba" / name)
    data = ready(folder, flip=True)
    orders = [data.training.order(0, epoch) for epoch in range(20)]
    darker_left = [data.training[order][0][:, 0, 8].diff(dim=1).sum(1) > 0 for order in orders]
    assert all(torch.equal((order % 5).sort().values, torch.arange(5)) for order in orders)
    assert 30 <= torch.cat(darker_left).sum() <= 70 and not torch.equal(darker_left[0], darker_left[1])
    assert torch.equal(data.training[torch.arange(5)][0], ready(folder).training[torch.arange(5)][0])


@pytest.mark.parametrize("size", [64, 256])
def test_the_square_of_the_whole_width_is_the_centre(folder, size):
    image = ready(folder, size=size).training.image
    assert image.shape[2:] == (size, size) and (image[:, 0] < 40).all()  # no row of the white above and below


def test_a_smaller_crop_keeps_the_centre_of_it(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (218, 178, 3), np.uint8)
    path = folder / "celeba" / "img_align_celeba" / NAMES[0]
    Image.fromarray(pixels).save(path)
    with Image.open(path) as face:
        expected = face.crop((15, 35, 163, 183)).resize((64, 64), Image.Resampling.LANCZOS)
    data = ready(folder, size=64, crop=148)
    assert torch.equal(data.training.image[0], torch.from_numpy(np.array(expected)).permute(2, 0, 1))
    assert data.reference == "CelebA test, centre 148x148 at 64x64"


def test_crops_have_files_of_their_own(folder):
    assert not torch.equal(ready(folder, crop=50).training.image, ready(folder).training.image)
    assert len(list((folder / "cache").glob("*crop50*.pixels"))) == 2


def test_missing_and_damaged_files_are_named_with_where_to_fetch_them(folder):
    inside = folder / "celeba"
    (inside / "identity_CelebA.txt").unlink()
    (inside / "list_attr_celeba.txt").write_text("<html>Quota exceeded</html>")
    sentence = (
        r"celeba has no identity_CelebA\.txt and has damaged list_attr_celeba\.txt: fetch img_align_celeba\.zip "
        r"\(unpacked, its folder is img_align_celeba\) and the five text files by hand from http://mmlab.*\.html, "
        r"and put them into .*celeba\."
    )
    with pytest.raises(FileNotFoundError, match=sentence):
        ready(folder)


def test_a_download_over_the_quota_ends_in_a_sentence(tmp_path, monkeypatch):
    def quota(*_):
        raise RuntimeError("Too many users have viewed or downloaded this file recently")

    monkeypatch.setattr(sys.modules[CelebA.__module__], "download_file_from_google_drive", quota)
    sentence = (
        r"has no list_attr.*, img_align_celeba: the download failed \(Too many users .*\), so fetch img_align_celeb"
    )
    with pytest.raises(FileNotFoundError, match=sentence):
        ready(tmp_path, download=True)


def test_an_interrupted_unpacking_is_refused(folder):
    for name in NAMES[3:5]:
        (folder / "celeba" / "img_align_celeba" / name).unlink()
    sentence = r"img_align_celeba lacks 2 of the 9 images of list_eval_partition\.txt, first 000004\.jpg: unpack img_a"
    with pytest.raises(FileNotFoundError, match=sentence):
        ready(folder)


def test_images_that_are_not_the_aligned_ones_are_refused(folder):
    Image.new("RGB", (100, 300)).save(folder / "celeba" / "img_align_celeba" / NAMES[1])
    with pytest.raises(
        ValueError, match=r"000002\.jpg is not .* \(100x300 pixels, smaller than the crop of 178\): repair"
    ):
        ready(folder)


def test_a_partition_without_a_split_is_refused(folder, monkeypatch):
    write(folder / "celeba", "list_eval_partition.txt", [f"{name} 0" for name in NAMES])
    expect(folder / "celeba", monkeypatch)
    with pytest.raises(
        ValueError, match=r"list_eval_partition\.txt has no image of the split test: fetch it from http"
    ):
        ready(folder)


@pytest.mark.parametrize("rows", [8, 10])
def test_a_wrong_count_of_rows_is_refused(folder, monkeypatch, rows):
    lines = [f"{name} 0" for name in [*NAMES, "000010.jpg"][:rows]]
    write(folder / "celeba", "list_eval_partition.txt", lines)
    expect(folder / "celeba", monkeypatch)
    sentence = rf"list_attr_celeba\.txt has 9 images, list_eval_partition\.txt {rows}: fetch both from http"
    with pytest.raises(ValueError, match=sentence):
        ready(folder)


def test_a_wrong_size_or_crop_is_refused(folder):
    with pytest.raises(ValueError, match="`size` must be from 8 to 256, got 512."):
        ready(folder, size=512)
    with pytest.raises(ValueError, match="`crop` must be from 1 to 178, the width of the images, got 218."):
        ready(folder, crop=218)


def test_rows_of_unequal_length_are_refused(folder, monkeypatch):
    path = folder / "celeba" / "list_attr_celeba.txt"
    path.write_text(path.read_text()[:-20])
    expect(folder / "celeba", monkeypatch)
    with pytest.raises(FileNotFoundError, match=r"celeba is not readable \(.*\): fetch img_align_celeba\.zip"):
        ready(folder)
