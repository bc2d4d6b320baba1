"""Images from texts: losses against values worked out by hand, captions and wrong texts, networks and stages."""

import json
import math

import pytest
import torch
from torch import Tensor, nn

from lightning_gans import GANINTCLS, StackGAN
from lightning_gans.callbacks import CaptionAccuracy, StartFrom
from lightning_gans.datamodules import DescribedDigitsDataModule
from lightning_gans.models.stackgan import divergence
from lightning_gans.networks import (
    CharCNNRNN,
    ConditioningAugmentation,
    StackGANGenerator,
    StackGANStage2Generator,
    TextDiscriminator,
    TextGenerator,
)
from lightning_gans.networks.char_cnn_rnn import ALPHABET, characters_of
from lightning_gans.text import mismatched
from tests.conftest import largest_difference, trainer

DIM = 4


class Draws(nn.Module):
    """Draws images whose pixels are all the sum of a text, and notes texts."""

    latent_dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[Tensor] = []

    def forward(self, latent: Tensor, text: Tensor) -> Tensor:
        assert len(latent) == len(text)
        self.seen.append(text)
        return (self.scale * text.sum(1))[:, None, None, None].expand(-1, 1, 2, 2)


class Augments(Draws):
    def __init__(self) -> None:
        super().__init__()
        self.augmentation = ConditioningAugmentation(DIM, 2)


class Compares(nn.Module):
    """Says how much the mean pixel and ten times the sum of a text add up to, and notes texts."""

    def __init__(self, alone: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.alone = alone
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        self.seen.append(text)
        pixel = image.mean((1, 2, 3))
        logits = self.scale * ((pixel if text.ndim == 2 else pixel[:, None]) + 10 * text.sum(-1))
        return (
            torch.stack([logits, pixel], 1)
            if self.alone and text.ndim == 2
            else (torch.cat([logits, pixel[:, None]], 1) if self.alone else logits)
        )


def batch_of(sums: list[float], pixels: list[float], labels: list[int], captions: int = 1) -> list[Tensor]:
    """Images of one pixel value each, with texts of these sums."""
    image = torch.tensor(pixels)[:, None, None, None].expand(-1, 1, 2, 2)
    text = torch.zeros(len(sums), captions, DIM)
    text[:, :, 0] = torch.tensor(sums)[:, None]
    return [image, text, torch.tensor(labels)]


SUMS, PIXELS = [0.1, -0.2, 0.3, 0.05], [0.5, -0.5, 1.0, 0.2]
WRONG = [-0.2, 0.3, 0.05, 0.1]  # of the labels 0, 1, 0, 1


def l(value: float) -> float:  # noqa: E743
    return math.log1p(math.exp(-value))  # of a logit that is to be 1; of -x where it is to be 0


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_the_discriminator_tells_images_with_their_text_from_samples_and_from_wrong_texts(share):
    module = GANINTCLS(wrong_weight=share, generator=Draws(), discriminator=Compares())
    terms = module.discriminator_loss(batch_of(SUMS, PIXELS, [0, 1, 0, 1]))
    real = mean(l(x + 10 * t) for x, t in zip(PIXELS, SUMS, strict=True))
    fake = mean(l(-(t + 10 * t)) for t in SUMS)
    wrong = mean(l(-(x + 10 * t)) for x, t in zip(PIXELS, WRONG, strict=True))
    assert sum(terms.values()).item() == pytest.approx(real + (1 - share) * fake + share * wrong)
    assert terms["wrong"].item() == pytest.approx(share * (real + wrong))


def test_without_wrong_texts_the_discriminator_has_the_loss_of_a_conditional_gan():
    module = GANINTCLS(wrong_weight=0.0, generator=Draws(), discriminator=Compares())
    batch = batch_of(SUMS, PIXELS, [0, 0, 0, 0])  # of one label: no wrong text is asked for
    (term,) = module.discriminator_loss(batch).values()
    assert term.item() == pytest.approx(
        mean(l(x + 10 * t) for x, t in zip(PIXELS, SUMS, strict=True)) + mean(l(-11 * t) for t in SUMS)
    )
    with pytest.raises(ValueError, match="`wrong_weight` must be from 0 to 1, got 1.5."):
        GANINTCLS(wrong_weight=1.5, generator=Draws(), discriminator=Compares())


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_texts_between_texts_are_part_of_one_mean_over_all_that_is_drawn(weight):
    module = GANINTCLS(interpolation_weight=weight, generator=Draws(), discriminator=Compares())
    terms = module.generator_loss(batch_of(SUMS, PIXELS, [0, 1, 0, 1]))
    between = [(0.1 - 0.2) / 2, (0.3 + 0.05) / 2]
    assert terms["adversarial"].item() == pytest.approx(sum(l(11 * t) for t in SUMS) / 6, rel=1e-5)
    assert terms["interpolated"].item() == pytest.approx(weight * sum(l(11 * t) for t in between) / 6, rel=1e-5)


def test_the_last_of_an_odd_number_of_texts_has_none_beside_it_and_without_a_weight_none_has():
    odd = [part[:3] for part in batch_of(SUMS, PIXELS, [0, 1, 0, 1])]
    module = GANINTCLS(generator=Draws(), discriminator=Compares())
    assert module.generator_loss(odd)["interpolated"].item() == pytest.approx(l(-0.55) / 4, rel=1e-5)
    module = GANINTCLS(interpolation_weight=0.0, generator=Draws(), discriminator=Compares())
    terms = module.generator_loss(odd)
    assert [*terms] == ["adversarial"] and terms["adversarial"].item() == pytest.approx(
        mean(l(11 * t) for t in SUMS[:3]), rel=1e-5
    )


def test_stackgan_has_the_mean_of_samples_and_wrong_texts_as_negatives():
    module = StackGAN(generator=Augments(), discriminator=Compares())
    (term,) = module.discriminator_loss(batch_of(SUMS, PIXELS, [0, 1, 0, 1])).values()
    real = mean(l(x + 10 * t) for x, t in zip(PIXELS, SUMS, strict=True))
    negative = mean([*(l(-11 * t) for t in SUMS), *(l(-(x + 10 * t)) for x, t in zip(PIXELS, WRONG, strict=True))])
    assert term.item() == pytest.approx(real + negative)


def test_a_logit_of_the_image_alone_has_the_factors_of_stackgans_code():
    module = StackGAN(generator=Augments(), discriminator=Compares(alone=True))
    batch = batch_of(SUMS, PIXELS, [0, 1, 0, 1])
    (term,) = module.discriminator_loss(batch).values()
    real, alone = mean(l(x + 10 * t) for x, t in zip(PIXELS, SUMS, strict=True)), mean(l(x) for x in PIXELS)
    fake, fake_alone = mean(l(-11 * t) for t in SUMS), mean(l(-t) for t in SUMS)
    wrong = mean(l(-(x + 10 * t)) for x, t in zip(PIXELS, WRONG, strict=True))
    assert term.item() == pytest.approx((real + alone) / 2 + (fake + wrong + fake_alone) / 3)
    terms = module.generator_loss(batch)
    assert terms["adversarial"].item() == pytest.approx(mean(l(11 * t) for t in SUMS), rel=1e-5)
    assert terms["unconditional"].item() == pytest.approx(mean(l(t) for t in SUMS), rel=1e-5)
    assert all(logits.shape == (4,) for logits in module.logits(batch))


def test_the_condition_is_held_to_the_standard_normal_distribution_by_the_mean_over_its_numbers():
    mean, deviation = torch.tensor([[0.5, -1.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.5], [2.0, 1.0]])
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, deviation), torch.distributions.Normal(0.0, 1.0)
    )
    assert divergence(mean, 2 * deviation.log()).item() == pytest.approx(theirs.mean().item())
    module = StackGAN(kl_weight=3.0, generator=Augments(), discriminator=Compares())
    batch = batch_of(SUMS, PIXELS, [0, 1, 0, 1])
    distribution = module.generator.augmentation.distribution(batch[1][:, 0])
    assert module.generator_loss(batch)["kl"].item() == pytest.approx(3 * divergence(*distribution).item())


def test_a_condition_is_its_mean_and_its_deviation_times_noise():
    augmentation, text, noise = ConditioningAugmentation(DIM, 3), torch.randn(5, DIM), torch.randn(5, 3)
    nn.init.zeros_(augmentation.layer.weight)
    augmentation.layer.bias.data = torch.tensor([1.0, 2.0, 3.0, 0.0, 2 * math.log(2), 2 * math.log(3)])
    expected = torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([1.0, 2.0, 3.0]) * noise
    assert torch.allclose(augmentation(text, noise), expected)


# Captions and wrong texts.


def test_a_wrong_text_is_the_next_one_of_another_label():
    assert mismatched(torch.tensor([0, 0, 1, 1, 0])).tolist() == [2, 2, 4, 4, 2]
    label = torch.randint(3, (64,))
    assert (label[mismatched(label)] != label).all()
    with pytest.raises(ValueError, match="at least two labels, to find wrong texts for them, got 3 of label 7"):
        mismatched(torch.tensor([7, 7, 7]))
    with pytest.raises(ValueError, match="at least two labels"):
        mismatched(torch.tensor([7]))


class Texts(torch.utils.data.Dataset):
    """Images whose texts say which image and which caption they are of."""

    def __len__(self) -> int:
        return 48

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        text = torch.tensor([[index, caption, 0.0, 0.0] for caption in range(3)])
        return torch.full((1, 2, 2), index / 48), text, torch.tensor(index % 2)


def texts() -> torch.utils.data.DataLoader:
    return torch.utils.data.DataLoader(Texts(), batch_size=8)


def played(tmp_path, **kwargs) -> GANINTCLS:
    torch.manual_seed(3)
    module = GANINTCLS(
        interpolation_weight=0.0, ema_halflife=0.0, generator=Draws(), discriminator=Compares(), **kwargs
    )
    trainer(tmp_path, 4).fit(module, texts())
    return module


def test_both_players_see_the_same_caption_of_each_image_and_wrong_texts_of_others(tmp_path):
    module = played(tmp_path)
    for step in range(4):
        for_fake, for_move = module.generator.seen[2 * step : 2 * step + 2]
        fake, real, moved = module.discriminator.seen[3 * step : 3 * step + 3]
        right, wrong = real.unbind(1)
        assert all(torch.equal(right, other) for other in (for_fake, for_move, fake, moved))
        assert right[:, 0].tolist() == [*range(8 * step, 8 * step + 8)] and (wrong[:, 0] % 2 != right[:, 0] % 2).all()
        assert {*right[:, 1].tolist()} == {0, 1, 2}


def test_some_captions_of_an_image_are_averaged(tmp_path):
    module = played(tmp_path, captions_per_image=2)
    assert {*module.generator.seen[0][:, 1].tolist()} <= {0.5, 1.0, 1.5}
    module.generator.seen.clear()
    module.draw(next(iter(texts())), 1)
    assert module.generator.seen[0][:, 1].tolist() == [0.5] * 8  # of the first two
    with pytest.raises(ValueError, match="`captions_per_image` must be at least 1, got 0."):
        GANINTCLS(captions_per_image=0, generator=Draws(), discriminator=Compares())


def test_a_batch_without_captions_is_refused(tmp_path):
    module = GANINTCLS(generator=Draws(), discriminator=Compares())
    with pytest.raises(ValueError, match=r"\(image, text, label\) with texts \(b, n, k\).*got \(2, 1\), \(2,\)"):
        module.play([torch.zeros(2, 1), torch.zeros(2)])


# Networks.


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    "make, count",
    [
        (TextGenerator, 18_905_472),
        (TextDiscriminator, 4_030_080),
        (StackGANGenerator, 14_264_192),
        (lambda: StackGANGenerator(residual=False), 10_301_248),
        (lambda: StackGANGenerator(residual=False, width=192), 20_020_832),
        (lambda: TextDiscriminator(text_norm=False), 4_029_824),
        # The code for PyTorch gives the discriminator the generator's mean; here it has a layer of its own.
        (lambda: TextDiscriminator(text_norm=False, residual=False), 5_715_713 + 1024 * 128 + 128),
        (lambda: StackGANStage2Generator(StackGANGenerator()), 26_290_080),
        (lambda: StackGANStage2Generator(StackGANGenerator(), width=192, blocks=2), 37_130_480),
        (lambda: TextDiscriminator(text_norm=False, size=256), 48_603_520),
        (
            lambda: TextDiscriminator(text_norm=False, size=256, residual=False, unconditional=True),
            71_269_122 + 1024 * 128 + 128,
        ),
        (CharCNNRNN, 4_045_184),
        (lambda: CharCNNRNN(recurrent="relu"), 2_994_560),
    ],
)
def test_a_network_has_as_many_parameters_as_its_authors(make, count):
    with torch.device("meta"):
        assert parameters(make()) == count


def test_several_texts_of_an_image_are_judged_like_each_alone():
    judge = TextDiscriminator(DIM, 3, size=16, width=4, unconditional=True).eval()
    image, text = torch.randn(2, 3, 16, 16), torch.randn(2, 3, DIM)
    together = judge(image, text)
    assert together.shape == (2, 4)
    for place in range(3):
        assert torch.allclose(judge(image, text[:, place]), together[:, [place, 3]], atol=1e-6)
    assert TextDiscriminator(DIM, 3, size=16, width=4)(image, text[:, 0]).shape == (2,)


def test_a_discriminator_refuses_other_images_and_texts():
    judge = TextDiscriminator(DIM, 3, size=16, width=4)
    for image, text, sentence in (
        (torch.randn(2, 1, 16, 16), torch.randn(2, DIM), "`channels` of network and images must agree, got 3 and .* 1"),
        (torch.randn(2, 3, 32, 32), torch.randn(2, DIM), "`size` of network and images must agree, got 16 and"),
        (torch.randn(2, 3, 16, 16), torch.randn(2, 5), "`text_dim` of network and texts must agree, got 4 and"),
    ):
        with pytest.raises(ValueError, match=sentence):
            judge(image, text)


def test_encoders_may_differ_in_the_lengths_of_their_vectors():
    latent, image, text = torch.randn(2, 5), torch.randn(2, 3, 16, 16), torch.randn(2, DIM)
    for network, given in (
        (TextGenerator(DIM, 5, 3, size=16, width=2), latent),
        (StackGANGenerator(DIM, 2, 3, size=16, width=2), latent),
        (TextDiscriminator(DIM, 3, size=16, width=2), image),
    ):
        assert torch.allclose(network.eval()(given, text), network(given, 1000 * text), atol=1e-5)
        assert network(given, 0 * text).isfinite().all()


@pytest.mark.parametrize(
    "make", [TextGenerator, StackGANGenerator, lambda **kw: StackGANGenerator(**kw, residual=False)]
)
def test_a_generator_draws_images_of_its_size_from_texts(make):
    generator = make(text_dim=DIM, condition_dim=3, size=16, width=2)
    image = generator(torch.randn(2, generator.latent_dim), torch.randn(2, DIM))
    assert image.shape == (2, 3, 16, 16) and image.abs().max() <= 1
    with pytest.raises(ValueError, match="`text_dim` of network and texts must agree, got 4 and texts of 5 numbers"):
        generator(torch.randn(2, generator.latent_dim), torch.randn(2, 5))
    with pytest.raises(ValueError, match="`size` must be a power of two, at least 16, got 24."):
        make(size=24)


def test_the_latent_of_stackgan_holds_all_that_is_drawn():
    generator = StackGANGenerator(DIM, 5, 3, size=16, width=2).eval()
    latent, text = torch.randn(2, 8), torch.randn(2, DIM)
    first = generator(latent, text)
    assert torch.equal(first, generator(latent, text))
    latent[:, 5:] += 1  # another condition of the same noise
    assert not torch.equal(first, generator(latent, text))


def test_characters_become_18_steps_and_unknown_ones_none_at_all():
    network = CharCNNRNN(6, width=8)
    characters = characters_of(["A small-bird", "é" * 300])
    assert characters.shape == (2, 201)
    assert characters[0, :12].tolist() == [ALPHABET.rindex(letter) for letter in "a small-bird"]
    assert (characters[0, 12:] == -1).all() and (characters[1] == -1).all()
    steps = []
    network.input.register_forward_hook(lambda layer, args, result: steps.append(result.shape[1]))
    text = network(characters)
    assert text.shape == (2, 6) and steps == [18]
    assert torch.allclose(text[1], network(torch.full((1, 201), -1))[0], atol=1e-6)
    with pytest.raises(ValueError, match="`recurrent` must be one of gru, relu, got 'lstm'."):
        CharCNNRNN(recurrent="lstm")


def test_the_recurrent_layers_are_those_of_their_authors():
    step, state = torch.randn(2, 8), torch.randn(2, 4)
    plain, gated = CharCNNRNN(6, width=4, recurrent="relu"), CharCNNRNN(6, width=4)
    own = nn.RNNCell(4, 4, nonlinearity="relu")
    own.weight_ih.data, own.bias_ih.data = torch.eye(4), torch.zeros(4)
    own.weight_hh.data, own.bias_hh.data = plain.state.weight.data, plain.state.bias.data
    assert torch.allclose(plain.added(step[:, :4], state), own(step[:, :4], state), atol=1e-6)
    step = torch.randn(2, 12)
    assert torch.equal(gated.gated(step, None), step[:, 8:].tanh())
    weight, bias = gated.state.weight, gated.state.bias
    reset = (step[:, :4] + state @ weight[:4].T + bias[:4]).sigmoid()
    update = (step[:, 4:8] + state @ weight[4:8].T + bias[4:8]).sigmoid()
    new = (step[:, 8:] + (reset * state) @ weight[8:].T + bias[8:]).tanh()
    assert torch.allclose(gated.gated(step, state), update * state + (1 - update) * new, atol=1e-6)


# Two stages.


def first(seed: int = 0) -> StackGANGenerator:
    torch.manual_seed(seed)
    network = StackGANGenerator(DIM, 5, 3, channels=1, size=16, width=4)
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)  # as after training
    return network


def second(seed: int = 0) -> StackGANStage2Generator:
    return StackGANStage2Generator(first(seed), DIM, 3, size=32, width=4, blocks=1)


def test_the_first_stage_is_frozen_in_evaluation_mode():
    network = second().train()
    stage1 = network.stage1.network
    latent, text = torch.randn(2, network.latent_dim), torch.randn(2, DIM)
    before = [value.clone() for value in stage1.state_dict().values()]
    network(latent, text).sum().backward()
    assert all(map(torch.equal, before, stage1.state_dict().values())) and not stage1.training
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in stage1.parameters())
    assert parameters(network) == parameters(second()) and not [n for n, _ in network.named_buffers() if "stage1" in n]
    small = stage1(latent[:, : stage1.latent_dim], text)
    network.eval()
    assert torch.equal(network(latent, text), network.refine(small, text, latent[:, stage1.latent_dim :]))


def test_a_checkpoint_keeps_the_first_stage_to_the_bit():
    one, two = second(0), second(1)
    two.load_state_dict(one.state_dict())
    assert largest_difference(two.stage1.network.state_dict(), one.stage1.network.state_dict()) == 0
    assert largest_difference(second(1).stage1.network.state_dict(), one.stage1.network.state_dict()) > 0
    other = StackGANStage2Generator(StackGANGenerator(DIM, 6, 3, size=16, width=4), DIM, 3, size=32, width=4, blocks=1)
    with pytest.raises(ValueError, match=r"hidden network has [\d,]+ numbers and this one [\d,]+: give the network"):
        other.stage1.set_extra_state(one.stage1.get_extra_state())


def test_the_second_stage_is_larger_by_a_power_of_two():
    for size in (16, 48):
        with pytest.raises(ValueError, match=f"`size` must be that of `stage1`, 16, doubled at least once, got {size}"):
            StackGANStage2Generator(first(), DIM, 3, size=size, width=4)
    network = StackGANStage2Generator(first(), DIM, 3, size=64, width=4, blocks=1)
    assert network(torch.randn(2, network.latent_dim), torch.randn(2, DIM)).shape == (2, 1, 64, 64)


class Described(Texts):
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        _, text, label = super().__getitem__(index)
        return torch.full((1, 32, 32), index / 48), text / 48, label


def stage2() -> StackGAN:
    torch.manual_seed(0)
    return StackGAN(generator=second(), discriminator=TextDiscriminator(DIM, 3, channels=1, size=32, width=4))


@pytest.mark.parametrize("place", ["", "version_1", "version_1/checkpoints", "version_1/checkpoints/last.ckpt"])
def test_the_second_stage_starts_from_the_first_ones_run_by_its_folder(tmp_path, place):
    own = StackGAN(generator=first(1), discriminator=TextDiscriminator(DIM, 3, channels=1, size=16, width=4))
    for number, module in enumerate((stage2(), own)):
        folder = tmp_path / f"version_{number}" / "checkpoints"
        ours = trainer(tmp_path, 0)
        ours.fit(module, torch.utils.data.DataLoader(Described(), batch_size=8))
        ours.save_checkpoint(folder / "last.ckpt")
    module = stage2()
    start = StartFrom(str(tmp_path / place), into="generator.stage1")
    trainer(tmp_path, 2, callbacks=[start]).fit(module, torch.utils.data.DataLoader(Described(), batch_size=8))
    for generator in (module.generator, module.generator_ema):
        assert largest_difference(generator.stage1.network.state_dict(), own.generator_ema.state_dict()) == 0


def test_a_first_stage_that_cannot_be_started_from_is_said_in_a_sentence(tmp_path):
    data = torch.utils.data.DataLoader(Described(), batch_size=8)
    ours = trainer(tmp_path, 0)
    ours.fit(stage2(), data)
    ours.save_checkpoint(tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"`into` of `StartFrom` must be a network of this run, got generator.stage0."):
        start = StartFrom(str(tmp_path / "other.ckpt"), into="generator.stage0")
        trainer(tmp_path, 0, callbacks=[start]).fit(stage2(), data)
    with pytest.raises(
        ValueError, match=r"does not fit this run's generator.stage1 \(.*\): give both the same network"
    ):
        start = StartFrom(str(tmp_path / "other.ckpt"), into="generator.stage1")
        trainer(tmp_path, 0, callbacks=[start]).fit(stage2(), data)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="must be a file, or a folder of runs, and .*empty is none."):
        trainer(tmp_path, 0, callbacks=[StartFrom(str(tmp_path / "empty"))]).fit(stage2(), data)


# What images show.


class Shows(GANINTCLS):
    """Draws the real images of a batch, or those of the images before."""

    def __init__(self, shift: int) -> None:
        super().__init__(generator=Draws(), discriminator=Compares())
        self.shift = shift

    def samples(self, batch: list[Tensor]) -> dict[str, Tensor]:
        return {"fake": batch[0].roll(self.shift, 0)}


def scored(tmp_path, shift: int, **options) -> dict:
    data = DescribedDigitsDataModule(
        size=32, num_images=1, num_evaluation_images=120, evaluation_split="both", batch_size=60, cache=None
    )
    ours = trainer(tmp_path, callbacks=[CaptionAccuracy(**options)], log_every_n_steps=1)
    ours.validate(Shows(shift), data, verbose=False)
    (entry,) = json.loads((tmp_path / "metrics.json").read_text())
    return entry


def test_images_that_show_what_their_captions_say_are_found_seen_and_unseen_ones(tmp_path):
    entry = scored(tmp_path, 0)
    scores, real = entry["scores"], entry["protocol"]["real_images"]
    assert [*scores] == [*CaptionAccuracy().attributes, "all"] + [
        f"unseen_{name}" for name in [*CaptionAccuracy().attributes, "all"]
    ]
    for name in ("ink", "paper", "size", "place"):
        assert min(scores[name], scores[f"unseen_{name}"]) > 0.9
    assert 0.6 < min(scores["digit"], scores["unseen_digit"])
    for name, share in real.items():
        assert (scores[name] + scores[f"unseen_{name}"]) / 2 == pytest.approx(share, abs=6e-4)
    assert entry["protocol"]["chance"]["all"] == 3.33e-5 and entry["protocol"]["num_images"] == 120


def test_images_of_other_captions_are_near_chance(tmp_path):
    entry = scored(tmp_path, 1, attributes=["digit", "paper"])
    assert [*entry["scores"]] == ["digit", "paper", "all", "unseen_digit", "unseen_paper", "unseen_all"]
    assert all(entry["scores"][name] < 0.3 for name in entry["scores"])
    assert entry["protocol"]["chance"] == {"digit": 0.1, "paper": 0.1, "all": 0.01}


def test_what_captions_do_not_say_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`attributes` must be some of digit, .*, place, got hat."):
        CaptionAccuracy(["hat"])
    with pytest.raises(ValueError, match="`CaptionAccuracy` needs a DescribedDigitsDataModule, got NoneType"):
        trainer(tmp_path, callbacks=[CaptionAccuracy()]).validate(Shows(0), texts(), verbose=False)
