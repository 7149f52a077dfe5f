"""What the tests of tools and simulators share: small designs, built once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hw_support import ADDER_PORTS, ADDER_PROBES, RTL, need

from edgec.hw.sim.ports import Ports
from edgec.hw.sim.verilator_lib import Simulation


@pytest.fixture(scope="session")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models with spaces")


@pytest.fixture(scope="session")
def adder(workdir: Path) -> Simulation:
    need("verilator", "c++", "make")
    return Simulation([RTL / "adder.sv"], "adder", ADDER_PORTS, workdir=workdir, probes=ADDER_PROBES, trace=True)


@pytest.fixture(scope="session")
def scaler(workdir: Path) -> Callable[[], Simulation]:
    """A function that gives a fresh model: its weights are state."""
    need("verilator", "c++", "make")
    return lambda: Simulation([RTL / "scaler.sv"], "scaler", Ports(80, 160, 4), workdir=workdir)
