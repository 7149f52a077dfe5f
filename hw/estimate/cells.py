"""Circuit elements as the estimators see them: outputs, how they switch, and the flip-flops of a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from edgec.backend import Kernel
from edgec.diagnostics import EdgecError, nearest
from edgec.target_constants import CELL_KINDS


class Cell(NamedTuple):
    """`outputs` of the cell; `switching`: how they follow the input bits; `levels` on a path, in full adders.

    product: a partial product (AND, Booth selection) fed by registers; pass: toggles as its input bit; adder: in a
    tree or behind one; state: a flip-flop.
    """

    outputs: int
    switching: Literal["product", "pass", "adder", "state"]
    levels: float


CELLS: dict[str, Cell] = {
    "full_adder": Cell(2, "adder", 1.0),
    "half_adder": Cell(2, "adder", 0.6),
    "nand2": Cell(1, "product", 0.4),
    "nor2": Cell(1, "product", 0.4),
    "and2": Cell(1, "product", 0.4),
    "or2": Cell(1, "adder", 0.4),
    "xor2": Cell(1, "product", 0.5),
    "xnor2": Cell(1, "pass", 0.5),
    "ao22": Cell(1, "product", 0.6),
    "inv": Cell(1, "pass", 0.25),
    "buf": Cell(1, "pass", 0.25),
    "mux2": Cell(1, "adder", 0.5),
    "voter": Cell(1, "pass", 0.8),
    "nand3": Cell(1, "product", 0.45),
    "nor3": Cell(1, "product", 0.45),
    "aoi21": Cell(1, "product", 0.45),
    "oai21": Cell(1, "product", 0.45),
    "aoi22": Cell(1, "product", 0.5),
    "oai22": Cell(1, "product", 0.5),
    "dff": Cell(1, "state", 0.0),
    "dff_enable": Cell(1, "state", 0.0),
    "dff_reset": Cell(1, "state", 0.0),
    "dff_enable_reset": Cell(1, "state", 0.0),
}
assert set(CELLS) == set(CELL_KINDS)

STATE_CLASSES = ("weight", "data", "control")


def effective_cells(kernel: Kernel) -> dict[str, int]:
    """The cells of `kernel`; flip-flops that it lists by class only are added (weights with enable).

    E0101 when the counts contradict each other: that is a bug of the backend.
    """
    cells = {kind: count for kind, count in kernel.cells.items() if count}
    for kind, count in cells.items():
        if kind not in CELLS:
            raise _bug(kernel, f"counts {count} cells of the unknown kind {kind!r}: {nearest(kind, CELLS)}")
        if count < 0:
            raise _bug(kernel, f"counts {count} cells of kind {kind}")
    state = state_classes(kernel)
    flops = sum(count for kind, count in cells.items() if CELLS[kind].switching == "state")
    if not flops:
        for name, count in state.items():
            kind = "dff_enable" if name == "weight" else "dff"
            if count:
                cells[kind] = cells.get(kind, 0) + count
    elif state and flops != sum(state.values()):
        raise _bug(kernel, f"counts {flops} flip-flops as cells but {sum(state.values())} as state")
    return cells


def state_classes(kernel: Kernel) -> dict[str, int]:
    """Flip-flops by class; unclassified ones are data."""
    for name, count in kernel.state.items():
        if name not in STATE_CLASSES or count < 0:
            raise _bug(kernel, f"counts {count} flip-flops of class {name!r}")
    return {name: count for name, count in kernel.state.items() if count}


def levels(path: Mapping[str, int]) -> float:
    """The depth of a path in full adders."""
    return sum(CELLS[kind].levels * count for kind, count in path.items())


def _bug(kernel: Kernel, what: str) -> EdgecError:
    return EdgecError("E0101", f"kernel {kernel.name} {what}", layer=", ".join(kernel.layers) or None, op=kernel.op)
