"""Two networks to train from the start; see `build_model` for their arguments."""

from torch import Tensor, nn

from models.head import Head


class Stage(nn.Sequential):
    """3 x 3 convolution, batch normalisation, 2 x 2 max-pooling, ReLU.

    A ReLU before the max-pooling would give the same values and gradients with four times the work.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
        )


class SmallCNN(nn.Module):
    """Four stages, mean pooling and a linear layer: 0.39 million parameters at width 32.

    Each stage halves the height and width, which are at least 16 pixels, and doubles the channels.
    """

    def __init__(self, num_classes: int, width: int = 32, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Stage(3, width),
            Stage(width, 2 * width),
            Stage(2 * width, 4 * width),
            Stage(4 * width, 8 * width),
        )
        self.head = Head(8 * width, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(dim=(2, 3)))  # (N, K)


class Residual(nn.Module):
    """x + f(x), with f two 3 x 3 convolutions, each with batch normalisation and ReLU.

    The gradient also reaches the earlier layers directly, through x.
    Source: He et al. 2015, "Deep Residual Learning for Image Recognition".
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.correction = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.correction(x)
        return changed


class ResNet9(nn.Module):
    """Deeper, for photographs: eight convolutions, 0.69 million parameters at width 32.

    Source: Page 2018, "How to train your ResNet", with wider stages.
    """

    def __init__(self, num_classes: int, width: int = 32, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Stage(3, width),
            Stage(width, 2 * width),
            Residual(2 * width),
            Stage(2 * width, 4 * width),
            Residual(4 * width),
            Stage(4 * width, 6 * width),
        )
        self.head = Head(6 * width, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).float().mean(dim=(2, 3)))  # (N, K)
