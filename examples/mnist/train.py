"""Trains the two small MNIST classifiers of this folder and writes them as float ONNX files.

    python train.py mnist_train.npz [--epochs 12]

Needs PyTorch (CPU is enough, a minute each). The file holds `x` uint8 [N, 28, 28] and `y` [N]. Both networks take the
raw image as [1, 1, 28, 28] in 0..1 and average it to 14x14 first, which keeps every weight in reach of a small chip:

    mlp   196 -> 32 -> 32 -> 10, batch norm and ReLU between
    cnn   3x3x8 stride 2, 3x3x16 stride 2, batch norm and ReLU, dense 64 -> 10
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SEED = 1
BATCH = 128


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(196, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Linear(32, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Linear(32, 10),
    )  # fmt: skip


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(1, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def train(net: nn.Sequential, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    """Adam with a cosine schedule, images moved by up to one pixel."""
    steps = epochs * (len(x) // BATCH)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    net.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            index = order[start : start + BATCH]
            dy, dx = (int(v) for v in torch.randint(-1, 2, (2,)))
            loss = nn.functional.cross_entropy(net(torch.roll(x[index], (dy, dx), (2, 3))), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()


def to_onnx(net: nn.Sequential, name: str) -> onnx.ModelProto:
    """The network as plain ONNX operators, one a module."""
    nodes, tensors, value = [], [], "image"
    for i, module in enumerate(net):
        made = f"t{i}" if i + 1 < len(net) else "scores"
        parameters: list[str] = []

        def give(array: torch.Tensor, role: str, to: list[str] = parameters, at: int = i) -> None:
            tensors.append(numpy_helper.from_array(array.detach().numpy().astype(np.float32), f"{role}{at}"))
            to.append(f"{role}{at}")

        attributes: dict[str, object] = {}
        match module:
            case nn.AvgPool2d():
                kind, attributes = "AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}
            case nn.Flatten():
                kind = "Flatten"
            case nn.ReLU():
                kind = "Relu"
            case nn.Linear():
                kind, attributes = "Gemm", {"transB": 1}
                give(module.weight, "weight")
                if module.bias is not None:
                    give(module.bias, "bias")
            case nn.Conv2d():
                kind, attributes = "Conv", {"strides": list(module.stride)}
                give(module.weight, "weight")
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                kind, attributes = "BatchNormalization", {"epsilon": module.eps}
                for array, role in (
                    (module.weight, "gamma"),
                    (module.bias, "beta"),
                    (module.running_mean, "mean"),
                    (module.running_var, "var"),
                ):
                    assert array is not None
                    give(array, role)
            case _:
                raise TypeError(module)
        nodes.append(helper.make_node(kind, [value, *parameters], [made], name=f"{kind.lower()}{i}", **attributes))
        value = made
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 28, 28])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 10])
    graph = helper.make_graph(nodes, name, [image], [scores], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    with np.load(arguments.data) as data:
        x = torch.from_numpy(data["x"].astype(np.float32) / 255)[:, None]
        y = torch.from_numpy(data["y"].astype(np.int64))
    torch.set_num_threads(1)
    for make in (mlp, cnn):
        torch.manual_seed(SEED)
        net = make()
        train(net, x, y, arguments.epochs)
        with torch.no_grad():
            right = (net(x).argmax(1) == y).float().mean().item()
        name = f"mnist_{make.__name__}"
        onnx.save(to_onnx(net, name), Path(__file__).with_name(f"{name}.onnx"))
        print(f"{name}: {100 * right:.2f} % of the training images")


if __name__ == "__main__":
    main()
