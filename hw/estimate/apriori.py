"""Estimates from the graph alone, before anything is emitted: for `inspect`, and to refuse what is far too large.

The graph becomes a plan without files whose kernels carry counted cells (`apriori_mac` for the trees, simple formulas
for the rest), and the ordinary estimator prices it with wider bars. Everything is `analytic`.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from edgec.backend import BuildPlan, Kernel
from edgec.graph import Graph
from edgec.hardening import COPIES, NONE, Hardening, extra_gate_equivalents, parse_hardening, register_cells
from edgec.hw.estimate.apriori_mac import csd_digits, mac_cost
from edgec.hw.estimate.figure import Figure, product
from edgec.hw.estimate.model import Estimate, estimate
from edgec.ops import (
    Add,
    ArgMax,
    AvgPool,
    Cast,
    Clip,
    Constant,
    Conv,
    DecodeFloat,
    Dense,
    EncodeFloat,
    Input,
    Lut,
    MatMul,
    MaxPool,
    Mul,
    MultiThreshold,
    NormalizePow2,
    Op,
    Reduce,
    Relu,
    Requantize,
    Sub,
)
from edgec.target import Quantity, Target

MODEL_ERROR = Quantity(0.85, 1.0, 1.3, "spread of the formulas around emitted trees, see docs/estimates.md")
REGISTERED = (Conv, Dense, MatMul, MaxPool, AvgPool, Reduce, Add, Sub, Mul, ArgMax, NormalizePow2)
"""Ops that end in a register; the others share the stage of what feeds them."""


def apriori(
    graph: Graph,
    target: Target,
    *,
    weights: str = "fixed",
    clock_mhz: float | None = None,
    harden: str | None = None,
) -> Estimate:
    """Estimate an integer `graph` on `target` without emitting it. `weights`: `fixed` (constants) or `loaded`;
    `harden` as on the command line (a budget counts as a share of the bits, whichever they are).

    Float ops and moves count nothing; a note names float ops. Cost: one look at every weight.
    """
    plan = apriori_plan(graph, weights=weights, hardening=parse_hardening(harden), target=target, booth=True)
    bar = MODEL_ERROR
    if weights == "fixed" and "fixed.sharing" in target.constants:
        sharing = target.constant("fixed.sharing")
        wide = product(bar, Quantity(min(sharing.low, 1.0), 1.0, max(sharing.high, 1.0), ""))
        bar = Quantity(wide.low, 1.0, wide.high, "")
    result = estimate(plan, target, clock_mhz=clock_mhz, area_basis="analytic", area_error=bar)
    floats = [op.label for op in graph.ops if _is_float(op)]
    notes = ["counted from the graph, nothing was emitted", *result.notes]
    if floats:
        notes.append(f"{len(floats)} float operations are not counted, the first is {floats[0]}")
    return replace(result, notes=tuple(notes))


def apriori_area(graph: Graph, target: Target, *, loaded: bool, harden: str | None = None) -> Figure:
    """Area of `graph` in kGE, for a decision before anything is emitted."""
    totals = apriori(graph, target, weights="loaded" if loaded else "fixed", harden=harden).totals
    return totals.get("area_kge") or Figure(0.0, 0.0, 0.0, "kGE", "analytic", "no operation costs cells")


def apriori_plan(
    graph: Graph,
    *,
    weights: str = "fixed",
    hardening: Hardening | None = None,
    target: Target | None = None,
    booth: bool = False,
) -> BuildPlan:
    """A plan without files: one kernel for every op that computes, a register behind every op in `REGISTERED`.

    `target` has the sizes of cells for a `hardening` with a budget of area. `booth`: products with loaded weights are
    recoded where the backend recodes them, else they are arrays of AND gates.
    """
    hardening = hardening or Hardening()
    stage: dict[Op, int] = {}
    kernels = []
    for op in graph.ops:
        before = max((stage[o] for o in op.operands), default=0)
        registered = isinstance(op, REGISTERED) and not _is_float(op)
        stage[op] = before + registered
        if isinstance(op, Input | Constant) or _is_float(op) or not hasattr(op.type, "shape"):
            continue
        kernel = _kernel(
            op, max(stage[op], 1), registered, hardening, fixed=weights == "fixed", booth=booth, index=len(kernels)
        )
        if kernel is not None:
            kernels.append(kernel)
    if kernels and not any(k.cycles for k in kernels):
        kernels[-1] = _with_register(kernels[-1], hardening)
    if hardening.budget is not None and target is not None:
        kernels = _within_budget(kernels, hardening, target)
    depth = len({k.stage for k in kernels if k.cycles})
    interface = {"latency": depth, "initiation_interval": 1}
    return BuildPlan("rtl", {}, tuple(kernels), interface)


def _within_budget(kernels: list[Kernel], hardening: Hardening, target: Target) -> list[Kernel]:
    """The kernels with as many protected weight bits as the budget allows, spread evenly."""
    assert hardening.budget is not None
    sizes = {kind: target.constant(f"ge.{kind}").nominal for kind in ("dff", "dff_enable", "voter")}
    total = sum(k.weight_bits for k in kernels)
    allowed = hardening.budget.bits(total, extra_gate_equivalents(hardening.weight, sizes))
    changed = []
    for kernel in kernels:
        bits = kernel.weight_bits
        plain = bits - (bits * allowed // total if total else 0)
        cells = Counter(kernel.cells)
        cells.subtract(register_cells(hardening.weight, "dff_enable", plain))
        cells.update(register_cells(NONE, "dff_enable", plain))
        state = Counter(kernel.state)
        state["weight"] -= (COPIES[hardening.weight] - 1) * plain
        changed.append(replace(kernel, cells=dict(+cells), state=dict(+state)))
    return changed


def _kernel(
    op: Op, stage: int, registered: bool, hardening: Hardening, *, fixed: bool, booth: bool, index: int
) -> Kernel | None:
    cells: Counter[str]
    path: Counter[str]
    macs = nominal = stored = 0
    if isinstance(op, Conv | Dense | MatMul):
        cost = mac_cost(op, fixed=fixed, booth=booth)
        cells, path, macs, nominal = cost.cells, cost.path, cost.macs, cost.macs_nominal
        stored = 0 if fixed else cost.weight_bits
        if op.format.frac is not None and getattr(op, "out", None) is not None:
            cells, path = cells + _saturate(op.tensor.size, op.format.bits), path + Counter(and2=2, or2=4)
    else:
        cells, path = _light(op)
    if not cells and not registered:
        return None
    data = op.tensor.bits if registered else 0
    counted = cells + Counter(register_cells(hardening.data, "dff_enable", data))
    counted += Counter(register_cells(hardening.weight, "dff_enable", stored))
    state = {"data": COPIES[hardening.data] * data, "weight": COPIES[hardening.weight] * stored}
    if (hardening.data != NONE and stage > 1) or (stored and hardening.weight != NONE):
        path = path + Counter(voter=1)
    return Kernel(
        name=f"{op.mnemonic}{index}",
        layers=op.loc,
        op=op.mnemonic,
        stage=stage,
        cycles=int(registered),
        macs=macs,
        macs_nominal=nominal,
        cells=dict(counted),
        state={k: v for k, v in state.items() if v},
        path=dict(path),
        weight_bits=stored,
        output_bits=op.tensor.bits,
        constant=fixed and isinstance(op, Conv | Dense | MatMul) and getattr(op, "product", None) is None,
    )


def _with_register(kernel: Kernel, hardening: Hardening) -> Kernel:
    bits = kernel.output_bits
    cells = Counter(kernel.cells) + Counter(register_cells(hardening.data, "dff_enable", bits))
    state = dict(Counter(kernel.state) + Counter(data=COPIES[hardening.data] * bits))
    return replace(kernel, cycles=1, cells=dict(cells), state=state)


def _light(op: Op) -> tuple[Counter[str], Counter[str]]:
    """Cells and path of an op without weights; element moves cost nothing."""
    size, bits = op.tensor.size, 0 if op.format.is_float else op.format.bits
    match op:
        case Relu() | Clip():
            return Counter(and2=size * bits), Counter(and2=1)
        case Add() | Sub():
            return Counter(full_adder=size * bits), Counter(full_adder=bits)
        case Mul():
            a, b = op.x.format.bits, op.y.format.bits
            return Counter(and2=size * a * b, full_adder=size * max(a * b - bits, 0)), Counter(full_adder=a + b)
        case MaxPool():
            n = math.prod(op.kernel) - 1
            compare = Counter(full_adder=size * n * bits, mux2=size * n * bits)
            return compare, Counter(full_adder=bits * math.ceil(math.log2(n + 1)), mux2=math.ceil(math.log2(n + 1)))
        case AvgPool() | Reduce():
            terms = max(op.x.tensor.size // max(size, 1), 1)
            width = op.x.format.bits
            return Counter(full_adder=size * terms * width), Counter(full_adder=width + math.ceil(math.log2(terms + 1)))
        case ArgMax():
            n, width = op.x.tensor.size, op.x.format.bits
            return Counter(full_adder=n * width, mux2=n * (width + bits)), Counter(full_adder=width, mux2=4)
        case Requantize():
            return _requantize(op)
        case Cast():
            return _saturate(size, bits), Counter(and2=1, or2=3)
        case MultiThreshold():
            comparisons = op.thresholds.shape[1] * size
            width = op.x.format.bits
            adders = comparisons * (width + 1) - size * bits
            return Counter(full_adder=max(adders, 0)), Counter(full_adder=width + bits)
        case Lut():
            entries = 1 << op.x.format.bits
            # Random tables cost about a third of a multiplexer tree after logic minimisation.
            return Counter(mux2=size * bits * max(entries // 3, 1)), Counter(mux2=op.x.format.bits)
        case NormalizePow2():
            n, width = op.x.tensor.size, op.x.format.bits
            shift = max(1, math.ceil(math.log2(width + 1)))
            return Counter(full_adder=n * width, mux2=n * bits * shift), Counter(full_adder=2 * width, mux2=shift)
        case DecodeFloat() | EncodeFloat():
            width = max(bits, op.x.format.bits)
            return Counter(mux2=size * width * op.exponent_bits, or2=size * width), Counter(mux2=op.exponent_bits)
        case _:
            return Counter(), Counter()


def _requantize(op: Requantize) -> tuple[Counter[str], Counter[str]]:
    """A constant multiplication (one row a signed digit), rounding and saturation."""
    size, width = op.tensor.size, op.x.format.bits
    digits = 8.0
    if isinstance(op.multiplier, Constant):
        digits = float(csd_digits(op.multiplier.levels).mean())
    adders = Counter(full_adder=round(size * (max(digits - 1, 0) + 1) * width))
    depth = width + math.ceil(math.log2(digits + 1))
    return adders + _saturate(size, op.format.bits), Counter(full_adder=depth, and2=1, or2=3)


def _saturate(size: int, bits: int) -> Counter[str]:
    """Clamping to a range, or to zero: an AND and an OR a bit, and their controls."""
    return Counter(and2=size * bits, or2=size * (bits + 4))


def _is_float(op: Op) -> bool:
    return hasattr(op.type, "shape") and not isinstance(op, Constant | Input) and op.format.is_float
