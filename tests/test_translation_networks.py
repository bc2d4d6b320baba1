import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, max_pool2d, max_unpool2d, pad
from torch.utils.data import DataLoader, TensorDataset

from lightning_gans.networks import (
    CompletionDiscriminator,
    CompletionGenerator,
    IDCGANDiscriminator,
    IDCGANGenerator,
    PatchDiscriminator,
    PatchProjection,
    PGNDiscriminator,
    PGNGenerator,
    ResNetGenerator,
    SRGANDiscriminator,
    SRGANGenerator,
    StarGANDiscriminator,
    StarGANGenerator,
    StyleTransferGenerator,
    UNetGenerator,
)
from lightning_gans.networks.completion import pooled
from lightning_gans.networks.cut import random_places
from lightning_gans.networks.translation import Double, Halve, ReflectionPad
from lightning_gans.regularizers import ConsistencyRegularization, FeatureMatching, LeCam
from tests.test_networks import REFUSED, Operators
from tests.toys import ImageToImage

# Numbers of parameters that the authors' networks have.
COUNTS = [
    (54_413_955, lambda: UNetGenerator()),
    (41_828_995, lambda: UNetGenerator(size=128)),
    (29_244_035, lambda: UNetGenerator(size=64)),
    (11_378_179, lambda: ResNetGenerator()),
    (11_378_179, lambda: ResNetGenerator(antialiased=True)),
    (7_837_699, lambda: ResNetGenerator(blocks=6)),
    (2_764_737, lambda: PatchDiscriminator(affine=False)),
    (2_764_737, lambda: PatchDiscriminator(affine=False, antialiased=True)),
    (2_768_705, lambda: PatchDiscriminator(3, 3)),
    (139_585, lambda: PatchDiscriminator(3, 3, receptive_field=16)),
    (666_433, lambda: PatchDiscriminator(3, 3, receptive_field=34)),
    (11_159_361, lambda: PatchDiscriminator(3, 3, receptive_field=286)),
    (9_024, lambda: PatchDiscriminator(3, 3, receptive_field=1)),
    (560_384, lambda: PatchProjection()),
    (8_430_528, lambda: StarGANGenerator(5)),
    (8_439_936, lambda: StarGANGenerator(8)),
    (44_762_048, lambda: StarGANDiscriminator(5)),
    (44_786_624, lambda: StarGANDiscriminator(8)),
    (44_884_928, lambda: StarGANDiscriminator(5, size=256)),
    (1_547_350, lambda: SRGANGenerator(norm="batch")),
    (23_563_649, lambda: SRGANDiscriminator()),
    (263_686, lambda: IDCGANGenerator(bias=True)),
    (1_561_105, lambda: IDCGANDiscriminator(bias=True)),
    (137_071_331, lambda: CompletionGenerator()),
    (7_130_689, lambda: CompletionDiscriminator()),
    (7_164_705, lambda: CompletionDiscriminator(size=128, width=32)),
    (1_679_235, lambda: StyleTransferGenerator()),
    (70_349_889, lambda: PGNGenerator()),
    (68_744_257, lambda: PGNGenerator(noise_dim=0)),
    (70_889_922, lambda: PGNDiscriminator()),
]
LABEL = torch.tensor([0, 1])
# Small networks of images of 2 x 32 x 32, and what they take beside an image x.
SMALL = {
    "unet": (lambda: UNetGenerator(2, 2, 32, 4, drop=0.0), lambda x: ()),
    "unet resized": (lambda: UNetGenerator(2, 2, 32, 4, upsample="resize", drop=0.0), lambda x: ()),
    "patch": (lambda: PatchDiscriminator(2, 2, 4), lambda x: (x.flip(0),)),
    "patch antialiased": (lambda: PatchDiscriminator(2, 0, 4, 34, False, True), lambda x: ()),
    "resnet": (lambda: ResNetGenerator(2, 2, 4, 2), lambda x: ()),
    "resnet antialiased": (lambda: ResNetGenerator(2, 2, 4, 2, antialiased=True), lambda x: ()),
    "stargan": (lambda: StarGANGenerator(2, 2, 4, 2), lambda x: (LABEL,)),
    "stargan critic": (lambda: StarGANDiscriminator(2, 2, 32, 4, 4), lambda x: ()),
    "srgan": (lambda: SRGANGenerator(2, 2, 4, 2), lambda x: ()),
    "srgan resized": (lambda: SRGANGenerator(2, 2, 4, 2, "batch", "resize"), lambda x: ()),
    "srgan critic": (lambda: SRGANDiscriminator(2, 32, 4, 8), lambda x: ()),
    "srgan critic of any size": (lambda: SRGANDiscriminator(2, 0, 4, 8), lambda x: ()),
    "idcgan": (lambda: IDCGANGenerator(2, 4), lambda x: ()),
    "idcgan critic": (lambda: IDCGANDiscriminator(2, 2, 4), lambda x: (x.flip(0),)),
    "completion": (lambda: CompletionGenerator(2, 32, 4, 8), lambda x: ()),
    "completion critic": (lambda: CompletionDiscriminator(2, 32, 4), lambda x: ()),
    "style transfer": (lambda: StyleTransferGenerator(2, 4, 2), lambda x: ()),
    "pgn critic": (lambda: PGNDiscriminator(2, 32, 4, hidden=8, pool=2), lambda x: (torch.stack([x.flip(0), x], 1),)),
}


def of(name: str) -> tuple[nn.Module, Tensor, tuple[Tensor, ...]]:
    """A network, two images for it, and what it takes beside them."""
    (make, others), image = SMALL[name], torch.rand(2, 2, 32, 32) * 2 - 1
    return make(), image, others(image)


def tensors(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize(("count", "make"), COUNTS, ids=[str(count) for count, _ in COUNTS])
def test_networks_have_the_parameters_of_the_authors(count, make):
    with torch.device("meta"):
        network = make()
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("name", SMALL)
def test_double_precision_and_channels_last_run_and_agree(name):
    network, image, others = of(name)
    network = network.double()
    x, others = image.double(), [other.double() if other.is_floating_point() else other for other in others]
    plain = tensors(network(x, *others))
    last = tensors(network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last), *others))
    for one, two in zip(plain, last, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_gradient(name):
    network, image, others = of(name)
    sum(part.square().sum() for part in tensors(network(image, *others))).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_no_network_runs_an_operator_that_is_refused_when_algorithms_must_be_deterministic(name):
    network, image, others = of(name)
    with Operators() as ran:
        sum(part.square().sum() for part in tensors(network(image.requires_grad_(), *others))).backward()
    assert len(ran.names) > 10 and not any(REFUSED.search(name) for name in ran.names)


@pytest.mark.parametrize("name", sorted(SMALL.keys() - {"unet", "unet resized"}))
def test_images_of_other_channels_are_refused(name):
    network, image, others = of(name)
    with pytest.raises(ValueError, match="`channels` of network and images must agree, got 2 and images with 1."):
        network(image[:, :1], *others)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
@pytest.mark.parametrize("skips", [True, False])
def test_a_u_net_makes_images_of_its_size(size, skips):
    network = UNetGenerator(1, 3, size, 2, skips)
    image = network(torch.randn(2, 1, size, size))
    assert image.shape == (2, 3, size, size) and image.abs().max() <= 1


def test_dropout_of_a_u_net_follows_the_maps_of_2_4_and_8_pixels():
    network = UNetGenerator(size=64, width=1)
    drops = [any(isinstance(part, nn.Dropout) for part in layer) for layer in network.up]
    assert drops == [True, True, True, False, False, False]


def test_dropout_of_a_u_net_stays_on_in_evaluation():
    network, image = UNetGenerator(1, 1, 16, 4).eval(), torch.randn(2, 1, 16, 16)
    assert (network(image) - network(image)).abs().max() > 0
    torch.manual_seed(3)
    first = network(image)
    torch.manual_seed(3)
    assert torch.equal(network(image), first)


def test_a_u_net_is_the_same_in_training_and_evaluation_and_at_any_batch():
    network, image = UNetGenerator(1, 1, 16, 4, drop=0.0), torch.randn(3, 1, 16, 16)
    together = network(image)
    torch.testing.assert_close(network.eval()(image[1:2]), together[1:2])


def test_first_innermost_and_last_layer_of_a_u_net_have_no_norm():
    network = UNetGenerator(size=32, width=1)
    norms = [any(isinstance(part, nn.InstanceNorm2d) for part in layer) for layer in [*network.down, *network.up]]
    assert norms == [False, True, True, True, False, True, True, True, True, False]


@pytest.mark.parametrize(
    ("field", "antialiased", "seen"), [(n, False, n) for n in (1, 16, 34, 70, 142, 286)] + [(70, True, 84)]
)
def test_a_logit_sees_its_receptive_field(field, antialiased, seen):
    network = PatchDiscriminator(1, 0, 1, field, antialiased=antialiased)
    for name, part in list(network.layers.named_children()):
        if isinstance(part, nn.InstanceNorm2d):  # which sees the whole image
            network.layers.add_module(name, nn.Identity())
        elif isinstance(part, nn.Conv2d):
            nn.init.constant_(part.weight, 1 / part.weight[0].numel())  # so that no paths cancel
    image = torch.ones(1, 1, 16 if field < 16 else 512, 512, dtype=torch.double, requires_grad=True)
    logits = network.double()(image)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    rows, columns = image.grad[0, 0].nonzero().T
    if field > 16:
        assert len(rows.unique()) == seen
    assert len(columns.unique()) == seen


def test_patches_of_256_pixels_have_30_x_30_logits():
    with torch.device("meta"):
        assert PatchDiscriminator(3, 3)(torch.empty(2, 3, 256, 256), torch.empty(2, 3, 256, 256)).shape == (
            2,
            1,
            30,
            30,
        )
        assert PatchDiscriminator(antialiased=True)(torch.empty(2, 3, 256, 256)).shape == (2, 1, 30, 30)


def test_a_patch_discriminator_judges_an_image_together_with_the_given_one():
    network, image, source = PatchDiscriminator(2, 1, 4, 16), torch.randn(2, 2, 16, 16), torch.randn(2, 1, 16, 16)
    logits = network(image, source)
    assert logits.shape == (2, 1, 6, 6) and not torch.equal(network(image, -source), logits)
    with pytest.raises(ValueError, match="`source_channels` of the network is 1, but it was given an image with 0"):
        network(image)
    with pytest.raises(ValueError, match="`source_channels` of the network is 0, but it was given an image with 1"):
        PatchDiscriminator(2)(image, source)


@pytest.mark.parametrize("field", [1, 16, 34, 70, 142])
@pytest.mark.parametrize("antialiased", [True, False])
def test_the_smallest_image_of_a_patch_discriminator_has_a_logit(field, antialiased):
    network = PatchDiscriminator(1, 0, 1, field, antialiased=antialiased)
    assert network(torch.randn(1, 1, network.least, network.least)).numel() >= 1
    with pytest.raises(ValueError, match=f"`receptive_field` of {field} needs images of at least {network.least} pix"):
        network(torch.randn(1, 1, network.least, network.least - 1))


REGULARIZERS = [LeCam, lambda: ConsistencyRegularization(10.0, 10.0), lambda: FeatureMatching("layers.1")]


@pytest.mark.parametrize("make", REGULARIZERS, ids=["lecam", "consistency", "feature matching"])
def test_the_loop_and_regularizers_take_maps_of_logits(fit, make):
    networks = {"generator": UNetGenerator(1, 1, 8, 2), "discriminator": PatchDiscriminator(1, 1, 2, 16)}
    module = ImageToImage(**networks, regularizers=[make()])
    image = torch.rand(32, 1, 8, 8) * 2 - 1
    fit(module, 4, DataLoader(TensorDataset(image, -image), 8))
    assert module.logits([image, -image])[0].shape == (32, 1, 2, 2)
    assert all(value.isfinite().all() for value in module.state_dict().values())


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
@pytest.mark.parametrize("shape", [(8, 8), (12, 20)])
def test_a_resnet_generator_takes_images_of_any_size(shape, upsample):
    image = ResNetGenerator(1, 3, 4, 1, upsample=upsample)(torch.randn(2, 1, *shape))
    assert image.shape == (2, 3, *shape) and image.abs().max() <= 1


@pytest.mark.parametrize("antialiased", [True, False])
@pytest.mark.parametrize(("blocks", "middle"), [(9, "block5"), (6, "block3"), (4, "block2"), (1, "block1")])
def test_features_are_the_maps_that_cut_compares(blocks, middle, antialiased):
    network, image = ResNetGenerator(2, 3, 4, blocks, antialiased), torch.randn(2, 2, 16, 16)
    maps = network.features(image)
    assert list(maps) == list(dict.fromkeys(["padded", "conv1", "conv2", "block1", middle]))
    assert {name: x.shape[1] for name, x in maps.items()} == network.feature_channels
    halved = 1 if antialiased else 2  # a filter halves what the convolution keeps
    sizes = {"padded": 22, "conv1": 16 // halved, "conv2": 8 // halved, "block1": 4, middle: 4}
    assert {name: x.shape[2] for name, x in maps.items()} == sizes
    assert torch.equal(maps["padded"], pad(image, (3, 3, 3, 3), "reflect"))


def test_features_of_the_paper_have_the_channels_that_projections_take():
    with torch.device("meta"):
        network, image = ResNetGenerator(antialiased=True), torch.empty(2, 3, 64, 64)
        maps = network.features(image)
        assert [x[0, 0].numel() for x in maps.values()] == [70 * 70, 64 * 64, 32 * 32, 16 * 16, 16 * 16]
        vectors = PatchProjection()(maps, random_places(maps))
    assert [tuple(x.shape) for x in vectors.values()] == [(2, 256, 256)] * 5


def test_projections_have_length_1_and_are_those_of_their_places():
    network = ResNetGenerator(1, 1, 2, 2)
    maps = network.features(torch.randn(3, 1, 8, 8))
    projection = PatchProjection(list(network.feature_channels.values()), 64)
    places = random_places(maps, 6)
    assert [len(place) for place in places.values()] == [6, 6, 4, 4]  # all where there are fewer
    assert all(len(place.unique()) == len(place) for place in places.values())
    vectors = projection(maps, places)
    for vector in vectors.values():
        torch.testing.assert_close(vector.norm(dim=2), torch.ones(vector.shape[:2]), atol=0.05, rtol=0)
    row, column = divmod(places["padded"][2].item(), 14)
    alone = projection.heads[0](maps["padded"][1, :, row, column])
    torch.testing.assert_close(vectors["padded"][1, 2], alone / (alone.norm() + 1e-7))


def test_projections_of_other_maps_are_refused():
    maps = ResNetGenerator(1, 1, 2, 2).features(torch.randn(1, 1, 8, 8))
    with pytest.raises(ValueError, match=re.escape("`channels` of projections and maps must agree, got [3, 128, 256")):
        PatchProjection()(maps, random_places(maps))


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_stargan_takes_classes_and_attributes(upsample):
    network, image = StarGANGenerator(3, 1, 2, 1, upsample), torch.randn(2, 1, 8, 12)
    drawn = network(image, torch.tensor([2, 0]))
    assert drawn.shape == image.shape
    torch.testing.assert_close(network(image, torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])), drawn)
    assert not torch.equal(network(image, torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])), drawn)


@pytest.mark.parametrize(("size", "depth", "places"), [(32, 5, 1), (32, 3, 4), (48, 4, 3)])
def test_stargan_judges_patches_and_classes(size, depth, places):
    judged, classes = StarGANDiscriminator(5, 1, size, 2, depth)(torch.randn(2, 1, size, size))
    assert judged.shape == (2, 1, places, places) and classes.shape == (2, 5)


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("upsample", ["shuffle", "resize"])
def test_srgan_enlarges_by_its_factor(factor, upsample):
    assert SRGANGenerator(factor, 1, 2, 1, "none", upsample)(torch.randn(2, 1, 3, 5)).shape == (
        2,
        1,
        3 * factor,
        5 * factor,
    )


def test_srgan_without_norm_judges_each_image_alone():
    image = torch.randn(3, 1, 32, 32)
    network = SRGANDiscriminator(1, 0, 2, 4, batch_norm=False)
    torch.testing.assert_close(network(image)[1:2], network(image[1:2]))
    assert network(torch.randn(2, 1, 40, 24)).shape == (2,)


def test_values_stand_where_pooling_found_their_maximum():
    x = torch.randn(2, 3, 6, 8)
    values, mask = pooled(x)
    expected, places = max_pool2d(x, 2, return_indices=True)
    assert torch.equal(values, expected)
    assert torch.equal(interpolate(values, scale_factor=2.0) * mask, max_unpool2d(expected, places, 2))
    assert pooled(torch.zeros(1, 1, 4, 4))[1].sum() == 4  # one place of each four, though all are equal


@pytest.mark.parametrize("shape", [(4, 5), (7, 12)])
def test_padding_and_filters_are_those_of_the_papers(shape):
    x = torch.randn(2, 3, *shape, dtype=torch.double)
    torch.testing.assert_close(ReflectionPad(3)(x), pad(x, (3, 3, 3, 3), "reflect"), atol=0, rtol=0)
    line = torch.tensor([1, 2, 1]).double() / 4
    kernel = torch.outer(line, line).expand(3, 1, 3, 3)
    torch.testing.assert_close(Halve()(x), conv2d(pad(x, (1, 1, 1, 1), "reflect"), kernel, stride=2, groups=3))
    torch.testing.assert_close(Double()(x), interpolate(x, scale_factor=2.0, mode="bilinear"))


@pytest.mark.parametrize(
    "network",
    [
        UNetGenerator(size=64, width=16),
        PatchDiscriminator(),
        ResNetGenerator(width=32, blocks=1, affine=True),
        IDCGANDiscriminator(bias=True),
        CompletionDiscriminator(size=32),
    ],
    ids=["unet", "patch", "resnet", "idcgan", "completion"],
)
def test_weights_are_drawn_from_a_normal_of_0_02(network):
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            if module.weight.numel() > 10_000:
                assert module.weight.mean().abs() < 0.001
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.03)
            assert module.bias is None or module.bias.eq(0).all()
        elif isinstance(module, nn.InstanceNorm2d | nn.BatchNorm2d) and module.affine:
            assert module.weight.mean().item() == pytest.approx(1, abs=0.02)
            assert module.bias.eq(0).all()


def test_weights_of_cut_are_drawn_after_glorot_and_bengio():
    networks = ResNetGenerator(width=16, blocks=1, initial="xavier"), PatchDiscriminator(initial="xavier")
    for network in (*networks, PatchProjection()):
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.numel() > 10_000:
                places = module.weight[0, 0].numel()
                fans = places * (module.weight.shape[0] + module.weight.shape[1])
                assert module.weight.std().item() == pytest.approx(0.02 * (2 / fans) ** 0.5, rel=0.05)


def test_weights_of_the_completing_generator_have_the_mean_of_both_fans():
    network = CompletionGenerator(size=32)
    first = network.down[2][0].weight  # 64 to 128
    assert first.std().item() == pytest.approx((2 / (9 * 96)) ** 0.5, rel=0.03)
    assert network.last.weight.std().item() == pytest.approx(0.001, rel=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UNetGenerator(size=48), "`size` must be a power of two and at least 8, got 48."),
        (lambda: UNetGenerator(size=4), "`size` must be a power of two and at least 8, got 4."),
        (
            lambda: UNetGenerator(size=8, upsample="big"),
            "`upsample` must be one of transposed, resize, blur, got",
        ),
        (
            lambda: PatchDiscriminator(receptive_field=32),
            "`receptive_field` must be one of 1, 16, 34, 70, 142, 286, got 32.",
        ),
        (lambda: PatchDiscriminator(initial="he"), "`initial` must be one of normal, xavier, got 'he'."),
        (lambda: ResNetGenerator(blocks=0), "`blocks` must be at least 1, got 0."),
        (
            lambda: ResNetGenerator(antialiased=True, upsample="resize"),
            "`upsample` must be left out if `antialiased` is true, got 'resize'.",
        ),
        (lambda: StarGANDiscriminator(2, size=40, depth=4), "`size` must be a multiple of 2 to the power of `depth`"),
        (lambda: SRGANGenerator(3), "`factor` must be 2, 4 or 8, got 3."),
        (lambda: SRGANGenerator(norm="instance"), "`norm` must be one of none, batch, got 'instance'."),
        (lambda: SRGANGenerator(upsample="transposed"), "`upsample` must be one of shuffle, resize, got 'transposed'."),
        (lambda: SRGANDiscriminator(size=40), "`size` must be a multiple of 16, or 0 for any, got 40."),
        (lambda: IDCGANGenerator(width=5), "`width` must be even and at least 2, got 5."),
        (lambda: CompletionGenerator(size=24), "`size` must be a multiple of 16, got 24."),
        (lambda: CompletionDiscriminator(size=24), "`size` must be 4 doubled at least once, got 24."),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_images_that_halving_does_not_fit_are_refused():
    message = "`image` must have sides that are multiples of 4 and at least 8, got 30 x 32: crop or resize it."
    for network, more in (
        (ResNetGenerator(1, 1, 2, 1), ()),
        (StarGANGenerator(2, 1, 2, 1), (LABEL,)),
        (StyleTransferGenerator(1, 2, 1), ()),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            network(torch.randn(2, 1, 30, 32), *more)
    with pytest.raises(ValueError, match="`image` must have at least 24 pixels a side, got 16 x 24"):
        IDCGANDiscriminator(1, 1, 2)(torch.randn(2, 1, 16, 24), torch.randn(2, 1, 16, 24))
    with pytest.raises(ValueError, match="`size` of network and images must agree, got 16 and images of 16 x 32."):
        UNetGenerator(1, 1, 16, 2)(torch.randn(2, 1, 16, 32))
