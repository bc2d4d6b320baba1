"""Values that change over training."""

import math
from functools import partial

import pytest
from jsonargparse import ArgumentParser
from torch import nn

from lightning_gans.mechanics.schedules import Cosine, Linear, OverImages, Schedule, Steps, at
from lightning_gans.networks import InstanceNoise
from tests.conftest import tiny


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Linear(2.0, 1.0, 4.0), [2.0, 1.75, 1.5, 1.25, 1.0, 1.0]),
        (Linear(2.0, 1.0, 2.0, after=2.0), [2.0, 2.0, 2.0, 1.5, 1.0, 1.0]),
        (Cosine(2.0, 1.0, 4.0), [2.0, 1.5 + math.sqrt(0.125), 1.5, 1.5 - math.sqrt(0.125), 1.0, 1.0]),
        (Steps([3.0, 2.0, 1.0], 2.0), [3.0, 3.0, 2.0, 2.0, 1.0, 1.0]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_schedule_has_its_value_after_each_thousand_images_and_keeps_the_last(schedule, values):
    assert [schedule(1000 * kimg) for kimg in (0, 1, 2, 3, 4, 99)] == pytest.approx(values)


def test_steps_change_with_the_first_image_after_their_time():
    assert [Steps([1.0, 0.0], 0.1)(images) for images in (99, 100)] == [1.0, 0.0]


def test_a_plain_number_is_a_value_that_does_not_change():
    assert at(0.5, 0) == at(0.5, 10**9) == 0.5
    assert at(Linear(1.0, 0.0, 1.0), 250) == 0.75


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Linear(0.0, 1.0, 0.0), "`kimg` must be positive, got 0.0."),
        (lambda: Linear(0.0, 1.0, 1.0, -1.0), "`after` must be at least 0, got -1.0."),
        (lambda: Cosine(0.0, 1.0, -1.0), "`kimg` must be positive, got -1.0."),
        (lambda: Steps([1.0], 0.0), "`kimg` must be positive, got 0.0."),
        (lambda: Steps([], 1.0), "`values` must hold at least one value, got none."),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_rate_holds_and_then_falls_to_0_where_it_stays(fit):
    falling = partial(OverImages, factor=Linear(1.0, 0.0, kimg=0.032, after=0.032))  # batches are of 8
    for steps, share in ((4, 1.0), (7, 0.25), (8, 0.0), (9, 0.0)):
        module = tiny(generator_scheduler=falling)
        fit(module, steps, max_epochs=-1)
        (rate,) = module.lr_schedulers().get_last_lr()
        assert rate == pytest.approx(2e-4 * share)


def test_a_recipe_names_a_schedule_where_a_number_stands():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(nn.Module, "network")
    std = {"class_path": "Linear", "init_args": {"start": 1, "end": 0, "kimg": 2}}
    arguments = {"discriminator": {"class_path": "torch.nn.Identity"}, "std": std}
    path = "lightning_gans.networks.InstanceNoise"
    config = parser.parse_object({"network": {"class_path": path, "init_args": arguments}})
    network = parser.instantiate_classes(config).network
    assert isinstance(network, InstanceNoise) and isinstance(network.std, Schedule)
    assert network.std(500) == 0.75
