"""What the tests of the circuit level share: random circuits with their reference, and many designs in one bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgec.backends.rtl.circuit import arith, logic, matrix, multiply, rounding, select
from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.emit import emit, library
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.state import Register
from edgec.backends.rtl.circuit.wire import Const, Input, Wire, bits, concat, with_frac
from edgec.hw.sim.bench import BenchResult
from edgec.rounding import OVERFLOWS, ROUNDINGS, overflow_levels, shift_round

Values = np.ndarray
"""Integers, [samples] for a port of one element, else [samples, elements]."""


@dataclass
class Dut:
    """A circuit with stimuli and the outputs it must give; for a clocked one, just before each edge."""

    circuit: Circuit
    inputs: Mapping[str, Values]
    outputs: Mapping[str, Values]


def planes_of(values: Values, width: int) -> Values:
    """Numbers [samples, n] as bit planes [samples, width] of Python integers: bit i of plane b is bit b of number i."""
    planes = [sum((values[:, i].astype(object) >> b & 1) << i for i in range(values.shape[1])) for b in range(width)]
    return np.stack(planes, axis=1)


def run_bench(
    duts: Sequence[Dut], folder: Path, simulate: Callable[..., BenchResult], defines: Sequence[str] = ()
) -> BenchResult:
    """All `duts`, of equally many samples, side by side in one test bench."""
    files: dict[str, str] = library()
    for dut in duts:
        files |= emit(dut.circuit)
    declare, drive, check = [], [], []
    samples = 0
    for k, dut in enumerate(duts):
        circuit = dut.circuit
        pins = [".clk(clk)", ".rst(1'b0)"] if circuit.sequential else []
        for way, ports, data in (("i", circuit.input_ports, dut.inputs), ("o", circuit.output_ports, dut.outputs)):
            at, words = 0, np.array(0, object)
            for port, wires in ports.items():
                array = np.asarray(data[port]).astype(object)
                array = array.reshape(len(array), -1)
                for i, wire in enumerate(wires):
                    words = words | ((array[:, i] & ((1 << wire.width) - 1)) << at)
                    at += wire.width
                width = sum(w.width for w in wires)
                pins.append(f".{port}({way}{k}[{at - 1}:{at - width}])")
            samples = len(words)
            (folder / f"{way}{k}.hex").write_text("\n".join(f"{w:x}" for w in words) + "\n")
            kind = "reg" if way == "i" else "wire"
            declare += [f"{kind} [{at - 1}:0] {way}{k};", f"reg [{at - 1}:0] m{way}{k} [0:{samples - 1}];"]
            declare.append(f'initial $readmemh("{way}{k}.hex", m{way}{k});')
        declare.append(f"{circuit.name} dut{k} ({', '.join(pins)});")
        drive.append(f"i{k} = mi{k}[n];")
        message = f'$display("{circuit.name} sample %0d: %h, not %h", n, o{k}, mo{k}[n])'
        check.append(f"if (o{k} !== mo{k}[n]) begin errors = errors + 1; if (errors < 20) {message}; end")
    lines = ["module bench;", "reg clk = 0;", "integer n;", "integer errors = 0;", *declare, "initial begin", "#1;"]
    lines += [f"for (n = 0; n < {samples}; n = n + 1) begin", *drive, "#1;", *check, "clk = 1; #1; clk = 0; #1;", "end"]
    lines += ['if (errors == 0) $display("EDGEC PASS"); else $fatal(1, "%0d errors", errors);', "$finish;", "end"]
    files["bench.sv"] = "\n".join([*lines, "endmodule", ""])
    for name, text in files.items():
        (folder / name).write_text(text)
    return simulate([folder / name for name in files], "bench", cwd=folder, defines=defines)


class RandomCircuit:
    """A random circuit, with each wire's values computed beside it in plain integer arithmetic."""

    def __init__(self, seed: int, steps: int = 25, samples: int = 50) -> None:
        self.rng = np.random.default_rng(seed)
        self.samples = samples
        self.pool: list[tuple[Wire, Values]] = []
        self.inputs: dict[str, Values] = {}
        for i in range(5):
            lo = int(self.rng.integers(-40, 40))
            interval = Interval(lo, lo + int(self.rng.integers(1, 200)), int(self.rng.integers(-2, 4)))
            self.inputs[f"x{i}"] = self.rng.integers(interval.lo, interval.hi + 1, samples)
            self.pool.append((Input(f"x{i}", interval), self.inputs[f"x{i}"]))
        listed = [wire for wire, _ in self.pool]
        steps_by_name = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("step_")]
        for _ in range(steps):
            wire, values = self.rng.choice(steps_by_name)()  # type: ignore[arg-type]
            if wire.width <= 24 and abs(wire.frac) < 12:
                self.pool.append((wire, values))
        chosen = self.pool[-8:]
        self.circuit = Circuit(f"random{seed}", {"y": [w for w, _ in chosen]}, listed)  # type: ignore[arg-type]
        self.outputs = {"y": np.stack([v for _, v in chosen], axis=1)}

    def pick(self, most: int = 24) -> tuple[Wire, Values]:
        fitting = [item for item in self.pool if item[0].width <= most]
        return fitting[self.rng.integers(len(fitting))] if fitting else self.unsigned(most)

    def unsigned(self, most: int) -> tuple[Wire, Values]:
        wire, values = self.pick()
        count = min(wire.width, int(self.rng.integers(1, most + 1)))
        return bits(wire, 0, count), values & ((1 << count) - 1)

    def aligned(self, *items: tuple[Wire, Values]) -> list[Values]:
        frac = max(wire.frac for wire, _ in items)
        return [values << (frac - wire.frac) for wire, values in items]

    def step_add(self) -> tuple[Wire, Values]:
        x, y = self.pick(), self.pick()
        a, b = self.aligned(x, y)
        if self.rng.random() < 0.5:
            return arith.add(x[0], y[0]), a + b
        return arith.subtract(x[0], y[0]), a - b

    def step_negate(self) -> tuple[Wire, Values]:
        x, a = self.pick()
        return arith.negate(x), -a

    def step_multiply(self) -> tuple[Wire, Values]:
        x, y = self.pick(9), self.pick(9)
        return multiply.multiply(x[0], y[0]), x[1] * y[1]

    def step_scale(self) -> tuple[Wire, Values]:
        x, a = self.pick(12)
        factor = int(self.rng.integers(-100, 100))
        return matrix.scale(x, factor, frac=1), a * factor

    def step_extreme(self) -> tuple[Wire, Values]:
        x, y = self.pick(), self.pick()
        a, b = self.aligned(x, y)
        if self.rng.random() < 0.5:
            return arith.maximum(x[0], y[0]), np.maximum(a, b)
        return arith.minimum(x[0], y[0]), np.minimum(a, b)

    def step_compare(self) -> tuple[Wire, Values]:
        x, y = self.pick(), self.pick()
        if self.rng.random() < 0.5:
            y = Const(int(self.rng.integers(-50, 50)), unit=x[0].frac), np.array(0)
            y = y[0], np.full(self.samples, y[0].interval.lo)
        a, b = self.aligned(x, y)
        return arith.at_least(x[0], y[0]), (a >= b).astype(np.int64)

    def step_mux(self) -> tuple[Wire, Values]:
        (x, a), (y, b), (s, choice) = self.pick(), self.pick(), self.unsigned(1)
        return logic.mux(s, with_frac(x, 0), with_frac(y, 0)), np.where(choice == 1, a, b)

    def step_quantize(self) -> tuple[Wire, Values]:
        x, a = self.pick()
        mode, overflow = str(self.rng.choice(ROUNDINGS)), str(self.rng.choice(OVERFLOWS))
        frac = x.frac - int(self.rng.integers(-1, 6))
        target = Interval.of_bits(int(self.rng.integers(2, 8)), bool(self.rng.random() < 0.5), frac)
        rounded = shift_round(a, x.frac - frac, mode)  # type: ignore[arg-type]
        wanted = overflow_levels(rounded, target.lo, target.hi, overflow)  # type: ignore[arg-type]
        return rounding.quantize(x, target, mode, overflow), wanted  # type: ignore[arg-type]

    def step_clamp(self) -> tuple[Wire, Values]:
        x, a = self.pick()
        lo = int(self.rng.integers(-30, 10))
        hi = lo + int(self.rng.integers(1, 60))
        return rounding.clamp(x, lo, hi), np.clip(a, lo, hi)

    def step_bits(self) -> tuple[Wire, Values]:
        x, a = self.pick()
        lsb, count = (int(v) for v in self.rng.integers(0, 12, 2))
        return bits(x, lsb, count + 1), a >> lsb & ((1 << (count + 1)) - 1)

    def step_concat(self) -> tuple[Wire, Values]:
        (x, a), (y, b) = self.unsigned(8), self.unsigned(8)
        return concat([x, Const(2, 3), y]), a | 2 << x.width | b << (x.width + 3)

    def step_bitwise(self) -> tuple[Wire, Values]:
        (x, a), (y, b) = self.unsigned(8), self.unsigned(8)
        width = min(x.width, y.width)
        mask = (1 << width) - 1
        kind = str(self.rng.choice(["and", "or", "xor", "nand", "nor", "xnor"]))
        b = b & mask if width > 1 else (b & 1) * mask
        value = {"and": a & b, "nand": a & b, "or": a | b, "nor": a | b, "xor": a ^ b, "xnor": a ^ b}[kind]
        value = value ^ mask if kind in ("nand", "nor", "xnor") else value
        return logic.bitwise(kind, bits(x, 0, width), bits(y, 0, width)), value & mask  # type: ignore[arg-type]

    def step_select(self) -> tuple[Wire, Values]:
        lanes = [self.unsigned(4) for _ in range(4)]
        width = min(w.width for w, _ in lanes)
        a, b, c, d = (v & ((1 << width) - 1) for _, v in lanes)
        return logic.AndOr(*[bits(w, 0, width) for w, _ in lanes]), a & b | c & d

    def step_reduce(self) -> tuple[Wire, Values]:
        x, a = self.unsigned(8)
        full = (1 << x.width) - 1
        options = {"or": a != 0, "and": a == full, "xor": np.bitwise_count(a) & 1}
        kind = str(self.rng.choice(list(options)))
        return logic.Reduce(kind, x), options[kind].astype(np.int64)  # type: ignore[arg-type]

    def step_popcount(self) -> tuple[Wire, Values]:
        x, a = self.unsigned(20)
        return matrix.popcount(x), np.bitwise_count(a).astype(np.int64)

    def step_leading_one(self) -> tuple[Wire, Values]:
        x, a = self.unsigned(20)
        return select.leading_one(x), np.array([max(int(v).bit_length() - 1, 0) for v in a])

    def step_shift(self) -> tuple[Wire, Values]:
        (x, a), (n, places) = self.pick(16), self.unsigned(3)
        if self.rng.random() < 0.5:
            return select.shift_right(x, n), a >> places
        return select.shift_left_by(x, n), a << places

    def step_lut(self) -> tuple[Wire, Values]:
        x, a = self.pick(6)
        table = self.rng.integers(-30, 30, x.interval.hi - x.interval.lo + 1)
        return logic.lut(x, table.tolist()), table[a - x.interval.lo]

    def step_adders(self) -> tuple[Wire, Values]:
        lanes = [self.unsigned(6) for _ in range(3)]
        width = min(w.width for w, _ in lanes)
        x, y, z = (bits(w, 0, width) for w, _ in lanes)
        a, b, c = (v & ((1 << width) - 1) for _, v in lanes)
        match self.rng.integers(3):
            case 0:
                total, carry = arith.full_add(x, y, z)
                return concat([total, carry]), a ^ b ^ c | (a & b | a & c | b & c) << width
            case 1:
                total, carry = arith.half_add(x, y)
                return concat([total, carry]), a ^ b | (a & b) << width
        total, carry = arith.half_add(x, y, one=True)
        return concat([total, carry]), (a ^ b) ^ ((1 << width) - 1) | (a | b) << width

    def step_sum(self) -> tuple[Wire, Values]:
        total = matrix.Matrix()
        wanted = np.zeros(self.samples, np.int64)
        for _ in range(int(self.rng.integers(2, 12))):
            (x, a), shift, minus = self.pick(10), int(self.rng.integers(0, 4)), bool(self.rng.random() < 0.4)
            total.add(x, shift, minus)
            wanted += (-a if minus else a) << shift
        constant = int(self.rng.integers(-300, 300))
        total.add_constant(constant)
        wanted += constant
        if self.rng.random() < 0.7:
            return total.total(), wanted
        wrap = Interval.of_bits(int(self.rng.integers(3, 9)), bool(self.rng.random() < 0.5))
        return total.total(wrap), overflow_levels(wanted, wrap.lo, wrap.hi, "wrap")

    def step_register(self) -> tuple[Wire, Values]:
        x, a = self.pick()
        return Register(x), a
