"""ONNX's own node tests as compiled C: what the interpreter passes, C passes; none is wrong, none crashes."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import onnx
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import onnx_backend_score as score  # noqa: E402
import onnx_on_c  # noqa: E402

EVERY = 37
"""Of the tests in the order of their names, one in so many is tried every time."""
SANITIZED = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def node_tests():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sorted(score.load_tests(), key=lambda t: t.name)


def refused_or_failed(verdicts):
    return [f"{name}: {verdict}" for name, verdict in verdicts.items() if verdict != "pass"]


def test_a_sample_passes_under_sanitizers(node_tests):
    passed = [(t.name, cases) for t in node_tests[::EVERY] for verdict, cases in [score.score(t)] if verdict == "pass"]
    assert len(passed) > 30
    bad = refused_or_failed(onnx_on_c.on_c(passed, SANITIZED))
    assert not bad, "\n".join(bad)


@pytest.mark.long
def test_all_pass_and_the_page_counts_them(node_tests):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = score.scored(score.load_tests(), in_c=True)
    bad = refused_or_failed(scores.on_c)
    assert not bad, "\n".join(bad)
    page = (ROOT / "docs" / "onnx-coverage.md").read_text(encoding="utf-8")
    if f"with onnx {onnx.__version__}." in page:
        assert score.table(scores) == page, "python bench/onnx_backend_score.py --on c --table docs/onnx-coverage.md"
