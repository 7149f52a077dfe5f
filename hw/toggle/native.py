"""Compiles the engine once, into the cache folder (EDGEC_CACHE), and calls it."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError
from edgec.hw.toggle.model import INSTANT, Model
from edgec.hw.tools.cache import compile_once
from edgec.hw.tools.doctor import require_tools

SOURCES = [Path(__file__).with_name("native") / name for name in ("engine.cpp", "engine.hpp")]
FLAGS = ("-O2", "-std=c++17", "-shared", "-fPIC")
NO_CLOCK = 0xFFFFFFFF
_POINTERS = (
    "kind", "flags", "inputs", "table", "first_in", "sequential", "in_net", "delays", "energies", "fan_start", "fan",
    "state_clock", "state_clear", "state_preset", "state_both", "topological",
)  # fmt: skip
_NUMBERS = ("nets", "arcs", "states", "order", "fans", "wheel", "inertial", "trace")


class _Description(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint32) for n in _NUMBERS] + [(n, ctypes.c_void_p) for n in _POINTERS]


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    final = compile_once(require_tools(["c++"])["c++"], "toggle", "engine", SOURCES, FLAGS)
    library = ctypes.CDLL(str(final))
    pointer, u32, u64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
    library.edgec_toggle_create.restype = pointer
    library.edgec_toggle_create.argtypes = [pointer]
    library.edgec_toggle_destroy.argtypes = [pointer]
    library.edgec_toggle_settle.argtypes = [pointer, pointer, pointer, u64]
    library.edgec_toggle_settle.restype = ctypes.c_int
    library.edgec_toggle_run.argtypes = [
        pointer, u64, u64, u64, u32, u32, pointer, pointer, u32, pointer, pointer, pointer, ctypes.c_int,
    ]  # fmt: skip
    library.edgec_toggle_values.argtypes = [pointer, pointer]
    library.edgec_toggle_counts.argtypes = [pointer] * 5
    library.edgec_toggle_reset.argtypes = [pointer]
    library.edgec_toggle_statistics.argtypes = [pointer, pointer]
    library.edgec_toggle_trace.argtypes = [pointer, pointer, u64]
    library.edgec_toggle_trace.restype = u64
    return library


class Engine:
    """One simulation in the compiled engine. Not for several threads at once."""

    def __init__(self, model: Model, *, inertial: bool = True, trace: int = 0) -> None:
        """`trace`: how many transitions to record. Raises E06xx where the engine cannot be compiled."""
        self.nodes = model.nodes
        self._handle = None
        self._native = _library()
        fan_start, fan = _fanout(model)
        longest = int(model.delays.max(initial=1))
        arrays = {
            "kind": model.kind, "flags": model.flags, "inputs": model.inputs, "table": model.table,
            "first_in": model.first_in, "sequential": model.sequential, "in_net": model.in_net,
            "delays": model.delays, "energies": model.energies, "fan_start": fan_start, "fan": fan,
            "state_clock": model.state_clock, "state_clear": model.state_clear, "state_preset": model.state_preset,
            "state_both": model.state_both, "topological": model.order,
        }  # fmt: skip
        arrays = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
        wheel = max(1024, 1 << (longest + 1).bit_length())
        if wheel > 1 << 26:
            raise EdgecError("E0204", "the time quantum is too small for the longest delay of this netlist")
        numbers = (
            model.nodes, len(model.in_net), len(model.state_both), len(model.order), len(fan), wheel, inertial, trace,
        )  # fmt: skip
        description = _Description(*[int(n) for n in numbers], *[arrays[n].ctypes.data for n in _POINTERS])
        self._handle = self._native.edgec_toggle_create(ctypes.byref(description))

    def __del__(self) -> None:
        if self._handle:
            self._native.edgec_toggle_destroy(self._handle)
            self._handle = None

    def settle(self, nets: NDArray, values: NDArray) -> None:
        """Put values on ports and states, and let all logic settle without delay. E0215 if latches oscillate."""
        nets, values = np.ascontiguousarray(nets, np.uint32), np.ascontiguousarray(values, np.uint8)
        if self._native.edgec_toggle_settle(self._handle, nets.ctypes.data, values.ctypes.data, len(nets)):
            raise EdgecError("E0215", "the netlist does not settle: open latches form a loop")

    def run(
        self,
        inputs: NDArray,
        in_nets: NDArray,
        out_nets: NDArray,
        period: int,
        input_delay: int,
        clock: int,
        count: bool,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """`inputs` [cycle, input] -> (outputs [cycle, output] at the ends of cycles, times of the last transitions)."""
        inputs = np.ascontiguousarray(inputs, np.uint8)
        in_nets, out_nets = np.ascontiguousarray(in_nets, np.uint32), np.ascontiguousarray(out_nets, np.uint32)
        cycles = len(inputs)
        outputs, settle = np.zeros((cycles, len(out_nets)), np.uint8), np.zeros(cycles, np.uint32)
        self._native.edgec_toggle_run(
            self._handle, cycles, period, input_delay, NO_CLOCK if clock < 0 else clock, len(in_nets),
            in_nets.ctypes.data, inputs.ctypes.data, len(out_nets), out_nets.ctypes.data, outputs.ctypes.data,
            settle.ctypes.data, int(count),
        )  # fmt: skip
        return outputs, settle

    def values(self) -> NDArray[np.uint8]:
        """The present value of every node."""
        values = np.zeros(self.nodes, np.uint8)
        self._native.edgec_toggle_values(self._handle, values.ctypes.data)
        return values

    def counts(self) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """By node, since the last `reset`: rising, falling, functional transitions, energy inside the driver [fJ]."""
        three = [np.zeros(self.nodes, np.uint32) for _ in range(3)]
        energy = np.zeros(self.nodes)
        self._native.edgec_toggle_counts(self._handle, *[a.ctypes.data for a in three], energy.ctypes.data)
        return three[0], three[1], three[2], energy

    def reset(self) -> None:
        """Set the counters to zero and forget the recorded transitions."""
        self._native.edgec_toggle_reset(self._handle)

    def statistics(self) -> dict[str, int]:
        four = np.zeros(4, np.uint64)
        self._native.edgec_toggle_statistics(self._handle, four.ctypes.data)
        return dict(zip(("transitions", "evaluations", "cancelled", "waiting"), four.tolist(), strict=True))

    def trace(self) -> NDArray[np.uint64]:
        """The recorded transitions [n, 3]: time in quanta since the start, node, value."""
        size = int(self._native.edgec_toggle_trace(self._handle, None, 0))
        triples = np.zeros((size, 3), np.uint64)
        self._native.edgec_toggle_trace(self._handle, triples.ctypes.data, size)
        return triples


def _fanout(model: Model) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """(start by node, words): node << 4 | input << 1 | silent, for every arc whose input is the node."""
    node = np.repeat(np.arange(model.nodes, dtype=np.int64), model.inputs)
    position = np.arange(len(node)) - model.first_in[node]
    keep = model.in_net != node  # a state among its own inputs is kept up by the engine
    source = model.in_net[keep]
    words = (node << 4 | position << 1 | model.silent)[keep]
    order = np.argsort(source, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=model.nodes))])
    return start.astype(np.uint32), words[order].astype(np.uint32)


__all__ = ["INSTANT", "Engine"]
