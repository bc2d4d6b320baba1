"""Measures the generator's gradient while the discriminator grows confident: figure 2 of Arjovsky & Bottou, 2017.

A GAN is trained briefly on the digits, as it is early in training. Then the generator is fixed and the discriminator
trained on. At intervals the norm of the generator's gradient is taken under `Minimax`, where it vanishes, and
under `NonSaturating`, where it does not (Goodfellow et al., 2014, section 3).

    python -m benchmarks.experiments.vanishing_gradient

Writes docs/images/vanishing_gradient.png and `results/vanishing_gradient.json`.
"""

import matplotlib
import torch
from torch import Tensor, nn

from benchmarks.record import PICTURES, write_record
from lightning_gans.datamodules import MNISTDataModule
from lightning_gans.networks import MLPGenerator
from lightning_gans.objectives import Minimax, NonSaturating, Objective

SEED, BATCH_SIZE, RATE = 0, 64, 2e-4
EARLY = 20  # steps of both players before the generator is fixed
STEPS, EVERY = 400, 20  # of the discriminator alone
OBJECTIVES: dict[str, Objective] = {"minimax": Minimax(), "non_saturating": NonSaturating()}


def norm(generator: MLPGenerator, discriminator: nn.Module, objective: Objective, latent: Tensor) -> float:
    """Returns the norm of the gradient of the generator's loss with respect to its parameters."""
    loss = objective.generator(discriminator(generator(latent)))
    gradients = torch.autograd.grad(loss, list(generator.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients]).norm().item()


def measure() -> list[dict[str, float]]:
    torch.manual_seed(SEED)
    data = MNISTDataModule(size=28, batch_size=BATCH_SIZE)
    data.setup("fit")
    generator = MLPGenerator(latent_dim=100, width=256)
    discriminator = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Linear(256, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1)
    )
    players = [torch.optim.Adam(p.parameters(), RATE, betas=(0.5, 0.999)) for p in (discriminator, generator)]
    game = NonSaturating()

    def step(learns: int) -> None:
        real, _ = data.training[torch.randint(10000, (BATCH_SIZE,))]
        fake = generator(torch.randn(BATCH_SIZE, 100))
        loss = game.generator(discriminator(fake)) if learns else game.discriminator(*map(discriminator, (real, fake)))
        players[learns].zero_grad()
        loss.backward()
        players[learns].step()

    for _ in range(EARLY):
        step(0)
        step(1)
    latent, points = torch.randn(512, 100), []
    for steps in range(STEPS + 1):
        if steps % EVERY == 0:
            confidence = discriminator(generator(latent)).sigmoid().mean().item()
            norms = {name: norm(generator, discriminator, objective, latent) for name, objective in OBJECTIVES.items()}
            points.append({"discriminator_steps": steps, "mean_d_of_samples": confidence, **norms})
        step(0)
    return points


def draw(points: list[dict[str, float]]) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5.5, 3.5))
    steps = [point["discriminator_steps"] for point in points]
    for name, label in (("non_saturating", "max log D(G(z))"), ("minimax", "min log(1 - D(G(z)))")):
        axis.semilogy(steps, [point[name] for point in points], label=label)
    axis.set(xlabel="steps of the discriminator, the generator fixed", ylabel="norm of the generator's gradient")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    figure.savefig(PICTURES / "vanishing_gradient.png", dpi=100)


def main() -> None:
    torch.set_num_threads(1)
    points = measure()
    draw(points)
    last = points[-1]
    values = {"ratio_at_the_end": last["minimax"] / last["non_saturating"], "points": points}
    protocol = {"batch_size": BATCH_SIZE, "learning_rate": RATE, "steps_of_both_before": EARLY}
    write_record("vanishing_gradient", values, protocol, SEED)
    print(f"after {STEPS} steps: {last}, ratio {values['ratio_at_the_end']:.2g}")


if __name__ == "__main__":
    main()
