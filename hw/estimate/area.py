"""Area: the plan's cells at their gate equivalents, and gate equivalents at the library's NAND2 and a density."""

from __future__ import annotations

from collections.abc import Mapping

from edgec.backend import Kernel
from edgec.hw.estimate.cells import effective_cells
from edgec.hw.estimate.figure import inverse, product, total
from edgec.target import Quantity, Target


def gate_equivalents(cells: Mapping[str, int], target: Target) -> Quantity:
    """GE of `cells` (kind -> count)."""
    return total(target.constant(f"ge.{kind}") * count for kind, count in cells.items())


def kernel_ge(kernel: Kernel, target: Target) -> Quantity:
    """GE of a kernel's cells and memories."""
    memory = [target.constant(f"memory.{kind}_ge") * bits for kind, bits in kernel.memory.items() if bits]
    return total([gate_equivalents(effective_cells(kernel), target), *memory])


def cell_area_um2(ge: Quantity, target: Target) -> Quantity:
    """Sum of cell areas in um2, as a synthesis report has it. The target needs `area.nand2_um2`."""
    return product(ge, target.constant("area.nand2_um2"))


def core_area_mm2(ge: Quantity, target: Target) -> Quantity:
    """Core area in mm2 after placement: cell area over density."""
    area = product(ge, target.constant("area.nand2_um2"), inverse(target.constant("area.density")))
    return area * 1e-6


def is_physical(target: Target) -> bool:
    """Whether areas of the target have a unit of length."""
    return "area.nand2_um2" in target.constants
