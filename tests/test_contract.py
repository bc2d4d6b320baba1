"""The seam: variants that are not there yet train, resume, run on two processes, and are looked at by everything."""

from functools import partial

import pytest
import torch
from lightning import Callback
from torch import nn

from lightning_gans import callbacks, regularizers
from lightning_gans.regularizer import Regularizer
from tests.conftest import largest_difference, trainer
from tests.toys import TOYS, ToyData


@pytest.fixture(params=TOYS)
def toy(request):
    return request.param


def fitted(toy, folder, steps=6, path=None, **options):
    torch.manual_seed(0)
    module = TOYS[toy]()
    run = trainer(folder, steps, max_epochs=-1, **options)
    run.fit(module, ToyData(toy), ckpt_path=path)
    return module, run


def test_every_player_of_a_toy_variant_moves(toy, tmp_path):
    torch.manual_seed(0)
    before = TOYS[toy]().state_dict()
    module, run = fitted(toy, tmp_path, log_every_n_steps=1)
    state = module.state_dict()
    moved = {name.split(".")[0] for name, _ in module.named_parameters() if not torch.equal(state[name], before[name])}
    assert moved == {"generator", "discriminator", "generator_ema"}
    assert all(value.isfinite() for value in run.callback_metrics.values())


def test_a_toy_variant_resumes_bit_for_bit_in_mid_epoch(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    straight, _ = fitted(toy, tmp_path, 8)
    fitted(toy, tmp_path, 3)[1].save_checkpoint(tmp_path / "3.ckpt")
    resumed, _ = fitted(toy, tmp_path, 8, tmp_path / "3.ckpt")
    assert largest_difference(straight.state_dict(), resumed.state_dict()) == 0


# Everything of the package, with every one of them.


def distance(one, two):
    return (one - two).square().sum((1, 2, 3))


FEATURES = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
CALLBACKS = {
    "ClassAccuracy": callbacks.ClassAccuracy,
    "CodeDistance": callbacks.CodeDistance,
    "GenerativeMetrics": partial(callbacks.GenerativeMetrics, FEATURES, scores=["fid"], test_scores=["fid", "kid"]),
    "Landscape": callbacks.Landscape,
    "LatentArithmetic": partial(callbacks.LatentArithmetic, num_samples=30),
    "LatentInterpolation": partial(
        callbacks.LatentInterpolation,
        2,
        3,
        num_paths=4,
        num_walks=2,
        distance=lambda one, two: (one - two).sum((1, 2, 3)),
    ),
    "LinearProbe": callbacks.LinearProbe,
    "NearestNeighborAccuracy": callbacks.NearestNeighborAccuracy,
    "NearestNeighbours": partial(callbacks.NearestNeighbours, FEATURES, num_neighbors=2),
    "NewestCheckpoint": callbacks.NewestCheckpoint,
    "ProgressBar": callbacks.ProgressBar,
    "Report": callbacks.Report,
    "SampleGrid": partial(callbacks.SampleGrid, every_kimg=0.016),
    "SampleWriter": callbacks.SampleWriter,
    "StandingStatistics": partial(callbacks.StandingStatistics, 2),
    "TrainingHealth": partial(callbacks.TrainingHealth, every_kimg=0.008, warmup_kimg=0.0),
    "TruncationSweep": partial(callbacks.TruncationSweep, (0.5, 1.0), FEATURES, num_images=2),
}
LOOKS = {"Report", "SampleGrid", "SampleWriter", "TrainingHealth", "GenerativeMetrics"}
FOR_ALL = LOOKS | {"NewestCheckpoint", "ProgressBar"}
FOR_LATENTS = {"LatentInterpolation", "TruncationSweep"}
DRAW_FROM_LATENTS = {"paired", "conditional_wgan_gp"}


def test_the_product_has_every_callback_and_every_regularizer():
    public = {name for name, kind in vars(callbacks).items() if isinstance(kind, type) and issubclass(kind, Callback)}
    assert public == CALLBACKS.keys()
    kinds = [kind for kind in vars(regularizers).values() if isinstance(kind, type) and issubclass(kind, Regularizer)]
    assert set(kinds) == set(REGULARIZERS.values())


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_works_with_a_toy_variant_or_refuses_it_in_a_sentence(toy, name, tmp_path, capsys):
    torch.manual_seed(0)
    module, data = TOYS[toy](), ToyData(toy)
    more = {"enable_checkpointing": name == "NewestCheckpoint", "enable_progress_bar": name == "ProgressBar"}
    run = trainer(tmp_path, 2, callbacks=[CALLBACKS[name]()], val_check_interval=2, **more)
    try:
        run.fit(module, data)
        run.test(module, data, verbose=False)
        run.predict(module, data)
    except ValueError as error:
        sentence = str(error)
        assert name in sentence and sentence.endswith(".") and "\n" not in sentence, sentence
        assert name not in FOR_ALL and not (toy in DRAW_FROM_LATENTS and name in FOR_LATENTS), sentence
    else:
        assert toy in DRAW_FROM_LATENTS or name not in FOR_LATENTS


REGULARIZERS = {
    "consistency": regularizers.ConsistencyRegularization,
    "feature_matching": regularizers.FeatureMatching,
    "historical_averaging": regularizers.HistoricalAveraging,
    "lecam": regularizers.LeCam,
    "orthogonality": regularizers.OrthogonalRegularization,
}


@pytest.mark.parametrize("term", REGULARIZERS)
def test_every_regularizer_works_with_every_toy_variant(toy, term, tmp_path):
    torch.manual_seed(0)
    plain, data = TOYS[toy](), ToyData(toy)
    data.setup("fit")
    layers = [name for name, layer in plain.discriminator.named_modules() if isinstance(layer, nn.Linear)]
    replaced = next(iter(plain.generator_loss(data.training[torch.arange(8)])))
    arguments = {"layer": layers[-2], "replaces": replaced} if term == "feature_matching" else {}
    module = TOYS[toy](regularizers=[REGULARIZERS[term](**arguments)])
    run = trainer(tmp_path, 2, log_every_n_steps=1)
    run.fit(module, data)
    assert any(name.endswith(f"/{term}") for name in run.callback_metrics)
    assert all(value.isfinite() for value in run.callback_metrics.values())


def looked_at(toy, folder, names):
    torch.manual_seed(0)
    module, data = TOYS[toy](), ToyData(toy)
    watching = [CALLBACKS[name]() for name in names]
    trainer(folder, 6, max_epochs=-1, callbacks=watching, val_check_interval=2, check_val_every_n_epoch=None).fit(
        module, data
    )
    return module.state_dict(), torch.get_rng_state()


def test_looking_never_changes_state(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    watched, after = looked_at(toy, tmp_path / "watched", sorted(LOOKS))
    alone, after_alone = looked_at(toy, tmp_path / "alone", [])
    assert largest_difference(watched, alone) == 0
    assert torch.equal(after, after_alone)
