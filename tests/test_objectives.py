import math

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn, tensor

from lightning_gans.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from lightning_gans.penalties import between, one_centered_penalty, zero_centered_penalty

REAL, FAKE = tensor([2.0, -1.0]), tensor([0.0, 3.0, -2.0])


def log_sigmoid(x: float) -> float:
    return -math.log(1 + math.exp(-x))


CROSS_ENTROPY = -(log_sigmoid(2) + log_sigmoid(-1)) / 2 - (log_sigmoid(0) + log_sigmoid(-3) + log_sigmoid(2)) / 3


@pytest.mark.parametrize(
    "objective, discriminator, generator",
    [
        (NonSaturating(), CROSS_ENTROPY, -(log_sigmoid(0) + log_sigmoid(3) + log_sigmoid(-2)) / 3),
        (Minimax(), CROSS_ENTROPY, (log_sigmoid(0) + log_sigmoid(-3) + log_sigmoid(2)) / 3),
        (LeastSquares(), ((1 + 4) / 2 + (0 + 9 + 4) / 3) / 2, (1 + 4 + 9) / 3 / 2),
        (Hinge(), (0 + 2) / 2 + (1 + 4 + 0) / 3, -1 / 3),
        (Wasserstein(), 1 / 3 - 1 / 2, -1 / 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objective_equals_values_worked_out_by_hand(objective, discriminator, generator):
    assert objective.discriminator(REAL, FAKE).item() == pytest.approx(discriminator)
    assert objective.generator(FAKE).item() == pytest.approx(generator)


@pytest.mark.parametrize(
    "objective", [NonSaturating(), Minimax(), LeastSquares(), Hinge(), Wasserstein()], ids=lambda o: type(o).__name__
)
def test_patches_count_like_images(objective):
    patches = FAKE.view(1, 1, 3, 1).expand(1, 1, 3, 2)
    assert objective.generator(patches).item() == pytest.approx(objective.generator(FAKE).item())


def test_both_players_of_minimax_share_one_value():
    objective = Minimax()
    assert objective.generator(FAKE) == -(
        objective.discriminator(REAL, FAKE) - objective.discriminator(REAL, FAKE[:0].new_full((1,), -1e9))
    )


def test_penalties_of_a_linear_critic_are_functions_of_its_norm():
    weight = torch.randn(3, 2, 2)
    inputs = torch.randn(5, 3, 2, 2).requires_grad_()

    def critic(images):
        return (images * weight).sum((1, 2, 3))

    torch.testing.assert_close(zero_centered_penalty(critic(inputs), inputs), weight.square().sum() / 2)
    torch.testing.assert_close(one_centered_penalty(critic(inputs), inputs), (weight.norm() - 1).square())


def test_points_between_lie_on_the_lines_from_real_to_fake():
    real, fake = torch.zeros(64, 1, 2, 2), torch.arange(1.0, 5).view(1, 1, 2, 2).expand(64, 1, 2, 2)
    positions = between(real, fake).detach()[:, 0] / torch.arange(1.0, 5).view(2, 2)
    assert torch.allclose(positions, positions[:, :1, :1].expand_as(positions))  # one position an image
    assert positions.min() >= 0 and positions.max() <= 1 and positions.std() > 0.2


def test_a_penalty_can_itself_be_differentiated():
    weight = torch.randn(3, requires_grad=True)
    points = between(torch.randn(4, 3), torch.randn(4, 3))
    one_centered_penalty((points * weight).sum(1), points).backward()
    norm = weight.detach().norm()
    torch.testing.assert_close(weight.grad, 2 * (norm - 1) * weight.detach() / norm)


def test_wrong_rank_is_caught():
    with pytest.raises(TypeCheckError):
        Hinge().generator(torch.zeros(()))


# The objectives at their optimum.

ALPHA = 0.9  # label of data, where it is smoothed


def optimal_logits(objective, p: Tensor, q: Tensor) -> Tensor:
    """Finds the logit of each outcome by gradient descent, for data p and samples q."""
    logits = torch.zeros_like(p, requires_grad=True)
    descent = torch.optim.LBFGS([logits], max_iter=300, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:  # the means over an infinite batch, one outcome at a time
        descent.zero_grad()
        total = sum(
            p[i] * (objective.discriminator(logits[i : i + 1], none) - objective.discriminator(none, none))
            + q[i] * (objective.discriminator(none, logits[i : i + 1]) - objective.discriminator(none, none))
            for i in range(len(p))
        )
        total.backward()
        return total

    none = torch.zeros(1, dtype=p.dtype)
    descent.step(loss)
    return logits.detach()


def gaussians() -> tuple[Tensor, Tensor]:
    """Two known densities on a line, as masses of 21 cells."""
    x = torch.linspace(-3, 3, 21).double()
    p, q = (-(x - 0.5).square() / 2).exp(), (-(x + 1).square() / 0.8).exp()
    return p / p.sum(), q / q.sum()


@pytest.mark.parametrize("objective", [NonSaturating(), Minimax()], ids=lambda o: type(o).__name__)
def test_the_best_discriminator_is_the_share_of_data(objective):
    p, q = gaussians()
    torch.testing.assert_close(optimal_logits(objective, p, q).sigmoid(), p / (p + q), atol=1e-4, rtol=0)


def test_the_value_is_minus_log_four_where_samples_are_like_data():
    p, _ = gaussians()
    logits = optimal_logits(Minimax(), p, p)
    loss = sum(p[i] * Minimax().discriminator(logits[i : i + 1], logits[i : i + 1]) for i in range(len(p)))
    assert -loss.item() == pytest.approx(-math.log(4))
    p, q = gaussians()
    logits = optimal_logits(Minimax(), p, q)
    value = (p * logits.sigmoid().log() + q * (-logits).sigmoid().log()).sum().item()
    mixture = (p + q) / 2
    divergence = (p * (p / mixture).log() + q * (q / mixture).log()).sum().item() / 2
    assert value == pytest.approx(-math.log(4) + 2 * divergence, abs=1e-6)  # theorem 1: Jensen-Shannon


@pytest.mark.parametrize("kind", [NonSaturating, Minimax])
def test_one_sided_smoothing_scales_the_share_of_data(kind):
    p, q = gaussians()
    best = optimal_logits(kind(real_label=ALPHA), p, q).sigmoid()
    torch.testing.assert_close(best, ALPHA * p / (p + q), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [NonSaturating, Minimax])
def test_smoothing_is_cross_entropy_with_a_soft_label(kind):
    real, fake = torch.randn(5), torch.randn(4)
    by_hand = nn.functional.binary_cross_entropy_with_logits(real, torch.full((5,), ALPHA))
    by_hand += nn.functional.binary_cross_entropy_with_logits(fake, torch.zeros(4))
    torch.testing.assert_close(kind(real_label=ALPHA).discriminator(real, fake), by_hand)
    assert kind(real_label=ALPHA).generator(fake) == kind().generator(fake)


@pytest.mark.parametrize("label", [0.0, 1.1])
def test_a_label_of_data_is_a_probability(label):
    with pytest.raises(ValueError, match=f"`real_label` must be above 0 and at most 1, got {label}"):
        NonSaturating(real_label=label)
