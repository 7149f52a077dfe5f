"""Runs yosys commands from a file in the `pyosys` of this interpreter: `python -m edgec.hw.synth.child FILE`.

A process of its own, because yosys leaves the interpreter on its errors and may crash on bad input.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def main(path: str) -> None:
    """Run every line of `path` as one command, and say how long each took."""
    from pyosys import libyosys  # pyright: ignore[reportAttributeAccessIssue]  a compiled module without stubs

    design = libyosys.Design()
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        start = time.perf_counter()
        libyosys.run_pass(line, design)
        print(f"\nedgec: {time.perf_counter() - start:.2f} s {line[:100]}", flush=True)
    print("edgec: done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
