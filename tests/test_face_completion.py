"""Completion of faces: its losses, its phases, what it leaves as it is, and the faces that it is shown."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import softplus

from lightning_gans import FaceCompletion
from lightning_gans.callbacks import ImageWriter
from lightning_gans.datamodules import DegradedDataModule, FacesDataModule, OwnImagesDataModule
from lightning_gans.datamodules.degradations import mask
from lightning_gans.datamodules.face_drawing import PARTS, Camera, head
from lightning_gans.datamodules.faces import intersection_over_union
from lightning_gans.mechanics.schedules import Steps
from lightning_gans.metrics import FaceParser
from lightning_gans.models.face_completion import around
from lightning_gans.networks import CompletionDiscriminator, CompletionGenerator
from tests.conftest import trainer


class Judge(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * size**2, 1), nn.Flatten(0))

    def forward(self, image):
        assert image.shape[1:] == (3, self.size, self.size)
        return self.layers(image)


def completion(**options) -> FaceCompletion:
    torch.manual_seed(0)
    networks = {"generator": nn.Conv2d(3, 3, 3, padding=1), "parser": nn.Conv2d(3, 5, 1)}
    judges = {"local_discriminator": Judge(8), "global_discriminator": Judge(16)}
    return FaceCompletion(**{**networks, **judges, **options})


def batch(count: int = 4, size: int = 16):
    return torch.rand(count, 3, size, size) * 2 - 1, torch.stack(
        [mask((size, size), size // 2, i) for i in range(count)]
    )


def faces(**options) -> FacesDataModule:
    data = FacesDataModule(**{"num_images": 6, "num_evaluation_images": 3, "size": 16, "cache": None, **options})
    data.setup("fit")
    return data


def test_an_image_is_kept_bit_for_bit_outside_its_hole_and_the_generator_sees_noise_in_it():
    module, (target, hole) = completion(), batch()
    seen = []
    module.generator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    fake = module.fake((target, hole))
    outside = (hole == 0).expand_as(target)
    assert torch.equal(fake[outside], target[outside]) and not (fake[~outside] == target[~outside]).any()
    assert torch.equal(seen[0][outside], target[outside])
    noise = seen[0][~outside]
    assert noise.abs().max() <= 1 and noise.mean().abs() < 0.1 and abs(noise.var() - 1 / 3) < 0.05


def test_completion_has_the_losses_of_its_paper():
    module, (target, hole) = completion(local_weight=0.5, global_weight=0.25, parsing_weight=0.125), batch()
    torch.manual_seed(1)
    terms = module.generator_loss((target, hole))
    torch.manual_seed(1)
    fake, drawn = module.complete(target, hole)
    size, squares = 8, []
    for image, layer in zip(fake, hole, strict=True):
        rows, columns = layer[0].amax(1).nonzero()[0], layer[0].amax(0).nonzero()[0]
        squares.append(image[:, rows : rows + size, columns : columns + size])
    local, whole = module.discriminator["local"](torch.stack(squares)), module.discriminator["global"](fake)
    torch.testing.assert_close(terms["reconstruction"], (drawn - target).abs().mean())
    torch.testing.assert_close(terms["local"], -0.5 * local.sigmoid().log().mean())
    torch.testing.assert_close(terms["global"], -0.25 * whole.sigmoid().log().mean())
    parser = module.parser.network
    true = parser(target).argmax(1)
    likelihood = parser(fake).log_softmax(1).gather(1, true[:, None])
    torch.testing.assert_close(terms["parsing"], -0.125 * likelihood.mean())
    judged = module.discriminator_loss((target, hole, fake.detach(), drawn.detach()))
    real = module.discriminator["global"](target)
    torch.testing.assert_close(judged["global"], (softplus(-real).mean() + softplus(whole).mean()) / 2)
    assert {*judged} == {"local", "global"}


def test_the_default_weights_are_the_sums_of_the_authors_code_as_means():
    size = 128
    networks = {"local_discriminator": Judge(8), "global_discriminator": Judge(size)}
    module, (target, hole) = completion(**networks), batch(2, size)
    torch.manual_seed(1)
    terms = module.generator_loss((target, hole))
    torch.manual_seed(1)
    fake, drawn = module.complete(target, hole)
    local, whole = (module.judge(name, fake, hole) for name in ("local", "global"))
    parser = module.parser.network
    parsing = nn.functional.cross_entropy(parser(fake), parser(target).argmax(1), reduction="sum") / 2
    total = (
        (drawn - target).abs().sum() / 2 + 300 * (softplus(-local).mean() + softplus(-whole).mean()) + 0.05 * parsing
    )
    torch.testing.assert_close(sum(terms.values()), total / (3 * size * size))


@pytest.mark.parametrize("top, left", [(0, 0), (3, 5), (10, 10), (0, 10)])
def test_the_local_discriminator_sees_the_square_around_the_middle_of_the_hole(top, left):
    image, hole = torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    hole[..., top : top + 6, left : left + 2] = 1
    y, x = min(max(top - 1, 0), 8), min(max(left - 3, 0), 8)
    assert torch.equal(around(image, hole, 8), image[..., y : y + 8, x : x + 8])


def test_an_image_without_a_hole_or_too_small_for_the_local_discriminator():
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(around(image, torch.zeros(1, 1, 16, 16), 8), image[..., 4:12, 4:12])
    with pytest.raises(
        ValueError, match="`image` must be at least 32 pixels a side for the local discriminator, got 16"
    ):
        around(image, torch.zeros(1, 1, 16, 16), 32)


def test_training_goes_through_the_phases_of_the_paper(tmp_path):
    weights = {"local": [0.0, 1.0, 1.0], "global": [0.0, 0.0, 1.0], "parsing": [0.0, 0.0, 1.0]}
    module = completion(**{f"{name}_weight": Steps(values, kimg=0.0045) for name, values in weights.items()})
    data = DegradedDataModule(faces(), "mask", batch_size=2)
    moved, terms = [], []
    for _ in range(3):
        before = {name: [p.clone() for p in judge.parameters()] for name, judge in module.discriminator.items()}
        trainer(tmp_path, 2, max_epochs=-1, limit_val_batches=0, log_every_n_steps=1).fit(module, data)
        after = module.discriminator.items()
        moved.append([name for name, judge in after if not all(map(torch.equal, before[name], judge.parameters()))])
        terms.append({name.split("/")[1] for name in module._losses.latest if name.startswith("generator")})
    assert moved == [[], ["local"], ["local", "global"]]
    phases = [{"reconstruction"}, {"reconstruction", "local"}, {"reconstruction", "local", "global", "parsing"}]
    assert terms == phases


def test_the_parser_stands_in_no_checkpoint_and_passes_gradients_on():
    module = completion()
    assert not any("parser" in name for name in module.state_dict())
    assert not any("parser" in name for name, _ in module.named_parameters())
    module.train()
    assert not module.parser.network.training
    terms = module.generator_loss(batch())
    (gradient,) = torch.autograd.grad(terms["parsing"], module.generator.weight)
    assert gradient.abs().sum() > 0
    assert "parsing" not in completion(parser=None).generator_loss(batch())


def test_a_folder_is_completed_where_the_masks_of_another_are_white(tmp_path):
    generator = CompletionGenerator(size=32, width=4, hidden=8)
    module = completion(
        generator=generator, local_discriminator=CompletionDiscriminator(size=8, width=4), ema_halflife=0.0
    )
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    hole = np.zeros((32, 32), np.uint8)
    hole[5:14, 20:] = 255
    for folder in ("photos", "masks", "out"):
        (tmp_path / folder).mkdir()
    Image.fromarray(noise).save(tmp_path / "photos/a.png")
    Image.fromarray(hole).save(tmp_path / "masks/a.png")
    data = OwnImagesDataModule(str(tmp_path / "photos"), masks=str(tmp_path / "masks"))
    writer = ImageWriter(str(tmp_path / "out"))
    trainer(tmp_path, callbacks=[writer]).predict(module, data, return_predictions=False)
    made = np.asarray(Image.open(Path(tmp_path / "out/a.png")))
    assert np.array_equal(made[hole == 0], noise[hole == 0]) and (made[hole == 255] != noise[hole == 255]).mean() > 0.9
    data = OwnImagesDataModule(str(tmp_path / "photos"))
    with pytest.raises(ValueError, match="`masks` is missing, which FaceCompletion asks for: give it."):
        trainer(tmp_path, callbacks=[writer]).predict(module, data, return_predictions=False)


def test_data_without_masks_are_refused():
    target, _ = batch()
    with pytest.raises(ValueError, match=r"A mask must be .* got \(4, 3, 16, 16\) .* `degradation` is mask"):
        completion().fake((target, target))


# Faces.


def test_a_face_is_a_function_of_its_number_and_held_out_faces_are_others():
    one, more = faces(), faces(num_images=8, cache="default")
    image, part = one.training[torch.arange(6)]
    assert image.shape == (6, 3, 16, 16) and part.shape == (6, 16, 16)
    assert all(map(torch.equal, (image, part), more.training[torch.arange(6)]))
    held_out, _ = one.evaluation[torch.arange(3)]
    others = torch.cat([image, held_out])
    assert len(others.flatten(1).unique(dim=0)) == 9
    assert not torch.equal(faces(data_seed=1).evaluation[torch.arange(3)][0], held_out)


def test_the_parts_of_a_face_are_where_they_belong():
    _, part = Camera(64)(head(np.random.default_rng(0)))
    middle = {name: np.argwhere(part == number).mean(0) for number, name in enumerate(PARTS)}
    rows = [middle[name][0] for name in ("hair", "brows", "eyes", "nose", "lips")]
    assert rows == sorted(rows)
    assert all(abs(middle[name][1] - 31.5) < 2 for name in ("eyes", "nose", "lips"))


def test_a_head_turns_to_the_viewers_right_and_back_again():
    someone, camera = head(np.random.default_rng(0)), Camera(32)
    noses = [np.argwhere(camera(someone, angle)[1] == PARTS.index("nose"))[:, 1].mean() for angle in (-0.4, 0.0, 0.4)]
    assert noses[0] < noses[1] - 2 < noses[2] - 4
    assert np.array_equal(camera(someone, 0.4)[0], camera(someone, 0.4 + 2 * np.pi)[0])
    assert not (camera(someone, np.pi)[1] == PARTS.index("nose")).any()


def test_the_shipped_parser_finds_the_parts_of_faces():
    image, part = faces(size=64, num_images=1, num_evaluation_images=6).evaluation[torch.arange(6)]
    with torch.no_grad():
        found = intersection_over_union(FaceParser()(image).argmax(1), part)
    assert found.min() > 0.4 and found.mean() > 0.7


def test_intersection_over_union_counts_pixels():
    truth, part = torch.zeros(1, 2, 4).long(), torch.zeros(1, 2, 4).long()
    truth[..., :2], part[..., 1:] = 3, 3
    assert intersection_over_union(part, truth)[3].item() == pytest.approx(1 / 4)
    where = torch.ones(1, 1, 2, 4)
    where[..., 0] = 0
    assert intersection_over_union(part, truth, where)[3].item() == pytest.approx(1 / 3)
    assert intersection_over_union(truth, truth).tolist() == [1, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"num_images": 0}, "`num_images` must be at least 1, got 0."),
        ({"turn": 181.0}, "`turn` must be from 0 to 180 degrees, got 181.0."),
        ({"data_seed": -1}, "`data_seed` must be at least 0, got -1."),
    ],
)
def test_impossible_faces_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        FacesDataModule(**options)
