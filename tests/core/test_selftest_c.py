"""`edgec verify --self-test` of C artefacts: faults in the running program are caught, blindness is noticed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from artefact_support import need, two_layers, write_model

from edgec import api, selftest_c
from edgec.artefact import Artefact
from edgec.diagnostics import EdgecError
from edgec.formats import F32, TensorType
from edgec.graph import Graph
from edgec.ops import Constant, Conv, Dense, Input, Relu, Reshape
from edgec.selftest import self_test
from edgec.selftest_c import CSelfTest


def floats() -> Graph:
    rng = np.random.default_rng(4)

    def drawn(*shape: int) -> Constant:
        return Constant(rng.normal(0, 0.4, shape).astype(np.float32), type=TensorType(F32, shape))

    x = Input("x", type=TensorType(F32, (1, 2, 6, 6)))
    y = Relu(Conv(x, drawn(4, 2, 3, 3), drawn(4), loc=("conv",)), loc=("relu",))
    return Graph("net", (x,), (("y", Dense(Reshape(y, (1, 64)), drawn(5, 64), drawn(5), loc=("fc",))),))


@pytest.fixture(scope="module", params=["integers", "floats"])
def tested(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    need("cc")
    folder = tmp_path_factory.mktemp(request.param)
    model = write_model(two_layers() if request.param == "integers" else floats(), folder)
    return api.build(model, "host", folder / "out")


def test_every_mutant_is_caught_and_named(tested: Artefact) -> None:
    result = self_test(tested, mutants=60, seed=1, timeout=600)
    counts: dict[str, int] = result["counts"]
    assert result["ok"] and result["mutants"] == 60 == result["caught"] + result["equivalent"]
    kinds = {"constant: caught", "statement: caught", "file: caught", "golden word: caught", "golden input: caught"}
    assert kinds <= set(counts) and not any(k.endswith("missed") for k in counts)
    assert "integers" not in str(tested.path) or counts["weight: caught"] > 0


def test_a_blind_comparison_is_noticed(tested: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = CSelfTest(tested, tmp_path, seed=2, timeout=600)
    monkeypatch.setattr(CSelfTest, "compared", lambda self, result: None)
    for trial in (*islice(test.constant_mutants(), 12), *islice(test.statement_mutants(), 3)):
        trial()
    assert len(test.missed) >= 5 and not any(k.endswith("caught") for k in test.counts)
    assert all(d.code == "E0503" for d in test.missed)


def test_a_program_that_is_wrong_from_the_start(tested: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: selftest_c.FaultyProgram, frames: dict[str, np.ndarray], fault: object = None) -> object:
        run = real(self, frames)
        return type(run)({n: a + 1 for n, a in run.outputs.items()}, run.layers)

    real = selftest_c.FaultyProgram.run
    monkeypatch.setattr(selftest_c.FaultyProgram, "run", wrong)
    with pytest.raises(EdgecError) as error:
        self_test(tested, mutants=10, seed=1, timeout=600)
    assert error.value.code == "E0501"
