"""Dense and convolution: one compressor tree an output, products rounded first where the op says so.

Constant weights become canonical signed digits: every digit of every weight adds a shifted row, rows of one shift
joined into one vector. Loaded weights give real multipliers, as AND arrays or Booth rows, whichever costs less, barrel
shifters for powers of two and sign gates for binary and ternary ones; the neurons of a layer are then instances of
one module. Taps that see padding or a constant zero do not exist.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.cost import gate_equivalents
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import invert
from edgec.backends.rtl.circuit.matrix import Matrix, csd_digits
from edgec.backends.rtl.circuit.multiply import (
    Lanes,
    LaneSum,
    add_products,
    products,
    round_products,
)
from edgec.backends.rtl.circuit.shift_products import pow2_products, sign_products, ternary_products
from edgec.backends.rtl.circuit.state import instantiate
from edgec.backends.rtl.circuit.wire import Const, Input, Wire, bits, concat, with_frac
from edgec.backends.rtl.lower.constant import shared_outputs
from edgec.backends.rtl.lower.elementwise import bring
from edgec.backends.rtl.lower.registry import (
    Layer,
    Wires,
    base_of,
    centered,
    format_interval,
    is_binary,
    lowers,
    sign_of_bit,
    unit,
)
from edgec.formats import Format
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.ops import Constant, Conv, Dense

LANES = 64
"""Bits of one vector: what a simulator holds in a machine word."""

ROW_WIDTH = 4
"""Constant products of inputs this wide are added as rows (slices of the input), narrower ones column by column."""


@lowers(Dense)
def dense(layer: Layer, op: Dense, x: Wires, w: Wires | None, b: Wires | None = None) -> Wires:
    rows = x.reshape(-1, op.x.shape[-1])
    taps = np.arange(op.terms)
    result = np.empty((rows.shape[0], op.w.shape[0]), object)
    mac = Mac(layer, op, w, b)
    for r, row in enumerate(rows):
        result[r] = mac.outputs(list(row), taps, range(op.w.shape[0]))
    return result.reshape(op.shape)


@lowers(Conv)
def conv(layer: Layer, op: Conv, x: Wires, w: Wires | None, b: Wires | None = None) -> Wires:
    rank = len(op.x.shape) - 2
    padded = np.full(
        (*x.shape[:2], *(n + op.pads[i] + op.pads[i + rank] for i, n in enumerate(x.shape[2:]))), None, object
    )
    inside = tuple(slice(op.pads[i], op.pads[i] + n) for i, n in enumerate(x.shape[2:]))
    padded[(slice(None), slice(None), *inside)] = x
    result = np.empty(op.shape, object)
    mac = Mac(layer, op, w, b)
    outputs, per_group = op.w.shape[0] // op.groups, op.w.shape[1]
    kernel = np.array(list(np.ndindex(*op.w.shape[2:])))
    for n, group in np.ndindex(x.shape[0], op.groups):
        channels = slice(group * per_group, (group + 1) * per_group)
        members = range(group * outputs, (group + 1) * outputs)
        for place in np.ndindex(*op.shape[2:]):
            at = kernel * op.dilations + np.array(place) * op.strides
            window = padded[n][(channels, *at.T)].reshape(-1)  # [channels, taps], as the weights
            live = np.array([k for k, wire in enumerate(window) if wire is not None], int)
            wires = window[live].tolist()
            result[(n, slice(members.start, members.stop), *place)] = mac.outputs(wires, live, members)
    return result


class Mac:
    """The sums of one layer; makes each distinct module once and uses it for all outputs that share it."""

    def __init__(self, layer: Layer, op: Dense | Conv, w: Wires | None, b: Wires | None) -> None:
        self.layer, self.op = layer, op
        self.loaded_weights = None if w is None else w.reshape(w.shape[0], -1)
        self.loaded_bias = b
        self.binary = is_binary(op.x.format)
        if w is None:
            assert isinstance(op.w, Constant)
            self.levels = op.w.levels.reshape(op.w.shape[0], -1)
        self.bias = op.b.levels if isinstance(op.b, Constant) and b is None else None
        dyadic = op.x.format.frac is not None and op.w.format.frac is not None
        self.bias_frac = (op.b.format.frac or 0) if op.b is not None and dyadic else 0
        self.x_frac = op.x.format.frac if dyadic else 0
        self.w_frac = op.w.format.frac if dyadic else 0
        assert self.x_frac is not None and self.w_frac is not None
        self.frac = self.x_frac + self.w_frac
        self.product = op.product
        self.drop = self.frac - (op.product.format.frac or 0) if op.product else 0
        self.sum_frac = max(self.frac - self.drop, self.bias_frac if op.b is not None else -(1 << 30))

    def outputs(self, xs: list[Wire], taps: np.ndarray, members: range) -> list[Wire]:
        """The outputs `members` from the wires `xs`, which belong to the weights `taps` (flat tap numbers)."""
        keep = [i for i, x in enumerate(xs) if self.binary or not (isinstance(x, Const) and self.is_zero(x))]
        xs, taps = [xs[i] for i in keep], taps[keep]
        self.layer.macs += len(xs) * len(members)
        if self.loaded_weights is None:
            return self.constant_weights(xs, taps, members)
        return self.loaded(xs, taps, members)

    def is_zero(self, x: Const) -> bool:
        return x.value == int(self.op.x.format.zero_point_array[0])

    # --- constant weights ------------------------------------------------------------------------------------

    def constant_weights(self, xs: list[Wire], taps: np.ndarray, members: range) -> list[Wire]:
        """One module for every tap pattern, or for every output and tap pattern, used at every position that has it."""
        shared = shared_outputs(self, xs, taps, members)
        if shared is not None:
            return shared
        live = [k for k, x in enumerate(xs) if not isinstance(x, Const)]
        results: list[Wire] = []
        for m in members:
            constants = tuple((k, x.value) for k, x in enumerate(xs) if isinstance(x, Const))
            key = ("fixed", tuple(taps.tolist()), m, tuple(x.interval for x in xs), constants)
            circuit = self.layer.circuits.get(key)
            if circuit is None:
                inputs = [Input("x", xs[k].interval, i) for i, k in enumerate(live)]
                inside = list(xs)
                for k, wire in zip(live, inputs, strict=True):
                    inside[k] = wire
                name = f"{self.layer.name}_n{len(self.layer.circuits)}"
                circuit = Circuit(
                    name, {"y": self.constant_sum(inside, self.levels[m, taps], m)}, [inputs] if live else None
                )
                self.layer.circuits[key] = circuit
            results += instantiate(circuit, x=[xs[k] for k in live])["y"] if live else circuit.outputs
        return results

    def constant_sum(self, xs: Sequence[Wire], weights: np.ndarray, member: int) -> Wire:
        """sum x * w + bias, quantised; an unrounded sum joins equal digits, rounded products join equal weights."""
        matrix = Matrix(self.sum_frac)
        if self.product is not None and self.drop > 0:
            for value in np.unique(weights[weights != 0]).tolist():
                lanes = Lanes.of([self.level(xs[i]) for i in np.flatnonzero(weights == value).tolist()])
                rounded = round_products(constant_products(lanes, value), self.drop, self.product.rounding)
                self.check_product(rounded.interval)
                add_products(matrix, shifted(rounded, self.sum_frac - (self.frac - self.drop)))
        else:
            add_constant_products(matrix, xs, weights, self.op.x.format, self.sum_frac - self.frac)
        if self.bias is not None:
            matrix.add_constant(int(self.bias[member]) << (self.sum_frac - self.bias_frac))
        return self.finish(matrix.total())

    def level(self, x: Wire) -> Wire:
        return with_frac(centered(np.array([x], object), self.op.x.format)[0], 0)

    def bias_level(self, code: Wire) -> Wire:
        assert self.op.b is not None
        return with_frac(centered(np.array([code], object), self.op.b.format)[0], 0)

    # --- loaded weights --------------------------------------------------------------------------------------

    def loaded(self, xs: list[Wire], taps: np.ndarray, members: range) -> list[Wire]:
        """Instances of one neuron module a tap pattern; weights and bias come as ports."""
        assert self.loaded_weights is not None
        levels = xs if self.binary else [self.level(x) for x in xs]  # one bit an input where one is enough
        intervals = Interval.hull(x.interval for x in levels) if levels else Interval(0, 0)
        key = ("loaded", len(xs), intervals)
        circuit = self.layer.circuits.get(key)
        if circuit is None:
            circuit = self.neuron(len(xs), intervals)
            self.layer.circuits[key] = circuit
        ports: dict[str, list[Wire]] = {}
        if levels:
            ports["x"] = levels
        results = []
        for m in members:
            if levels:
                ports["w"] = [self.loaded_weights[m, t] for t in taps]
            if self.loaded_bias is not None:
                ports["b"] = [self.loaded_bias[m]]
            results.append(instantiate(circuit, "", **ports)["y"][0])
        return results

    def neuron(self, count: int, interval: Interval) -> Circuit:
        """The cheapest form of its products."""
        forms = [self.neuron_form(count, interval, form) for form in self.forms(interval)]
        return min(forms, key=lambda c: gate_equivalents(c.cells))

    def forms(self, interval: Interval) -> tuple[str, ...]:
        """How products with the loaded weights can be made: AND arrays, Booth rows, signs, shifts."""
        base = base_of(self.op.w.format)
        if isinstance(base, Pow2):
            return ("shift",)
        if isinstance(base, Binary | Ternary):
            return ("and", "sign")
        # Booth rows share their corrections above the columns that rounding drops.
        return ("and",) if base.bits < 3 or self.drop >= interval.width else ("and", "booth")

    def neuron_form(self, count: int, interval: Interval, form: str) -> Circuit:
        op = self.op
        name = f"{self.layer.name}_n{len(self.layer.circuits)}"
        matrix = Matrix(self.sum_frac)
        inputs: list[Sequence[Input]] = []
        if count:
            x = [Input("x", interval, i) for i in range(count)]
            codes = [Input("w", format_interval(op.w.format), i) for i in range(count)]
            inputs += [x, codes]
            for start in range(0, count, LANES):
                self.add_chunk(matrix, x[start : start + LANES], codes[start : start + LANES], form)
        if self.loaded_bias is not None:
            assert op.b is not None
            b = Input("b", format_interval(op.b.format))
            inputs.append([b])
            matrix.add(self.bias_level(b), self.sum_frac - self.bias_frac)
        return Circuit(name, {"y": [self.finish(matrix.total())]}, inputs)

    def add_chunk(self, matrix: Matrix, xs: Sequence[Wire], codes: Sequence[Wire], form: str) -> None:
        """Add the products of some lanes."""
        x, w = Lanes.of(xs), Lanes.of([with_frac(c, 0) for c in codes])
        if self.binary:
            x = sign_lanes(x)
        drop = max(self.drop, 0)
        rounding = self.product.rounding if self.product is not None else "floor"
        base = base_of(self.op.w.format)
        if form in ("and", "booth"):
            w = sign_lanes(w) if isinstance(base, Binary) else w
            made = products(x, w, drop, rounding, "booth" if form == "booth" else "and")
        else:
            exact = selected_products(x, w, base, keep_low=drop + (rounding == "half_even") if drop else 0)
            made = round_products(exact, drop, rounding)
        self.check_product(made.interval)
        add_products(matrix, shifted(made, self.sum_frac - (self.frac - drop)))

    # --- both -------------------------------------------------------------------------------------------------

    def check_product(self, interval: Interval) -> None:
        """A product format is a rounding point; one that also overflows is refused when the graph is checked."""
        if self.product is None or self.drop < 0:
            return
        lo, hi = self.product.format.level_range
        assert lo <= interval.lo and interval.hi <= hi, "checked by the backend"

    def finish(self, total: Wire) -> Wire:
        """The sum in the accumulator's and the output's format."""
        for quantizer in (self.op.acc, self.op.out):
            if quantizer is not None:
                fmt = quantizer.format
                total = with_frac(bring(total, quantizer), fmt.frac or 0)
                if is_binary(fmt) and quantizer is not self.op.out and self.op.out is not None:
                    total = with_frac(sign_of_bit(total), fmt.frac or 0)
        return with_frac(total, unit(self.op.format))


def add_constant_products(matrix: Matrix, xs: Sequence[Wire], weights: np.ndarray, fmt: Format, shift: int) -> None:
    """Add sum x * w * 2**shift: canonical signed digits, all bits of one column and sign in one vector."""
    binary = is_binary(fmt)
    scale = 2 if binary else 1  # the level of a binary code c is 2 c - 1
    zero = int(fmt.zero_point_array[0]) + binary
    matrix.add_constant(-int(weights.sum()) * zero << shift)
    for x, value in zip(xs, weights.tolist(), strict=True):
        ends = (x.interval.lo * value * scale << shift, x.interval.hi * value * scale << shift)
        matrix.lo += min(ends)
        matrix.hi += max(ends)
    live = [i for i, x in enumerate(xs) if not isinstance(x, Const)]
    for i in set(range(len(xs))) - set(live):
        matrix.constant += xs[i].interval.lo * int(weights[i]) * scale << shift
    digits = csd_digits(weights[live] * scale) if live else np.zeros((0, 1), np.int8)
    wide = [k for k, i in enumerate(live) if xs[i].width >= ROW_WIDTH]
    for k, place in np.argwhere(digits[wide]).tolist():
        matrix.add(xs[live[wide[k]]], place + shift, bool(digits[wide[k], place] < 0), ranged=False)
    narrow = [k for k, i in enumerate(live) if xs[i].width < ROW_WIDTH]
    add_columns(matrix, [xs[live[k]] for k in narrow], digits[narrow], shift)


def add_columns(matrix: Matrix, xs: Sequence[Wire], digits: np.ndarray, shift: int) -> None:
    """Add sum_k xs[k] * sum_p digits[k, p] * 2**(p + shift), all bits of one column and sign in one vector."""
    split = [[bits(x, b, 1) for b in range(x.width)] for x in xs]
    for place in range(digits.shape[1]):
        for sign in (1, -1):
            columns: dict[tuple[int, bool], list[Wire]] = {}
            for k in np.flatnonzero(digits[:, place] == sign).tolist():
                top = xs[k].width - 1 if xs[k].signed else -1
                for b, wire in enumerate(split[k]):
                    columns.setdefault((b + place + shift, (sign < 0) != (b == top)), []).append(wire)
            for (column, negative), wires in sorted(columns.items()):
                matrix.constant -= negative * len(wires) << column
                for start in range(0, len(wires), LANES):
                    vector = concat(wires[start : start + LANES])
                    matrix.add_bits(invert(vector) if negative else vector, column)


def constant_products(x: Lanes, value: int) -> LaneSum:
    """x * value lane by lane."""
    ends = (x.interval.lo * value, x.interval.hi * value)
    frac = x.interval.frac
    sign = x.planes[-1] if x.interval.signed else None
    if value < 0:
        sign = invert(sign) if sign is not None else Const((1 << x.count) - 1, x.count)
    result = LaneSum(x.count, Interval(min(ends), max(ends), frac), sign=sign)
    for place, digit in enumerate(csd_digits(np.array([value]))[0].tolist()):
        if digit:
            for b, plane in enumerate(x.planes):
                top = x.interval.signed and b == len(x.planes) - 1
                result.put(b + place, plane, negative=(digit < 0) != top)
    return result


def shifted(products: LaneSum, places: int) -> LaneSum:
    """The same numbers in a unit finer by `places` bits."""
    if places == 0:
        return products
    i = products.interval
    return LaneSum(
        products.count,
        Interval(i.lo << places, i.hi << places, i.frac),
        {c + places: planes for c, planes in products.columns.items()},
        products.constant << places,
        [(wire, shift + places, negate) for wire, shift, negate in products.shared],
        products.sign,
    )


def selected_products(x: Lanes, codes: Lanes, base: Format, keep_low: int) -> LaneSum:
    """x times binary, ternary or power-of-two weights, without a multiplier."""
    planes = codes.planes
    if isinstance(base, Binary):
        return sign_products(x, invert(planes[0]), keep_low)
    if isinstance(base, Ternary):
        return ternary_products(x, planes[0], planes[1], keep_low)
    assert isinstance(base, Pow2)
    return pow2_products(x, planes, base.zero, keep_low)


def sign_lanes(codes: Lanes) -> Lanes:
    """Binary codes as the numbers -1 and +1: the lowest bit is 1, the sign is the inverted code."""
    ones = Const((1 << codes.count) - 1, codes.count)
    return Lanes((ones, invert(codes.planes[0])), Interval(-1, 1))
