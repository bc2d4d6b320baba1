import copy
import re
from collections.abc import Iterable

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torchvision.models.vgg import cfgs, make_layers

from lightning_gans.contents import Gram, Perceptual, Pixels, TotalVariation
from lightning_gans.metrics import VGGFeatures
from lightning_gans.metrics.vgg import named
from lightning_gans.networks import Frozen
from lightning_gans.style_transfer import stylize
from tests.conftest import Judge, Line, tiny


class Toy(nn.Module):
    """Two maps of an image: the image itself, and a convolution of it."""

    def __init__(self, channels: int = 2) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, 4, 3, padding=1)
        self.asked: list[list[str]] = []

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        self.asked.append(list(layers))
        maps = {"image": image, "conv": self.layer(image).relu()}
        return {name: maps[name] for name in layers}


FAKE = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # one image of 2 channels and 2 places
REAL = torch.zeros_like(FAKE)
CONTENTS = {
    "pixels": lambda weight: Pixels(1, weight),
    "perceptual": lambda weight: Perceptual(Toy(), {"conv": 1.0}, 2, weight),
    "style": lambda weight: Gram(Toy(), {"conv": 1.0}, weight),
    "total_variation": lambda weight: TotalVariation(weight),
}


def test_pixels_are_means_of_powers():
    assert Pixels(1)(FAKE, REAL).item() == pytest.approx(2.5)
    assert Pixels(2, weight=3.0)(FAKE, REAL).item() == pytest.approx(3 * 7.5)


def test_perceptual_adds_the_layers_by_their_weights():
    toy = Toy()
    alone = {name: Perceptual(toy, {name: 1.0})(FAKE, REAL).item() for name in ("image", "conv")}
    assert alone["image"] == pytest.approx(7.5)
    both = Perceptual(toy, {"image": 0.5, "conv": 2.0}, weight=10.0)(FAKE, REAL).item()
    assert both == pytest.approx(10 * (0.5 * alone["image"] + 2 * alone["conv"]), rel=1e-5)
    assert Perceptual(toy, {"image": 1.0}, p=1)(FAKE, REAL).item() == pytest.approx(2.5)


def test_perceptual_of_maps_over_12_75_is_that_of_weight_0_00615():
    scaled = mse_loss(FAKE / 12.75, REAL)
    assert Perceptual(Toy(), {"image": 1.0}, weight=0.00615)(FAKE, REAL).item() == pytest.approx(
        scaled.item(), rel=1e-3
    )


def test_the_content_of_gatys_is_the_mean_by_half_of_channels_and_places():
    one, two = torch.randn(1, 2, 5, 7), torch.randn(1, 2, 5, 7)
    gatys = (one - two).square().sum() / 2
    torch.testing.assert_close(2 * 35 / 2 * Perceptual(Toy(), {"image": 1.0})(one, two), gatys)


def test_style_is_the_error_of_gatys_worked_out_by_hand():
    # F = [[1, 2], [3, 4]], F F^T = [[5, 11], [11, 25]], squares 25 + 121 + 121 + 625 = 892, 4 N^2 M^2 = 64
    assert Gram(Toy(), {"image": 1.0})(FAKE, REAL).item() == pytest.approx(892 / 64)
    assert Gram(Toy(), {"image": 0.2}, weight=5.0)(FAKE, REAL).item() == pytest.approx(892 / 64)


def test_style_converts_to_what_other_code_has():
    one, two = torch.randn(1, 6, 5, 7), torch.randn(1, 6, 5, 7)
    error = Gram(Toy(6), {"image": 1.0})(one, two)
    grams = [x.flatten(2) @ x.flatten(2).transpose(1, 2) for x in (one, two)]
    by_places = mse_loss(grams[0] / 35, grams[1] / 35)
    torch.testing.assert_close(by_places, 4 * error)
    torch.testing.assert_close(1000 / 6**2 * by_places, 4000 / 6**2 * error)
    torch.testing.assert_close(mse_loss(grams[0] / (6 * 35), grams[1] / (6 * 35)), 4 / 6**2 * error)


def test_style_is_computed_in_full_precision_under_autocast():
    one, two = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 4, 4)
    style = Gram(Toy(), {"image": 1.0})
    with torch.autocast("cpu", torch.bfloat16):
        within = style(one, two)
    torch.testing.assert_close(within, style(one, two), atol=0, rtol=1e-6)


def test_style_is_a_mean_over_images():
    one, two = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    style = Gram(Toy(), {"conv": 1.0})
    alone = torch.stack([style(one[[i]], two[[i]]) for i in range(3)])
    torch.testing.assert_close(style(one, two), alone.mean())


def test_style_does_not_depend_on_where_things_are_nor_on_how_many():
    image = torch.randn(1, 2, 4, 6)
    style = Gram(Toy(), {"image": 1.0}, style=image)
    shuffled = image.flatten(2)[:, :, torch.randperm(24)].unflatten(2, (4, 6))
    assert style(shuffled, shuffled).item() == pytest.approx(0, abs=1e-9)
    repeated = image.repeat(2, 1, 3, 2)
    assert style(repeated, repeated).item() == pytest.approx(0, abs=1e-9)


def test_style_comes_from_a_file_or_an_image(tmp_path):
    pixels = torch.randint(0, 256, (5, 6, 3), dtype=torch.uint8)
    Image.fromarray(pixels.numpy()).save(tmp_path / "style.png")
    image, fake = pixels.permute(2, 0, 1)[None] / 127.5 - 1, torch.randn(2, 3, 5, 6)
    toy = Toy(3)
    of_file = Gram(toy, {"conv": 1.0}, style=str(tmp_path / "style.png"))
    torch.testing.assert_close(of_file(fake, fake), Gram(toy, {"conv": 1.0}, style=image)(fake, fake))
    torch.testing.assert_close(of_file(fake[:1], fake[:1]), Gram(toy, {"conv": 1.0})(fake[:1], image))
    assert not of_file.state_dict()
    with pytest.raises(FileNotFoundError, match="`style` must be an image or its file, and there is no missing.png."):
        Gram(toy, {"conv": 1.0}, style="missing.png")


def test_total_variation_is_the_mean_square_of_both_differences():
    image = torch.tensor([[[[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]]]])
    columns, rows = (4 + 1 + 1) / 3, (1 + 4 + 0 + 0) / 4
    assert TotalVariation(2.0)(image, image).item() == pytest.approx(2 * (columns + rows))


@pytest.mark.parametrize("name", CONTENTS)
def test_contents_pass_gradients_to_samples_alone(name):
    content = CONTENTS[name](1.0)
    fake, real = torch.randn(2, 2, 4, 4, requires_grad=True), torch.randn(2, 2, 4, 4, requires_grad=True)
    content(fake, real).backward()
    assert fake.grad.abs().sum() > 0 and not list(content.parameters()) and content.name == name
    if name in ("perceptual", "style"):
        assert real.grad is None


@pytest.mark.parametrize("name", CONTENTS)
def test_contents_are_multiplied_by_their_weight(name):
    fake, real = torch.randn(2, 2, 4, 4), torch.randn(2, 2, 4, 4)
    torch.manual_seed(1)
    once = CONTENTS[name](1.0)(fake, real)
    torch.manual_seed(1)
    torch.testing.assert_close(CONTENTS[name](7.0)(fake, real), 7 * once)
    with pytest.raises(ValueError, match="`weight` must be at least 0, got -1.0."):
        CONTENTS[name](-1.0)


def test_bad_powers_and_layers_are_refused():
    with pytest.raises(ValueError, match="`p` must be 1 or 2, got 3."):
        Pixels(3)
    with pytest.raises(ValueError, match="`layers` must have a weight of at least 0 for one layer or more, got {}."):
        Gram(Toy(), {})


def test_a_frozen_network_is_hidden_from_all_that_looks_for_what_is_trained():
    frozen = Frozen(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)))
    holder = nn.ModuleList([frozen]).train()
    assert not holder.state_dict() and not list(holder.parameters()) and not list(holder.buffers())
    assert not any(part.training for part in frozen.network.modules())
    assert not any(parameter.requires_grad for parameter in frozen.network.parameters())
    image = torch.randn(1, 1, 5, 5, requires_grad=True)
    frozen(image).square().sum().backward()
    assert image.grad.abs().sum() > 0 and all(parameter.grad is None for parameter in frozen.network.parameters())


def test_a_frozen_network_moves_and_is_copied_with_what_holds_it():
    holder = nn.ModuleList([Frozen(nn.Linear(2, 2))])
    other = copy.deepcopy(holder)
    holder.double()
    assert holder[0].network.weight.dtype == torch.double and other[0].network.weight.dtype == torch.float
    assert holder.to("meta")[0].network.weight.is_meta
    assert other[0](torch.ones(1, 2)).shape == (1, 2)


def test_a_frozen_network_stays_out_of_checkpoints_and_training(fit):
    module = tiny()
    module.content = Perceptual(Toy(1), {"conv": 1.0})
    before = copy.deepcopy(module.content.features.network.state_dict())
    loss = module.generator_loss
    module.generator_loss = lambda batch: loss(batch) | {"content": module.content(module.fake(batch), batch[0])}
    fit(module, 2)
    assert not any(name.startswith("content") for name in module.state_dict())
    after = module.content.features.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {type(Line()), type(Judge())} == {type(module.generator), type(module.discriminator)}


def test_layers_of_vgg_have_the_names_of_papers():
    with torch.device("meta"):
        names = {network: list(named(make_layers(cfgs[network]), "max")) for network in "DE"}
    assert len(names["D"]) == 31 and len(names["E"]) == 37
    assert [names["E"].index(name) for name in ("conv2_2", "conv5_4", "relu5_4")] == [7, 34, 35]
    assert [names["D"].index(name) for name in ("conv2_2", "conv3_3", "conv4_3", "conv5_3")] == [7, 14, 21, 28]
    assert names["D"][-1] == names["E"][-1] == "pool5"


def test_maps_of_vgg_are_those_of_torchvision_on_images_of_imagenet_s_mean_and_scale(vgg16):
    network = VGGFeatures("vgg16", vgg16)
    image = torch.rand(1, 3, 33, 40)
    maps = network(image * 2 - 1, ["relu2_2", "conv1_2", "pool1"])
    layers = make_layers(cfgs["D"])
    layers.load_state_dict({name.removeprefix("features."): x for name, x in torch.load(vgg16).items() if "fe" in name})
    mean, scale = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (image - mean.view(3, 1, 1)) / scale.view(3, 1, 1)
    for name, length in (("conv1_2", 3), ("pool1", 5), ("relu2_2", 9)):
        torch.testing.assert_close(maps[name], layers[:length](x), atol=1e-5, rtol=1e-4)
    assert list(maps) == ["conv1_2", "pool1", "relu2_2"] and not network.state_dict().keys() & {"mean", "scale"}


def test_vgg_takes_gray_images_and_pools_by_means_if_asked(vgg16):
    network, image = VGGFeatures("vgg16", vgg16, "average"), torch.rand(2, 1, 16, 16)
    maps = network(image, ["relu1_2", "pool1"])
    torch.testing.assert_close(maps["relu1_2"], network(image.expand(-1, 3, -1, -1), ["relu1_2"])["relu1_2"])
    torch.testing.assert_close(maps["pool1"], nn.AvgPool2d(2)(maps["relu1_2"]))


def test_vgg_draws_no_random_numbers(vgg16):
    before = torch.get_rng_state()
    VGGFeatures("vgg16", vgg16)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_vgg_cannot_use_is_refused(vgg16):
    with pytest.raises(ValueError, match="`network` must be one of vgg16, vgg19, got 'vgg11'."):
        VGGFeatures("vgg11")
    with pytest.raises(ValueError, match="`pooling` must be one of max, average, got 'mean'."):
        VGGFeatures(pooling="mean")
    with pytest.raises(FileNotFoundError, match="`weights` must be a file of the weights of vgg19, and missing.pth is"):
        VGGFeatures("vgg19", "missing.pth")
    with pytest.raises(ValueError, match="`weights` must hold the convolutions of vgg19, and .* does not."):
        VGGFeatures("vgg19", vgg16)
    network = VGGFeatures("vgg16", vgg16)
    with pytest.raises(ValueError, match="`layers` must be named as relu1_1, conv1_1 or pool1, .* got relu3_4."):
        network(torch.zeros(1, 3, 16, 16), ["relu1_1", "relu3_4"])
    with pytest.raises(ValueError, match="`image` must have 1 or 3 channels for VGG, got 2."):
        network(torch.zeros(1, 2, 16, 16), ["relu1_1"])


def test_weights_that_cannot_be_downloaded_are_named(monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("no internet")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(ConnectionError, match=re.escape("give its path as `weights` of `VGGFeatures`.")):
        VGGFeatures("vgg16")


LAYERS = {"content_layers": {"conv": 1.0}, "style_layers": {"image": 0.5, "conv": 0.5}}


@pytest.mark.parametrize(
    "initial", ["content", "noise", torch.full((1, 3, 9, 7), 0.5)], ids=["content", "noise", "gray"]
)
def test_stylize_brings_an_image_near_to_content_and_style(initial):
    content, style, toy = torch.rand(1, 3, 9, 7) * 2 - 1, torch.rand(1, 3, 6, 11) * 0.5, Toy(3)
    image, curve = stylize(content, style, toy, **LAYERS, iterations=30, initial=initial)
    assert image.shape == content.shape and image.abs().max() <= 1 and not image.requires_grad
    assert set(curve) == {"content", "style"} and len(curve["content"]) == len(curve["style"]) <= 30
    of = Gram(toy, LAYERS["style_layers"], 100.0, style)
    assert of(image, image) < 0.1 * of(content, content)
    far = Perceptual(toy, {"conv": 1.0})(style.expand(1, 3, 6, 11)[:, :, :, :7], content[:, :, :6])
    assert Perceptual(toy, {"conv": 1.0})(image, content) < far


def test_stylize_without_style_finds_the_content():
    content, toy = torch.rand(1, 3, 6, 6) * 2 - 1, Toy(3)
    layers = {"content_layers": {"image": 1.0}, "style_layers": {"image": 1.0}}
    image, _ = stylize(content, -content, toy, **layers, beta=0.0, iterations=20, initial="noise")
    torch.testing.assert_close(image, content, atol=1e-3, rtol=0)


def test_stylize_begins_at_the_losses_of_the_terms_by_their_weights():
    content, style, toy = torch.rand(1, 3, 6, 6), torch.rand(1, 3, 6, 6), Toy(3)
    initial = torch.rand(1, 3, 6, 6).to(memory_format=torch.channels_last)
    weights = {"alpha": 3.0, "beta": 5.0, "variation_weight": 2.0}
    _, curve = stylize(content, style, toy, **LAYERS, **weights, iterations=1, initial=initial)
    expected = {
        "content": Perceptual(toy, {"conv": 1.0}, 2, 3.0)(initial, content),
        "style": Gram(toy, LAYERS["style_layers"], 5.0)(initial, style),
        "variation": TotalVariation(2.0)(initial, initial),
    }
    assert {name: values for name, values in curve.items()} == {
        name: [pytest.approx(value.item(), rel=1e-5)] for name, value in expected.items()
    }


def test_stylize_is_a_function_of_its_seed_and_spares_its_images():
    content, style, toy = torch.rand(1, 3, 6, 6), torch.rand(1, 3, 6, 6), Toy(3)
    before, options = content.clone(), {**LAYERS, "iterations": 5, "initial": "noise"}
    one = stylize(content, style, toy, **options)[0]
    assert torch.equal(stylize(content, style, toy, **options)[0], one) and torch.equal(content, before)
    assert not torch.equal(stylize(content, style, toy, **options, seed=1)[0], one)


def test_stylize_names_the_loss_that_is_no_number():
    toy = Toy(3)
    nn.init.constant_(toy.layer.weight, float("nan"))
    with pytest.raises(FloatingPointError, match="The loss of content at conv became nan at evaluation 0 of `stylize`"):
        stylize(torch.rand(1, 3, 6, 6), torch.rand(1, 3, 6, 6), toy, **LAYERS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "`iterations` must be at least 1, got 0."),
        ({"beta": -1.0}, "`alpha`, `beta` and `variation_weight` must be at least 0, got 1.0, -1.0 and 0.0."),
        ({"initial": "style"}, "`initial` must be 'content', 'noise' or an image, got 'style'."),
        (
            {"initial": torch.zeros(1, 3, 4, 4)},
            "`initial` must have the size of `content`, (1, 3, 6, 6), got (1, 3, 4, 4)",
        ),
    ],
)
def test_stylize_refuses_bad_arguments(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        stylize(torch.rand(1, 3, 6, 6), torch.rand(1, 3, 6, 6), Toy(3), **LAYERS, **options)
