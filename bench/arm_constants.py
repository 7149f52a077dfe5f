"""Fits the `cycles.*` constants of an Arm core to traces of edgec's own code, and judges them on other networks.

    python bench/arm_constants.py CORE [--judge MODEL.onnx ...] [--work FILE] [--record]

The layers of bench/arm/kernels.py are compiled for CORE, run under QEMU and priced by the core's pipeline model
(edgec/hw/arm/trace.py); one constant for each kind of work (WORK in edgec/target_constants.py) is fitted to their
cycles. Printed are the lines of the target file, and how far the constants are off on every kernel of the networks
given with --judge, which take no part in the fit. FILE keeps the traces, each as long as nothing that it follows from
changes; --record writes those of the other networks to tests/hw/data/arm_kernels.json, where a test holds the target
file to them. Needs QEMU, LLVM 19 and a compiler for CORE.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "arm"))

import kernels
from numpy.typing import NDArray
from traces import Traces

from edgec import api
from edgec.backends.c import plan
from edgec.options import Options
from edgec.target import load_target
from edgec.target_constants import WORK

MARKS = 50.0
"""Cycles that are added to every kernel before errors are compared: of these few, calls and marks are a large part."""
POWER = 4
"""Errors count with this power: the largest decide."""
LEAST_CYCLES = 100
"""Vector code of fewer has no loop, or one that compilers unroll: it says nothing of the others."""
LEAST_BAR = 0.1
VECTOR = ("dot", "matrix", "neon", "float", "taps", "dsp", "mve")
"""How the kinds of vector code begin."""
PRODUCTS = ("mac_", "row_", "recurrent_")
"""How those of products in plain C begin."""
RECORD = Path(__file__).parents[1] / "tests/hw/data/arm_kernels.json"
Row = tuple[str, str, float, dict[str, float]]


def fitted(rows: list[Row]) -> dict[str, float]:
    """One price for each kind, none negative: those of elementwise steps and the like first, then those that portable
    products have besides, which compilers make vector code of or not, then those that only vector code has: of kernels
    of which these are the larger part."""
    vectors = [row for row in rows if any(kind.startswith(VECTOR) for kind in row[3])]
    products = [row for row in rows if row not in vectors and any(kind.startswith(PRODUCTS) for kind in row[3])]
    prices = _fitted([row for row in rows if row not in vectors and row not in products], {})
    prices |= _fitted(products, prices)
    telling = [row for row in vectors if row[2] >= LEAST_CYCLES and _known(row, prices) <= row[2] / 2]
    kinds = {kind for row in telling for kind in row[3]}
    return prices | _fitted(telling + [row for row in vectors if not kinds.issuperset(row[3])], prices)


def _known(row: Row, prices: dict[str, float]) -> float:
    """The cycles of a kernel that have a price."""
    return sum(prices.get(kind, 0.0) * count for kind, count in row[3].items())


def _fitted(rows: list[Row], known: dict[str, float]) -> dict[str, float]:
    """The prices of the kinds that are not known that keep the largest relative error of `rows` small."""
    kinds = sorted({kind for row in rows for kind in row[3]} - set(known))
    if not kinds:
        return {}
    counts = np.array([[row[3].get(kind, 0.0) for kind in kinds] for row in rows])
    cycles = np.array([row[2] for row in rows])
    rest = cycles - np.array([_known(row, known) for row in rows])
    a, b = counts / (cycles + MARKS)[:, None], rest / (cycles + MARKS)
    prices = _non_negative(a, b)
    for _ in range(80):  # iteratively reweighted, with the step that makes it converge for powers above 3
        error = np.abs(a @ prices - b)
        weight = np.maximum(error / error.max(), 1e-3) ** ((POWER - 2) / 2)
        prices += (_non_negative(a * weight[:, None], b * weight) - prices) / (POWER - 1)
    return dict(zip(kinds, prices.tolist(), strict=True))


def _non_negative(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Least squares of a x = b with x >= 0 (Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23)."""
    norm = np.maximum(np.sqrt((a * a).sum(axis=0)), 1e-30)
    a = a / norm
    x, free = np.zeros(a.shape[1]), np.zeros(a.shape[1], bool)
    for _ in range(10 * len(x)):
        slope = np.where(free, -np.inf, a.T @ (b - a @ x))
        if slope.max() <= 1e-9:
            break
        free[slope.argmax()] = True
        while True:
            best = np.zeros_like(x)
            best[free] = np.linalg.lstsq(a[:, free], b, rcond=None)[0]
            if (best[free] > 0).all():
                break
            over = free & (best <= 0)
            x += min(x[over] / (x[over] - best[over])) * (best - x)
            free &= x > 1e-12
            x[~free] = 0.0
        x = best
    return x / norm


def bars(rows: list[Row], prices: dict[str, float]) -> dict[str, float]:
    """Relative error of every kind: the mean error of the kernels, each by the share of its cycles that the kind has,
    doubled."""
    above: dict[str, float] = {}
    below: dict[str, float] = {}
    for _, _, cycles, work in rows:
        estimate = sum(prices[k] * n for k, n in work.items())
        for kind, count in work.items():
            share = prices[kind] * count / max(estimate, 1e-9)
            above[kind] = above.get(kind, 0.0) + share**2 * abs(estimate - cycles) / (cycles + MARKS)
            below[kind] = below.get(kind, 0.0) + share**2
    return {k: min(max(2 * above[k] / below[k], LEAST_BAR), 0.9) if below[k] else 0.5 for k in above}


def judged(rows: list[Row], prices: dict[str, float]) -> None:
    """Print the errors on kernels that were not fitted to."""
    errors = []
    for name, kernel, cycles, work in rows:
        error = sum(prices.get(k, 0.0) * n for k, n in work.items()) / cycles - 1
        errors.append(error)
        print(f"  {name:24}{kernel:20}{cycles:12.0f}{100 * error:+8.1f} %")
    size = np.abs(errors)
    print(f"  {len(errors)} kernels: mean {100 * size.mean():.1f} %, largest {100 * size.max():.1f} %,", end=" ")
    print(f"{(size > 0.2).sum()} beyond 20 %")
    for name in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == name]
        total = sum(row[2] for row in mine)
        estimate = sum(prices.get(k, 0.0) * n for row in mine for k, n in row[3].items())
        print(f"  {name:24}{total:12.0f} cycles{100 * (estimate / total - 1):+8.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("core")
    parser.add_argument("--judge", nargs="*", default=[])
    parser.add_argument("--work", type=Path)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    traces = Traces(given.work)
    target = load_target(given.core)
    graphs = {name: plan(kernels.graph(name), target, {"name": "net"}) for name in kernels.GRAPHS}
    others = {Path(m).stem: api.plan(api.compile_model(m, given.core, Options(batch=1))) for m in given.judge}
    rows: dict[str, list[Row]] = {
        name: [
            (name, k.name, c, dict(k.work)) for k, c in zip(made.kernels, traces.cycles(made, given.core), strict=True)
        ]
        for name, made in {**graphs, **others}.items()
    }
    mine = [row for name in graphs for row in rows[name]]
    prices = fitted(mine)
    margin = bars(mine, prices)
    print("[constants.cycles]")
    for kind in WORK:
        if kind in prices:
            low, high = prices[kind] * (1 - margin[kind]), prices[kind] * (1 + margin[kind])
            print(f"{kind} = {{ low = {low:.4g}, nominal = {prices[kind]:.4g}, high = {high:.4g} }}")
    print("\non the layers of the fit")
    judged(mine, prices)
    if others:
        print("\non other networks")
        judged([row for name in others for row in rows[name]], prices)
    if given.record:
        record = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
        record[given.core] = [
            {"network": n, "kernel": k, "cycles": round(c), "work": w} for name in others for n, k, c, w in rows[name]
        ]
        lines = [
            f"{json.dumps(core)}: [\n" + ",\n".join(map(json.dumps, record[core])) + "\n]" for core in sorted(record)
        ]
        RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
