"""The seam: variants that are not there yet train, resume, run on two processes, and are looked at by everything."""

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


# Everything of the package, with every one of them. What is exported is found; some get small settings.


def distance(one, two):
    return (one - two).square().sum((1, 2, 3))


def exported(package, base):
    return {name: kind for name, kind in vars(package).items() if isinstance(kind, type) and issubclass(kind, base)}


FEATURES = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
CALLBACKS = exported(callbacks, Callback)
del CALLBACKS["StartFrom"]  # is no look: it changes the weights, and needs the file of another run
SETTINGS = {
    "GenerativeMetrics": {"features": FEATURES, "scores": ["fid"], "test_scores": ["fid", "kid"]},
    "LatentArithmetic": {"num_samples": 30},
    "LatentInterpolation": {"num_rows": 2, "num_columns": 3, "num_paths": 4, "num_walks": 2, "distance": distance},
    "NearestNeighbours": {"features": FEATURES, "num_neighbors": 2},
    "SampleGrid": {"every_kimg": 0.016},
    "StandingStatistics": {"num_batches": 2},
    "TrainingHealth": {"every_kimg": 0.008, "warmup_kimg": 0.0},
    "TruncationSweep": {"thresholds": (0.5, 1.0), "features": FEATURES, "num_images": 2},
}
LOOKS = {"GenerativeMetrics", "Report", "SampleGrid", "SampleWriter", "TrainingHealth"}
FOR_ALL = LOOKS | {"NewestCheckpoint", "ProgressBar"}
FOR_LATENTS = {"LatentInterpolation", "TruncationSweep"}
FOR_STYLES = {"Projector", "SeededSamples", "StyleMixing"}  # which none of these variants has: see test_style_looks.py
DRAW_FROM_LATENTS = {"paired", "conditional_wgan_gp"}


def watched(toy, folder, names, steps):
    """Trains, tests and draws from a toy variant under callbacks, and returns its state."""
    torch.manual_seed(0)
    module, data = TOYS[toy](), ToyData(toy)
    kinds = [CALLBACKS[name](**SETTINGS.get(name, {})) for name in names]
    on = {"enable_checkpointing": "NewestCheckpoint" in names, "enable_progress_bar": "ProgressBar" in names}
    looks = {"val_check_interval": 2, "check_val_every_n_epoch": None, "max_epochs": -1}
    run = trainer(folder, steps, callbacks=kinds, **on, **looks)
    run.fit(module, data)
    run.test(module, data, verbose=False)
    run.predict(module, data)
    return module.state_dict()


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_works_with_a_toy_variant_or_refuses_it_in_a_sentence(toy, name, tmp_path):
    try:
        watched(toy, tmp_path, [name], 2)
    except ValueError as error:
        sentence = str(error)
        assert f"`{name}`" in sentence and sentence.endswith(".") and "\n" not in sentence, sentence
        assert name not in FOR_ALL and not (toy in DRAW_FROM_LATENTS and name in FOR_LATENTS), sentence
    else:
        assert name not in FOR_STYLES and (toy in DRAW_FROM_LATENTS or name not in FOR_LATENTS)


def test_looking_never_changes_state(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    alone, state = watched(toy, tmp_path / "alone", [], 6), torch.get_rng_state()
    names = sorted(CALLBACKS)
    for attempt in range(len(names)):  # all callbacks together, but for those that refuse the variant
        try:
            seen = watched(toy, tmp_path / str(attempt), names, 6)
            break
        except ValueError as error:
            names = [name for name in names if f"`{name}`" not in str(error)]
    assert FOR_ALL <= set(names) and (FOR_LATENTS <= set(names)) == (toy in DRAW_FROM_LATENTS)
    assert largest_difference(seen, alone) == 0
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", exported(regularizers, Regularizer))
def test_every_regularizer_works_with_every_toy_variant(toy, name, tmp_path):
    torch.manual_seed(0)
    plain, data = TOYS[toy](), ToyData(toy)
    data.setup("fit")
    batch = data.training[torch.arange(8)]
    layers = [layer for layer, part in plain.discriminator.named_modules() if isinstance(part, nn.Linear)]
    known = {*plain.generator_loss(batch), *plain.discriminator_loss(batch)}
    settings = {"FeatureMatching": {"layer": layers[-2], "replaces": next(iter(plain.generator_loss(batch)))}}
    module = TOYS[toy](regularizers=[vars(regularizers)[name](**settings.get(name, {}))])
    run = trainer(tmp_path, 2, log_every_n_steps=1)
    if name == "AdaptiveAugmentation":  # works with its wrapper, see test_augment
        with pytest.raises(ValueError, match="`AdaptiveAugmentation` needs one `Augment` around the discriminator"):
            run.fit(module, data)
        return
    run.fit(module, data)
    terms = {metric.split("/")[1] for metric in run.callback_metrics if "_loss/" in metric}
    assert terms - known and all(value.isfinite() for value in run.callback_metrics.values())
