"""Evaluation of circuits on many samples at once: the check of what the emitter writes.

`evaluate` gives the steady state: registers are transparent. `simulate` is clocked: samples are clock cycles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.state import Instance, Register
from edgec.backends.rtl.circuit.value import INT64_BITS, Value
from edgec.backends.rtl.circuit.wire import Get, Input, check_range, require


def evaluate(circuit: Circuit, inputs: Mapping[str, np.ndarray], check: bool = False) -> dict[str, np.ndarray]:
    """Outputs for `inputs`, integers: port -> [samples] for one element, else [samples, elements].

    Raises `ValueError` for inputs outside their interval; with `check` for any wire outside its own."""
    return _run(circuit, inputs, None, check)


def simulate(
    circuit: Circuit, inputs: Mapping[str, np.ndarray], reset: np.ndarray | None = None, check: bool = False
) -> dict[str, np.ndarray]:
    """Outputs just before each clock edge; the samples of `inputs` and `reset` are consecutive cycles.

    Registers hold 0, or their reset value, before the first edge."""
    cycles = len(next(iter(inputs.values())))
    held = np.zeros(cycles, bool) if reset is None else np.asarray(reset, bool)
    return _run(circuit, inputs, held, check)


def _run(
    circuit: Circuit, inputs: Mapping[str, np.ndarray], reset: np.ndarray | None, check: bool
) -> dict[str, np.ndarray]:
    require(set(inputs) == set(circuit.input_ports), f"{circuit.name} has the inputs {list(circuit.input_ports)}")
    values: list[Value] = []
    samples = 1
    for port, elements in circuit.input_ports.items():
        array = np.asarray(inputs[port])
        array = array.reshape(len(array), -1)
        samples = len(array)
        require(array.shape[1] == len(elements), f"{port} has {len(elements)} elements, not {array.shape[1]}")
        for i, element in enumerate(elements):
            dtype = np.int64 if element.width <= INT64_BITS else object
            value = Value(element.width, element.signed, samples, ints=array[:, i].astype(dtype))
            require(
                not samples or (element.interval.lo <= value.ints.min() and value.ints.max() <= element.interval.hi),
                f"{port}[{i}] outside {element.interval}",
            )
            values.append(value)
    results = _values(circuit, values, samples, reset, check)
    outputs: dict[str, np.ndarray] = {}
    for port, wires in circuit.output_ports.items():
        columns = [results.pop(0).ints for _ in wires]
        outputs[port] = columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
    return outputs


def _values(
    circuit: Circuit, args: Sequence[Value], samples: int, reset: np.ndarray | None, check: bool
) -> list[Value]:
    """Values of the outputs, one a wire."""
    by_input = {(w.port, w.index): v for w, v in zip(circuit.inputs, args, strict=True)}
    wanted = [circuit.index[id(w)] for w in circuit.outputs]
    uses = [0] * len(circuit.nodes)
    for at in (*wanted, *(o for operands in circuit.operands for o in operands)):
        uses[at] += 1
    values: list[Value | list[Value] | None] = []
    for node, operands in zip(circuit.nodes, circuit.operands, strict=True):
        given: list = [values[o] for o in operands]
        if isinstance(node, Input):
            result: Value | list[Value] = _resize(by_input[node.port, node.index], node.interval)
        elif isinstance(node, Get):
            result = given[0][node.index]
        elif isinstance(node, Instance):
            result = _values(node.circuit, given, samples, reset, check)
        elif isinstance(node, Register):
            result = _resize(given[0], node.interval)
            if reset is not None:
                result = _clocked(node, result, given[1:], reset)
        else:
            result = node.evaluate(given, samples)
        if check and isinstance(result, Value):
            require(result.width == node.width, f"{type(node).__name__}: {result.width} bits for {node.width}")
            check_range(result, node.interval, type(node).__name__)
        values.append(result)
        for o in operands:
            uses[o] -= 1
            if not uses[o]:
                values[o] = None  # memory: a layer has tens of thousands of wires
    return [v for at in wanted if isinstance(v := values[at], Value)]


def _resize(value: Value, interval: Interval) -> Value:
    """The same numbers on a wire of `interval`."""
    if (value.width, value.signed) == (interval.width, interval.signed):
        return value
    dtype = np.int64 if interval.width <= INT64_BITS else object
    return Value(interval.width, interval.signed, value.samples, ints=value.ints.astype(dtype))


def _clocked(node: Register, d: Value, enable: Sequence[Value], reset: np.ndarray) -> Value:
    """What the register holds before each edge, given what it sees before each edge."""
    cycles = np.arange(d.samples)
    taken = enable[0].planes[0] != 0 if enable else np.ones(d.samples, bool)
    cleared = reset & (node.reset is not None)
    last = np.maximum.accumulate(np.where(taken | cleared, cycles, -1))
    source = np.concatenate([[-1], np.where((last >= 0) & ~cleared[last], last, -1)[:-1]])
    return node.of_ints(np.where(source >= 0, d.ints[source], node.reset or 0))
