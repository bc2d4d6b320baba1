"""Style transfer by changing an image (Gatys et al., 2016, CVPR), which is no game and trains no network."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.contents import checked_layers, gram, gram_error, mean_power, total_variation
from lightning_gans.networks.wrappers.frozen import Frozen

Image = Float[Tensor, "1 c h w"]
Curve = dict[str, list[float]]
Terms = dict[tuple[str, str], Tensor]


def stylize(
    content: Image,
    style: Float[Tensor, "1 c _ _"],
    features: nn.Module,
    content_layers: dict[str, float],
    style_layers: dict[str, float],
    alpha: float = 1.0,
    beta: float = 100.0,
    iterations: int = 500,
    initial: str | Float[Tensor, "1 c _ _"] = "content",
    variation_weight: float = 0.0,
    history: int = 100,
    seed: int = 0,
) -> tuple[Image, Curve]:
    """Returns an image with the content of one and the style of another, and the losses on the way to it.

    L-BFGS minimizes, from an initial image,

        alpha sum_l v_l E|F_l - P_l|^2 + beta sum_l w_l E_l,

    with F the maps of the image and P those of `content`, and E_l of `Gram`, which has what other code's weights are in
    these terms. Neither depends on the size of an image, so a small one, enlarged, may be the initial image of a large
    one. The content's term of the paper, 1/2 sum (F - P)^2, is N M / 2 of this mean for N channels and M places.

    Args:
        content: In [-1, 1], of any size that `features` takes.
        style: Likewise; it may have another size.
        features: Called with images and names of layers, returns maps by name, as `VGGFeatures`. It is frozen.
        content_layers: Weight v_l of each layer by name; relu4_2 in the paper.
        style_layers: Weight w_l of each layer by name; 1/5 for relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 in the
            paper.
        alpha: Weight of the content; 0 leaves the style alone.
        beta: Weight of the style; 0 leaves the content alone. On two photographs of 128 pixels, with VGG16, average
            pooling, layers of the paper and 100 iterations, 100 left a quarter of the content loss that the style image
            has, and a seventh of the style loss that the content image has.
        iterations: Evaluations of the losses and their gradient; 500 in Gatys' PyTorch code.
        initial: `content`, `noise`, which is uniform in [-1, 1], or an image of the content's size.
        variation_weight: Of `TotalVariation`.
        history: Steps that L-BFGS remembers, each of which takes the memory of two images.
        seed: Of the noise.

    Returns:
        The image, within [-1, 1], and by term its weighted losses before each step: `content`, `style`, and `variation`
        if it has a weight.
    """
    if iterations < 1:
        raise ValueError(f"`iterations` must be at least 1, got {iterations}.")
    if min(alpha, beta, variation_weight) < 0:
        raise ValueError(
            f"`alpha`, `beta` and `variation_weight` must be at least 0, got {alpha}, {beta} and {variation_weight}."
        )
    content_layers, style_layers = checked_layers(content_layers), checked_layers(style_layers)
    frozen, names = Frozen(features), [*content_layers, *style_layers]
    with torch.no_grad():
        contents = frozen(content, content_layers)
        styles = {name: gram(x) for name, x in frozen(style, style_layers).items()}

    def terms_of(image: Tensor) -> Terms:
        maps = frozen(image, names)
        terms: Terms = {}
        for name, weight in content_layers.items():
            terms["content", name] = alpha * weight * mean_power(maps[name], contents[name], 2)
        for name, weight in style_layers.items():
            terms["style", name] = beta * weight * gram_error(gram(maps[name]), styles[name])
        if variation_weight:
            terms["variation", "the image"] = variation_weight * total_variation(image)
        return terms

    return descend(first_image(content, initial, seed), terms_of, iterations, history)


def descend(image: Image, terms_of: Callable[[Tensor], Terms], iterations: int, history: int) -> tuple[Image, Curve]:
    """Returns what L-BFGS makes of an image, and the sums of terms of the same kind before each step.

    Args:
        image: Where it starts.
        terms_of: Maps an image to terms by kind and name.
        iterations: Evaluations of the terms and their gradient.
        history: Steps that L-BFGS remembers.
    """
    image.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [image], max_iter=iterations, max_eval=iterations, tolerance_grad=0, tolerance_change=0, history_size=history
    )
    curve: Curve = {}

    def closure() -> Tensor:
        optimizer.zero_grad()
        terms, sums = terms_of(image), dict[str, float]()
        for (kind, name), term in terms.items():
            if not term.isfinite():
                evaluation = len(next(iter(curve.values()), []))
                raise FloatingPointError(
                    f"The loss of {kind} at {name} became {term.item()} at evaluation {evaluation} of `stylize`: lower "
                    "the weights, or check that `features` has trained ones."
                )
            sums[kind] = sums.get(kind, 0.0) + term.item()
        for kind, total in sums.items():
            curve.setdefault(kind, []).append(total)
        # As a sum over pixels, since torch's L-BFGS takes no notice of curvature below 1e-10.
        loss = torch.stack(list(terms.values())).sum() * image.numel()
        loss.backward()
        return loss

    optimizer.step(closure)
    return image.detach().clamp(-1, 1), curve


def first_image(content: Image, initial: str | Float[Tensor, "1 c _ _"], seed: int) -> Image:
    """Returns a copy of the image to start from."""
    if isinstance(initial, Tensor):
        if initial.shape != content.shape:
            raise ValueError(
                f"`initial` must have the size of `content`, {tuple(content.shape)}, got {tuple(initial.shape)}: "
                "resize it."
            )
        return initial.detach().to(content).clone(memory_format=torch.contiguous_format)
    if initial == "content":
        return content.detach().clone(memory_format=torch.contiguous_format)
    if initial == "noise":
        noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(seed), dtype=content.dtype)
        return (2 * noise - 1).to(content.device)
    raise ValueError(f"`initial` must be 'content', 'noise' or an image, got {initial!r}.")
