"""The networks of MLPerf Tiny as ncnn's .param text: the same shapes, run with empty (zero) weights.

ncnn has no importer for quantised networks, so the int8 versions are written as its own int8 converter leaves them:
convolutions and fully connected layers int8, requantised directly where one convolution feeds the next (a scale term
above 100), skip connections, pooling and softmax in floating point.
"""

from __future__ import annotations

import itertools

SAME = -233  # ncnn's code for padding as Keras does it


class _Net:
    def __init__(self, int8: bool, *shape: int) -> None:
        """`shape`: width, height, channels; or the length of a vector."""
        self.int8, self.lines, self.blobs = int8, [], 0
        self.last = self._layer("Input", [], " ".join(f"{i}={n}" for i, n in enumerate(shape)), name="data")

    def _layer(self, kind: str, inputs: list[str], options: str, outputs: int = 1, name: str = "") -> str:
        made = [name or f"b{self.blobs + i}" for i in range(outputs)]
        self.blobs += outputs
        words = [kind, f"l{len(self.lines)}", str(len(inputs)), str(outputs), *inputs, *made, options]
        self.lines.append(" ".join(words).rstrip())
        self.last = made[0]
        return made[0]

    def split(self) -> tuple[str, str]:
        first = self._layer("Split", [self.last], "", 2)
        return first, f"b{self.blobs - 1}"

    def conv(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int] = (3, 3),
        stride: int = 1,
        relu: bool = True,
        source: str = "",
        requantise: bool = False,
        depthwise: bool = False,
    ) -> str:
        """`kernel` is width, height; with `requantise` the result stays int8."""
        weights = kernel[0] * kernel[1] * outputs * (1 if depthwise else inputs)
        term = (1 if depthwise else 2) + (100 if requantise else 0)
        options = f"0={outputs} 1={kernel[0]} 11={kernel[1]} 3={stride} 4={SAME} 5=1 6={weights} 9={int(relu)}"
        options += f" 7={outputs}" if depthwise else ""
        options += f" 8={term}" if self.int8 else ""
        return self._layer("ConvolutionDepthWise" if depthwise else "Convolution", [source or self.last], options)

    def dense(self, inputs: int, outputs: int, relu: bool = False) -> str:
        options = f"0={outputs} 1=1 2={inputs * outputs} 9={int(relu)}" + (" 8=2" if self.int8 else "")
        return self._layer("InnerProduct", [self.last], options)

    def add_relu(self, one: str, other: str) -> str:
        self._layer("BinaryOp", [one, other], "0=0")
        return self._layer("ReLU", [self.last], "")

    def average(self) -> str:
        return self._layer("Pooling", [self.last], "0=1 4=1")

    def text(self, softmax: bool = True) -> str:
        if softmax:
            self._layer("Softmax", [self.last], "0=0")
        self._layer("Noop", [self.last], "", name="output")
        return f"7767517\n{len(self.lines)} {self.blobs}\n" + "\n".join(self.lines) + "\n"


def _resnet8(net: _Net) -> str:
    net.conv(3, 16)
    channels = 16
    for outputs, stride in ((16, 1), (32, 2), (64, 2)):
        one, other = net.split()
        net.conv(channels, outputs, stride=stride, source=one, requantise=True)
        body = net.conv(outputs, outputs, relu=False)
        skip = other
        if stride == 2:
            skip = net.conv(channels, outputs, (1, 1), stride, relu=False, source=other)
        net.add_relu(body, skip)
        channels = outputs
    net.average()
    net.dense(64, 10)
    return net.text()


def _separable(net: _Net, channels: int, steps: list[tuple[int, int]]) -> None:
    for number, (outputs, stride) in enumerate(steps):
        net.conv(channels, channels, stride=stride, requantise=True, depthwise=True)
        net.conv(channels, outputs, (1, 1), requantise=number + 1 < len(steps))
        channels = outputs


def _ds_cnn(net: _Net) -> str:
    net.conv(1, 64, (4, 10), 2, requantise=True)
    _separable(net, 64, [(64, 1)] * 4)
    net.average()
    net.dense(64, 12)
    return net.text()


def _vww(net: _Net) -> str:
    net.conv(3, 8, stride=2, requantise=True)
    steps = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]
    _separable(net, 8, steps)
    net.average()
    net.dense(256, 2)
    return net.text()


def _autoencoder(net: _Net) -> str:
    widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        net.dense(inputs, outputs, relu=number < 9)
    return net.text(softmax=False)


_NETWORKS = {
    "ResNet8": (_resnet8, (32, 32, 3)),
    "DS-CNN": (_ds_cnn, (10, 49, 1)),
    "VWW": (_vww, (96, 96, 3)),
    "AD": (_autoencoder, (640,)),
}


def param(name: str, kind: str) -> str | None:
    """The .param text of a network, `kind` int8 or float32; None for one that is not written here."""
    if name not in _NETWORKS:
        return None
    build, shape = _NETWORKS[name]
    return build(_Net(kind == "int8", *shape))
