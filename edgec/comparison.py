"""Comparing two sets of codes, layer by layer in graph order: the first difference, with its layer and element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Op
from edgec.text import Printer

HALF_TOLERANCE = 2.0**-9
"""Two units of the last place of binary16 at the largest magnitude: sums in another order are rounded to 11 bits."""


class Mismatch(EdgecError):
    """E0501 with the difference it tells of."""

    difference: Difference


@dataclass(frozen=True)
class Difference:
    """The first differing element of the first differing layer, and how many words of that layer differ."""

    layer: str
    source: tuple[str, ...]
    frame: int
    element: tuple[int, ...]
    expected: int | float
    found: int | float
    wrong: int
    total: int

    def error(self, party: str) -> Mismatch:
        """E0501 for this difference."""
        place = ", ".join(map(str, self.element))
        error = Mismatch(
            "E0501",
            f"{party}: {self.wrong} of {self.total} words of layer {self.layer} differ from the reference",
            layer=", ".join(self.source) or self.layer,
            op=self.layer,
            why=f"first at frame {self.frame}, element [{place}]: {self.found}, the reference has {self.expected}",
            remedy=f"the layers before {self.layer} agree: look at this one",
        )
        error.difference = self
        return error

    def as_dict(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "source": list(self.source),
            "frame": self.frame,
            "element": list(self.element),
            "expected": self.expected,
            "found": self.found,
            "wrong": self.wrong,
            "total": self.total,
        }


@dataclass(frozen=True)
class Reference:
    """Expected codes per layer [F, *shape] in graph order (names of the text form), and per output name."""

    layers: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    sources: Mapping[str, tuple[str, ...]]
    output_layer: Mapping[str, str]

    def head(self, frames: int) -> Reference:
        """The first `frames` frames."""
        layers, outputs = ({n: a[:frames] for n, a in d.items()} for d in (self.layers, self.outputs))
        return replace(self, layers=layers, outputs=outputs)


def reference(
    graph: Graph,
    frames: Mapping[str, np.ndarray],
    keep: Sequence[str] | None = None,
    given: Mapping[str, np.ndarray] | None = None,
) -> Reference:
    """What the interpreter computes for `frames`; `keep` names the layers to remember (all when None).

    With `given` codes [F, *shape] of some layers, each layer is computed from these: what floats lose in one layer
    is not held against the layers behind it, and outputs are the given ones."""
    names = Printer(graph).names
    stated = {op: given[names[op]] for op in graph.ops if names[op] in given} if given else None
    collected: dict[str, list[np.ndarray]] = {}
    wanted = set(keep) if keep is not None else None

    def observe(op: Op, value: Any) -> None:
        if isinstance(value, np.ndarray) and (wanted is None or names[op] in wanted):
            collected.setdefault(names[op], []).append(value)

    outputs = run(graph, frames, observe=observe, given=stated)
    layers = {name: np.concatenate(parts) for name, parts in collected.items()}
    order = [names[op] for op in graph.ops if names[op] in layers]
    return Reference(
        {name: layers[name] for name in order},
        outputs,
        {names[op]: op.loc for op in graph.ops},
        {name: names[op] for name, op in graph.outputs},
    )


def first_difference(
    expected: Reference,
    layers: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    *,
    tolerance: float = 0.0,
) -> Difference | None:
    """The first layer (then output) whose codes differ; None when everything is equal.

    Floats may differ by `tolerance` times the largest magnitude of their tensor, binary16 by `HALF_TOLERANCE` at the
    least where any difference is allowed. Layers that were not observed are
    passed over; E0501 for a missing output, and for arrays of other shapes.
    """
    for name, want in expected.layers.items():
        if name in layers and (found := _difference(name, want, layers[name], tolerance)) is not None:
            return Difference(name, expected.sources.get(name, ()), *found)
    for name, want in expected.outputs.items():
        if name not in outputs:
            raise EdgecError("E0501", f"output {name!r} is missing", layer=name)
        if (found := _difference(name, want, outputs[name], tolerance)) is not None:
            layer = expected.output_layer[name]
            return Difference(layer, expected.sources.get(layer, ()) or (name,), *found)
    return None


def _difference(
    name: str, want: np.ndarray, have: np.ndarray, tolerance: float
) -> tuple[int, tuple[int, ...], Any, Any, int, int] | None:
    if want.shape[1:] != have.shape[1:] or len(want) not in (1, len(have)):  # a layer of constants has one frame
        raise EdgecError("E0501", f"{name} has shape {list(have.shape)}, the reference {list(want.shape)}", layer=name)
    want = np.broadcast_to(want, have.shape)
    if want.dtype.kind == "f" or have.dtype.kind == "f":
        with np.errstate(all="ignore"):
            relative = max(tolerance, HALF_TOLERANCE) if tolerance and want.dtype == np.float16 else tolerance
            reach = relative * float(np.abs(want[np.isfinite(want)]).max(initial=0))
            near = np.abs(want.astype(np.float64) - have.astype(np.float64)) <= reach
        unequal = ~((want == have) | near | (np.isnan(want) & np.isnan(have)))
    else:
        unequal = want.astype(np.int64) != have.astype(np.int64)
    wrong = int(np.count_nonzero(unequal))
    if not wrong:
        return None
    frame, *element = (int(i) for i in np.argwhere(unequal)[0])
    place = (frame, *element)
    return frame, tuple(element), want[place].item(), have[place].item(), wrong, want.size
