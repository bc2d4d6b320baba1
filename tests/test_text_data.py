"""Images with captions: encoders, data sets as they lie on disk, images of given texts, captions below pictures."""

import os
import pickle

import numpy as np
import pytest
import torch
from jaxtyping import config
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from torch import nn

from lightning_gans import GAN
from lightning_gans.__main__ import main
from lightning_gans.callbacks.pictures import captioned, fits, wrapped
from lightning_gans.datamodules import (
    CUBDataModule,
    DescribedDigitsDataModule,
    HashedWords,
    OpenMojiCaptionsDataModule,
    OxfordFlowersDataModule,
    TextEncoder,
    TextImageFolderDataModule,
    TextImages,
)
from lightning_gans.datamodules.cub import around
from lightning_gans.datamodules.pickles import read_pickle
from lightning_gans.datamodules.text_encoders import CheckedEncoder
from lightning_gans.metrics import DigitClassifier
from lightning_gans.metrics.described_digits import ATTRIBUTES, attributes_of, combination, is_unseen, read

CALLS: list[list[str]] = []  # of the encoder below


def lengths(texts: list[str]) -> list[list[float]]:
    """Encodes texts by their numbers of letters and words."""
    CALLS.append(texts)
    return [[len(text), len(text.split()), 1.0] for text in texts]


class Weighted(TextEncoder):
    """An encoder with a setting."""

    def __init__(self, weight: float = 1.0):
        self.weight = weight

    def __repr__(self) -> str:
        return f"Weighted(weight={self.weight})"

    def __call__(self, texts: list[str]) -> torch.Tensor:
        return self.weight * torch.tensor(lengths(texts))


class Painter(nn.Module):
    """Paints images in a grey that the first number of a text chooses; `weight` is what is trained."""

    latent_dim = 1

    def __init__(self, side: int = 64):
        super().__init__()
        self.side = side
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, latent: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        grey = (text[:, 0] / 100).tanh() + 0.01 * latent[:, 0] + self.weight
        return grey[:, None, None, None].expand(-1, 3, self.side, self.side)


class Judge(nn.Module):
    """Judges an image and a text by their means."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.stack([image.mean((1, 2, 3)), text.mean(1)], 1))[:, 0]


class TextGAN(GAN):
    """The least variant that draws images of texts."""

    def condition(self, batch):
        return (batch[1].mean(1),)


@pytest.fixture
def untyped():
    """Switches the run-time types off, so that a wrong value meets the check that users meet."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def ready(data):
    data.setup("fit")
    return data


def digits(**settings):
    settings = {"num_images": 40, "num_evaluation_images": 20, "cache": None} | settings
    return DescribedDigitsDataModule(**settings)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def dump(path, value):
    write(path, pickle.dumps(value, protocol=2))


# Encoders.


def test_hashed_words_are_the_same_on_every_machine():
    vector = HashedWords(dim=16)(["a red bird"])[0]
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert (vector * 13**0.5).round(4).tolist() == [0, -1, 2, -2, 0, -1, 0, 0, -1, 0, 1, 0, 0, 0, 0, 1]


def test_hashed_words_are_near_for_equal_words_and_know_their_order():
    red, bird, blue, turned = HashedWords()(["a red bird", "a red bird!", "two blue boats", "bird red a"])
    assert red @ bird > 0.9 and abs(red @ blue) < 0.2
    assert red @ turned < 0.9


def test_an_encoder_sees_each_different_caption_once_and_its_vectors_are_kept(tmp_path):
    CALLS.clear()
    settings = {"encoder": "tests.test_text_data.lengths", "cache": str(tmp_path)}
    data = ready(digits(**settings))
    seen = [text for texts in CALLS for text in texts if len(texts) > 1]
    assert sorted(seen) == sorted(set(data.captions)) and len(seen) > 40
    CALLS.clear()
    again = ready(digits(**settings))
    assert all(len(texts) == 1 for texts in CALLS)  # the sample that tells encoders apart
    assert torch.equal(again.training.embedding, data.training.embedding)


def test_other_captions_and_other_settings_have_files_of_their_own(tmp_path):
    for settings in ({}, {"data_seed": 1}, {"encoder": HashedWords(256)}, {"encoder": Weighted(2.0)}):
        ready(digits(cache=str(tmp_path), **settings))
    assert len(list(tmp_path.glob("texts-*.pixels"))) == 4


def test_vectors_do_not_change_what_is_drawn_at_random():
    def random(texts):
        return torch.randn(len(texts), 3)

    torch.manual_seed(0)
    CheckedEncoder(random).table(["a", "b"], None)
    drawn = torch.rand(())
    torch.manual_seed(0)
    assert drawn == torch.rand(())


@pytest.mark.parametrize(
    "encoder, sentence",
    [
        ("nowhere.encode", r"dotted path of a function of texts, got nowhere.encode \(No module"),
        ("tests.test_text_data.CALLS", "got tests.test_text_data.CALLS, which is list"),
        (lambda texts: [[0.0]], r"must return \(n, k\) floats for n texts, and .*lambda.* returns \(1, 1\) for 2"),
        (lambda texts: [0.0] * len(texts), r"returns \(1,\) for 1"),
        (lambda texts: [[float("nan")]] * len(texts), "must return finite floats"),
    ],
)
def test_what_is_no_encoder_is_refused(encoder, sentence):
    with pytest.raises(ValueError, match=sentence):
        CheckedEncoder(encoder).table(["a", "b"], None)


def test_a_checkpoint_refuses_another_encoder_by_its_name():
    state = digits(encoder=Weighted(1.0)).state_dict()
    digits(encoder="tests.test_text_data.Weighted").load_state_dict(state)  # it is the same under another name
    with pytest.raises(ValueError, match=r"checkpoint, Weighted\(weight=1.0\) with 3 .* got HashedWords\(dim=512\)"):
        digits().load_state_dict(state)
    with pytest.raises(ValueError, match=r"got Weighted\(weight=2.0\) with 3: give the run's config"):
        digits(encoder=Weighted(2.0)).load_state_dict(state)
    state["encoder"]["name"] = "Weighted(weight=2.0)"
    with pytest.raises(ValueError, match="which gives other vectors than it did"):
        digits(encoder=Weighted(2.0)).load_state_dict(state)


# Images with captions.


def test_a_batch_holds_the_vectors_of_the_captions_of_its_images():
    images = TextImages(
        torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1),
        torch.tensor([[0.0], [1.0], [2.0]]),
        torch.tensor([[0, 1], [2, 2], [1, 0]]),
        torch.tensor([5, 6, 7]),
    )
    image, text, label = images[torch.tensor([2, 0])]
    assert image.flatten().tolist() == pytest.approx([2 / 127.5 - 1, -1])
    assert text.tolist() == [[[1.0], [0.0]], [[0.0], [1.0]]] and label.tolist() == [7, 5]


def test_captions_that_are_not_equally_many_are_refused(untyped):
    part = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match="equally many, got 3, 2 and 2"):
        TextImages(torch.zeros(3, 1, 1, 1, dtype=torch.uint8), torch.zeros(1, 1), part[:, None], part)


def test_a_batch_of_described_digits_has_images_texts_and_labels():
    data = ready(digits(batch_size=8))
    image, text, label = next(iter(data.train_dataloader()))
    assert image.shape == (8, 3, 64, 64) and -1 <= image.min() < -0.5 and 0.5 < image.max() <= 1
    assert text.shape == (8, 4, 512) and label.shape == (8,)
    image, text, label = next(iter(data.val_dataloader()))
    assert text.shape == (8, 1, 512)  # the caption that is shown below an image is the one it was drawn of
    assert torch.equal(text[:, 0], data.encoding(data.captions_of(torch.arange(8))))


def test_the_first_caption_names_what_the_picture_shows():
    data = ready(digits(num_evaluation_images=100, evaluation_split="both"))
    index = torch.arange(100)
    for text, row in zip(data.captions_of(index), attributes_of(data.evaluation.label).tolist(), strict=True):
        words = {name: ATTRIBUTES[name][number] for name, number in zip(ATTRIBUTES, row, strict=True)}
        assert all(word in text for name, word in words.items() if word != "medium"), text
        assert not any(stroke in text for stroke in ATTRIBUTES["stroke"] if stroke != words["stroke"])


def test_training_never_shows_what_is_unseen():
    data = ready(digits(num_images=300, num_evaluation_images=60))
    assert not is_unseen(attributes_of(data.training.label)).any()
    assert is_unseen(attributes_of(data.evaluation.label)).all()
    both = ready(digits(num_evaluation_images=61, evaluation_split="both")).evaluation
    assert is_unseen(attributes_of(both.label)).tolist() == [True] * 31 + [False] * 30


def test_the_number_of_a_combination_gives_its_attributes_back():
    attribute = torch.stack([torch.randint(len(words), (50,)) for words in ATTRIBUTES.values()], 1)
    assert torch.equal(attributes_of(combination(attribute)), attribute)
    assert combination(torch.tensor([[9, 9, 9, 2, 2, 1, 4]])) == 10 * 10 * 10 * 3 * 3 * 2 * 5 - 1


@pytest.mark.parametrize("size, least", [(64, 0.95), (32, 0.7)])
def test_a_picture_is_read_back_as_its_caption_says(size, least):
    data = ready(digits(size=size, num_evaluation_images=200))
    found = read(data.evaluation[torch.arange(200)][0], DigitClassifier.pretrained())
    right = found == attributes_of(data.evaluation.label)
    assert right.all(1).float().mean() >= least
    assert (right.float().mean(0) >= least).all()


def test_a_picture_without_a_digit_is_read_without_an_error():
    assert read(torch.zeros(2, 3, 64, 64), DigitClassifier.pretrained()).shape == (2, 7)
    with pytest.raises(ValueError, match="must have 32 or 64 pixels"):
        read(torch.zeros(2, 3, 48, 48), DigitClassifier.pretrained())


def test_pictures_depend_on_the_seed_alone():
    one, same, other = (ready(digits(data_seed=seed)).training for seed in (0, 0, 1))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert torch.equal(one.image, same.image) and not torch.equal(one.image, other.image)


def test_emoji_that_are_held_out_share_no_code_point_with_the_others():
    data = ready(OpenMojiCaptionsDataModule(size=16, cache=None))
    training, evaluation = data.training, data.evaluation
    assert len(training) + len(evaluation) == 2186 and 0.12 < len(evaluation) / 2186 < 0.14
    assert not {*training.label.tolist()} & {*evaluation.label.tolist()}
    assert training[torch.tensor([0])][1].shape == (1, 5, 512)
    assert [data.captions[row] for row in training.caption[0]][:2] == ["grinning face", "grinning face, mostly yellow"]


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"num_images": 0}, "`num_images` must be at least 1, got 0"),
        ({"num_evaluation_images": 1, "evaluation_split": "both"}, "must be at least 2, got 1"),
        ({"evaluation_split": "test"}, "must be unseen, seen or both, got test"),
        ({"size": 48}, "`size` must be 32 or 64, got 48"),
        ({"text": "  "}, "none of them empty, got '  '"),
        ({"text": []}, "none of them empty"),
        ({"images_per_text": 0}, "must be at least 1, got 0"),
    ],
)
def test_wrong_settings_of_described_digits_are_refused(settings, sentence, untyped):
    with pytest.raises(ValueError, match=sentence):
        digits(**settings)


# CUB and Oxford flowers as they lie on disk.

BIRDS = [f"{kind}/{kind[4:]}_{number:04d}_{number}" for kind in ("001.Gull", "002.Wren", "003.Jay") for number in (1, 2)]
BOXES = ["60.0 27.0 40.0 20.0", *["10.0 10.0 20.0 20.0"] * 5]


@pytest.fixture
def birds(tmp_path):
    """A folder with six birds of three kinds, as CUB-200-2011 and its captions are unpacked."""
    cub = tmp_path / "birds" / "CUB_200_2011"
    for number, bird in enumerate(BIRDS):
        save(cub / "images" / f"{bird}.jpg", noise(60, 90, 3, seed=number))
        lines = [f"bird {number} caption {line} . " for line in range(10)]
        lines[3] = f"bird {number} with a \ufffd\ufffdbill\ufffd\ufffd"
        write(tmp_path / "birds" / "text_c10" / f"{bird}.txt", "\n".join(lines) + "\n")
    write(cub / "images.txt", "".join(f"{i} {bird}.jpg\n" for i, bird in enumerate(BIRDS, 1)))
    write(cub / "bounding_boxes.txt", "".join(f"{i} {box}\n" for i, box in enumerate(BOXES, 1)))
    write(tmp_path / "birds" / "testclasses.txt", "002.Wren\n")
    return tmp_path / "birds"


def cub(folder, **settings):
    settings = {"size": 16, "batch_size": 2, "cache": None} | settings
    return CUBDataModule(str(folder), **settings)


def test_birds_are_parted_by_their_kinds(birds):
    data = ready(cub(birds))
    assert data.training.label.tolist() == [0, 0, 1, 1] and data.evaluation.label.tolist() == [2, 2]
    assert data.classes == ["001.Gull", "003.Jay"]
    image, text, label = next(iter(data.train_dataloader()))
    assert image.shape == (2, 3, 16, 16) and text.shape == (2, 10, 512) and label.shape == (2,)


def test_captions_of_birds_are_tidy_lines(birds):
    data = ready(cub(birds))
    first = [data.captions[row] for row in data.training.caption[0]]
    assert first[0] == "bird 0 caption 0 ." and first[3] == "bird 0 with a bill" and len(first) == 10
    assert data.captions_of(torch.tensor([1])) == ["bird 3 caption 0 ."]


@pytest.mark.parametrize(
    "box, crop",
    [
        ((10.0, 10.0, 20.0, 20.0), (5, 5, 35, 35)),  # int(0.75 * 20) = 15 around (20, 20)
        ((60.0, 27.0, 40.0, 21.0), (50, 7, 110, 67)),  # 30 around (80, 37), of an image that ends at (90, 60)
        ((3.0, 5.0, 10.0, 7.0), (1, 1, 15, 15)),
    ],
)
def test_a_box_is_cropped_as_stackgan_rounds_it(box, crop):
    assert around(*box) == crop


def test_a_crop_that_leaves_the_image_is_cut_off_and_squeezed(birds):
    data = ready(cub(birds, size=16, resize=16, flip=False))
    with Image.open(birds / "CUB_200_2011" / "images" / f"{BIRDS[0]}.jpg") as image:
        part = image.crop((50, 7, 90, 60)).resize((16, 16), Image.Resampling.BICUBIC)
    assert np.array_equal(data.training.image[0].permute(1, 2, 0).numpy(), np.asarray(part))


def test_half_of_the_birds_are_mirrored_and_cut_elsewhere_in_each_epoch(birds):
    data = ready(cub(birds))
    assert data.training.image.shape[-1] == 19  # 76/64 of 16
    epochs = [data.training[data.training.order(0, epoch).sort().values][0] for epoch in range(2)]
    assert not torch.equal(*epochs)
    centre = data.evaluation.image[:, :, 1:17, 1:17].float() / 127.5 - 1
    torch.testing.assert_close(data.evaluation[torch.arange(2)][0], centre)


def test_the_decoded_birds_are_kept_and_made_anew_with_other_boxes(birds, tmp_path):
    def image():
        return ready(cub(birds, cache=str(tmp_path / "cache"))).training.image[1]

    before = image().clone()
    assert torch.equal(before, image())
    lists = birds / "CUB_200_2011" / "bounding_boxes.txt"
    lists.write_text(lists.read_text().replace("2 10.0", "2 20.0"))
    assert not torch.equal(before, image())


@pytest.mark.parametrize(
    "name, content, sentence",
    [
        ("testclasses.txt", None, "Nothing says which classes are for testing: put testclasses.txt"),
        ("testclasses.txt", "004.Owl\n", "must name some classes of .*birds, and not all, got 0 images"),
        ("CUB_200_2011/images.txt", None, "CUB_200_2011 has no images.txt: unpack CUB_200_2011.tgz"),
        ("CUB_200_2011/images.txt", "1 a.jpg\n3 b.jpg\n", "Line 2 of .*images.txt must be 2 and a value, got '3 b.jpg'"),
        ("CUB_200_2011/bounding_boxes.txt", "1 2.0\n", "Line 1 of .* must be 1 and 4 values, got '1 2.0'"),
        (f"CUB_200_2011/images/{BIRDS[1]}.jpg", None, f"There is no image .*{BIRDS[1]}.jpg: unpack the images"),
        (f"text_c10/{BIRDS[0]}.txt", None, f"There are no captions .*{BIRDS[0]}.txt"),
        (f"text_c10/{BIRDS[0]}.txt", "\n  \n", f"{BIRDS[0]}.txt is empty"),
        (f"text_c10/{BIRDS[0]}.txt", b"a bird\ncaf\xe9\n", rf"{BIRDS[0]}.txt is not UTF-8 in line 2 \(byte 0xe9\)"),
    ],
)
def test_what_is_wrong_with_cub_is_said_with_the_file(birds, name, content, sentence):
    (birds / name).unlink()
    if content is not None:
        write(birds / name, content)
    with pytest.raises((ValueError, OSError), match=sentence):
        ready(cub(birds))


@pytest.fixture
def pickles(birds):
    """The pickles of StackGAN for these birds, without classes for testing otherwise."""
    (birds / "testclasses.txt").unlink()
    for split, part in (("train", [0, 1, 4, 5]), ("test", [2, 3])):
        vectors = [np.arange(20, dtype=np.float32).reshape(10, 2) + 100 * number for number in part]
        dump(birds / split / "filenames.pickle", [BIRDS[number] for number in part])
        write(birds / split / "class_info.pickle", pickle.dumps([number // 2 + 1 for number in part], protocol=0))
        dump(birds / split / "76images.pickle", [np.full((76, 76, 3), 10 * number, np.uint8) for number in part])
        write(birds / split / "char-CNN-RNN-embeddings.pickle", of_python_2(vectors))
    return birds


def of_python_2(arrays: list[np.ndarray]) -> bytes:
    """Returns a pickle of float32 arrays (10, 2) as Python 2 wrote them, with their bytes as texts."""
    parts = [b"\x80\x02](", b"", b"e."]
    for array in arrays:
        parts[1] += (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x0aK\x02\x86"
            b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
            + b"T"
            + len(array.tobytes()).to_bytes(4, "little")
            + array.tobytes()
            + b"tb"
        )
    return b"".join(parts)


def test_the_pickle_of_python_2_is_one_that_numpy_reads():
    array = np.arange(20, dtype=np.float32).reshape(10, 2)
    assert np.array_equal(pickle.loads(of_python_2([array]), encoding="latin1")[0], array)


def test_vectors_of_stackgan_take_the_place_of_an_encoder(pickles):
    data = ready(cub(pickles, pickles=True))
    assert data.training[torch.tensor([2])][1].tolist() == [[[400.0 + 2 * i, 401 + 2 * i] for i in range(10)]]
    assert data.evaluation[torch.tensor([1])][1].tolist() == [[[300.0, 301.0]]]
    assert data.captions_of(torch.tensor([1])) == ["bird 3 caption 0 ."]
    assert data.training.label.tolist() == [0, 0, 1, 1] and data.evaluation.label.tolist() == [2, 2]
    assert data.training.image[0].float().std() > 20  # photographs, though there are pickles of images


def test_images_of_stackgan_take_the_place_of_photographs(pickles):
    for path in (pickles / "CUB_200_2011" / "images").rglob("*.jpg"):
        path.unlink()
    for path in (pickles / "text_c10").rglob("*.txt"):
        path.unlink()
    data = ready(cub(pickles, pickles=True))
    assert data.training.image[:, 0, 0, 0].tolist() == [0, 10, 40, 50]
    assert data.captions_of(torch.tensor([1])) == []


def test_photographs_are_parted_by_the_pickles_where_captions_are_encoded(pickles):
    data = ready(cub(pickles))
    assert len(data.training) == 4 and data.training[torch.tensor([0])][1].shape == (1, 10, 512)


def test_a_checkpoint_of_vectors_refuses_an_encoder(pickles):
    data = ready(cub(pickles, pickles=True))
    data.load_state_dict(data.state_dict())
    with pytest.raises(ValueError, match="must be that of the checkpoint, char-CNN-RNN-embeddings.pickle with 2 numbers"):
        cub(pickles).load_state_dict(data.state_dict())
    with pytest.raises(ValueError, match="`text` needs an encoder, and `pickles` gives vectors alone, got 'a gull'"):
        cub(pickles, pickles=True, text="a gull")


class Hostile:
    """What executes a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch hostile",)


def test_a_hostile_pickle_is_refused_by_its_name_and_not_executed(pickles, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    dump(pickles / "train" / "filenames.pickle", [BIRDS[0], Hostile()])
    with pytest.raises(ValueError, match=r"filenames.pickle is refused: .* numbers alone, got (posix|nt).system"):
        ready(cub(pickles, pickles=True))
    assert not (tmp_path / "hostile").exists()


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_numbers_are_read_of_any_protocol(tmp_path, protocol):
    arrays = [np.arange(6).reshape(2, 3).astype(kind) for kind in ("u1", ">i4", "<f8", "?")]
    arrays += [np.asfortranarray(arrays[0]), np.zeros((0, 2), np.float32)]
    write(tmp_path / "a.pickle", pickle.dumps([*arrays, np.float32(2.5), 7, "text", (1.5, None)], protocol=protocol))
    *read, scalar, number, text, others = read_pickle(tmp_path / "a.pickle")
    assert all(np.array_equal(one, other) for one, other in zip(read, arrays, strict=True))
    assert (scalar, number, text, others) == (2.5, 7, "text", [1.5, None])


@pytest.mark.parametrize(
    "content, sentence",
    [
        (pickle.dumps(np.array([{}], object)), "is refused: .* got arrays of O8"),
        (pickle.dumps(np.zeros(2, "f4,f4")), "is refused: .* got arrays of V8"),
        (pickle.dumps(torch.zeros(1)), "is refused: .* got torch"),
        (pickle.dumps(list(range(99)))[:50], r"a.pickle is damaged \(EOFError\)|refused"),
        (b"<html>", "is (refused|damaged)"),
        (b"", r"is damaged \(EOFError\)"),
    ],
)
def test_pickles_of_anything_else_are_refused(tmp_path, content, sentence):
    write(tmp_path / "a.pickle", content)
    with pytest.raises(ValueError, match=sentence):
        read_pickle(tmp_path / "a.pickle")


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        ("class_info", [1], "must be equally long, got 4 and 1"),
        ("char-CNN-RNN-embeddings", [np.zeros((10, 2))], "for the 4 images of filenames.pickle .* got 1 of"),
        ("char-CNN-RNN-embeddings", [np.zeros((n, 2)) for n in (9, 10, 10, 10)], r"got 4 of \(9, 2\) and \(10, 2\)"),
    ],
)
def test_pickles_that_do_not_fit_each_other_are_refused(pickles, name, value, sentence):
    dump(pickles / "train" / f"{name}.pickle", value)
    with pytest.raises(ValueError, match=sentence):
        ready(cub(pickles, pickles=True))


def test_flowers_are_parted_by_their_kinds(tmp_path):
    for kind in (1, 2, 3):
        for number in (1, 2):
            save(tmp_path / "jpg" / f"image_{kind}{number:04d}.jpg", noise(20, 30, 3, seed=10 * kind + number))
            captions = "".join(f"flower {kind} {line}\n" for line in range(10))
            write(tmp_path / "text_c10" / f"class_{kind:05d}" / f"image_{kind}{number:04d}.txt", captions)
    write(tmp_path / "testclasses.txt", "class_00001\n")
    data = ready(OxfordFlowersDataModule(str(tmp_path), size=16, cache=None))
    assert data.classes == ["class_00002", "class_00003"] and data.evaluation.label.tolist() == [2, 2]
    assert data.captions_of(torch.tensor([0])) == ["flower 1 0"]
    with Image.open(tmp_path / "jpg" / "image_20001.jpg") as image:
        whole = np.asarray(image.resize((19, 19), Image.Resampling.BICUBIC))
    assert np.array_equal(data.training.image[0].permute(1, 2, 0).numpy(), whole)


# A person's own images.


@pytest.fixture
def folder(tmp_path):
    """Six images with text files beside them."""
    for number in range(6):
        save(tmp_path / "own" / "ab"[number % 2] / f"{number}.png", noise(20, 24, 3, seed=number))
        text = "\ufeffthe same\nthing\n" if number < 2 else f"image {number}\r\n\r\n"
        write(tmp_path / "own" / "ab"[number % 2] / f"{number}.txt", text)
    return tmp_path / "own"


def own(folder, **settings):
    settings = {"size": 16, "batch_size": 2, "cache": None} | settings
    return TextImageFolderDataModule(str(folder), **settings)


def test_captions_are_the_lines_of_the_file_beside_an_image(folder):
    data = ready(own(folder))
    assert data.captions_of(torch.arange(6)) == ["the same", "image 2", "image 4", "the same", "image 3", "image 5"]
    image, text, label = data.training[torch.tensor([0, 1])]
    assert image.shape == (2, 3, 16, 16) and text.shape == (2, 2, 512)
    assert not torch.equal(text[0, 0], text[0, 1]) and torch.equal(text[1, 0], text[1, 1])  # one caption, twice


def test_images_of_equal_captions_have_no_wrong_texts_of_each_other(folder):
    assert ready(own(folder)).training.label.tolist() == [0, 1, 2, 0, 3, 4]
    data = ready(own(folder, classes=True))
    assert data.training.label.tolist() == [0, 0, 0, 1, 1, 1] and data.classes == ["a", "b"]


def test_some_images_are_held_out_with_all_of_their_label(folder, tmp_path):
    for cache in (None, str(tmp_path / "cache")):
        data = ready(own(folder, held_out=0.3, cache=cache))
        assert len(data.training) + len(data.evaluation) == 6
        assert not {*data.training.label.tolist()} & {*data.evaluation.label.tolist()}


def test_captions_come_from_a_table(folder, tmp_path):
    names = [f"{'ab'[number % 2]}/{number}.png" for number in range(6)]
    rows = [f'{name},"image, {number}"\n' for number, name in enumerate(names)] + ["a/0.png,more\n"]
    write(tmp_path / "captions.csv", "file,caption\n" + "".join(rows))
    data = ready(own(folder, captions=str(tmp_path / "captions.csv")))
    assert data.captions_of(torch.arange(3)) == ["image, 0", "image, 2", "image, 4"]
    assert [data.captions[row] for row in data.training.caption[0]] == ["image, 0", "more"]


@pytest.mark.parametrize(
    "table, sentence",
    [
        ("file,label\n", "must name the columns `file` and `caption`, it has file, label"),
        ("file,caption\na/0.png,\n", "Line 2 of .*captions.csv has no caption for a/0.png"),
        ("file,caption\n../a.png,x\n", "Line 2 of .*captions.csv names ../a.png, and .*own has no such image"),
        ("file,caption\na/0.png,x\n", "captions.csv has no caption for a/2.png and 4 others of .*own"),
        (b"file,caption\na/0.png,caf\xe9\n", r"captions.csv is not UTF-8 in line 2 \(byte 0xe9\)"),
    ],
)
def test_a_wrong_table_of_captions_is_refused(folder, tmp_path, table, sentence):
    write(tmp_path / "captions.csv", table)
    with pytest.raises(ValueError, match=sentence):
        ready(own(folder, captions=str(tmp_path / "captions.csv")))


def test_a_missing_table_is_refused(folder):
    with pytest.raises(FileNotFoundError, match="must be a CSV file with the columns `file` and `caption`, got no.csv"):
        ready(own(folder, captions="no.csv"))


def test_wrong_captions_beside_images_are_refused_with_their_file(folder):
    text = folder / "a" / "2.txt"
    for content, sentence in ((b"\xff\xfea", "not UTF-8 in line 1"), (b"\n", "2.txt is empty"), (None, "no captions")):
        text.unlink() if content is None else text.write_bytes(content)
        with pytest.raises((ValueError, FileNotFoundError), match=sentence):
            ready(own(folder))


def test_classes_without_folders_are_refused(folder):
    with pytest.raises(ValueError, match="`classes` needs sub-folders"):
        ready(own(folder / "a", classes=True))


# Images of given texts, and captions in pictures.


def test_images_of_given_texts_are_asked_for_without_any_data():
    data = own("no folder", text=["a red bird", "a dog"], images_per_text=3)
    data.prepare_data()
    data.setup("predict")
    image, text, label = data.asked[torch.arange(6)]
    assert image.shape == (6, 3, 16, 16) and text.shape == (6, 1, 512) and label.tolist() == list(range(6))
    assert torch.equal(text[:, 0], data.encoding(["a red bird"] * 3 + ["a dog"] * 3))
    assert data.captions_of(torch.tensor([2, 3])) == ["a red bird", "a dog"]
    assert [len(batch[0]) for batch in data.predict_dataloader()] == [2, 2, 2]
    assert data.summary == "TextImageFolderDataModule asks for 6 images of 2 texts."


def test_a_text_is_for_predict_alone():
    with pytest.raises(ValueError, match="`text` is for `predict` alone, got 'a red bird' for `fit`"):
        digits(text="a red bird").setup("fit")


RECIPE = """
trainer: {{max_steps: 2, accelerator: cpu, logger: {{init_args: {{save_dir: {root}, name: run}}}}, precision: 32-true}}
model:
  class_path: tests.test_text_data.TextGAN
  init_args:
    conditional: true
    generator: tests.test_text_data.Painter
    discriminator: tests.test_text_data.Judge
data:
  class_path: DescribedDigitsDataModule
  init_args: {{num_images: 16, num_evaluation_images: 8, batch_size: 8, encoder: tests.test_text_data.lengths}}
"""


@pytest.fixture
def trained(tmp_path, capsys):
    """The words of a command that uses a trained run, and the folder of its runs."""
    write(tmp_path / "recipe.yaml", RECIPE.format(root=tmp_path))
    recipe = ["--config", str(tmp_path / "recipe.yaml")]
    main(["fit", *recipe, "--trainer.callbacks+", "SampleGrid", "--trainer.callbacks.num_images", "4"])
    return [*recipe, "--ckpt_path", "last"], tmp_path / "run"


def test_predict_draws_images_of_a_text(trained, capsys):
    command, runs = trained
    assert "of text  lightning-gans predict" in capsys.readouterr().out
    main(["predict", *command, "--data.text", "a thick red seven on white", "--data.images_per_text", "3"])
    with np.load(runs / "version_1" / "samples.npz") as arrays:
        assert arrays["image"].shape == (3, 64, 64, 3)
        assert arrays["caption"].tolist() == ["a thick red seven on white"] * 3
        assert abs(arrays["image"].mean() / 127.5 - 1 - np.tanh(0.26)) < 0.05  # of its 26 letters
        assert len({image.mean() for image in arrays["image"]}) > 1
    with Image.open(runs / "version_1" / "samples.png") as picture:
        assert picture.width == 2 * 138 + 10 and picture.height > 2 * 138 + 10  # two by two, with lines below


def test_predict_without_a_text_draws_the_captions_to_evaluate_on(trained):
    command, runs = trained
    main(["predict", *command])
    with np.load(runs / "version_1" / "samples.npz") as arrays:
        assert arrays["image"].shape == (8, 64, 64, 3) and len({*arrays["caption"]}) == 8


def test_predict_refuses_another_encoder_than_that_of_the_checkpoint(trained, capsys):
    command, _ = trained
    with pytest.raises(SystemExit):
        main(["predict", *command, "--data.text", "a seven", "--data.encoder", "HashedWords"])
    assert "`encoder` must be that of the checkpoint, tests.test_text_data.lengths with 3" in capsys.readouterr().err


def test_other_data_must_have_the_encoder_of_the_checkpoint_as_well(trained, capsys):
    command, runs = trained
    other = ["--data", "OpenMojiCaptionsDataModule", "--data.text", "a seven"]
    with pytest.raises(SystemExit):
        main(["predict", *command, *other, "--data.encoder", "HashedWords"])
    assert "`encoder` must be that of the checkpoint, tests.test_text_data.lengths" in capsys.readouterr().err
    main(["predict", *command, *other])  # which keeps the encoder of the recipe
    assert list(runs.glob("*/samples.npz"))


def test_grids_have_captions_below_their_images(trained):
    _, runs = trained
    samples = sorted((runs / "version_0" / "samples").glob("*.png"))
    assert len(samples) == 3  # real, at the start and at the end
    for path in samples:
        with Image.open(path) as picture:
            assert picture.width == 3 * 138 + 10 and picture.height > 2 * 138 + 10


def test_a_picture_holds_its_images_enlarged_and_letters_below_them():
    image = torch.full((2, 3, 64, 64), 7, dtype=torch.uint8)
    picture = np.asarray(captioned(image, ["", "some words"]))
    assert (picture[10:138, 10:138] == 7).all() and (picture[10:138, 148:276] == 7).all()
    below = picture[138:] < 128
    assert not below[:, :138].any() and below[:, 148:276].any()


def test_long_captions_are_wrapped_and_end_with_dots():
    lines = wrapped("anextremelylongwordthatfitsinnoline and then " + "many more words " * 20, 128)
    assert len(lines) == 5 and all(fits(line, 128) for line in lines)
    assert lines[0].endswith("…") and lines[-1].endswith("…") and not lines[1].endswith("…")
    assert wrapped("a few words", 128) == ["a few words"] and wrapped(" ", 128) == []
