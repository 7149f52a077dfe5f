"""Imports PyTorch networks and compares the interpreter with PyTorch.

    python bench/torch_models.py [--small] [--frames 2] [--seed 0] [--only NAME] [--weights FOLDER]
                                 [--cores host,cortex-a76]

The networks are those of `tests/frontend/torch_nets.py` at their published sizes, with random weights; a folder with
`pnet.pt`, `rnet.pt`, `onet.pt` (MTCNN) and `resnet20-12fca82f.th` adds those with trained weights. With torchao
installed, ResNet8 is also quantised by it and compared code by code. One line a network: ops, parameters, time of
export and import, the largest difference relative to the largest output, once by way of a saved .pt2 file that was
not decomposed, and of the C code for each of the cores (those of 64-bit Arm under QEMU). Exit status 1 when one is
refused or differs by more than 1e-5, 1e-4 from C code.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import edgec
from edgec.diagnostics import EdgecError
from edgec.frontend.torch import load
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_program
from edgec.interp import run
from edgec.ops import Quantize
from edgec.options import Options

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/frontend"))
from torch_nets import Example, ResNet, nets, settled

Execute = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""Outputs by name of frames by name."""


class Cascade(nn.Module):
    """P-Net, R-Net and O-Net of MTCNN (arXiv 1604.02878): convolutions with PReLU, then two or three heads."""

    def __init__(self, convs: list[tuple[int, int, int, int]], dense: int, flat: int, heads: list[int]) -> None:
        super().__init__()
        self.pools: list[int] = []
        for k, (i, o, kernel, pool) in enumerate(convs, start=1):
            setattr(self, f"conv{k}", nn.Conv2d(i, o, kernel))
            setattr(self, f"prelu{k}", nn.PReLU(o))
            self.pools.append(pool)
        self.depth, self.dense, self.heads = len(convs), dense, len(heads)
        stage = len(convs) + 1
        self.names = []
        if dense:
            setattr(self, f"dense{stage}", nn.Linear(flat, dense))
            setattr(self, f"prelu{stage}", nn.PReLU(dense))
        for k, n in enumerate(heads, start=1):
            name = f"dense{stage + 1}_{k}" if dense else f"conv{stage}_{k}"
            setattr(self, name, nn.Linear(dense, n) if dense else nn.Conv2d(convs[-1][1], n, 1))
            self.names.append(name)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        for k, pool in enumerate(self.pools, start=1):
            x = getattr(self, f"prelu{k}")(getattr(self, f"conv{k}")(x))
            x = F.max_pool2d(x, pool, 2, ceil_mode=True) if pool else x
        if self.dense:
            x = x.permute(0, 3, 2, 1).contiguous().view(x.shape[0], -1)
            x = getattr(self, f"prelu{self.depth + 1}")(getattr(self, f"dense{self.depth + 1}")(x))
        first, *rest = (getattr(self, n)(x) for n in self.names)
        return F.softmax(first, dim=1), *rest


def trained(folder: Path) -> dict[str, Callable[[], Example]]:
    """The networks whose weights lie in `folder`."""

    def cascade(file: str, module: Cascade, size: int) -> Example:
        module.load_state_dict(torch.load(folder / file, map_location="cpu", weights_only=True))
        return module, (torch.rand(1, 3, size, size) * 2 - 1,)

    def resnet20() -> Example:
        module = ResNet(16, (3, 3, 3), padded=True)
        state = torch.load(folder / "resnet20-12fca82f.th", map_location="cpu", weights_only=True)["state_dict"]
        module.load_state_dict({k.removeprefix("module."): v for k, v in state.items()}, strict=False)
        return module, (torch.randn(1, 3, 32, 32),)

    p = [(3, 10, 3, 2), (10, 16, 3, 0), (16, 32, 3, 0)]
    r = [(3, 28, 3, 3), (28, 48, 3, 3), (48, 64, 2, 0)]
    o = [(3, 32, 3, 3), (32, 64, 3, 3), (64, 64, 3, 2), (64, 128, 2, 0)]
    found: dict[str, Callable[[], Example]] = {
        "pnet.pt": lambda: cascade("pnet.pt", Cascade(p, 0, 0, [2, 4]), 24),
        "rnet.pt": lambda: cascade("rnet.pt", Cascade(r, 128, 576, [2, 4]), 24),
        "onet.pt": lambda: cascade("onet.pt", Cascade(o, 256, 1152, [2, 4, 10]), 48),
        "resnet20-12fca82f.th": resnet20,
    }
    return {n: f for n, f in found.items() if (folder / n).is_file()}


def compiled(graph: Graph, core: str) -> Execute:
    """Runs the C code that is made of `graph` for a core."""
    folder = tempfile.TemporaryDirectory(prefix="edgec-torch-")
    artefact = edgec.build(graph, core, Path(folder.name) / "out", Options(golden=1))

    def execute(frames: Mapping[str, np.ndarray], folder: object = folder) -> Mapping[str, np.ndarray]:
        return run_program(artefact, dict(frames), core=core, layers=False).outputs

    return execute


def difference(
    graph: Graph, module: nn.Module, example: tuple[Tensor, ...], frames: int, seed: int, execute: Execute
) -> float:
    """The largest difference of any output, relative to the largest number of that output."""
    generator = torch.Generator().manual_seed(seed)
    worst = 0.0
    for _ in range(frames):
        inputs = [torch.randn(x.shape, generator=generator) for x in example]
        with torch.no_grad():
            wanted = module(*inputs)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        got = execute({i.name: x.numpy()[None] for i, x in zip(graph.inputs, inputs, strict=True)})
        for ours, theirs in zip(got.values(), wanted, strict=True):
            scale = max(float(theirs.abs().max()), 1e-30)
            worst = max(worst, float(np.abs(ours[0].astype(np.float64) - theirs.double().numpy()).max()) / scale)
    return worst


def measure(name: str, build: Callable[[], Example], frames: int, seed: int, cores: Sequence[str]) -> bool:
    torch.manual_seed(seed)
    module, example = build()
    settled(module, seed) if not name.endswith((".pt", ".th")) else module.eval()
    start = time.process_time()
    try:
        graph = edgec.from_torch(module, example)
        seconds = time.process_time() - start
        buffer = io.BytesIO()
        torch.export.save(torch.export.export(module, example), buffer)
        start = time.process_time()
        stored = load(buffer.getvalue())
        reading = time.process_time() - start
        worst = difference(graph, module, example, frames, seed, lambda given: run(graph, given))
        again = difference(stored, module, example, 1, seed, lambda given: run(stored, given))
        by_core = {c: difference(graph, module, example, 1, seed, compiled(graph, c)) for c in cores}
    except EdgecError as error:
        print(f"{name:22} REFUSED\n{error}")
        return False
    ok = max(worst, again) <= 1e-5 and max(by_core.values(), default=0) <= 1e-4
    print(
        f"{name:22} {len(graph.ops):5} ops {graph.parameters:9} parameters {seconds:6.2f} s, .pt2 {reading:5.2f} s"
        f"  difference {worst:.1e}, .pt2 {again:.1e}"
        + "".join(f", {core} {error:.1e}" for core, error in by_core.items())
        + ("" if ok else "  WRONG"),
        flush=True,
    )
    return ok


def quantised(seed: int) -> bool:
    """ResNet8 quantised by torchao: codes of every quantiser compared with PyTorch's."""
    try:
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
            X86InductorQuantizer,
            get_default_x86_inductor_quantization_config,
        )
    except ImportError:
        print("quantised ResNet8       left out: torchao is not installed")
        return True
    torch.manual_seed(seed)
    module, example = settled(ResNet(16, (1, 1, 1)), seed), (torch.randn(1, 3, 32, 32),)
    quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(torch.export.export(module, example).module(), quantizer)
    for _ in range(8):
        prepared(torch.randn(1, 3, 32, 32))
    program = torch.export.export(convert_pt2e(prepared), example)
    graph = edgec.from_torch(program)
    codes = [op for op in graph.ops if isinstance(op, Quantize)]
    seen: dict[str, np.ndarray] = {}
    total = equal = 0
    for _ in range(4):
        x = torch.randn(1, 3, 32, 32)
        theirs: list[np.ndarray] = []

        class Record(torch.fx.Interpreter):
            def run_node(self, n: torch.fx.Node):
                result = super().run_node(n)
                if n.op == "call_function" and "quantized_decomposed.quantize_per" in str(n.target):
                    theirs.append(result.numpy())  # noqa: B023  (read before the next turn)
                return result

        with torch.no_grad():
            Record(program.module(check_guards=False)).run(x)
        seen.clear()
        run(graph, {graph.inputs[0].name: x.numpy()[None]}, observe=lambda op, a: seen.update({str(id(op)): a}))
        for op, wanted in zip(codes, theirs, strict=True):
            total += wanted.size
            equal += int((seen[str(id(op))][0] == wanted).sum())
    print(f"quantised ResNet8      {len(graph.ops):5} ops, {len(codes)} quantisers, {equal} of {total} codes equal")
    return equal >= 0.999 * total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="the sizes of the tests")
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--cores", default="", help="compile to C for these targets, too")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    every = nets(full=not arguments.small) | (trained(arguments.weights) if arguments.weights else {})
    chosen = {n: b for n, b in every.items() if arguments.only in n}
    cores = [c for c in arguments.cores.split(",") if c]
    ok = [measure(n, b, arguments.frames, arguments.seed, cores) for n, b in chosen.items()]
    if arguments.only in "quantised ResNet8":
        ok.append(quantised(arguments.seed))
    print(f"{sum(ok)} of {len(ok)}")
    return 0 if ok and all(ok) else 1


if __name__ == "__main__":
    sys.exit(main())
