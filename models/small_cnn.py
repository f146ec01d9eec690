"""A small network for small pictures: 0.39 million parameters at width 32."""

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
    """Four stages, then mean pooling and a linear layer; see `build_model` for the arguments.

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
        features = self.features(x).mean(dim=(2, 3))  # (N, 8 * width)
        logits: Tensor = self.head(features)  # (N, K)
        return logits
