"""What the tests of tools and simulators share."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from edgec.hw.sim.ports import Ports, Probe
from edgec.hw.tools.doctor import FINDERS

RTL = Path(__file__).parent / "rtl"
ADDER_PORTS = Ports(input_bits=64, output_bits=33)
ADDER_PROBES = (
    Probe("sum", 33, 0),
    Probe("sum_q", 33, 1),
    Probe("lane[0].u.twice", 33, 0),
    Probe("lane[1].u.q", 33, 2),
)


def need(*tools: str) -> None:
    """A missing tool skips a test at a desk, where `-ra` shows it, and fails it in continuous integration."""
    for name in tools:
        tool = FINDERS[name]()
        if not tool.usable:
            message = f"{name}: {tool.problem}; {tool.remedy}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)


def script(folder: Path, body: str, name: str = "tool") -> Path:
    """A shell script that plays a tool."""
    path = folder / name
    path.write_text("#!/bin/sh\n" + textwrap.dedent(body))
    path.chmod(0o755)
    return path
