"""Simulates a generated top with Verilator: step by step through ctypes, or many frames at once in a child process.

    with Simulation(files, "encoder", Ports(512, 144), workdir="build") as sim:
        sim.reset()
        sim.push(frame)                       # uint32 words
        sim.step()
        out = sim.pop()                       # None while the pipeline is still filling
        result = sim.run_batch(frames)        # [N, words]: all outputs and their cycles

The batch runs in a process of its own: it can be timed out and killed, and a crash of the model is a diagnostic.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError
from edgec.hw.sim.batch import BatchResult, Stalls, broken, run_batch
from edgec.hw.sim.ports import WORD, Ports, Probe, words_for
from edgec.hw.sim.tracing import Waves
from edgec.hw.sim.verilator_build import build_library

Words = NDArray[np.uint32]


class Simulation:
    """The cycle-accurate model of module `top`; building it takes seconds the first time.

    `files` are SystemVerilog sources in compilation order. `trace` True allows value change dumps (`fst`: compressed
    ones). `faults` makes flip-flops writable (with the macro EDGEC_FAULTS, and without batches). `probes` names
    internal signals to record. `seed` draws the power-up values of flip-flops. `timeout` is in seconds and holds for
    the build and for each batch.

    Raises what `build_library` raises. Every method raises E0502 when the design breaks its protocol ($fatal, $finish,
    outputs that change without a clock edge); the model must then be made anew.
    """

    def __init__(
        self,
        files: Sequence[str | Path],
        top: str,
        ports: Ports,
        *,
        workdir: str | Path,
        defines: Sequence[str] = (),
        trace: bool | Waves = False,
        probes: Sequence[Probe] = (),
        seed: int = 1,
        jobs: int = 2,
        timeout: float = 1800.0,
        faults: bool = False,
    ) -> None:
        self.top, self.ports, self.probes = top, ports, tuple(probes)
        self.waves: Waves = ("vcd" if trace else None) if isinstance(trace, bool) else trace
        self._seed, self._timeout = seed, timeout
        self._registers: dict[int, int] = {}
        self._library: ctypes.CDLL | None = None
        self._model: int | None = None
        self.library = build_library(
            files,
            top,
            ports,
            workdir=workdir,
            probes=probes,
            defines=defines,
            waves=self.waves,
            jobs=jobs,
            timeout=timeout,
            program="faults" if faults else "batch",
        )

    def reset(self) -> None:
        """Reset the design: queues are emptied, the cycle count starts at 0."""
        self._check(self._call("reset"))

    def push(self, words: Words) -> None:
        """Queue one input frame of `ports.input_words` 32-bit words; the next `step` takes it."""
        frame = as_frames(np.asarray(words)[None, :] if np.ndim(words) == 1 else words, self.ports)
        if len(frame) != 1:
            raise ValueError("push takes one frame; run_batch takes many")
        self._check(self._call("push", frame.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32))))

    def step(self, cycles: int = 1) -> None:
        """Run `cycles` clock cycles."""
        for _ in range(cycles):
            self._check(self._call("step"))

    def pop(self) -> Words | None:
        """The oldest output frame not yet taken, or None."""
        timed = self.pop_timed()
        return None if timed is None else timed[0]

    def pop_timed(self) -> tuple[Words, int] | None:
        """Like `pop`, with the index of the clock edge at which a following register can take the frame."""
        frame = np.zeros(self.ports.output_words, np.uint32)
        cycle = ctypes.c_uint64()
        got = self._call("pop", frame.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32)), ctypes.byref(cycle))
        self._check(got)
        return (frame, cycle.value) if got == 1 else None

    @property
    def cycles(self) -> int:
        """Clock edges since the last reset."""
        return int(self._call("cycles"))

    def write_register(self, address: int, value: int) -> None:
        """Write one 32-bit register, in one clock cycle; batches write it, too, before their first frame.

        A signed value is written as two's complement. Raises E0204 if there is no such address.
        """
        self.write_registers([address], [value])

    def write_registers(self, addresses: Sequence[int], values: Sequence[int]) -> None:
        """Write many registers, one a clock cycle."""
        for address, value in zip(addresses, values, strict=True):
            if not 0 <= address < (1 << self.ports.address_bits if self.ports.address_bits else 0):
                raise EdgecError(
                    "E0204",
                    f"{self.top} has no register {address:#x}",
                    why=f"its write port has {self.ports.address_bits} address bits",
                )
            if not -(1 << (WORD - 1)) <= value < 1 << WORD:
                raise EdgecError("E0204", f"{value} does not fit into register {address:#x} of 32 bits")
            word = int(value) & 0xFFFFFFFF
            # Later writes win, and keep their order among the others.
            self._registers.pop(int(address), None)
            self._registers[int(address)] = word
            if self._model is not None:
                self._check(self._call("write_register", int(address), word))

    def probe(self, index: int) -> Words:
        """The words that probe `index` held just before the latest clock edge."""
        words = np.zeros(self.probes[index].words, np.uint32)
        self._check(self._call("probe", index, words.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32))))
        return words

    def flip(self, place: str, bit: int) -> None:
        """Invert bit `bit` of the flip-flops `place` in the next clock edge; needs the macro EDGEC_FAULTS."""
        self._check(self._call("flip", place.encode(), bit))

    def state(self, place: str, bit: int) -> int:
        """What that flip-flop holds."""
        value = self._call("state", place.encode(), bit)
        self._check(value)
        return value

    def record(self, path: str | Path) -> None:
        """Write waves of the step-by-step model to `path` from now on."""
        self._check(self._call("trace", str(path).encode()))

    def run_batch(
        self,
        frames: Words,
        stalls: Stalls | None = None,
        *,
        waves: str | Path | None = None,
        plusargs: Mapping[str, int | str] | None = None,
        record: bool = True,
        timeout: float | None = None,
    ) -> BatchResult:
        """Stream `frames` [N, input words] through a fresh model, one a cycle except where `stalls` says otherwise.

        The result unpacks as `outputs, out_cycles`. `waves` is a file for the trace; `plusargs` are what the design
        reads with $value$plusargs; `record` False leaves the probes alone. Raises E0210 for frames that do not fit,
        E0502 if frames get lost or invented, E0603/E0604 if the simulator is killed or hangs.
        """
        return run_batch(
            self.library,
            self.ports,
            as_frames(frames, self.ports),
            probes=self.probes if record else (),
            registers=self._registers,
            stalls=stalls,
            waves=waves,
            plusargs=plusargs,
            seed=self._seed,
            timeout=self._timeout if timeout is None else timeout,
        )

    def close(self) -> None:
        """Free the step-by-step model and finish its waves."""
        if self._model is not None and self._library is not None:
            self._function("destroy")(self._model)
        self._model = None

    def __enter__(self) -> Simulation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, TypeError):  # half-made, or the interpreter is ending
            self.close()

    def _function(self, name: str):
        if self._library is None:
            self._library = _load(self.library.shared_object, self.library.prefix)
        return getattr(self._library, f"{self.library.prefix}_{name}")

    def _call(self, name: str, *arguments: object) -> int:
        if self._model is None:
            self._model = self._function("create")(self._seed)
            if self._model is None:
                raise MemoryError(f"no memory for the model of {self.top}")
            self._check(self._function("reset")(self._model))
            for address, value in self._registers.items():
                self._check(self._function("write_register")(self._model, address, value))
        return self._function(name)(self._model, *arguments)

    def _check(self, status: int) -> None:
        if status < 0:
            reason = self._function("error")(self._model).decode(errors="replace")
            raise broken(reason)


def as_frames(words: Words, ports: Ports) -> Words:
    """Input frames as contiguous uint32 [N, input words]; raises E0210 for another shape, type or set unused bits."""
    array = np.asarray(words)
    if array.ndim != 2 or array.shape[1] != ports.input_words or array.dtype != np.uint32:
        raise EdgecError(
            "E0210",
            f"input frames are {array.dtype} {list(array.shape)}",
            why=f"uint32 [N, {ports.input_words}] are needed for a port of {ports.input_bits} bits",
        )
    unused = ports.input_bits - WORD * (words_for(ports.input_bits) - 1)
    if unused < WORD and array.size and int(array[:, -1].max()) >> unused:
        raise EdgecError("E0210", f"input frames have bits set beyond the {ports.input_bits} of the port")
    return np.ascontiguousarray(array)


def _load(path: Path, prefix: str) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    model, words = ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32)
    signatures: dict[str, tuple[object, list[object]]] = {
        "create": (model, [ctypes.c_uint32]),
        "destroy": (None, [model]),
        "reset": (ctypes.c_int, [model]),
        "push": (ctypes.c_int, [model, words]),
        "step": (ctypes.c_int, [model]),
        "pop": (ctypes.c_int, [model, words, ctypes.POINTER(ctypes.c_uint64)]),
        "write_register": (ctypes.c_int, [model, ctypes.c_uint32, ctypes.c_uint32]),
        "cycles": (ctypes.c_uint64, [model]),
        "trace": (ctypes.c_int, [model, ctypes.c_char_p]),
        "probe": (ctypes.c_int, [model, ctypes.c_uint32, words]),
        "flip": (ctypes.c_int, [model, ctypes.c_char_p, ctypes.c_uint32]),
        "state": (ctypes.c_int, [model, ctypes.c_char_p, ctypes.c_uint32]),
        "error": (ctypes.c_char_p, [model]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, f"{prefix}_{name}")
        function.restype, function.argtypes = result, arguments
    return library
