"""A small digit classifier: the feature network that scores generators of digits without any download."""

import hashlib
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name("digits.safetensors")


class DigitClassifier(nn.Module):
    """Convolutional classifier of digits whose 128 features are used instead of Inception's for MNIST.

    `pretrained()` loads the shipped weights, which `benchmarks/train_digit_classifier.py` made. Scores in its features
    compare generators of digits with each other, never with scores in Inception's features.
    """

    weights_hash: str
    has_data_classes = True  # where the data are digits

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 24, 5, stride=2, padding=2, bias=False),  # 28 -> 14
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.Conv2d(24, 48, 3, padding=1, bias=False),
            nn.BatchNorm2d(48),
            nn.ReLU(),
            nn.MaxPool2d(2),  # 14 -> 7
            nn.Conv2d(48, 96, 3, padding=1, bias=False),
            nn.BatchNorm2d(96),
            nn.ReLU(),
            nn.MaxPool2d(2),  # 7 -> 3
            nn.Flatten(),
            nn.Linear(96 * 3 * 3, 128, bias=False),
            nn.BatchNorm1d(128),
            nn.ReLU(),
        )
        self.head = nn.Linear(128, 10)

    @classmethod
    def pretrained(cls) -> "DigitClassifier":
        """Loads the shipped network, frozen and in eval mode; `weights_hash` starts the SHA-256 of the file."""
        with torch.random.fork_rng(devices=[]):  # a score must not change what is trained
            network = cls()
        network.load_state_dict(load_file(WEIGHTS))
        network.weights_hash = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:16]
        return network.requires_grad_(False).eval()

    def features(self, image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 128"]:
        """Returns the last layer's input, for digits in [-1, 1] of 28x28, or 32x32 with 2 pixels of border."""
        if image.shape[1:] not in ((1, 28, 28), (1, 32, 32)):
            raise ValueError(f"`image` must be (b, 1, 28, 28) or (b, 1, 32, 32), got {tuple(image.shape)}.")
        border = (image.shape[-1] - 28) // 2
        return self.body(image[..., border : border + 28, border : border + 28])

    def features_and_logits(
        self, image: Float[Tensor, "b 1 h w"]
    ) -> tuple[Float[Tensor, "b 128"], Float[Tensor, "b 10"]]:
        """Returns both from one pass."""
        features = self.features(image)
        return features, self.head(features)

    def forward(self, image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 10"]:
        return self.head(self.features(image))
