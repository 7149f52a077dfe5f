"""Small networks of the kinds that run on edge devices, for tests and for `bench/torch_models.py`."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn(
    i: int, o: int, k: int = 3, s: int = 1, groups: int = 1, act: type[nn.Module] | None = nn.ReLU
) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(i, o, k, s, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([act()] if act else []))


class Residual(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution where the shape changes (or option A: padding)."""

    def __init__(self, i: int, o: int, s: int = 1, padded: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.extra = o - i if padded and (s != 1 or i != o) else 0
        self.shortcut = nn.Sequential()
        if not padded and (s != 1 or i != o):
            self.shortcut = nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.extra:
            short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra // 2, self.extra // 2), "constant", 0)
        else:
            short = self.shortcut(x)
        return F.relu(y + short)


class ResNet(nn.Module):
    """ResNet of CIFAR: `depths` blocks a stage, the width doubled from stage to stage."""

    def __init__(self, width: int, depths: tuple[int, ...], padded: bool = False, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        channels = width
        for stage, depth in enumerate(depths):
            blocks = []
            for block in range(depth):
                stride = 2 if stage and not block else 1
                blocks.append(Residual(channels, width << stage, stride, padded))
                channels = width << stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.stages = len(depths)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        x = F.avg_pool2d(x, x.size()[3])
        return self.linear(x.view(x.size(0), -1))


class ResNet18(nn.Module):
    """The layout of ImageNet networks: a wide stem, pooling, four stages, adaptive pooling."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        blocks, channels = [], width
        for stage in range(4):
            for block in range(2):
                blocks.append(Residual(channels, width << stage, 2 if stage and not block else 1))
                channels = width << stage
        self.blocks = nn.Sequential(*blocks)
        self.pool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(channels, 100)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


class Inverted(nn.Module):
    def __init__(self, i: int, o: int, s: int, t: int) -> None:
        super().__init__()
        layers = [conv_bn(i, i * t, 1, act=nn.ReLU6)] if t > 1 else []
        layers += [conv_bn(i * t, i * t, 3, s, i * t, nn.ReLU6), conv_bn(i * t, o, 1, act=None)]
        self.conv, self.same = nn.Sequential(*layers), s == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.same else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, table: tuple[tuple[int, int, int, int], ...], last: int = 1280) -> None:
        super().__init__()
        layers, channels = [conv_bn(3, 32, 3, 2, act=nn.ReLU6)], 32
        for t, c, n, s in table:
            for k in range(n):
                layers.append(Inverted(channels, c, s if k == 0 else 1, t))
                channels = c
        layers.append(conv_bn(channels, last, 1, act=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class DSCNN(nn.Module):
    """Keyword spotting: a 10 x 4 kernel with asymmetric padding, depthwise separable blocks."""

    def __init__(self, width: int = 64, blocks: int = 4) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((1, 2, 4, 5))
        self.conv = nn.Sequential(nn.Conv2d(1, width, (10, 4), (2, 2), bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.Sequential(
            *(nn.Sequential(conv_bn(width, width, 3, 1, width), conv_bn(width, width, 1)) for _ in range(blocks))
        )
        self.fc = nn.Linear(width, 12)

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(self.fc(self.blocks(self.conv(self.pad(x))).mean((2, 3))), dim=-1)


class SqueezeExcite(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(c, c // 4, 1), nn.Conv2d(c // 4, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.reduce(F.adaptive_avg_pool2d(x, 1)), inplace=True)
        return x * F.hardsigmoid(self.expand(y))


class Ghost(nn.Module):
    """Half of the channels from a cheap depthwise convolution; DFC attention on half the resolution."""

    def __init__(self, i: int, o: int, attention: bool) -> None:
        super().__init__()
        self.primary = conv_bn(i, o // 2, 1, act=nn.Hardswish)
        self.cheap = conv_bn(o // 2, o // 2, 3, groups=o // 2, act=nn.Hardswish)
        self.dfc = None
        if attention:
            self.dfc = nn.Sequential(
                conv_bn(i, o, 1, act=None),
                nn.Conv2d(o, o, (1, 5), padding=(0, 2), groups=o, bias=False),
                nn.BatchNorm2d(o),
                nn.Conv2d(o, o, (5, 1), padding=(2, 0), groups=o, bias=False),
                nn.BatchNorm2d(o),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.primary(x)
        y = torch.cat([y, self.cheap(y)], dim=1)
        if self.dfc is None:
            return y
        gate = torch.sigmoid(self.dfc(F.avg_pool2d(x, 2, 2)))
        return y * F.interpolate(gate, size=(y.shape[-2], y.shape[-1]), mode="nearest")


class GhostNet(nn.Module):
    def __init__(self, width: int = 16, blocks: int = 3) -> None:
        super().__init__()
        self.stem = conv_bn(3, width, 3, 2, act=nn.Hardswish)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    Ghost(width, width * 2, k > 0), SqueezeExcite(width * 2), conv_bn(width * 2, width, 1, act=None)
                )
                for k in range(blocks)
            )
        )
        self.fc = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


class DDRNet(nn.Module):
    """Two branches of different resolution that exchange by bilinear upsampling; pooling pyramid at the end."""

    def __init__(self, width: int = 16, classes: int = 5) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(conv_bn(3, w, 3, 2), conv_bn(w, w, 3, 2))
        self.high, self.low = Residual(w, w), Residual(w, 2 * w, 2)
        self.down, self.up = conv_bn(w, 2 * w, 3, 2, act=None), conv_bn(2 * w, w, 1, act=None)
        self.pools = nn.ModuleList([nn.AvgPool2d(5, 2, 2), nn.AdaptiveAvgPool2d((1, 1))])
        self.scale = nn.ModuleList([conv_bn(2 * w, w, 1), conv_bn(2 * w, w, 1)])
        self.process = conv_bn(4 * w, w, 1)
        self.head = nn.Conv2d(w, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        x = self.stem(x)
        high, low = self.high(x), self.low(x)
        low = F.relu(low + self.down(high))
        high = F.relu(high + F.interpolate(self.up(low), size=high.shape[-2:], mode="bilinear", align_corners=False))
        pyramid = [low]
        for pool, scale in zip(self.pools, self.scale, strict=True):
            pyramid.append(F.interpolate(scale(pool(low)), size=low.shape[-2:], mode="bilinear", align_corners=False))
        low = self.process(torch.cat(pyramid, 1))
        y = high + F.interpolate(low, size=high.shape[-2:], mode="bilinear", align_corners=True)
        return F.interpolate(self.head(y), size=size, mode="bilinear", align_corners=False)


class Block(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.heads = nn.LayerNorm(dim), nn.LayerNorm(dim), heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(y.transpose(1, 2).reshape(n, t, c))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, dim: int = 64, depth: int = 4, heads: int = 4, patch: int = 4, size: int = 32) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, dim, patch, patch)
        self.cls = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.pos = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, dim) * 0.02)
        self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.pos
        return self.head(self.norm(self.blocks(x))[:, 0])


class Recurrent(nn.Module):
    """A recurrent layer of `kind` and a classifier of its last output."""

    def __init__(self, kind: str, features: int = 16, hidden: int = 24, layers: int = 2, **more: bool) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(features, hidden, layers, batch_first=True, **more)
        self.fc = nn.Linear(hidden * (2 if more.get("bidirectional") else 1), 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.rnn(x)[0][:, -1])


class TCN(nn.Module):
    """Causal dilated convolutions with PReLU and GroupNorm, pooled at the end."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(channels, channels, 3, dilation=2**k) for k in range(3))
        self.norms = nn.ModuleList(nn.GroupNorm(4, channels) for _ in range(3))
        self.acts = nn.ModuleList(nn.PReLU(channels) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for k, (conv, norm, act) in enumerate(zip(self.convs, self.norms, self.acts, strict=True)):
            x = x + act(norm(conv(F.pad(x, (2 << k, 0)))))
        return torch.amax(F.avg_pool1d(x, 4), dim=2)


class LIF(nn.Module):
    """Spiking: leaky integrate and fire over `steps`, reset by subtraction; the spikes are counted."""

    def __init__(self, inputs: int = 20, hidden: int = 30, steps: int = 4) -> None:
        super().__init__()
        self.fc1, self.fc2, self.steps = nn.Linear(inputs, hidden), nn.Linear(hidden, 8), steps

    def forward(self, x: Tensor) -> Tensor:
        one, two = torch.zeros(x.shape[0], self.fc1.out_features), torch.zeros(x.shape[0], 8)
        count = torch.zeros(x.shape[0], 8)
        for step in range(self.steps):
            one = 0.9 * one + self.fc1(x[:, step])
            spikes = (one > 0.5).float()
            one = one - spikes * 0.5
            two = 0.9 * two + self.fc2(spikes)
            out = (two > 0.3).float()
            two = two - out * 0.3
            count = count + out
        return count


class UNet(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        w = width
        self.d1, self.d2, self.pool = conv_bn(1, w), conv_bn(w, 2 * w), nn.MaxPool2d(2)
        self.up = nn.ConvTranspose2d(2 * w, w, 2, 2)
        self.u1, self.head = conv_bn(2 * w, w), nn.Conv2d(w, 3, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a = self.d1(x)
        b = self.d2(self.pool(a))
        y = self.head(self.u1(torch.cat([self.up(b), a], 1)))
        return y, y.argmax(1)


Example = tuple[nn.Module, tuple[Tensor, ...]]


def nets(full: bool) -> dict[str, Callable[[], Example]]:
    """Name -> module and inputs; the sizes of the published networks if `full`, else small ones."""
    image = torch.Size((1, 3, 32, 32))
    table = MOBILENET_V2 if full else MOBILENET_V2[:3]
    return {
        "ResNet8": lambda: (ResNet(16 if full else 4, (1, 1, 1)), (torch.randn(image),)),
        "ResNet18": lambda: (ResNet18(64 if full else 4), (torch.randn(1, 3, 64 if full else 32, 64 if full else 32),)),
        "MobileNetV2": lambda: (MobileNetV2(table, 1280 if full else 32), (torch.randn(image),)),
        "DS-CNN": lambda: (DSCNN(64 if full else 8, 4 if full else 2), (torch.randn(1, 1, 49, 10),)),
        "GhostNetV2": lambda: (GhostNet(16 if full else 8, 3 if full else 2), (torch.randn(image),)),
        "DDRNet": lambda: (DDRNet(32 if full else 4), (torch.randn(image),)),
        "ViT": lambda: (ViT(64, 4) if full else ViT(16, 2, 2, 8), (torch.randn(image),)),
        "GRU": lambda: (Recurrent("GRU"), (torch.randn(2, 25 if full else 6, 16),)),
        "LSTM": lambda: (Recurrent("LSTM"), (torch.randn(2, 25 if full else 6, 16),)),
        "BiLSTM": lambda: (Recurrent("LSTM", bidirectional=True), (torch.randn(2, 25 if full else 6, 16),)),
        "TCN": lambda: (TCN(), (torch.randn(1, 16, 64),)),
        "spiking LIF": lambda: (LIF(), (torch.randn(2, 4, 20),)),
        "U-Net": lambda: (UNet(16 if full else 4), (torch.randn(1, 1, 32, 32),)),
    }


def settled(module: nn.Module, seed: int = 0) -> nn.Module:
    """In evaluation mode, with statistics and slopes as training would leave them: none of them 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    for each in module.modules():
        if isinstance(each, nn.modules.batchnorm._BatchNorm):
            each.running_mean.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr]
            each.running_var.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr]
        if isinstance(each, nn.modules.batchnorm._BatchNorm | nn.GroupNorm | nn.LayerNorm):
            with torch.no_grad():
                each.weight.uniform_(0.5, 1.5, generator=generator)
                each.bias.normal_(0, 0.1, generator=generator)
    return module.eval()
