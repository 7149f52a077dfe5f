"""What one flipped weight bit does to the outputs, in the interpreter: exact, and vectorised over bits and frames.

A bit of a convolution's or dense layer's weights reaches one output channel. So many mutated channels are computed at
once, as one layer with a channel for every flip; each is put among the unchanged channels of its own copy of the
layer's result, and only what stands behind the layer is run again, with (flips x frames) frames. Formats with a scale
for every channel, grouped convolutions and thresholds go one flip at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgec.graph import Graph
from edgec.interp import evaluate, run
from edgec.mutants import is_legal
from edgec.ops import Constant, Conv, Dense, Op
from edgec.text import Printer

MAX_ELEMENTS = 1 << 23
"""Elements of the largest tensor of a batch of flips."""


@dataclass(frozen=True)
class Bit:
    """One weight bit: bit `bit` of element `element` (in row-major order) of register `register` of the bank."""

    position: int
    register: int
    element: int
    bit: int


class WeightFlips:
    """The flips of the weight bits of `graph` on fixed `frames` of codes (input name -> [F, *shape])."""

    def __init__(self, graph: Graph, registers: Sequence[Mapping[str, Any]], frames: Mapping[str, np.ndarray]) -> None:
        self.graph, self.registers = graph, list(registers)
        named = {name: op for op, name in Printer(graph).names.items()}
        self.constants: list[Constant] = [named[r["constant"]] for r in registers]  # type: ignore[misc]
        self.frames = len(next(iter(frames.values())))
        self.values: dict[Op, np.ndarray] = {i: np.asarray(frames[i.name]) for i in graph.inputs}
        parts: dict[Op, list[np.ndarray]] = {}
        run(graph, frames, observe=lambda op, value: parts.setdefault(op, []).append(value))
        for op, chunks in parts.items():
            if all(isinstance(c, np.ndarray) for c in chunks):
                joined = np.concatenate(chunks) if len(chunks) > 1 else chunks[0]
                self.values[op] = np.broadcast_to(joined, (self.frames, *joined.shape[1:]))
        for op in graph.ops:
            if isinstance(op, Constant):
                self.values[op] = op.data[None]
        sizes = [r["elements"] * r["element_bits"] for r in registers]
        starts = [32 * r["address"] for r in registers]
        parts_of = [start + np.arange(size) for start, size in zip(starts, sizes, strict=True)]
        self.positions = np.concatenate(parts_of) if parts_of else np.zeros(0, np.int64)
        """All weight bits: 32 * word address + bit."""
        self.clean = {name: self.values[op] for name, op in graph.outputs}
        self._starts = np.array(starts, np.int64)

    def bit(self, position: int) -> Bit:
        """The weight bit at a position of the bank."""
        register = int(np.searchsorted(self._starts, position, side="right")) - 1
        offset = position - int(self._starts[register])
        element, bit = divmod(offset, self.registers[register]["element_bits"])
        return Bit(position, register, element, bit)

    def flipped_code(self, bit: Bit) -> int | None:
        """The code of the element with the bit flipped; None where the format has no such code."""
        constant, entry = self.constants[bit.register], self.registers[bit.register]
        width, fmt = entry["element_bits"], constant.format
        code = (int(self._stored(bit.register)[bit.element]) ^ (1 << bit.bit)) & ((1 << width) - 1)
        if fmt.code_range[0] < 0 and code >> (width - 1):
            code -= 1 << width
        return code if is_legal(code, fmt) else None

    def _stored(self, register: int) -> np.ndarray:
        """The codes of a constant in the order in which the bank holds them."""
        data, entry = self.constants[register].data, self.registers[register]
        return (data.transpose(entry["transpose"]) if "transpose" in entry else data).reshape(-1)

    def place(self, bit: Bit) -> tuple[int, ...]:
        """The index of the bit's element in its constant."""
        shape, entry = self.constants[bit.register].shape, self.registers[bit.register]
        order = entry.get("transpose") or list(range(len(shape)))
        index = np.unravel_index(bit.element, [shape[a] for a in order])
        place = [0] * len(shape)
        for axis, i in zip(order, index, strict=True):
            place[axis] = int(i)
        return tuple(place)

    def outputs(self, positions: Sequence[int] | np.ndarray) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Batches of (indices into `positions`, codes by output name [flips, F, *shape]), every legal flip once.

        Flips to codes that the format does not have are left out: only the hardware can say what they do.
        """
        groups: dict[int, list[tuple[int, Bit, int]]] = {}
        for index, position in enumerate(np.asarray(positions).tolist()):
            bit = self.bit(position)
            code = self.flipped_code(bit)
            if code is not None:
                groups.setdefault(bit.register, []).append((index, bit, code))
        for register, flips in sorted(groups.items()):
            constant = self.constants[register]
            layer = self._wide_layer(constant)
            behind = self._behind(layer if layer is not None else constant)
            largest = max([op.tensor.size for op in behind if hasattr(op.type, "shape")] + [1])
            size = max(1, MAX_ELEMENTS // (largest * self.frames))
            for low in range(0, len(flips), size):
                batch = flips[low : low + size]
                index = np.array([i for i, _, _ in batch])
                if layer is not None:
                    yield index, self._wide(layer, constant, batch, behind)
                else:
                    single = [self._single(constant, flip, behind) for flip in batch]
                    yield index, {name: np.stack([s[name] for s in single]) for name in self.clean}

    def _wide_layer(self, constant: Constant) -> Conv | Dense | None:
        """The layer that alone reads `constant` and whose channels can be mutated independently."""
        users = self.graph.users[constant]
        if len(users) != 1 or any(op is constant for _, op in self.graph.outputs):
            return None
        (op,) = users
        if not isinstance(op, Conv | Dense) or not (op.w is constant) ^ (op.b is constant):
            return None
        if not isinstance(op.w, Constant) or (op.b is not None and not isinstance(op.b, Constant)):
            return None
        formats = [op.w.format, op.format, *([op.b.format] if op.b is not None else [])]
        formats += [q.format for q in (op.product, op.acc, op.out) if q is not None]
        if any(f.axis is not None for f in formats) or (isinstance(op, Conv) and op.groups != 1):
            return None
        return op

    def _behind(self, start: Op) -> list[Op]:
        """The ops that depend on `start`, in order, without it."""
        reached = {start}
        found = []
        for op in self.graph.ops:
            if any(o in reached for o in op.operands):
                reached.add(op)
                found.append(op)
        return found

    def _wide(
        self, layer: Conv | Dense, constant: Constant, flips: list[tuple[int, Bit, int]], behind: list[Op]
    ) -> dict[str, np.ndarray]:
        count = len(flips)
        places = [self.place(bit) for _, bit, _ in flips]
        channel = np.array([p[0] for p in places])
        codes = np.array([code for _, _, code in flips])
        w, b = layer.w.data[channel], None if layer.b is None else layer.b.data[channel]  # type: ignore[attr-defined]
        changed = w if constant is layer.w else b
        assert changed is not None
        changed = changed.copy()
        changed[(np.arange(count), *(np.array(axis) for axis in list(zip(*places, strict=True))[1:]))] = codes
        w, b = (changed, b) if constant is layer.w else (w, changed)
        fields: dict[str, Any] = {"w": _constant(layer.w, w), "type": None}
        if layer.b is not None and b is not None:
            fields["b"] = _constant(layer.b, b)
        wide = layer.replace(**fields)
        operands = [self.values[layer.x], w[None], *([] if b is None else [b[None]])]
        mutated = evaluate(wide, operands)  # [F, batch, flips, *spatial], or [F, ..., flips] of a dense layer
        axis = 2 if isinstance(layer, Conv) else mutated.ndim - 1
        full = np.repeat(self.values[layer][None], count, axis=0)  # [flips, F, *shape]
        view = np.moveaxis(full, axis + 1, 1)  # [flips, channels, F, ...]
        view[np.arange(count), channel] = np.moveaxis(mutated, axis, 0)
        return self._run(behind, {layer: full.reshape(-1, *layer.shape)}, count)

    def _single(self, constant: Constant, flip: tuple[int, Bit, int], behind: list[Op]) -> dict[str, np.ndarray]:
        _, bit, code = flip
        data = constant.data.copy()
        data[self.place(bit)] = code
        return {n: v[0] for n, v in self._run(behind, {constant: data[None]}, 1).items()}

    def _run(self, behind: list[Op], changed: dict[Op, np.ndarray], count: int) -> dict[str, np.ndarray]:
        """Outputs [count, F, *shape] when `changed` ops have other values [count * F, *shape]."""
        values = dict(changed)

        def value(op: Op) -> np.ndarray:
            if op in values:
                return values[op]
            clean = self.values[op]
            if isinstance(op, Constant) or count == 1:
                return clean
            return np.tile(clean, (count,) + (1,) * (clean.ndim - 1))

        for op in behind:
            values[op] = evaluate(op, [value(o) for o in op.operands])
        result = {}
        for name, op in self.graph.outputs:
            whole = np.broadcast_to(value(op), (count * self.frames, *op.shape))
            result[name] = whole.reshape(count, self.frames, *op.shape)
        return result


def _constant(old: Op, data: np.ndarray) -> Constant:
    from edgec.formats import TensorType

    return Constant(data, type=TensorType(old.format, data.shape), loc=old.loc)
