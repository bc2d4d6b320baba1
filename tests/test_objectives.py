import math

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import tensor

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
