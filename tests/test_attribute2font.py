"""Attribute2Font: its losses with every factor, the attributes that it learns, and its networks."""

import pytest
import torch
import yaml
from torch import nn

from lightning_gans import Attribute2Font
from lightning_gans.contents import Contextual, contextual
from lightning_gans.datamodules import FontsDataModule
from lightning_gans.networks import Attribute2FontDiscriminator, Attribute2FontGenerator
from lightning_gans.networks.attribute2font import FASTER, ChannelAttention, SelfAttention, Up
from tests.conftest import CONFIGS, trainer


class Draws(nn.Module):
    """Scales the source by the sum of styles and differences; its logits are known."""

    num_unlabelled, num_styles, size, channels = 0, 2, 4, 1

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.7))

    def attributes(self, known, unlabelled):
        return known

    def forward(self, source, styles, difference):
        self.given = styles, difference
        logits = torch.stack([source.mean((1, 2, 3)), difference.sum(1), styles.mean((1, 2, 3, 4))], 1)
        return self.weight * source + difference.mean(1)[:, None, None, None], logits


class Judges(nn.Module):
    """Known functions of both images."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.9))

    def forward(self, image, source):
        read = [torch.stack([x.mean((1, 2, 3)), x.amax((1, 2, 3))], 1) for x in (image, source)]
        return (self.weight * image - source).mean((2, 3), keepdim=True), *read


def batch(count: int = 3):
    torch.manual_seed(1)
    images = [torch.rand(count, 1, 4, 4) * 2 - 1 for _ in range(2)]
    styles, known = torch.rand(count, 2, 1, 4, 4), [torch.rand(count, 2) for _ in range(2)]
    return (*images, styles, *known, torch.tensor([2, 0, 1]), torch.full((count, 2), -1))


def variant(**options) -> Attribute2Font:
    return Attribute2Font(generator=Draws(), discriminator=Judges(), ema_halflife=0.0, **options)


def test_the_generators_loss_is_that_of_the_authors_with_every_factor():
    module, (target, source, styles, a, b, character, unlabelled) = variant(), batch()
    terms = module.generator_loss((target, source, styles, a, b, character, unlabelled))
    drawn, logits = module.generator(source, styles, b - a)
    judged, read, of_source = module.discriminator(drawn, source)
    torch.testing.assert_close(terms["adversarial"], 5 * ((judged - 1) ** 2).mean())
    torch.testing.assert_close(terms["pixels"], 50 * (drawn - target).abs().mean())
    likelihood = logits.exp()[range(3), character] / logits.exp().sum(1)
    torch.testing.assert_close(terms["character"], -3 * likelihood.log().mean())
    expected = 20 * (((a - of_source) ** 2).mean() + ((b - read) ** 2).mean())
    torch.testing.assert_close(terms["attributes"], expected)
    assert {*terms} == {"adversarial", "pixels", "character", "attributes"}


def test_the_discriminators_loss_is_that_of_the_authors_on_real_and_on_drawn_images():
    module, (target, source, styles, a, b, character, unlabelled) = variant(), batch()
    terms = module.discriminator_loss((target, source, styles, a, b, character, unlabelled))
    drawn, _ = module.generator(source, styles, b - a)
    (real, read, of_source), (fake, read_fake, again) = (module.discriminator(x, source) for x in (target, drawn))
    torch.testing.assert_close(terms["adversarial"], ((real - 1) ** 2).mean() + (fake**2).mean())
    four = [(a - of_source), (b - read), (a - again), (b - read_fake)]
    torch.testing.assert_close(terms["attributes"], sum((error**2).mean() for error in four))
    assert {*terms} == {"adversarial", "attributes"}


def test_the_weights_are_those_that_are_given():
    ones = {f"{name}_weight": 1.0 for name in ("adversarial", "pixel", "character", "attribute")}
    plain, weighted = variant(**ones).generator_loss(batch()), variant().generator_loss(batch())
    factors = {name: (weighted[name] / plain[name]).item() for name in plain}
    assert factors == pytest.approx({"adversarial": 5, "pixels": 50, "character": 3, "attributes": 20})


def test_the_discriminator_is_shown_what_was_drawn_for_the_generator():
    module, given = variant(), batch()
    module.generator_loss(given)
    (shown,), module._drawn = zip(*[part[:1] for part in module._drawn], strict=True), []
    with torch.no_grad():
        module.generator.weight.fill_(5.0)
    with_it = module.discriminator_loss((*given, *shown))
    torch.testing.assert_close(with_it["adversarial"], variant().discriminator_loss(given)["adversarial"])


class Toy(nn.Module):
    """Maps that are the image itself."""

    def forward(self, image, layers):
        return {name: image * (1 + place) for place, name in enumerate(layers)}


def loops(x, y, bandwidth):
    """The contextual loss of one image in loops over places, x and y as lists of vectors."""
    mean = sum(y) / len(y)
    x, y = [v - mean for v in x], [v - mean for v in y]
    best = [0.0] * len(y)
    for one in x:
        cosines = [(one @ other / (one.norm() * other.norm())).item() for other in y]
        distances = [(1 - cosine) / 2 for cosine in cosines]
        relative = [d / (min(distances) + 1e-5) for d in distances]
        weights = [torch.tensor((1 - r) / bandwidth).exp().item() for r in relative]
        best = [max(b, w / sum(weights)) for b, w in zip(best, weights, strict=True)]
    return -torch.tensor(sum(best) / len(best)).log()


@pytest.mark.parametrize("bandwidth", [0.5, 0.1])
def test_the_contextual_loss_is_that_of_loops_over_places(bandwidth):
    x, y = torch.randn(2, 3, 2, 4), torch.randn(2, 3, 2, 4)
    rows = [loops([*a.flatten(1).T], [*b.flatten(1).T], bandwidth) for a, b in zip(x, y, strict=True)]
    torch.testing.assert_close(contextual(x, y, bandwidth), torch.stack(rows).mean(), rtol=1e-4, atol=1e-5)
    term = Contextual(Toy(), {"a": 1.0, "b": 0.5}, bandwidth, weight=6.0)  # it does not change with the scale of a map
    torch.testing.assert_close(term(x, y), 6 * 1.5 * torch.stack(rows).mean(), rtol=1e-4, atol=1e-5)


def test_the_contextual_loss_does_not_see_where_things_are_and_passes_gradients():
    x, y = torch.randn(1, 8, 4, 4), torch.randn(1, 8, 4, 4)
    moved = x.flatten(2)[:, :, torch.randperm(16)].reshape(x.shape)
    torch.testing.assert_close(contextual(moved, y, 0.5), contextual(x, y, 0.5))
    assert contextual(y, y, 0.1) < 0.01 < contextual(x, y, 0.1)
    x.requires_grad_()
    Contextual(Toy(), {"a": 1.0})(x, y).backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="`bandwidth` must be positive, got 0.0"):
        Contextual(Toy(), {"a": 1.0}, 0.0)


def test_the_contextual_loss_joins_the_generators_loss():
    term = Contextual(Toy(), {"a": 1.0}, weight=6.0)
    module, given = variant(contents=[term]), batch()
    drawn, _ = module.translate(given)
    torch.testing.assert_close(module.generator_loss(given)["contextual"], term(drawn, given[0]))


def small(**options) -> Attribute2FontGenerator:
    torch.manual_seed(0)
    sizes = {"num_attributes": 2, "num_characters": 3, "size": 32, "width": 2, "style_dim": 3, "blocks": 2}
    return Attribute2FontGenerator(**{**sizes, **options})


def test_attributes_are_given_or_learned():
    generator, known = small(num_unlabelled=4), torch.rand(3, 2)
    attributes = generator.attributes(known, torch.tensor([-1, 3, 0]))
    assert torch.equal(attributes[0], known[0])
    expected = 1 / (1 + (-3 * FASTER * generator.learned[[3, 0]]).exp())
    torch.testing.assert_close(attributes[1:], expected)
    attributes.sum().backward()
    assert generator.learned.grad.abs().sum(1).ne(0).tolist() == [True, False, False, True]
    assert torch.equal(small().attributes(known, torch.tensor([-1, -1, -1])), known)


def test_embeddings_move_five_times_as_fast_as_a_rate_of_adam_says():
    generator = small(num_unlabelled=4)
    before = generator.learned.detach().clone()
    optimizer = torch.optim.Adam(generator.parameters(), lr=2e-4)
    generator.attributes(torch.zeros(1, 2), torch.tensor([1])).sum().backward()
    optimizer.step()
    moved = FASTER * (generator.learned.detach() - before)[1]
    torch.testing.assert_close(moved, torch.full((2,), -1e-3), rtol=1e-3, atol=0)


def test_more_unlabelled_fonts_than_the_generator_has_room_for_are_refused(tmp_path):
    module = Attribute2Font(
        generator=Attribute2FontGenerator(size=32, width=1, num_unlabelled=20),
        discriminator=Attribute2FontDiscriminator(size=32, width=1),
    )
    data = FontsDataModule(size=32, unlabelled=0.1, batch_size=2)
    with pytest.raises(ValueError, match="`num_unlabelled` of the generator must be at least 24, .*, got 20"):
        trainer(tmp_path, 1).fit(module, data)


def test_learned_attributes_are_trained_with_the_generator_alone(tmp_path):
    module = Attribute2Font(
        generator=Attribute2FontGenerator(size=32, width=1, style_dim=2, blocks=1, num_unlabelled=220),
        discriminator=Attribute2FontDiscriminator(size=32, width=1),
    )
    data = FontsDataModule(size=32, unlabelled=0.9, batch_size=4, num_evaluation_images=2)
    before = module.generator.learned.detach().clone()
    trainer(tmp_path, 2, limit_val_batches=0).fit(module, data)
    moved = (module.generator.learned != before).any(1)
    seen = data.training[data.training.order(data.seed, 0)[:, :8]][6]
    assert {*moved.nonzero().flatten().tolist()} == {*seen[seen >= 0].tolist()}


def test_the_same_attributes_and_a_seed_give_the_same_image_and_dropout_is_for_training_alone():
    module = Attribute2Font(generator=small(dropout=0.5), discriminator=Attribute2FontDiscriminator(2, 1, 32, 1))
    image, known = torch.rand(2, 1, 32, 32), torch.rand(2, 2)
    given = (image, image, torch.rand(2, 4, 1, 32, 32), known, known, torch.tensor([0, 1]), torch.full((2, 2), -1))
    one, two = module.draw(given, 0), module.draw(given, 1)
    assert torch.equal(one["fake"], two["fake"]) and one["comparison"].shape == (2, 3, 1, 32, 32)
    assert not torch.equal(module.generator(*given[1:3], known)[0], module.generator(*given[1:3], known)[0])


def test_self_attention_is_a_weighted_mean_over_places():
    layer, x = SelfAttention(8), torch.randn(1, 8, 2, 3)
    assert torch.equal(layer(x), x)  # its share is 0 at first
    nn.init.constant_(layer.share, 0.5)
    query, key, value = (part(x)[0].flatten(1).T for part in (layer.query, layer.key, layer.value))
    rows = []
    for place in range(6):
        weights = (key @ query[place]).exp()
        rows.append((weights[:, None] * value).sum(0) / weights.sum())
    torch.testing.assert_close(layer(x)[0].flatten(1).T, x[0].flatten(1).T + 0.5 * torch.stack(rows))


def test_channel_attention_scales_channels():
    layer, x = ChannelAttention(4), torch.randn(2, 4, 3, 3)
    scale = (layer(x) / x)[:, :, 0, 0]
    torch.testing.assert_close(layer(x), x * scale[:, :, None, None])
    assert (0 < scale).all() and (scale < 1).all()


def test_maps_of_attributes_do_not_tell_more_from_less_but_the_style_code_does():
    generator = small().eval()
    seen = []
    for up in generator.up:
        assert isinstance(up, Up)
        up.shrink.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image, styles = torch.rand(1, 1, 32, 32), torch.rand(1, 4, 1, 32, 32)
    one, two = (generator(image, styles, sign * torch.tensor([[0.5, 0.2]]))[0] for sign in (1.0, -1.0))
    assert torch.equal(seen[0], seen[4]) and not torch.equal(one, two)
    feature = 0.5 * FASTER * generator.meaning[0]
    torch.testing.assert_close(seen[0][0, 0], torch.outer(feature, feature))


@pytest.mark.parametrize("size", [8, 32, 64])
def test_the_generator_draws_at_powers_of_2(size):
    image, logits = small(size=size)(torch.rand(2, 1, size, size), torch.rand(2, 4, 1, size, size), torch.rand(2, 2))
    assert image.shape == (2, 1, size, size) and logits.shape == (2, 3) and image.abs().max() <= 1


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: small(size=48), "`size` must be a power of 2 and at least 8, got 48"),
        (lambda: Attribute2FontDiscriminator(size=40), "`size` must be a multiple of 16 and at least 32, got 40"),
        (
            lambda: small()(torch.rand(1, 1, 32, 32), torch.rand(1, 3, 1, 32, 32), torch.rand(1, 2)),
            "`num_attributes` and `num_styles` of network and data must agree, got 2 and 4, and data with 2 and 3",
        ),
    ],
)
def test_impossible_sizes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_recipe_at_the_papers_size_has_the_networks_of_its_authors():
    model = yaml.safe_load((CONFIGS / "attribute2font.yaml").read_text())["model"]["init_args"]
    with torch.device("meta"):
        generator = Attribute2FontGenerator(**model["generator"]["init_args"])
        discriminator = Attribute2FontDiscriminator(**model["discriminator"]["init_args"])
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in generator.named_children()}
    assert counts["encode"] + counts["transform"] == 20_068_128
    assert sum(counts.values()) == 66_901_376
    assert generator.meaning.numel() == 2_368 and generator.learned.numel() == 35_853 - 37  # of a row never read
    assert sum(p.numel() for p in discriminator.parameters()) == 4_623_013
    assert sum(p.numel() for p in discriminator.read.parameters()) == 2_908_133
