"""A deeper network for photographs: eight convolutions, 0.69 million parameters at width 32."""

from torch import Tensor, nn

from models.head import Head
from models.small_cnn import Stage


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
    """Four stages like those of `SmallCNN`, with a residual block after each of the middle two.

    Args as for `build_model`. Source: Page 2018, "How to train your ResNet", with wider stages.
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
        features = self.features(x).float().mean(dim=(2, 3))  # (N, 6 * width)
        logits: Tensor = self.head(features)  # (N, K)
        return logits
