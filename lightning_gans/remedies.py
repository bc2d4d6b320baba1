"""Remedies for unstable training: terms that any variant's losses can have, and wrappers that any network can have.

One-sided label smoothing is `real_label` of `NonSaturating` and `Minimax`.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parameters_to_vector

from lightning_gans.adversarial import AdversarialModule, Batch, Remedy, Terms
from lightning_gans.networks.augment import augment, checked


class FeatureMatching(Remedy):
    """Feature matching (Salimans et al., 2016, https://arxiv.org/abs/1606.03498, section 3.1).

    The generator matches the mean of a layer of the discriminator on data, in place of the term that fools it:

        |E f(x) - E f(G(z))|^2

    To see what the discriminator is shown, labels and all, the generator's loss is evaluated once more.

    Args:
        layer: Name of the layer in the discriminator whose output is f, such as `layers.3`.
        replaces: The term of the generator's loss that goes.
    """

    def __init__(self, layer: str, replaces: str = "adversarial"):
        super().__init__()
        self.layer = layer
        self.replaces = replaces

    def terms(self, player: str, module: AdversarialModule, batch: Batch, terms: Terms) -> Terms:
        if player != "generator":
            return terms
        discriminator = module.discriminator
        if self.layer not in dict(discriminator.named_modules()):
            raise ValueError(f"`layer` must be a layer of the discriminator, got {self.layer}.")
        if self.replaces not in terms:
            raise ValueError(f"`replaces` must be one of the terms {', '.join(terms)}, got {self.replaces}.")
        with outputs(discriminator.get_submodule(self.layer)) as features, inputs(discriminator) as calls:
            module.generator_loss(batch)
            # The discriminator is frozen, so only samples have a gradient; a relativistic loss shows it data as well.
            samples = [index for index, call in enumerate(calls) if call[0].requires_grad]
            of_images = samples and calls[samples[0]][0].shape[1:] == batch[0].shape[1:]
            conditions = [other for call in calls for other in call[1:] if isinstance(other, Tensor)]
            if not of_images or any(other.requires_grad for other in conditions):
                raise ValueError(
                    "`FeatureMatching` needs a discriminator of images by themselves or with labels, which that of "
                    f"{type(module).__name__} is not: leave it out."
                )
            fake = features[samples[0]]
            with torch.no_grad():
                discriminator(batch[0], *calls[samples[0]][1:])
            real = features[-1]
        rest = {name: term for name, term in terms.items() if name != self.replaces}
        return {"feature_matching": (real.mean(0) - fake.mean(0)).square().sum()} | rest


class HistoricalAveraging(Remedy):
    """Historical averaging (Salimans et al., 2016, https://arxiv.org/abs/1606.03498, section 3.3).

    Each player is drawn to the mean of all its parameters so far, which stops the two from circling each other:

        weight |theta - 1/t sum_i theta[i]|^2

    The means are buffers, so a resumed run goes on with them.

    Args:
        weight: Of the term.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"`weight` must be positive, got {weight}.")
        self.weight = weight
        self._counted: dict[str, int] = {}  # the batch at which a player was last counted, in this run

    def terms(self, player: str, module: AdversarialModule, batch: Batch, terms: Terms) -> Terms:
        theta = parameters_to_vector(p for p in module.players()[player].parameters() if p.requires_grad)
        if f"{player}_mean" not in self._buffers:
            self.register_buffer(f"{player}_mean", torch.zeros_like(theta))
            self.register_buffer(f"{player}_count", torch.zeros((), dtype=torch.long, device=theta.device))
        mean, count = self.get_buffer(f"{player}_mean"), self.get_buffer(f"{player}_count")
        now = module.trainer.fit_loop.total_batch_idx
        if self._counted.get(player) != now:  # once for all micro-batches
            self._counted[player] = now
            count += 1
            mean += (theta.detach() - mean) / count
        return terms | {"historical_averaging": self.weight * (theta - mean).square().sum()}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        make_buffers(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


class ConsistencyRegularization(Remedy):
    """Consistency regularisation, CR (Zhang et al., 2020, https://arxiv.org/abs/1910.12027), and bCR.

    The discriminator is to say the same of an image and of its augmentation T(x) (eq. 2 of CR), and in bCR (Zhao et
    al., 2021, https://arxiv.org/abs/2002.04724) of samples too:

        real_weight E|D(x) - D(T(x))|^2 + fake_weight E|D(G(z)) - D(T(G(z)))|^2

    To see what the discriminator is shown, labels and all, its loss is evaluated once more, without gradients.

    Args:
        real_weight: lambda for real images; 10 in both papers.
        fake_weight: lambda for samples; 0 is CR, and 10 is bCR.
        policy: What T is, see `DiffAugment`; both papers shift and flip.
    """

    def __init__(
        self, real_weight: float = 10.0, fake_weight: float = 0.0, policy: Sequence[str] = ("flip", "translation")
    ):
        super().__init__()
        if min(real_weight, fake_weight) < 0 or real_weight == fake_weight == 0:
            raise ValueError(
                f"`real_weight` and `fake_weight` must be at least 0, one of them above, got {real_weight} and "
                f"{fake_weight}."
            )
        self.real_weight = real_weight
        self.fake_weight = fake_weight
        self.policy = checked(policy)

    def terms(self, player: str, module: AdversarialModule, batch: Batch, terms: Terms) -> Terms:
        if player != "discriminator":
            return terms
        with inputs(module.discriminator) as calls, torch.no_grad():
            module.discriminator_loss(batch)
        total: Any = 0
        for image, *others in calls:
            weight = self.real_weight if image is batch[0] else self.fake_weight
            if weight:
                changed = module.discriminator(augment(image, self.policy), *others)
                total = total + weight * (module.discriminator(image, *others) - changed).square().mean()
        return terms | {"consistency": total}


class OrthogonalRegularization(Remedy):
    """Draws the generator's filters apart (Brock et al., 2019, https://arxiv.org/abs/1809.11096, eq. 3).

        weight sum over layers of |W^T W (1 - I)|_F^2

    with the filters of a layer as columns of W. It makes a generator fit for truncated latents. Under spectral norm it
    acts on the weights before that.

    Args:
        weight: beta.
        skip: Names of parts of the generator that are left out, as look-up tables of classes.
    """

    def __init__(self, weight: float = 1e-4, skip: Sequence[str] = ("embedding",)):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"`weight` must be positive, got {weight}.")
        self.weight = weight
        self.skip = list(skip)

    def terms(self, player: str, module: AdversarialModule, batch: Batch, terms: Terms) -> Terms:
        if player != "generator":
            return terms
        total: Any = 0
        for name, weight in module.generator.named_parameters():
            if weight.ndim < 2 or any(name.startswith(part) for part in self.skip):
                continue
            filters = weight.flatten(1)
            total = total + (filters @ filters.T).square().sum() - filters.square().sum(1).square().sum()
        return terms | {"orthogonality": self.weight * total}


class MinibatchDiscrimination(nn.Module):
    """Minibatch discrimination (Salimans et al., 2016, https://arxiv.org/abs/1606.03498, section 3.2).

    The last layer of a discriminator also learns how close each example is to the others of its batch, so that it
    tells samples that are too much alike from data:

        o(x_i)_b = sum_j exp(-|M_i,b - M_j,b|_1),   M_i = f(x_i) T

    with f the input of the last layer, to which o is appended. Real and fake batches are compared apart, and each
    process and micro-batch compares its own examples. The sum leaves out j = i, which adds a constant.

    Args:
        discriminator: Its last layer with weights must be linear, or a convolution of the whole map, to one logit.
        num_kernels: B, the number of similarities.
        kernel_dim: C, the size of each row of M.
    """

    def __init__(self, discriminator: nn.Module, num_kernels: int = 100, kernel_dim: int = 5):
        super().__init__()
        for name, value in (("num_kernels", num_kernels), ("kernel_dim", kernel_dim)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        layers = [layer for layer in discriminator.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        if not layers or len(layers[-1].weight) != 1:
            raise ValueError(
                "`discriminator` must have as its last layer with weights a linear one or a convolution to one logit, "
                f"which {type(discriminator).__name__} does not: leave `MinibatchDiscrimination` out."
            )
        self.discriminator = discriminator
        features = layers[-1].weight[0].numel()
        self.similarity = MinibatchSimilarity(features, num_kernels, kernel_dim)
        self.last = nn.Linear(num_kernels, 1, bias=False)  # the last layer's weights of what is appended

    def forward(self, image: Float[Tensor, "b ..."], *condition: Any) -> Float[Tensor, " b"]:
        layers = [layer for layer in self.discriminator.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        with inputs(layers[-1]) as calls:
            logits = self.discriminator(image, *condition)
        similarity = self.similarity(calls[-1][0].flatten(1).to(self.last.weight.dtype))
        return logits + self.last(similarity).flatten().to(logits.dtype)


class MinibatchSimilarity(nn.Module):
    """How close each example's features are to those of the others in the batch.

    Args:
        features: Size of f(x).
        num_kernels: Number of similarities.
        kernel_dim: Size of what each similarity compares.
    """

    def __init__(self, features: int, num_kernels: int, kernel_dim: int):
        super().__init__()
        self.project = nn.Linear(features, num_kernels * kernel_dim, bias=False)
        self.num_kernels = num_kernels

    def forward(self, features: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
        rows = self.project(features).unflatten(1, (self.num_kernels, -1)).transpose(0, 1)  # k b c
        return torch.cdist(rows, rows, p=1).neg().exp().sum(2).T - 1


class VirtualBatchNorm(nn.Module):
    """Virtual batch normalization (Salimans et al., 2016, https://arxiv.org/abs/1606.03498, section 3.4).

    Each example is normalised by the statistics of one reference batch and of itself, so its output does not depend
    on the rest of its batch. The network in here gets a normalisation of this kind in place of every batch norm, and
    runs twice: on the reference and on what it is given.

    The reference of a generator is drawn from `seed`; that of a discriminator is the first batch it is shown, of which
    every process takes that of the first one. Both are buffers: a resumed run has the same. Nothing is learnt but
    scales and shifts, so there are no running statistics, and evaluation is like training.

    Args:
        network: A network with batch norm; of a generator, one that is given nothing but the latent.
        reference_size: Examples in the reference batch; a discriminator's first batch may have fewer.
        seed: Of a generator's reference.
    """

    def __init__(self, network: nn.Module, reference_size: int = 64, seed: int = 0):
        super().__init__()
        if reference_size < 2:
            raise ValueError(f"`reference_size` must be at least 2, got {reference_size}.")
        norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
        if not norms or any(norm.weight is None for norm in norms):
            raise ValueError(
                "`network` must have batch norm to be replaced, with scales and shifts of its own, got "
                f"{type(network).__name__} without."
            )
        if getattr(network, "num_classes", 0) and hasattr(network, "latent_dim"):
            raise ValueError(
                "`network` must be given latents alone, since the reference has no labels, got "
                f"{type(network).__name__}."
            )
        self.network = copy.deepcopy(network)
        for parent in list(self.network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, _BatchNorm):
                    setattr(parent, name, ReferenceNorm(child))
        self.reference_size = reference_size
        if hasattr(network, "latent_dim"):
            self.latent_dim = network.latent_dim
            generator = torch.Generator().manual_seed(seed)
            self.register_buffer("reference_0", torch.randn(reference_size, network.latent_dim, generator=generator))  # type: ignore[call-overload]

    def forward(self, *args: Tensor) -> Tensor:
        if "reference_0" not in self._buffers:
            for index, arg in enumerate(args):
                self.register_buffer(f"reference_{index}", first_process(arg.detach()[: self.reference_size].clone()))
        layers = [layer for layer in self.network.modules() if isinstance(layer, ReferenceNorm)]
        for layer in layers:
            layer.statistics = None
        self.network(*(self.get_buffer(f"reference_{index}") for index in range(len(args))))
        result = self.network(*args)
        for layer in layers:
            layer.statistics = None  # frees the graph of the reference
        return result

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        make_buffers(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


class ReferenceNorm(nn.Module):
    """Normalises the first batch it sees by that batch, and the next one by that batch and each example itself.

    Args:
        norm: The batch norm whose scale, shift and eps it takes over.
    """

    def __init__(self, norm: Any):
        super().__init__()
        self.weight = nn.Parameter(norm.weight.detach().clone())
        self.bias = nn.Parameter(norm.bias.detach().clone())
        self.eps = norm.eps
        self.statistics: tuple[Tensor, Tensor, int] | None = None

    def forward(self, x: Float[Tensor, "b c ..."]) -> Float[Tensor, "b c ..."]:
        space = list(range(2, x.ndim))
        own, own_square = (y.mean(space, keepdim=True) if space else y for y in (x, x.square()))
        if self.statistics is None:
            mean, square = own.mean(0, keepdim=True), own_square.mean(0, keepdim=True)
            self.statistics = mean, square, len(x)
        else:
            reference, reference_square, size = self.statistics
            mean = (own + size * reference) / (size + 1)
            square = (own_square + size * reference_square) / (size + 1)
        scale, shift = (parameter.view(-1, *[1] * len(space)) for parameter in (self.weight, self.bias))
        return (x - mean) * (square - mean.square() + self.eps).rsqrt() * scale + shift


class InstanceNoise(nn.Module):
    """Instance noise (Sonderby et al., 2017, https://arxiv.org/abs/1610.04490, section 3.2).

    Whatever the discriminator is shown while it trains, real or fake, has Gaussian noise added, so that the two
    distributions overlap. Its standard deviation falls linearly to 0. How many images were shown is a buffer, counted
    over all processes, so a resumed run goes on where it was.

    Args:
        discriminator: What is shown the noisy images.
        std: Standard deviation at the start, in the units of the images.
        anneal_kimg: Thousands of images shown until none is left, real and fake ones; 0 keeps it for ever. A plain GAN
            shows three for each training image.
    """

    def __init__(self, discriminator: nn.Module, std: float = 0.1, anneal_kimg: float = 1000.0):
        super().__init__()
        if std <= 0:
            raise ValueError(f"`std` must be positive, got {std}.")
        if anneal_kimg < 0:
            raise ValueError(f"`anneal_kimg` must be 0 (keeps the noise) or more, got {anneal_kimg}.")
        self.discriminator = discriminator
        self.std = std
        self.anneal_kimg = anneal_kimg
        self.register_buffer("shown", torch.zeros((), dtype=torch.long))

    def forward(self, image: Float[Tensor, "b ..."], *condition: Any) -> Tensor:
        if self.training:
            shown: Any = self.shown
            left = (1 - shown / (1000 * self.anneal_kimg)).clamp_min(0) if self.anneal_kimg else 1.0
            noise = torch.randn(len(image), *image.shape[1:], device=image.device, dtype=image.dtype)
            image = image + self.std * left * noise
            shown += len(image) * (distributed.get_world_size() if distributed.is_initialized() else 1)
        return self.discriminator(image, *condition)


@contextmanager
def inputs(layer: nn.Module) -> Iterator[list[tuple[Any, ...]]]:
    """Within it, the arguments of each call of a layer."""
    calls: list[tuple[Any, ...]] = []
    handle = layer.register_forward_pre_hook(lambda _, args: calls.append(args))
    try:
        yield calls
    finally:
        handle.remove()


@contextmanager
def outputs(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Within it, the result of each call of a layer."""
    results: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _, args, result: results.append(result))
    try:
        yield results
    finally:
        handle.remove()


def first_process(tensor: Tensor) -> Tensor:
    """The tensor of the first process, on all of them."""
    if distributed.is_initialized():
        tensor = tensor.contiguous()
        distributed.broadcast(tensor, 0)
    return tensor


def make_buffers(module: nn.Module, state_dict: dict[str, Any], prefix: str) -> None:
    """Makes the module's own buffers that a state has and it has not yet, for that state to be loaded into."""
    for key, value in state_dict.items():
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and "." not in name and not hasattr(module, name):
            module.register_buffer(name, torch.zeros_like(value))
