"""Sequences: PGN's networks and losses, heads that turn, Moving MNIST's file, and sequences of one's own."""

import re
import shlex

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import softplus

from lightning_gans import PGN
from lightning_gans.__main__ import main
from lightning_gans.callbacks import SampleWriter, SequenceWriter
from lightning_gans.datamodules import MovingMNISTDataModule, OwnSequencesDataModule, TurningFacesDataModule
from lightning_gans.datamodules.face_drawing import Camera
from lightning_gans.datamodules.turning_faces import Motion, person, seen
from lightning_gans.mechanics.schedules import Steps
from lightning_gans.networks import PGNDiscriminator, PGNGenerator
from lightning_gans.networks.pgn import LSTM
from tests.conftest import reduced, tiny, trainer
from tests.test_networks import REFUSED, Operators
from tests.toys import ToyData


class Mean(nn.Module):
    """Draws the mean of the frames, moved by a number."""

    size, channels = 8, 1

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(0.1))

    def forward(self, previous):
        return previous.mean(1) + self.number


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, 3.0]))

    def forward(self, image, previous):
        return self.weight[0] * image.mean((1, 2, 3)) - self.weight[1] * previous[:, -1].mean((1, 2, 3))


def pgn(**options) -> PGN:
    return PGN(**{"generator": Mean(), "discriminator": Judge(), **options})


def sequences(count: int = 4, frames: int = 3):
    return torch.rand(count, 1, 8, 8) * 2 - 1, torch.rand(count, frames, 1, 8, 8) * 2 - 1


# The variant.


def test_pgn_has_the_losses_of_its_paper():
    module, (target, previous) = pgn(adversarial_weight=0.5, pixel_weight=3.0), sequences()
    fake = previous.mean(1) + 0.1
    judged = 2 * fake.mean((1, 2, 3)) - 3 * previous[:, -1].mean((1, 2, 3))
    terms = module.generator_loss((target, previous))
    torch.testing.assert_close(terms["pixels"], 3 * ((fake + 1) / 2 - (target + 1) / 2).square().mean())
    torch.testing.assert_close(terms["adversarial"], -0.5 * judged.sigmoid().log().mean())
    real = 2 * target.mean((1, 2, 3)) - 3 * previous[:, -1].mean((1, 2, 3))
    expected = softplus(-real).mean() + softplus(judged).mean()
    torch.testing.assert_close(module.discriminator_loss((target, previous))["adversarial"], expected)


def test_the_default_weight_is_the_authors():
    module, batch = pgn(), sequences()
    terms = module.generator_loss(batch)
    alone = pgn(adversarial_weight=1.0).generator_loss(batch)
    torch.testing.assert_close(terms["adversarial"], 0.0002 * alone["adversarial"])


def test_the_discriminator_of_pgn_rests_while_the_squared_error_is_alone(fit):
    module = pgn(adversarial_weight=Steps([0.0, 1.0], kimg=0.02))
    before = module.discriminator.weight.clone()
    data = ToyData("next_frame")
    fit(module, 2, data)  # 16 images
    assert torch.equal(module.discriminator.weight, before) and module.generator.number != 0.1
    fit(module, 2, data)
    assert not torch.equal(module.discriminator.weight, before)


def test_frames_are_extrapolated_one_after_the_other_from_as_many_as_are_given():
    module, (_, previous) = pgn(), sequences()
    one = previous.mean(1) + 0.1
    two = torch.stack([previous[:, 1], previous[:, 2], one], 1).mean(1) + 0.1
    drawn = module.extrapolate(previous, 3)
    torch.testing.assert_close(drawn[:, 0], one)
    torch.testing.assert_close(drawn[:, 1], two)
    torch.testing.assert_close(drawn[:, 2], torch.stack([previous[:, 2], one, two], 1).mean(1) + 0.1)


def test_samples_of_sequences_are_strips_of_the_past_the_truth_and_what_is_drawn():
    module, (target, previous) = pgn(), sequences()
    samples = module.draw((target, previous), 0)
    assert torch.equal(samples["comparison"], torch.cat([previous, target[:, None], samples["fake"][:, None]], 1))


# The networks.


def test_the_lstm_is_torchs_without_its_second_bias():
    ours, theirs, x = LSTM(5, 7), nn.LSTM(5, 7, batch_first=True), torch.randn(3, 4, 5)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.input.weight)
        theirs.weight_hh_l0.copy_(ours.state.weight)
        theirs.bias_ih_l0.copy_(ours.input.bias)
        theirs.bias_hh_l0.zero_()
    torch.testing.assert_close(ours(x), theirs(x)[1][0][0])


def test_the_lstm_has_gradients_of_gradients():
    lstm, x = LSTM(2, 3).double(), torch.randn(1, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradgradcheck(lstm, x)


@pytest.mark.parametrize(("size", "kernel", "pool"), [(32, 5, 2), (33, 5, 2), (64, 5, 3), (150, 5, 3), (20, 3, 2)])
def test_the_generator_draws_frames_of_its_size_from_sequences_of_any_length(size, kernel, pool):
    network = PGNGenerator(2, size, 3, kernel, pool, 4, 2)
    for length in (1, 3):
        image = network(torch.rand(2, length, 2, size, size) * 2 - 1)
        assert image.shape == (2, 2, size, size) and image.abs().max() <= 1


def test_the_kernels_of_the_paper_lead_back_to_its_size():
    with torch.device("meta"):
        network = PGNGenerator()
    assert network.encoder.shape == (64, 14, 14)
    assert network.first.kernel_size == network.last.kernel_size == (7, 7)


def small() -> PGNGenerator:
    return PGNGenerator(1, 32, 4, 5, 2, 8, 3)


def test_the_generator_draws_other_noise_each_time_and_none_without_numbers_for_it():
    previous = torch.rand(2, 3, 1, 32, 32)
    network = small()
    assert (network(previous) - network(previous)).abs().max() > 0
    torch.manual_seed(1)
    first = network(previous)
    torch.manual_seed(1)
    assert torch.equal(network(previous), first)
    silent = PGNGenerator(1, 32, 4, 5, 2, 8, 0)
    assert torch.equal(silent(previous), silent(previous))


def test_the_state_and_what_is_drawn_depend_on_each_frame():
    network, previous = PGNGenerator(1, 32, 4, 5, 2, 8, 0), torch.rand(1, 4, 1, 32, 32, requires_grad=True)
    network.encode(previous).sum().backward()
    assert previous.grad.flatten(2).abs().amax(2).min() > 0


def test_players_run_in_bf16_in_double_precision_and_in_deterministic_operators():
    network, judge = small(), PGNDiscriminator(1, 32, 4, 5, 2, 32)
    previous = torch.rand(2, 3, 1, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image = network(previous)
        logit = judge(image, previous)
        logit.sum().backward()
    assert image.dtype == logit.dtype == torch.float32
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [*network.parameters(), *judge.parameters()])
    with Operators() as ran:
        judge.double()(network.double()(previous.double()), previous.double()).sum().backward()
    assert len(ran.names) > 10 and not any(REFUSED.search(name) for name in ran.names)


def test_the_discriminator_judges_a_frame_by_those_before_it():
    judge, image, previous = PGNDiscriminator(1, 32, 4, 5, 2, 32), torch.rand(2, 1, 32, 32), torch.rand(2, 3, 1, 32, 32)
    assert (judge(image, previous) != judge(image, previous.flip(1))).all()
    assert (judge(image, previous) != judge(image.flip(0), previous)).all()


def test_what_the_networks_cannot_look_at_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="`size` must be at least 16 for kernels of 5 and a pool of 2, got 15"):
        PGNGenerator(size=15, pool=2)
    with pytest.raises(ValueError, match="`size` of network and images must agree, got 32 and images of 16 x 16"):
        small()(torch.zeros(1, 2, 1, 16, 16))
    assert PGNGenerator(1, 16, 2, 5, 2, 4, 0)(torch.zeros(1, 1, 1, 16, 16)).shape == (1, 1, 16, 16)


# Heads that turn.


def heads(**options) -> TurningFacesDataModule:
    settings = {"num_images": 3, "num_evaluation_images": 2, "size": 16, "frames": 4, "cache": None, **options}
    data = TurningFacesDataModule(**settings)
    data.setup("fit")
    return data


def test_clips_are_functions_of_their_number_and_the_last_frame_is_to_be_drawn():
    data, more = heads(), heads(num_images=4, cache=None)
    index = torch.tensor([2, 0])
    target, previous = data.training[index]
    assert target.shape == (2, 1, 16, 16) and previous.shape == (2, 3, 1, 16, 16)
    assert torch.equal(more.training[index][1], previous) and torch.equal(more.training[index][0], target)
    assert not torch.equal(data.evaluation.frames[:2], data.training.frames[:2])
    assert not torch.equal(heads(data_seed=1).training.frames, data.training.frames)


def test_a_clip_shows_its_head_at_the_angles_of_its_motion():
    data = heads()
    motion = Motion(*data.training.motion[1].tolist())
    drawn = seen(Camera(16, 1.25), person((0, 0, 1)), motion.angles(4))
    assert np.array_equal(drawn, data.training.frames[1].numpy())
    np.testing.assert_allclose(np.diff(motion.angles(4)), motion.turn)
    assert (data.training.motion[:, 0].abs() <= 90).all() and (data.training.motion[:, 1].abs() <= 30).all()


def test_jitter_changes_the_last_frame_alone():
    data, jittered = heads(num_images=6), heads(num_images=6, jitter=20.0)
    assert torch.equal(data.training.frames[:, :-1], jittered.training.frames[:, :-1])
    assert not torch.equal(data.training.frames[:, -1], jittered.training.frames[:, -1])
    assert (data.training.motion[:, 2] == 0).all() and jittered.training.motion[:, 2].abs().max() > 10


def test_clips_are_drawn_once_for_all_runs(tmp_path):
    once = heads(cache=str(tmp_path))
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.pixels")}
    again = heads(cache=str(tmp_path))
    assert len(files) == 2 and files == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.pixels")}
    assert torch.equal(once.training.frames, again.training.frames)
    assert once.training.fingerprint == again.training.fingerprint != heads(jitter=1.0).training.fingerprint


@pytest.mark.parametrize(("name", "value"), [("frames", 1), ("jitter", -1.0), ("num_images", 0), ("data_seed", -1)])
def test_an_impossible_argument_of_turning_faces_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be .*, got {value}"):
        TurningFacesDataModule(**{name: value})


# Moving MNIST.


def write_moving_mnist(folder, array=None):
    """Writes a file of Moving MNIST's form, of which a frame's pixels are 10 times the sequence plus the frame."""
    (folder / "MovingMNIST").mkdir(parents=True, exist_ok=True)
    numbers = np.arange(20)[:, None] + 10 * np.arange(5)[None]
    array = np.broadcast_to(numbers[..., None, None], (20, 5, 64, 64)).astype(np.uint8) if array is None else array
    np.save(folder / "MovingMNIST" / "mnist_test_seq.npy", array)
    return str(folder)


def numbers(frames):
    return ((frames.flatten(-3).mean(-1) + 1) * 127.5).round().int().tolist()


def test_moving_mnist_is_cut_into_clips_of_a_past_and_a_next_frame(tmp_path):
    data = MovingMNISTDataModule(write_moving_mnist(tmp_path), frames=6, num_evaluation_images=2)
    data.setup("fit")
    assert len(data.training) == 9 and len(data.evaluation) == 6
    target, previous = data.training[torch.tensor([0, 2, 3])]
    assert target.shape == (3, 1, 64, 64) and previous.shape == (3, 5, 1, 64, 64)
    assert numbers(target) == [5, 17, 15] and numbers(previous) == [
        [0, 1, 2, 3, 4],
        [12, 13, 14, 15, 16],
        [*range(10, 15)],
    ]
    assert numbers(data.evaluation[torch.tensor([0])][0]) == [35]


def test_what_is_no_file_of_moving_mnist_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="mnist_test_seq.npy is missing: put Moving MNIST's file there"):
        MovingMNISTDataModule(str(tmp_path)).setup("fit")
    write_moving_mnist(tmp_path, np.zeros((20, 3, 64), np.uint8))
    with pytest.raises(ValueError, match=r"must hold bytes \(frames, sequences, size, size\).*got uint8 \(20, 3, 64\)"):
        MovingMNISTDataModule(str(tmp_path)).setup("fit")
    write_moving_mnist(tmp_path)
    with pytest.raises(ValueError, match="`frames` must be at most the 20 of a sequence, got 21"):
        MovingMNISTDataModule(str(tmp_path), frames=21, num_evaluation_images=1).setup("fit")
    with pytest.raises(ValueError, match="together at most the 5 sequences .* got 4 and 2"):
        MovingMNISTDataModule(str(tmp_path), num_images=4, num_evaluation_images=2).setup("fit")
    (tmp_path / "MovingMNIST" / "mnist_test_seq.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match="mnist_test_seq.npy is damaged"):
        MovingMNISTDataModule(str(tmp_path)).setup("fit")


# Sequences of one's own.


def write_frames(folder, count=12, size=(10, 8)):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("L", size, 10 * number).save(folder / f"frame{number}.png")


def extended(path, out, module=None, callbacks=(), **options):
    """Draws what comes behind sequences, and returns what the generator was given, by the shade of each frame."""
    module, given = module or pgn(ema_halflife=0.0), []
    module.generator.register_forward_pre_hook(lambda _, inputs: given.append(numbers(inputs[0])[0]))
    data = OwnSequencesDataModule(str(path), **options)
    trainer(out.parent, callbacks=[SequenceWriter(str(out)), *callbacks]).predict(
        module, data, return_predictions=False
    )
    return given


def test_a_folder_of_frames_becomes_a_strip_and_a_film(tmp_path):
    write_frames(tmp_path / "clip")
    given = extended(tmp_path / "clip", tmp_path / "out", callbacks=[SampleWriter()], frames=4, previous=3)
    assert given[0] == [90, 100, 110] and len(given) == 4 and given[1][:2] == [100, 110]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clip.png", "clip.gif"}
    with Image.open(tmp_path / "out" / "clip.gif") as film:
        assert film.n_frames == 7
    with Image.open(tmp_path / "out" / "clip.png") as strip:
        assert strip.width > 7 * 56 > strip.height
    assert not (tmp_path / "samples.npz").exists()


def test_films_numpy_files_and_folders_beside_each_other_are_sequences(tmp_path):
    source = tmp_path / "in"
    write_frames(source / "a", 11)
    frames = [Image.new("L", (8, 8), 20 * number) for number in range(3)]
    frames[0].save(source / "b.gif", save_all=True, append_images=frames[1:])
    shades = (30 * np.arange(3, dtype=np.uint8)).reshape(3, 1, 1)
    np.save(source / "c.npy", np.broadcast_to(shades, (3, 8, 8)))
    np.save(source / "d.npy", np.broadcast_to(shades[:, None], (3, 3, 8, 8)))
    np.save(source / "e.npy", np.broadcast_to(shades[..., None], (3, 8, 8, 3)))
    given = extended(source, tmp_path / "out", frames=1)
    ramp = [0, 30, 60]
    assert given == [[10 * number for number in range(11)], [0, 20, 40], ramp, ramp, ramp]
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {*"abcde"}


def test_sequences_that_cannot_be_read_or_written_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must be a sequence or a folder of sequences, and there is no"):
        OwnSequencesDataModule(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no sequence: expected images"):
        extended(tmp_path / "empty", tmp_path / "out")
    np.save(tmp_path / "a.npy", np.zeros((3, 8, 8)))
    with pytest.raises(ValueError, match=r"a.npy is not readable as frames \(bytes .* got float64 \(3, 8, 8\)\)"):
        extended(tmp_path / "a.npy", tmp_path / "out")
    np.save(tmp_path / "a.npy", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="`OwnSequencesDataModule` needs a variant that goes on with sequences"):
        extended(tmp_path / "a.npy", tmp_path / "out", tiny())
    extended(tmp_path / "a.npy", tmp_path / "out")
    with pytest.raises(FileExistsError, match="a.png` exists already, and so do 1 others"):
        extended(tmp_path / "a.npy", tmp_path / "out")
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match="`path` must be a folder or end in .gif or .npy"):
        extended(tmp_path / "a.txt", tmp_path / "other")


def test_a_trained_pgn_draws_behind_a_sequence_by_the_command_that_its_run_prints(tmp_path, capsys):
    changes = {"max_epochs": -1, "max_steps": 2, "enable_checkpointing": True, "logger": True}
    callbacks = [{"class_path": "NewestCheckpoint"}]
    few = ["--data.num_images", "16", "--data.num_evaluation_images", "2"]
    main(["fit", "--config", reduced("pgn_turning_faces", tmp_path, callbacks=callbacks, **changes), *few])
    line = re.search(r"extend +lightning-gans (predict .*) YOUR_FRAMES", capsys.readouterr().out)
    write_frames(tmp_path / "clip", 5, (32, 32))
    main([*shlex.split(line[1]), str(tmp_path / "clip"), "--data.frames", "2"])
    assert len([*tmp_path.rglob("sequences/clip.*")]) == 2
