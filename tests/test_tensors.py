"""Data sets in memory: what a batch of each task holds, and in which order an epoch goes through it."""

import pytest
import torch
from jaxtyping import config
from lightning import seed_everything

from lightning_gans.datamodules import ImagePairs, Sequences, TensorDataModule, TensorImages, TensorPoints, Unpaired
from lightning_gans.datamodules.batches import TrainingBatches
from lightning_gans.datamodules.tensors import spread_evenly


def numbered(count, *shape):
    """Bytes whose first axis is numbered."""
    return torch.arange(count, dtype=torch.uint8).view(count, *[1] * len(shape)).expand(count, *shape).contiguous()


def numbers(images):
    """The numbers of images, from their floats."""
    return ((images + 1) * 127.5).round().flatten(1)[:, 0].int().tolist()


DATA = {
    "images": TensorImages(numbered(12, 1, 2, 2), torch.arange(12)),
    "points": TensorPoints(torch.randn(12, 2), torch.arange(12)),
    "pairs": ImagePairs(numbered(12, 3, 4, 4), numbered(12, 1, 2, 2)),
    "unpaired": Unpaired(numbered(5, 3, 4, 4), numbered(12, 1, 2, 2)),
    "sequences": Sequences(numbered(12, 3, 1, 2, 2)),
}


@pytest.fixture
def untyped():
    """Switches the run-time types off, so that a wrong value meets the check that users meet."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def epoch(data, batch_size=3, epoch=0, processes=1, rank=0, seed=0, skip=0):
    """The batches of one process."""
    sampler = TrainingBatches(data, batch_size, processes, rank, seed)
    sampler.set_epoch(epoch)
    sampler.skip = skip
    return [data[index] for index in sampler]


def equal(one, two):
    return len(one) == len(two) and all(
        torch.equal(a, b) for first, second in zip(one, two, strict=True) for a, b in zip(first, second, strict=True)
    )


def test_the_target_of_a_pair_comes_first():
    target, source = DATA["pairs"][torch.tensor([7, 2])]
    assert target.shape == (2, 3, 4, 4) and source.shape == (2, 1, 2, 2)
    assert numbers(target) == numbers(source) == [7, 2]


def test_pairs_are_floats_from_minus_one_to_one():
    bytes_ = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    for images in ImagePairs(bytes_, bytes_)[torch.tensor([0, 1])]:
        assert images.dtype == torch.float32 and images.flatten().tolist() == [-1, 1]


def test_targets_and_sources_are_equally_many(untyped):
    with pytest.raises(ValueError, match="`target` and `source` must be equally many, got 3 and 4."):
        ImagePairs(numbered(3, 1, 2, 2), numbered(4, 1, 2, 2))


def test_the_next_frame_comes_before_the_previous_ones():
    frames = torch.arange(24, dtype=torch.uint8).view(2, 4, 3, 1, 1)
    following, previous = Sequences(frames)[torch.tensor([1])]
    assert following.shape == (1, 3, 1, 1) and previous.shape == (1, 3, 3, 1, 1)
    assert numbers(following) == [21] and numbers(previous[0]) == [12, 15, 18]


def test_a_sequence_has_a_past():
    with pytest.raises(ValueError, match="`frames` must hold sequences of at least 2 frames, got 1."):
        Sequences(numbered(3, 1, 1, 2, 2))


def test_unpaired_images_are_chosen_one_by_one():
    x, y = DATA["unpaired"][torch.tensor([[4, 0], [1, 11]])]
    assert x.shape == (2, 3, 4, 4) and y.shape == (2, 1, 2, 2)
    assert numbers(x) == [4, 0] and numbers(y) == [1, 11]


def test_an_epoch_of_unpaired_images_is_the_longer_set_and_the_shorter_starts_over():
    x, y = (numbers(torch.cat(side)) for side in zip(*epoch(DATA["unpaired"]), strict=True))
    assert sorted(y) == list(range(12))
    assert sorted(x[:5]) == sorted(x[5:10]) == list(range(5)) and len(set(x[10:])) == 2


def test_unpaired_images_are_other_pairs_in_each_epoch():
    pairs = set()
    for number in range(6):
        x, y = (numbers(torch.cat(side)) for side in zip(*epoch(DATA["unpaired"], epoch=number), strict=True))
        pairs |= set(zip(x, y, strict=True))
    assert len(pairs) > 2 * 12


def test_the_order_of_a_side_does_not_depend_on_the_other_side():
    other = Unpaired(numbered(7, 1, 1, 1), numbered(12, 1, 2, 2))
    one, two = (torch.cat([y for _, y in epoch(data)]) for data in (DATA["unpaired"], other))
    assert torch.equal(one, two)


def test_the_sides_have_orders_of_their_own():
    images = numbered(12, 1, 1, 1)
    x, y = zip(*epoch(Unpaired(images, images)), strict=True)
    assert numbers(torch.cat(x)) != numbers(torch.cat(y))


def test_unpaired_images_are_evaluated_in_order():
    x, y = DATA["unpaired"][torch.arange(12)]
    assert numbers(x) == [0, 1, 2, 3, 4] * 2 + [0, 1] and numbers(y) == list(range(12))


def test_an_empty_side_is_refused():
    with pytest.raises(ValueError, match="`y` must hold at least one image, got none."):
        Unpaired(numbered(3, 1, 2, 2), numbered(0, 1, 2, 2))


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_the_order_is_a_function_of_seed_and_epoch(data):
    assert equal(epoch(data, epoch=2, seed=5), epoch(data, epoch=2, seed=5))
    assert not equal(epoch(data, epoch=2, seed=5), epoch(data, epoch=1, seed=5))
    assert not equal(epoch(data, epoch=2, seed=5), epoch(data, epoch=2, seed=4))


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_processes_share_the_batches_of_one_process(data):
    ranks = [epoch(data, 2, processes=3, rank=rank) for rank in range(3)]
    joined = [[torch.cat(parts) for parts in zip(*shares, strict=True)] for shares in zip(*ranks, strict=True)]
    assert equal(joined, epoch(data, 6))


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_an_epoch_goes_on_where_it_was_left(data):
    assert equal(epoch(data, skip=6), epoch(data)[2:])


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_a_data_module_serves_any_data_set(data):
    class Ours(TensorDataModule):
        def load(self):
            return data, data

    seed_everything(0, verbose=False)
    ours = Ours(3)
    ours.setup("fit")
    assert equal(list(ours.train_dataloader()), epoch(data))
    assert equal(list(ours.val_dataloader()), [data[index] for index in torch.arange(12).split(3)])
    assert ours.evaluation_name[2] == 12


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_a_list_of_indices_is_a_batch(data):
    assert equal([data.__getitems__([3, 1])], [data[torch.tensor([3, 1])]])


def test_places_are_spread_evenly():
    assert spread_evenly(4, 12).tolist() == [0, 3, 6, 9]
    assert spread_evenly(5, 5).tolist() == [0, 1, 2, 3, 4]
    assert spread_evenly(6, 3).tolist() == [0, 0, 1, 1, 2, 2]
