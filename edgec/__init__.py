"""edgec: the hardware-aware edge deployment compiler.

The verbs of the command line are functions here: `load`, `inspect`, `estimate`, `build`, `verify`, `cosim`, `synth`,
`power`, `faults`, `calibrate`; `from_torch` takes a PyTorch module in memory. Nothing heavy is imported before it is
used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgec.api import (
        bench,
        build,
        calibrate,
        cosim,
        encode_frames,
        estimate,
        faults,
        from_torch,
        inspect,
        load,
        power,
        synth,
        verify,
    )
    from edgec.diagnostics import EdgecError

__version__ = "0.1.0"
__all__ = [
    "EdgecError",
    "bench",
    "build",
    "calibrate",
    "cosim",
    "encode_frames",
    "estimate",
    "faults",
    "from_torch",
    "inspect",
    "load",
    "power",
    "synth",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        module = "edgec.diagnostics" if name == "EdgecError" else "edgec.api"
        return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'edgec' has no attribute {name!r}")
