"""Look-up tables of Liberty (NLDM), in ps, fF and fJ whatever the file's units are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgec.hw.liberty.syntax import Group, malformed

# What the axes are called in the file, and what they are: a slew, a load, or the slew of the constrained pin.
AXES = {
    "input_net_transition": "slew",
    "input_transition_time": "slew",
    "related_pin_transition": "slew",
    "total_output_net_capacitance": "load",
    "constrained_pin_transition": "constrained",
}


@dataclass(frozen=True, eq=False)
class Table:
    """`values[slew, second]`: slews in ps, the second axis a load in fF or the slew of the constrained pin in ps.

    An axis that the file does not have is one point at 0. Values between points are bilinear, outside they continue the
    last segment, as timing analysers do.
    """

    slews: np.ndarray
    loads: np.ndarray
    values: np.ndarray

    def at(self, slew: float | np.ndarray, load: float | np.ndarray = 0.0) -> np.ndarray:
        """Interpolated at slews [ps] and loads [fF] (or constrained slews [ps]), broadcast against each other."""
        i, fi = _place(self.slews, np.asarray(slew, np.float64))
        j, fj = _place(self.loads, np.asarray(load, np.float64))
        i1, j1 = np.minimum(i + 1, len(self.slews) - 1), np.minimum(j + 1, len(self.loads) - 1)
        low = self.values[i, j] * (1 - fj) + self.values[i, j1] * fj
        high = self.values[i1, j] * (1 - fj) + self.values[i1, j1] * fj
        return low * (1 - fi) + high * fi


def _place(axis: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the segment and the position in it (below 0 or above 1 outside of the axis)."""
    if len(axis) == 1:
        return np.zeros(x.shape, np.intp), np.zeros(x.shape)
    i = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, len(axis) - 2)
    return i, (x - axis[i]) / (axis[i + 1] - axis[i])


def read_table(
    group: Group, templates: Mapping[str, Group], scale: float, time_scale: float, load_scale: float
) -> Table | None:
    """The table of a group like `cell_rise (template) { values (...) }`; None where its axes are not slew and load."""
    template = templates.get(group.args[0]) if group.args else None
    values = _numbers(group.complex.get("values", []), group) * scale
    axes: dict[str, np.ndarray] = {}
    order: list[str] = []
    for k in (1, 2, 3):
        variable = template.attributes.get(f"variable_{k}") if template else None
        if variable is None:
            continue
        kind = AXES.get(variable)
        if kind is None:
            return None
        text = group.complex.get(f"index_{k}") or (template.complex.get(f"index_{k}") if template else None)
        if not text:
            raise malformed(f"{group.name} ({', '.join(group.args)}) has no index_{k}")
        axes[kind] = _numbers(text, group) * (load_scale if kind == "load" else time_scale)
        if np.any(np.diff(axes[kind]) <= 0):
            raise malformed(f"index_{k} of {group.name} ({', '.join(group.args)}) does not increase")
        order.append(kind)
    shape = [len(axes[kind]) for kind in order]
    if values.size != int(np.prod(shape)):
        raise malformed(f"{group.name} ({', '.join(group.args)}) has {values.size} values for {shape} points")
    values = values.reshape(shape)
    if order and order[0] != "slew" and len(order) == 2:
        values = values.T
    slews = axes.get("slew", np.zeros(1))
    second = axes.get("load", axes.get("constrained", np.zeros(1)))
    return Table(slews, second, np.ascontiguousarray(values.reshape(len(slews), len(second))))


def _numbers(texts: list[str], group: Group) -> np.ndarray:
    try:
        return np.array(" ".join(texts).replace(",", " ").split(), np.float64)
    except ValueError:
        raise malformed(
            f"a table of {group.name} ({', '.join(group.args)}) holds something that is no number"
        ) from None
