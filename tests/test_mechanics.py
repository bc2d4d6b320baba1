"""The mechanics off the plain path: randomness, counters, averages, optimizers, and options beside a checkpoint."""

from functools import partial

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from lightning_gans import AAE, ACGAN, GAN, WGANGP, InfoGAN, RelativisticGAN, UnrolledGAN
from lightning_gans.mechanics import randomness
from lightning_gans.mechanics.processes import gradient_of, in_memory_order, leave_to_the_loop, local_buffers
from lightning_gans.mechanics.schedules import Cosine, OverImages
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator, InstanceNoise, SpectrallyNormalized
from lightning_gans.objectives import LeastSquares, NonSaturating
from lightning_gans.regularizers import HistoricalAveraging
from tests.conftest import Judge, Line, largest_difference, loader, tiny, trainer

# Randomness.


def test_trials_after_a_fit_draw_on(fit):
    seed_everything(0)
    drawn = []
    for _ in range(3):
        drawn.append(torch.rand(1).item())
        fit(tiny(), 2)
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("fails", [False, True])
def test_a_fit_gives_the_random_generator_back(fit, fails):
    class Failing(GAN):
        def generator_loss(self, batch):
            return {"adversarial": super().generator_loss(batch)["adversarial"] * (float("nan") if fails else 1)}

    module = tiny(Failing)
    before = torch.get_rng_state()
    try:
        fit(module, 2)
    except FloatingPointError:
        assert fails
    assert torch.equal(torch.get_rng_state(), before)


def test_a_second_fit_of_a_module_draws_other_latents(fit):
    class Noting(GAN):
        def latent(self, size):
            drawn.append(super().latent(size))
            return drawn[-1]

    drawn: list[torch.Tensor] = []
    module = tiny(Noting)
    fit(module, 2), fit(module, 2)
    assert module.images_seen == 32
    assert len({tuple(latent.flatten().tolist()) for latent in drawn}) == len(drawn) == 8


def test_a_draw_leaves_the_generators_of_every_kind_of_device_as_they_were(monkeypatch):
    class Device:
        """Stands for torch.xpu or torch.mps."""

        state = torch.tensor([7])

        def get_rng_state(self, *device):
            return self.state.clone()

        def set_rng_state(self, state, *device):
            self.state = state

        def manual_seed(self, seed):
            self.state = torch.tensor([seed])

    device = Device()
    monkeypatch.setattr(torch, "get_device_module", lambda _: device)
    for kind in ("xpu", "mps"):
        with randomness.seeded(3, torch.device(kind)):
            assert device.state == 3
        assert device.state == 7


# Counters and averages.


@pytest.fixture
def one_thread():
    """Has torch compute in one thread: a fork has none of its parent's other threads, and would wait for them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_counters_come_back_from_a_process_that_trained(tmp_path, one_thread):
    module = tiny()
    trainer(tmp_path, 4, strategy="ddp_fork", devices=1).fit(module, loader())
    assert module.images_seen == 32 and module.seed is not None
    assert largest_difference(module.state_dict(), tiny().state_dict()) > 0


def test_an_average_in_half_precision_is_refused(fit):
    with pytest.raises(
        ValueError, match="`precision` must not be bf16-true with a moving average or regularizers, .* use bf16-mixed"
    ):
        fit(tiny(), precision="bf16-true")
    fit(tiny(ema_halflife=0.0), 2, precision="bf16-true")


def test_a_buffer_that_is_made_in_the_first_forward_pass_is_averaged(fit):
    class Lazy(Line):
        def forward(self, latent):
            if not hasattr(self, "scale"):
                self.register_buffer("scale", torch.full((), 2.0))
            return self.scale * super().forward(latent)

    module = GAN(generator=Lazy(), discriminator=Judge())
    fit(module, 3)
    assert module.generator_ema.scale == 2
    assert module.generator_ema.scale is not module.generator.scale


def test_a_generator_without_shapes_is_refused():
    lazy = nn.Sequential(nn.LazyLinear(64), nn.Unflatten(1, (1, 8, 8)))
    with pytest.raises(ValueError, match="`generator` must know its shapes, and has lazy layers: call it once"):
        GAN(generator=lazy, discriminator=Judge())


def test_a_compiled_generator_draws(fit):
    module = GAN(generator=torch.compile(Line(), backend="eager"), discriminator=Judge())
    assert module.draw(next(iter(loader())), 0)["fake"].shape == (8, 1, 8, 8)


def test_no_truth_value_is_taken_of_a_network(fit):
    class Mute(Line):
        def __len__(self):
            raise TypeError("asked for its length")

    module = GAN(generator=Mute(), discriminator=Judge())
    fit(module, 2)
    assert module.draw(next(iter(loader())), 0)["fake"].isfinite().all()


# Optimizers.


class Norms:
    """Makes SGD for some of a player's parameters, and notes the norm of the gradient of each step."""

    def __init__(self, last: int):
        self.last, self.norms = last, []

    def __call__(self, parameters):
        optimizer = torch.optim.SGD(list(parameters)[-self.last :], lr=1e-3)
        optimizer.register_step_post_hook(self.note)
        return optimizer

    def note(self, optimizer, *step):
        gradients = [p.grad for p in optimizer.param_groups[0]["params"]]
        self.norms.append(nn.utils.get_total_norm(gradients).item())


def test_clipping_is_of_the_parameters_that_step(fit):
    norms = Norms(last=2)  # of the discriminator's last layer
    fit(tiny(discriminator_optimizer=norms, discriminator_clip=1e-3), 12)
    assert norms.norms == pytest.approx([1e-3] * 12, rel=1e-3)


def test_gradients_are_freed_after_a_step(fit):
    class Looking(GAN):
        def discriminator_loss(self, batch):
            held.append([parameter.grad for parameter in self.parameters()])
            return super().discriminator_loss(batch)

    held: list = []
    fit(tiny(Looking, discriminator_optimizer=Norms(last=1)), 3)
    assert len(held) == 3 and all(gradient is None for gradients in held for gradient in gradients)


class ScheduleFree(torch.optim.SGD):
    def train(self): ...
    def eval(self): ...


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (torch.optim.LBFGS, "`generator_optimizer` must take one gradient a step, and LBFGS asks for several"),
        (ScheduleFree, "`generator_optimizer` must not have modes, .* of ScheduleFree"),
    ],
)
def test_optimizers_that_the_loop_cannot_drive_are_refused(fit, optimizer, message):
    with pytest.raises(ValueError, match=message):
        fit(tiny(generator_optimizer=optimizer))


def test_the_third_player_of_an_aae_is_clipped_too(fit):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    encoder.latent_dim = 4
    norms = Norms(last=2)
    discriminator = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    parts = {"encoder": encoder, "decoder": Line(), "discriminator": discriminator}
    fit(AAE(**parts, autoencoder_optimizer=norms, autoencoder_clip=1e-3), 3)
    assert norms.norms == pytest.approx([1e-3] * 3, rel=1e-3)
    with pytest.raises(ValueError, match="`autoencoder_clip` must be positive"):
        fit(AAE(**parts, autoencoder_clip=-1.0), 1)


@pytest.mark.parametrize("variant", [UnrolledGAN, GAN])
def test_convolutions_in_channels_last_are_unrolled_and_averaged(fit, variant):
    networks = {"generator": DCGANGenerator(8, 1, 8, 4), "discriminator": DCGANDiscriminator(1, 8, 4)}
    more = {"unrolled_steps": 2} if variant is UnrolledGAN else {}
    module = variant(**networks, **more, regularizers=[HistoricalAveraging(0.1)])
    fit(module, 2)
    assert all(value.isfinite().all() for value in module.state_dict().values())


# What is given beside a checkpoint.


def adam(lr, **options):
    return lambda parameters: torch.optim.Adam(parameters, lr=lr, **options)


def linear(total, factor=0.0):
    return lambda optimizer: torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, factor, total)


@pytest.fixture
def saved(fit, tmp_path):
    """The checkpoint of a run of four steps at a rate of 0.001 that falls to 0 over 8 steps."""
    optimizer = adam(1e-3, betas=(0.5, 0.9))
    module = tiny(generator_optimizer=optimizer, generator_scheduler=linear(8), discriminator_optimizer=adam(1e-3))
    fit(module, 4).save_checkpoint(tmp_path / "saved.ckpt")
    return tmp_path / "saved.ckpt"


def resumed(saved, tmp_path, steps=6, **arguments):
    arguments = {"generator_optimizer": adam(1e-3, betas=(0.5, 0.9)), "discriminator_optimizer": adam(1e-3)} | arguments
    arguments = {"generator_scheduler": linear(8)} | arguments
    run = trainer(tmp_path, steps)
    run.fit(tiny(**arguments), loader(), ckpt_path=saved)
    discriminator, generator = (optimizer.param_groups[0] for optimizer in run.optimizers)
    return discriminator, generator


def test_options_that_did_not_change_go_on_where_they_were(saved, tmp_path):
    discriminator, generator = resumed(saved, tmp_path)
    assert discriminator["lr"] == 1e-3 and generator["lr"] == pytest.approx(1e-3 * (1 - 6 / 8))


def test_a_rate_that_is_given_beside_a_checkpoint_holds(saved, tmp_path):
    discriminator, generator = resumed(saved, tmp_path, discriminator_optimizer=adam(1e-5, weight_decay=0.1))
    assert discriminator["lr"] == 1e-5 and discriminator["weight_decay"] == 0.1
    assert generator["lr"] == pytest.approx(1e-3 * (1 - 6 / 8))


def test_a_rate_under_a_schedule_stands_where_its_schedule_does(saved, tmp_path):
    _, generator = resumed(saved, tmp_path, generator_optimizer=adam(1e-4, betas=(0.5, 0.9)))
    assert generator["lr"] == pytest.approx(1e-4 * (1 - 6 / 8))


def test_a_schedule_that_is_given_beside_a_checkpoint_holds(saved, tmp_path):
    _, generator = resumed(saved, tmp_path, generator_scheduler=linear(16))
    assert generator["lr"] == pytest.approx(1e-3 * (1 - 6 / 16))


class Falls:
    """A function with a state, for LambdaLR."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, step):
        return self.factor**step


def sequence(period):
    def make(optimizer):
        parts = [linear(2, 0.5)(optimizer), torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, period)]
        return torch.optim.lr_scheduler.SequentialLR(optimizer, parts, [3])

    return make


SCHEDULES = {
    "linear": (linear(8), linear(16)),
    "milestones": tuple(partial(torch.optim.lr_scheduler.MultiStepLR, milestones=[m]) for m in (100, 3)),
    "sequence": (sequence(8), sequence(16)),
    "one cycle": tuple(partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1e-2, total_steps=n) for n in (20, 40)),
    "over images": tuple(partial(OverImages, factor=Cosine(1.0, end, kimg=0.04)) for end in (0.1, 0.01)),
    "function": tuple(partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=Falls(f)) for f in (0.9, 0.5)),
    "none before": (None, linear(16)),
    "none now": (linear(8), None),
    "another kind": (linear(8), sequence(16)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("lr", [1e-3, 1e-4])
def test_a_schedule_beside_a_checkpoint_stands_where_it_would_from_the_start(tmp_path, kind, lr):
    before, now = SCHEDULES[kind]

    def rates(schedule, steps, lr, path=None):
        module = tiny(generator_optimizer=adam(lr), generator_scheduler=schedule, discriminator_scheduler=linear(10))
        module.live_arguments = []  # as from the command line, which gives every argument
        run = trainer(tmp_path, steps)
        run.fit(module, loader(), ckpt_path=path)
        return run, [optimizer.param_groups[0]["lr"] for optimizer in run.optimizers]

    rates(before, 4, 1e-3)[0].save_checkpoint(tmp_path / "a.ckpt")
    resumed, straight = rates(now, 6, lr, tmp_path / "a.ckpt")[1], rates(now, 6, lr)[1]
    assert resumed == pytest.approx(straight)


def test_an_option_that_needs_state_is_refused(saved, tmp_path):
    with pytest.raises(ValueError, match="`amsgrad` of `discriminator_optimizer` needs state that the checkpoint"):
        resumed(saved, tmp_path, discriminator_optimizer=adam(1e-3, amsgrad=True))


def test_a_checkpoint_from_before_any_fit_begins_one(tmp_path):
    module, run = tiny(), trainer(tmp_path, 2)
    run.validate(module, loader(), verbose=False)
    run.save_checkpoint(tmp_path / "new.ckpt")
    trainer(tmp_path, 2).fit(tiny(), loader(), ckpt_path=tmp_path / "new.ckpt")


def test_the_moments_of_the_checkpoint_are_kept_when_a_rate_changes(saved, tmp_path):
    run = trainer(tmp_path, 6)
    more = {"generator_optimizer": adam(1e-3), "generator_scheduler": linear(8)}
    run.fit(tiny(discriminator_optimizer=adam(1e-5), **more), loader(), ckpt_path=saved)
    assert run.optimizers[0].state_dict()["state"][0]["step"] == 6


def test_another_optimizer_than_the_checkpoints_is_refused(saved, tmp_path):
    with pytest.raises(ValueError, match="`discriminator_optimizer` is SGD and the checkpoint's is Adam"):
        resumed(saved, tmp_path, discriminator_optimizer=partial(torch.optim.SGD, lr=0.1))


def test_a_module_that_was_loaded_trains_with_its_own_optimizer(saved, tmp_path):
    networks = {"generator": Line(), "discriminator": Judge(), "generator_scheduler": linear(8)}
    sgd = partial(torch.optim.SGD, lr=0.1)
    more = {"generator_optimizer": sgd, "discriminator_optimizer": sgd}
    module = GAN.load_from_checkpoint(saved, **networks, **more)
    assert module.images_seen == 32
    trainer(tmp_path, 2).fit(module, loader())


def test_a_checkpoint_with_its_counters_beside_the_weights_still_loads(saved, tmp_path):
    old = torch.load(saved, weights_only=True)
    images, seed = old["state_dict"].pop("_extra_state").tolist()
    torch.save(old | {"images_seen": images, "seed": seed}, tmp_path / "old.ckpt")
    more = {"generator_optimizer": adam(1e-3), "generator_scheduler": linear(8), "discriminator_optimizer": adam(1e-3)}
    module = GAN.load_from_checkpoint(tmp_path / "old.ckpt", generator=Line(), discriminator=Judge(), **more)
    assert (module.images_seen, module.seed) == (images, seed)


def test_a_lazy_discriminator_trains(fit):
    fit(GAN(generator=Line(), discriminator=nn.Sequential(nn.Flatten(), nn.LazyLinear(1), nn.Flatten(0))), 2)


# Arguments and batches.


def test_positional_arguments_of_a_subclass_are_asked_for_again(fit, tmp_path):
    class Positional(GAN):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    module = Positional(NonSaturating(0.9), generator=Line(), discriminator=Judge())
    fit(module, 2).save_checkpoint(tmp_path / "a.ckpt")
    networks = {"generator": Line(), "discriminator": Judge()}
    with pytest.raises(ValueError, match="was built with objective: hand them in again"):
        Positional.load_from_checkpoint(tmp_path / "a.ckpt", **networks)
    loaded = Positional.load_from_checkpoint(tmp_path / "a.ckpt", objective=NonSaturating(0.9), **networks)
    assert loaded.objective.real_label == 0.9


class Both(nn.Module):
    """A network that takes a label and leaves it."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.latent_dim = getattr(network, "latent_dim", 0)

    def forward(self, x, label):
        return self.network(x)


@pytest.mark.parametrize("variant", [partial(GAN, conditional=True), partial(WGANGP, conditional=True, n_critic=1)])
def test_longer_tuples_that_start_with_image_and_label_are_welcome(fit, variant):
    image, label = next(iter(loader()))
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(image, label, torch.rand(8, 3)), 4)
    fit(variant(generator=Both(Line()), discriminator=Both(Judge())), 2, data)


def test_an_ac_gan_takes_longer_tuples(fit):
    image, label = next(iter(loader()))
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(image, label, torch.rand(8, 3)), 4)
    judge = nn.Sequential(nn.Flatten(), nn.Linear(64, 11))
    fit(ACGAN(generator=Both(Line()), discriminator=judge), 2, data)


def test_a_batch_that_is_a_dictionary_is_refused_in_a_sentence(fit):
    data = torch.utils.data.DataLoader([{"image": torch.rand(1, 8, 8)}] * 8, 4)
    with pytest.raises(ValueError, match="A batch must be images, or a tuple that starts with them, got dict"):
        fit(tiny(), 1, data)


def test_images_alone_are_refused_by_a_conditional_variant(fit):
    data = torch.utils.data.DataLoader(torch.rand(8, 1, 8, 8), 4)
    with pytest.raises(ValueError, match="`conditional` needs batches of .image, condition., got images alone"):
        fit(GAN(generator=Both(Line()), discriminator=Both(Judge()), conditional=True), 1, data)


def test_least_squares_are_refused_by_a_relativistic_gan():
    with pytest.raises(ValueError, match="`objective` must not be LeastSquares, whose labels are 1 and 0"):
        tiny(RelativisticGAN, objective=LeastSquares())


def test_infogan_without_categories_has_factors_alone(fit):
    judge = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    module = InfoGAN(num_categories=0, num_factors=2, generator=Line(), discriminator=judge)
    metrics = fit(module, 2, log_every_n_steps=1).callback_metrics
    assert "generator_loss/factors" in metrics and "generator_loss/category" not in metrics
    assert set(module.draw(next(iter(loader())), 0)) == {"fake", "factor_0", "factor_1"}


# Processes.


def test_ddp_is_left_the_smallest_parameter_and_no_buffer():
    module = GAN(generator=Line(), discriminator=nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 1)))
    leave_to_the_loop(module, DDPStrategy())
    everything = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    assert everything - set(module._ddp_params_and_buffers_to_ignore) == {"discriminator.2.bias"}


def test_what_is_the_same_on_all_processes_is_not_sent():
    class Same(nn.Module):
        same_on_all_processes = True

        def __init__(self):
            super().__init__()
            self.register_buffer("kept", torch.zeros(5))
            self.inside = nn.BatchNorm1d(4)

    network = nn.Sequential(SpectrallyNormalized(Judge()), Same(), InstanceNoise(nn.BatchNorm1d(3)))
    assert [len(buffer) for buffer in local_buffers(network)] == [4, 4, 3, 3]


def test_a_gradient_is_sent_in_the_layout_of_its_parameter():
    parameter = nn.Parameter(torch.zeros(2, 3, 4, 4).contiguous(memory_format=torch.channels_last))
    assert gradient_of(parameter).stride() == parameter.stride()
    parameter.grad = torch.randn(2, 3, 4, 4)
    sent = gradient_of(parameter)
    assert torch.equal(sent, parameter.grad) and sent.stride() == parameter.stride() != parameter.grad.stride()
    assert in_memory_order(sent).is_contiguous() and in_memory_order(sent).data_ptr() == sent.data_ptr()
