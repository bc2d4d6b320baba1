"""The scores against torchmetrics, torch-fidelity and independent formulas, on the same features."""

import math
import os
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsClassifier
from torch import nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_prc import calculate_precision_recall_full
from torchmetrics.image import FrechetInceptionDistance, InceptionScore, KernelInceptionDistance

from lightning_gans.metrics import (
    LPIPS,
    SCORES,
    FeatureDistance,
    Features,
    FeatureScores,
    Inception,
    PairwiseDiversity,
    class_modes,
    compute_scores,
    copied_share,
    density_coverage,
    frechet_distance,
    frechet_distance_of_moments,
    nearest,
    precision_recall,
    stacked_digits,
    two_sample_accuracy,
)
from lightning_gans.metrics.cache import cache_path, load_features, save_features
from lightning_gans.metrics.perceptual import lerp, path_steps, slerp, trimmed_mean

INCEPTION = os.environ.get("LIGHTNING_GANS_INCEPTION", "")
needs_inception = pytest.mark.skipif(
    not Path(INCEPTION).is_file(), reason="LIGHTNING_GANS_INCEPTION names no file of Inception weights"
)
few = pytest.mark.filterwarnings("ignore:The Frechet distance of")


@pytest.fixture
def sets():
    """500 and 400 rows of 6 features, whose second set is wider and moved."""
    return torch.randn(500, 6), 1.3 * torch.randn(400, 6) + 0.4


def by_the_formula(one, two):
    one, two = one.double().numpy(), two.double().numpy()
    covariances = np.cov(one.T), np.cov(two.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    means = one.mean(0) - two.mean(0)
    return means @ means + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.trace(root)


def test_the_frechet_distance_of_normal_distributions_is_the_closed_form():
    one, two = torch.tensor([4.0, 1.0]), torch.tensor([1.0, 9.0])
    distance = frechet_distance_of_moments(torch.zeros(2), one.diag(), torch.tensor([3.0, 4.0]), two.diag())
    assert distance == pytest.approx(25 + (2 - 1) ** 2 + (1 - 3) ** 2, rel=1e-12)


def test_the_frechet_distance_is_that_of_torchmetrics_and_torch_fidelity(sets):
    real, fake = (rows.double() for rows in sets)

    class Same(nn.Module):
        num_features = 6

        def forward(self, image):
            return image

    metric = FrechetInceptionDistance(Same()).set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    statistics = [fid_features_to_statistics(rows) for rows in (real, fake)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(real, fake) == pytest.approx(metric.compute().item(), rel=1e-6)
    assert frechet_distance(real, fake) == pytest.approx(theirs, rel=1e-6)


@few
@pytest.mark.parametrize("rows", [(30, 40), (30, 200), (65, 64), (200, 300)])
def test_few_rows_and_many_give_the_distance_of_the_formula(rows):
    """Fewer rows than features go through their Gram matrix."""
    mix = torch.randn(64, 64) / 8
    one, two = torch.randn(rows[0], 64) @ mix, torch.randn(rows[1], 64) + 0.2
    assert frechet_distance(one, two) == pytest.approx(by_the_formula(one, two), rel=1e-5)  # sqrtm of a singular matrix
    moments = [part for rows in (one.double(), two.double()) for part in (rows.mean(0), rows.T.cov())]
    assert frechet_distance(one, two) == pytest.approx(frechet_distance_of_moments(*moments), rel=1e-7)


def test_singular_covariances_give_the_distance_without_their_null_space():
    """Features that never vary, or repeat others, add nothing but their means."""
    one, two = torch.randn(300, 5).double(), 2 * torch.randn(300, 5).double()
    repeat = torch.cat([torch.eye(5), torch.eye(5)[:2], torch.zeros(3, 5)]).T.double()  # 5 of 10 dimensions
    stretch = torch.linalg.qr(torch.randn(10, 10, dtype=torch.float64))[0]
    inner = [rows @ (repeat @ repeat.T).sqrt() for rows in (one, two)]  # the same lengths in 5 dimensions
    outer = [rows @ repeat @ stretch for rows in (one, two)]
    assert frechet_distance(*outer) == pytest.approx(frechet_distance(*inner), rel=1e-9)
    assert frechet_distance(outer[0], outer[0]) == pytest.approx(0, abs=1e-9)


def test_few_images_are_told_of_the_bias():
    with pytest.warns(UserWarning, match="of 20 images in 64 features is biased upwards, more so the fewer"):
        frechet_distance(torch.randn(20, 64), torch.randn(100, 64))


def test_features_that_are_not_finite_are_refused(sets):
    with pytest.raises(ValueError, match="`fake` must hold finite features"):
        frechet_distance(sets[0], sets[1] / 0)
    with pytest.raises(ValueError, match="`real` must hold at least 2 rows of features for a covariance, got 1."):
        frechet_distance(sets[0][:1], sets[1])


def test_kid_and_the_inception_score_are_those_of_torchmetrics(sets):
    real, fake = (Features(rows, logits=rows[:, :4]).in_order() for rows in sets)
    scores = compute_scores(["kid", "inception_score"], *(Features(rows, logits=rows[:, :4]) for rows in sets))
    kid = KernelInceptionDistance(nn.Identity(), subset_size=200)  # half of the smaller set
    kid.update(real.features.double(), real=True)
    kid.update(fake.features.double(), real=False)
    inception = InceptionScore(nn.Identity())
    inception.update(fake.logits.double())
    torch.manual_seed(0)
    theirs = [value.item() for value in kid.compute()]
    torch.manual_seed(0)
    theirs += [value.item() for value in inception.compute()]
    assert list(scores.values()) == pytest.approx(theirs, rel=1e-6)


def test_precision_and_recall_are_those_of_torch_fidelity(sets):
    real, fake = (rows.double() for rows in sets)
    precision, recall = calculate_precision_recall_full(fake, real)[:2]
    assert precision_recall(real, fake) == pytest.approx({"precision": precision, "recall": recall}, rel=1e-6)


def by_all_distances(real, fake, neighbors):
    """Density and coverage of Naeem et al., equations 3 and 4, without blocks."""
    radius = np.sort(cdist(real, real), axis=1)[:, neighbors]
    inside = cdist(real, fake) < radius[:, None]
    return {"density": inside.sum() / (neighbors * len(fake)), "coverage": inside.any(1).mean()}


@pytest.mark.parametrize("block", [1000, 70])
def test_density_and_coverage_are_those_of_the_paper(sets, block, monkeypatch):
    monkeypatch.setattr("lightning_gans.metrics.neighbors.BLOCK", block)
    real, fake = sets
    assert density_coverage(real, fake) == pytest.approx(by_all_distances(real, fake, 5), rel=1e-9)
    whole = precision_recall(real, fake)
    monkeypatch.setattr("lightning_gans.metrics.neighbors.BLOCK", 9999)
    assert precision_recall(real, fake) == whole


def test_equal_rows_are_at_no_distance():
    real = torch.randn(300, 20) + 50
    fake = torch.cat([real[:50], torch.randn(150, 20) + 50])
    fake[100:] = fake[:100]
    assert density_coverage(real, fake) == pytest.approx(by_all_distances(real, fake, 5), rel=1e-9)
    real[100:200] = real[:100]
    assert density_coverage(real, fake, 2) == pytest.approx(by_all_distances(real, fake, 2), rel=1e-9)


def test_sets_of_one_distribution_and_unequal_size_are_not_told_apart():
    scores = compute_scores(["two_sample_accuracy"], Features(torch.randn(2000, 5)), Features(torch.randn(1000, 5)))
    assert scores["two_sample_accuracy"] == pytest.approx(0.5, abs=0.04)


def test_the_two_sample_accuracy_is_that_of_scikit_learn(sets):
    real, fake = sets[0][:400], sets[1]
    rows, label = torch.cat([real, fake]).double(), np.repeat([1, 0], 400)
    neighbors = KNeighborsClassifier(1).fit(rows, label).kneighbors(rows, 2, return_distance=False)[:, 1]
    assert two_sample_accuracy(real, fake)["two_sample_accuracy"] == pytest.approx((label[neighbors] == label).mean())


def test_copies_are_found():
    training, held_out = torch.randn(500, 3), torch.randn(500, 3)
    assert copied_share(training, training[:100] + 1e-4) == 1
    assert copied_share(torch.cat([training, training[:50]]), training) == 1
    assert copied_share(training, held_out, torch.randn(2000, 3)) < 0.05
    assert copied_share(training, held_out) < 0.05


def test_the_nearest_point_is_found_in_blocks(sets, monkeypatch):
    monkeypatch.setattr("lightning_gans.metrics.neighbors.BLOCK", 64)
    distance, index = nearest(sets[1].double(), sets[0].double())
    everything = cdist(sets[1], sets[0])
    assert index.tolist() == everything.argmin(1).tolist()
    assert distance.tolist() == pytest.approx(everything.min(1).tolist())
    np.fill_diagonal(itself := cdist(sets[0], sets[0]), np.inf)
    assert nearest(sets[0].double(), sets[0].double(), torch.arange(500))[1].tolist() == itself.argmin(1).tolist()


def test_too_many_neighbors_are_refused(sets):
    with pytest.raises(ValueError, match="`neighbors` must be at least 1 and less than the number of images, got 3"):
        precision_recall(sets[0][:3], sets[1])


def labelled(rows, classes=4):
    return Features(rows, logits=rows[:, :classes], label=torch.arange(len(rows)) % classes)


@few
def test_scores_by_class():
    real, fake = labelled(torch.randn(80, 5)), labelled(torch.randn(60, 5))
    scores = compute_scores(["intra_class_fid", "class_accuracy", "class_shares"], real, fake)
    parts = [frechet_distance(real.features[c::4], fake.features[c::4]) for c in range(4)]
    guess = fake.features[:, :4].argmax(1)
    assert scores["intra_class_fid"] == pytest.approx(sum(parts) / 4)
    assert scores["class_accuracy"] == pytest.approx((guess == fake.label).double().mean().item())
    assert scores["class_share_min"] == pytest.approx(guess.bincount().min().item() / 60)


def test_the_classifier_accuracy_score_is_high_where_samples_teach_the_classes():
    label = torch.arange(300) % 3
    place = nn.functional.one_hot(label, 5).float() * 6
    real, fake = place + torch.randn(300, 5), place + torch.randn(300, 5)
    name = "classifier_accuracy_score"
    assert compute_scores([name], Features(real, label=label), Features(fake, label=label))[name] > 0.95
    assert compute_scores([name], Features(real, label=label), Features(fake, label=label.roll(1)))[name] < 0.05


def test_no_score_depends_on_the_order_or_the_random_state():
    real, fake = labelled(torch.randn(90, 5)), labelled(torch.randn(90, 5) + 0.1)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = compute_scores(SCORES, real, fake)
    assert torch.equal(torch.get_rng_state(), state)
    order = torch.randperm(90)
    shuffled = [Features(s.features[order], s.logits[order], s.label[order]) for s in (real, fake)]
    assert compute_scores(SCORES, *shuffled) == pytest.approx(first, rel=1e-9)


def test_what_a_score_lacks_is_said():
    with pytest.raises(ValueError, match="`inception_score` needs a feature network with a classifier: leave it out"):
        compute_scores(["inception_score"], Features(torch.randn(9, 2)), Features(torch.randn(9, 2)))
    with pytest.raises(ValueError, match="A score must be one of fid, kid, .* got 'FID'."):
        compute_scores(["FID"], Features(torch.randn(9, 2)), Features(torch.randn(9, 2)))


@few
def test_the_metric_scores_images_in_any_batches():
    image, fake = torch.rand(40, 1, 28, 28) * 2 - 1, torch.rand(40, 1, 28, 28) * 2 - 1
    values = []
    for sizes in ([40], [13, 13, 14]):
        metric = FeatureScores(["fid", "inception_score"], features="digits")
        for real, images in ((True, image), (False, fake)):
            for part in images.split(sizes):
                metric.update(part, real=real)
        values.append({name: value.item() for name, value in metric.compute().items()})
    assert values[0] == pytest.approx(values[1], rel=1e-6)  # the network's float32, which batches change
    with pytest.raises(ValueError, match="call `update` with real ones first"):
        FeatureScores(features="digits").compute()


def test_a_collapsed_and_certain_generator_has_an_inception_score_of_1():
    sure = Features(torch.randn(100, 2), torch.tensor([[0.0, 1000.0]]).expand(100, 2))
    assert compute_scores(["inception_score"], sure, sure)["inception_score"] == pytest.approx(1)


def test_the_networks_of_metrics_stay_in_evaluation_mode():
    class Owner(nn.Module):
        def __init__(self):
            super().__init__()
            self.metric = FeatureScores(features=nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)))
            self.distance = FeatureDistance(nn.BatchNorm2d(1))

    owner = Owner().train()
    assert not any(m.training for part in (owner.metric, owner.distance) for m in part.network.modules())


def test_labels_of_some_images_only_are_refused():
    metric = FeatureScores(["fid"], features=nn.Flatten())
    metric.update(torch.rand(4, 1, 2, 2), real=True, label=torch.arange(4))
    metric.update(torch.rand(4, 1, 2, 2), real=True)
    metric.update(torch.rand(4, 1, 2, 2), real=False)
    with pytest.raises(ValueError, match="`label` must be given with all real images or with none"):
        metric.compute()


def test_an_inception_score_without_a_classifier_is_refused():
    with pytest.raises(ValueError, match="must have a classifier for inception_score, and Flatten has none."):
        FeatureScores(["inception_score"], features=nn.Flatten())


def test_inception_offline_says_which_file_to_bring(monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", offline)
    with pytest.raises(ConnectionError, match="fetch https://.*weights-inception-2015.* give its path as `weights`"):
        Inception()
    with pytest.raises(FileNotFoundError, match="must be a file of Inception weights, and .*none.pth is none"):
        Inception(weights=tmp_path / "none.pth")


@needs_inception
def test_inception_gives_the_documented_values_of_torchmetrics():
    """The examples in the docstrings of FrechetInceptionDistance (64 features) and KernelInceptionDistance."""
    torch.manual_seed(42)
    FrechetInceptionDistance(feature=64, feature_extractor_weights_path=INCEPTION)  # draws weights before the images
    images = [torch.randint(low, high, (100, 3, 299, 299)).byte() / 127.5 - 1 for low, high in ((0, 200), (100, 255))]
    state = torch.get_rng_state()
    metric = FeatureScores(["fid"], features=Inception(64, INCEPTION))
    network = Inception(2048, INCEPTION)
    kid = KernelInceptionDistance(network, subset_size=50)  # whose subsets follow the order of images, as ours do not
    for real, image in zip((True, False), images, strict=True):
        for part in image.split(20):
            metric.update(part, real=real)
            kid.update(part, real=real)
    torch.set_rng_state(state)
    assert metric.compute()["fid"].item() == pytest.approx(12.6388, abs=1e-4)
    assert [value.item() for value in kid.compute()] == pytest.approx([0.0312, 0.0025], abs=1e-4)


def test_modes_of_stacked_digits_are_numbers():
    class Classifier(nn.Module):
        def forward(self, image):
            return nn.functional.one_hot(image[:, 0, 0, 0].long(), 10).float()

    image = torch.tensor([[1, 2, 3], [0, 0, 7]]).float()[:, :, None, None]
    assert stacked_digits(image, Classifier()).tolist() == [123, 7]
    scores = class_modes(torch.tensor([0, 1, 1, 1]), 4)
    assert scores["modes_covered"] == 2
    assert scores["mode_divergence"] == pytest.approx(0.25 * math.log(1) + 0.75 * math.log(3))


def test_the_path_length_of_a_linear_generator_is_the_squared_length_of_its_path():
    weight = torch.randn(4, 9, dtype=torch.float64)
    start, end = torch.randn(2, 5, 4, dtype=torch.float64)

    def distance(one, two):
        return (one - two).square().sum(1)

    steps = path_steps(lambda z: z @ weight, start, end, torch.rand(5).double(), distance, lerp)
    torch.testing.assert_close(steps, ((end - start) @ weight).square().sum(1), rtol=1e-6, atol=0)


def test_the_spherical_path_keeps_to_the_sphere_at_even_speed():
    start, end = nn.functional.normalize(torch.randn(2, 8, 5, dtype=torch.float64), dim=2)
    path = [slerp(start, end, torch.full((8,), t / 4).double()) for t in range(5)]
    torch.testing.assert_close(path[0], start)
    torch.testing.assert_close(path[4], end)
    torch.testing.assert_close(path[2].norm(dim=1), torch.ones(8).double())
    steps = torch.stack([(a - b).norm(dim=1) for a, b in zip(path, path[1:], strict=False)])
    torch.testing.assert_close(steps, steps[:1].expand(4, -1))
    torch.testing.assert_close(slerp(start, start, torch.full((8,), 0.5)), start)


def test_a_trimmed_mean_leaves_out_the_ends():
    assert trimmed_mean(torch.tensor([0.0] * 900 + [1.0] * 95 + [1e9] * 5), 0.01) == pytest.approx(95 / 995)


def test_diversity_is_the_mean_distance_of_pairs():
    one, two = torch.rand(2, 10, 1, 2, 2)
    metric = PairwiseDiversity(FeatureDistance(nn.Flatten()))
    for part in zip(one.split(3), two.split(3), strict=True):
        metric.update(*part)
    assert metric.compute().item() == pytest.approx((one - two).flatten(1).square().sum(1).mean().item(), rel=1e-6)
    metric.reset()
    metric.update(one, one)
    assert metric.compute() == 0


def test_lpips_takes_weights_from_a_file(tmp_path, monkeypatch):
    import torchvision

    for name in ("kaiming_uniform_", "kaiming_normal_", "normal_", "uniform_"):  # of weights that the file replaces
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)
    with torch.device("meta"):
        shapes = torchvision.models.vgg16(weights=None).features.state_dict()
    weights = {name: 0.05 * torch.randn(value.shape) for name, value in shapes.items()}
    torch.save(weights, tmp_path / "vgg16.pth")
    lpips = LPIPS(str(tmp_path / "vgg16.pth"))
    one, two = torch.rand(2, 2, 1, 32, 32) * 2 - 1
    assert lpips(one, one).abs().max() == 0 and (lpips(one, two) > 0).all()
    del weights["0.weight"]
    torch.save(weights, tmp_path / "part.pth")
    with pytest.raises(ValueError, match="`weights` must hold the 13 convolutions of the backbone, and does not."):
        LPIPS(str(tmp_path / "part.pth"))


def test_a_cache_gives_back_what_was_saved(tmp_path):
    features = labelled(torch.randn(8, 5))
    path = cache_path(tmp_path, "mnist-0123", "evaluation", 8, "28px", "DigitClassifier-4567")
    assert path.name == "mnist-0123_evaluation_8_28px_DigitClassifier-4567.safetensors"
    assert load_features(path) is None
    save_features(path, features)
    found = load_features(path)
    assert all(torch.equal(getattr(found, part), getattr(features, part)) for part in ("features", "logits", "label"))
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("damage", ["cut", "flipped", "renamed", "empty"])
def test_a_damaged_or_mismatched_cache_is_refused(tmp_path, damage):
    path = tmp_path / "a.safetensors"
    save_features(path, labelled(torch.randn(8, 5)))
    content = bytearray(path.read_bytes())
    if damage == "renamed":
        path = path.rename(tmp_path / "b.safetensors")
    else:
        content[-5] ^= 1
        path.write_bytes({"cut": content[:-40], "flipped": content, "empty": b""}[damage])
    says = "of something else" if damage == "renamed" else "damaged"
    with pytest.raises(ValueError, match=f"The cached features .* are {says}.* delete the file"):
        load_features(path)
