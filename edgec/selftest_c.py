"""The self-test of verification for artefacts of C code: the program runs on this machine.

Besides model, golden words and files, single bits of the constants in the running program are attacked, and single
statements of its source. Integers are held to the very word that changed first. Models with floats, which the program
adds in another order, are held to the layer, as `edgec verify` is; their model is not attacked, and changes of less
than ten times the tolerance count as none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgec.backends.c.work import multiplications
from edgec.comparison import Difference, Reference, first_difference, reference
from edgec.diagnostics import EdgecError
from edgec.hw.sim.c_faults import FaultyProgram
from edgec.hw.sim.c_program import CRun
from edgec.ops import Constant
from edgec.selftest import FRAMES, Place, SelfTest, Trial, first_change, place_of
from edgec.verification import FLOAT_TOLERANCE

OPERATIONS = 200_000_000
"""Multiplications that the interpreter may spend on one mutant."""
CLEAR = 10 * FLOAT_TOLERANCE
"""A change of floats that has to be found."""
COMPILED = 20
"""A changed statement is compiled anew, which takes as long as many other mutants: one in so many."""


class CSelfTest(SelfTest):
    """What stands for the hardware is the program."""

    clean: CRun

    def extra_frames(self) -> int:
        return min(FRAMES, max(OPERATIONS // max(sum(map(multiplications, self.graph.ops)), 1), 4))

    def start(self) -> None:
        self.program = FaultyProgram(self.artefact, self.folder / "program", self.timeout)
        self.floats = any(op.format.is_float for op in self.graph.ops if not isinstance(op, Constant))
        probed = [p["layer"] for p in self.artefact.manifest["interface"]["probes"]]
        self.reference = reference(self.graph, self.frames, probed)
        self.layers = list(self.reference.layers)
        self.clean = self.hardware = self.program.run(self.frames)  # type: ignore[assignment]
        difference = self.compared(self.clean)
        if difference is not None:
            raise difference.error("c")

    def parts(self, mutants: int) -> list[tuple[Iterator[Trial], int]]:
        return [
            (self.statement_mutants(), max(mutants // COMPILED, 1)),
            (self.file_mutants(), mutants),
            (self.golden_mutants(), mutants // 10),
            (self.constant_mutants(), mutants if self.floats else mutants * 2 // 5),
            (self.model_mutants(), mutants),
            (self.golden_mutants(), mutants),
        ]

    def compared(self, result: CRun) -> Difference | None:
        """What verification finds: with floats, every layer from the program's own operands."""
        if not self.floats:
            return first_difference(self.reference, result.layers, result.outputs)
        expected = reference(self.graph, self.frames, self.layers, result.layers)
        return first_difference(expected, result.layers, result.outputs, tolerance=FLOAT_TOLERANCE)

    def constant_mutants(self) -> Iterator[Trial]:
        """Single bits of the constants of the running program."""
        while (bit := self.program.bit(self.generator)) is not None:
            yield lambda b=bit: self.try_program("constant", str(b), lambda: self.program.run(self.frames, b))

    def statement_mutants(self) -> Iterator[Trial]:
        """Single statements of the source."""
        changes = self.program.changes()
        folder = self.folder / "changed"
        for k in self.generator.permutation(len(changes)):
            yield lambda c=changes[k]: self.try_program(
                "statement", str(c), lambda: self.program.run_changed(self.frames, c, folder)
            )

    def try_program(self, kind: str, what: str, start: Callable[[], CRun]) -> None:
        """A run of the program with a fault, against the run without."""
        try:
            result = start()
        except EdgecError:  # it ended in another way than it should
            self.counts[f"{kind}: caught"] += 1
            return
        found = place_of(self.compared(result))
        if not self.floats:
            clean = self.sequence(self.clean.layers, self.clean.outputs)
            self.judge(kind, what, found, first_change(clean, self.sequence(result.layers, result.outputs)))
            return
        before = Reference(
            {n: self.clean.layers[n] for n in self.layers}, self.clean.outputs, self.reference.sources,
            self.reference.output_layer,
        )  # fmt: skip
        truth = place_of(first_difference(before, result.layers, result.outputs, tolerance=CLEAR))
        self.judge_layer(kind, what, found, truth, place_of(first_difference(before, result.layers, result.outputs)))

    def judge_layer(self, kind: str, what: str, found: Place | None, truth: Place | None, first: Place | None) -> None:
        """`truth`: what changed clearly first; `first`: what changed at all. A layer between them may be reported."""
        if truth is None:
            self.counts[f"{kind}: equivalent"] += 1
            return
        order = {name: k for k, name in enumerate([*self.layers, *self.reference.output_layer.values()])}
        if found is None or first is None or not order[first.layer] <= order[found.layer] <= order[truth.layer]:
            self.miss(kind, what, f"verification reported {found or 'nothing'}; what changed clearly is {truth}")
        else:
            self.counts[f"{kind}: caught"] += 1

    def model_mutants(self) -> Iterator[Trial]:
        return iter(()) if self.floats else super().model_mutants()
