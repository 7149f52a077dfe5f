"""Artefacts that several test files of the core use, built once, and one cache for their simulators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from artefact_support import TARGET, need, tiny, two_layers

from edgec import api
from edgec.artefact import Artefact
from edgec.options import Options


@pytest.fixture(scope="session")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of compiled simulators (EDGEC_CACHE), shared by all tests of the run."""
    need("verilator", "c++", "make")
    folder = tmp_path_factory.mktemp("simulators")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEC_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """`tiny` with a register bank. Tests must not change it."""
    return api.build(tiny(), TARGET, tmp_path_factory.mktemp("loaded") / "out", Options(weights="loaded"))


@pytest.fixture(scope="session")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """`two_layers` with constant weights. Tests must not change it."""
    return api.build(two_layers(), TARGET, tmp_path_factory.mktemp("fixed") / "out", Options(weights="fixed"))
