"""ONNX's node tests in C: what passes in the interpreter is compiled here, many tests a program, and run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from onnx_backend_score import Case, refusal

from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.diagnostics import EdgecError
from edgec.hw.sim.c_batch import run_batch
from edgec.target import load_target

PER_PROGRAM = 40


def on_c(
    tests: Iterable[tuple[str, list[Case]]], flags: Sequence[str] = ("-O0",), core: str = "host"
) -> dict[str, str]:
    """Verdicts by test name: `pass`, `refused ...`, `WRONG ...` or `CRASH ...`. A `core` of 64-bit Arm runs in QEMU."""
    target = load_target(core)
    verdicts: dict[str, str] = {}
    ready: list[tuple[str, Case, BuildPlan]] = []
    for name, cases in tests:
        verdicts[name] = "pass"
        for case in cases:
            try:
                ready.append((name, case, plan(case.graph, target, {"name": f"m{len(ready)}"})))
            except EdgecError as error:
                verdicts[name] = refusal(error)
            except Exception as error:
                verdicts[name] = f"CRASH {type(error).__name__}: {error}"
    for start in range(0, len(ready), PER_PROGRAM):
        _run(ready[start : start + PER_PROGRAM], verdicts, flags, core)
    return verdicts


def _run(members: list[tuple[str, Case, BuildPlan]], verdicts: dict[str, str], flags: Sequence[str], core: str) -> None:
    try:
        results: Sequence[Any] = run_batch(
            [p for _, _, p in members], [c.feeds for _, c, _ in members], flags=flags, core=core
        )
    except EdgecError as error:
        if len(members) > 1:  # which one does not compile?
            half = len(members) // 2
            _run(members[:half], verdicts, flags, core)
            _run(members[half:], verdicts, flags, core)
            return
        results = [f"{error.diagnostics[0].what}: {error.diagnostics[0].why}"]
    for (name, case, _), result in zip(members, results, strict=True):
        verdict = f"CRASH {result}" if isinstance(result, str) else case.verdict(result)
        if verdict != "pass":
            verdicts[name] = verdict
