"""The networks behind ncnn's published latencies, as .param text of the same layers, run with empty (zero) weights.

Structures: SqueezeNet 1.1, MobileNet V1, V2, V3-Large, ResNet-18 and -50 for ImageNet, batch normalisation folded, as
ncnn's `benchmark/` has them; int8 as its converter leaves them: requantised directly where one convolution alone
reads the result (a scale term above 100).
"""

from __future__ import annotations

from collections.abc import Callable


class _Net:
    """Layers in order; `last` is the blob that the last one made."""

    def __init__(self, int8: bool, size: int) -> None:
        self.int8, self.lines, self.blobs, self.last = int8, [], 0, ""
        self.layer("Input", [], f"0={size} 1={size} 2=3", name="data")

    def layer(self, kind: str, inputs: list[str], options: str = "", outputs: int = 1, name: str = "") -> list[str]:
        made = [name or f"b{self.blobs + i}" for i in range(outputs)]
        self.blobs += outputs
        words = [kind, f"l{len(self.lines)}", str(len(inputs)), str(outputs), *inputs, *made, options]
        self.lines.append(" ".join(words).rstrip())
        self.last = made[0]
        return made

    def then(self, kind: str, options: str = "") -> str:
        return self.layer(kind, [self.last], options)[0]

    def split(self) -> list[str]:
        return self.layer("Split", [self.last], "", 2)

    def conv(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True, chained: bool = False,
        pad: int | None = None, groups: int = 1,
    ) -> str:  # fmt: skip
        """`chained`: a convolution alone reads the result."""
        around = kernel // 2 if pad is None else pad
        weights = kernel * kernel * outputs * inputs // groups
        options = f"0={outputs} 1={kernel} 3={stride} 4={around} 5=1 6={weights}"
        options += f" 7={groups}" if groups > 1 else ""
        if self.int8:
            options += f" 8={(1 if groups > 1 else 2) + 100 * chained}"
        options += " 9=1" if relu else ""
        return self.then("ConvolutionDepthWise" if groups > 1 else "Convolution", options)

    def depthwise(self, channels: int, kernel: int, stride: int, relu: bool = True) -> str:
        return self.conv(channels, channels, kernel, stride, relu, chained=True, groups=channels)

    def dense(self, inputs: int, outputs: int, relu: bool = False) -> str:
        quantised = " 8=2" if self.int8 else ""
        return self.then("InnerProduct", f"0={outputs} 1=1 2={inputs * outputs}{quantised}{' 9=1' if relu else ''}")

    def add(self, one: str, other: str) -> str:
        return self.layer("BinaryOp", [one, other], "0=0")[0]

    def text(self) -> str:
        self.layer("Softmax", [self.last], "0=0", name="output")
        return f"7767517\n{len(self.lines)} {self.blobs}\n" + "\n".join(self.lines) + "\n"


def _squeezenet(net: _Net) -> None:
    net.conv(3, 64, 3, 2, pad=0)
    net.then("Pooling", "1=3 2=2")
    inputs = 64
    for number, squeezed in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        expanded = 4 * squeezed
        if number in (2, 4):
            net.then("Pooling", "1=3 2=2")
        net.conv(inputs, squeezed, 1, chained=True)
        one, other = net.split()
        net.last = one
        left = net.conv(squeezed, expanded, 1)
        net.last = other
        right = net.conv(squeezed, expanded, 3)
        net.layer("Concat", [left, right])
        inputs = 2 * expanded
    net.conv(inputs, 1000, 1, pad=1)  # the padding is in the published network
    net.then("Pooling", "0=1 4=1")


def _mobilenet(net: _Net) -> None:
    net.conv(3, 32, 3, 2, chained=True)
    channels = 32
    steps = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for number, (outputs, stride) in enumerate(steps):
        net.depthwise(channels, 3, stride)
        net.conv(channels, outputs, 1, chained=number + 1 < len(steps))
        channels = outputs
    net.then("Pooling", "0=1 4=1")
    net.conv(1024, 1000, 1, relu=False)


def _mobilenet_v2(net: _Net) -> None:
    net.conv(3, 32, 3, 2)
    channels = 32
    for expand, outputs, count, stride in [
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ]:  # fmt: skip
        for number in range(count):
            step = stride if number == 0 else 1
            skipped = net.split() if channels == outputs and step == 1 else None
            if skipped:
                net.last = skipped[0]
            inner = channels * expand
            net.conv(channels, inner, 1, chained=True)
            net.depthwise(inner, 3, step)
            net.conv(inner, outputs, 1, relu=False)
            if skipped:
                net.add(skipped[1], net.last)
            channels = outputs
    net.conv(320, 1280, 1)
    net.then("Pooling", "0=1 4=1")
    net.dense(1280, 1000)


def _excite(net: _Net, channels: int, inner: int) -> None:
    one, other = net.split()
    net.last = other
    net.then("Pooling", "0=1 4=1")
    net.then("Reshape", f"0={channels}")
    net.dense(channels, inner, relu=True)
    net.dense(inner, channels)
    net.then("HardSigmoid")
    scale = net.then("Reshape", f"0=1 1=1 2={channels}")
    net.layer("BinaryOp", [one, scale], "0=2")


def _mobilenet_v3(net: _Net) -> None:
    net.conv(3, 16, 3, 2, relu=False)
    one, other = net.split()
    net.last = other
    gate = net.then("HardSigmoid")
    net.layer("BinaryOp", [one, gate], "0=2")
    channels = 16
    for kernel, inner, outputs, excited, hard, stride in [
        (3, 16, 16, False, False, 1), (3, 64, 24, False, False, 2), (3, 72, 24, False, False, 1),
        (5, 72, 40, True, False, 2), (5, 120, 40, True, False, 1), (5, 120, 40, True, False, 1),
        (3, 240, 80, False, True, 2), (3, 200, 80, False, True, 1), (3, 184, 80, False, True, 1),
        (3, 184, 80, False, True, 1), (3, 480, 112, True, True, 1), (3, 672, 112, True, True, 1),
        (5, 672, 160, True, True, 1), (5, 672, 160, True, True, 2), (5, 960, 160, True, True, 1),
    ]:  # fmt: skip
        skipped = net.split() if channels == outputs and stride == 1 else None
        if skipped:
            net.last = skipped[1]
        if inner != channels:
            net.conv(channels, inner, 1, relu=not hard)
            if hard:
                net.then("HardSwish")
        net.depthwise(inner, kernel, stride, relu=not hard and not excited)
        if excited:
            _excite(net, inner, inner // 4)
            net.then("HardSwish" if hard else "ReLU")
        elif hard:
            net.then("HardSwish")
        net.conv(inner, outputs, 1, relu=False)
        if skipped:
            net.add(skipped[0], net.last)
        channels = outputs
    net.conv(160, 960, 1, relu=False)
    net.then("HardSwish")
    net.then("Pooling", "0=1 4=1")
    net.then("HardSwish")
    net.then("Reshape", "0=-1")
    net.dense(960, 1280)
    net.then("HardSwish")
    net.dense(1280, 1000)


def _resnet(net: _Net, blocks: list[int], deep: bool) -> None:
    net.conv(3, 64, 7, 2)
    net.then("Pooling", "1=3 2=2")
    channels = 64
    for stage, count in enumerate(blocks):
        width = 64 << stage
        outputs = 4 * width if deep else width
        for number in range(count):
            stride = 2 if number == 0 and stage > 0 else 1
            one, other = net.split()
            skip = other
            if number == 0:
                net.last = other
                skip = net.conv(channels, outputs, 1, stride, relu=False)
            net.last = one
            if deep:
                net.conv(channels, width, 1, stride, chained=True)
                net.conv(width, width, 3, chained=True)
                net.conv(width, outputs, 1, relu=False)
            else:
                net.conv(channels, width, 3, stride, chained=True)
                net.conv(width, width, 3, relu=False)
            net.add(skip, net.last)
            net.then("ReLU")
            channels = outputs
    net.then("Pooling", "0=1 4=1")
    net.dense(channels, 1000)


_BUILD: dict[str, tuple[Callable[[_Net], None], int]] = {
    "mobilenet": (_mobilenet, 224),
    "mobilenet_v2": (_mobilenet_v2, 224),
    "mobilenet_v3": (_mobilenet_v3, 224),
    "squeezenet": (_squeezenet, 227),
    "resnet18": (lambda net: _resnet(net, [2, 2, 2, 2], False), 224),
    "resnet50": (lambda net: _resnet(net, [3, 4, 6, 3], True), 224),
}
NETWORKS = (
    "mobilenet", "mobilenet_int8", "mobilenet_v2", "mobilenet_v3", "squeezenet", "squeezenet_int8", "resnet18",
    "resnet18_int8", "resnet50", "resnet50_int8",
)  # fmt: skip
"""In the order of ncnn's table."""


def param(name: str) -> str:
    """The .param text of one of NETWORKS."""
    build, size = _BUILD[name.removesuffix("_int8")]
    net = _Net(name.endswith("_int8"), size)
    build(net)
    return net.text()
