"""All of ONNX's own node tests: passed or refused, never wrong, no fewer than before, and the page of them true."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import onnx
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import onnx_backend_score as score  # noqa: E402

PASSED = {"all": 1545, "without function bodies": 1126, "edge operators without Cast": 446}
"""Of 1884, 1404 and 437 tests with onnx 1.23; another version of onnx has others."""


@pytest.fixture(scope="module")
def scores():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return score.scored(score.load_tests())


def test_no_result_is_wrong(scores):
    bad = [f"{name}: {verdict}" for name, verdict in scores.verdicts if verdict.split()[0] not in ("pass", "refused")]
    assert not bad, "\n".join(bad)


def test_no_fewer_pass_than_before(scores):
    for group, floor in PASSED.items():
        counts = scores.totals[group]
        assert counts["pass"] >= min(floor, int(0.78 * sum(counts.values()))), (group, counts)


def test_every_refusal_has_a_diagnostic_or_inputs_that_are_no_tensors(scores):
    for name, verdict in scores.verdicts:
        if verdict.startswith("refused"):
            assert verdict.startswith(("refused E03", "refused (")), f"{name}: {verdict}"


def without_c(page):
    """The page without its last column, which a `long` test of the C backend counts."""
    return [line.rsplit("|", 2)[0] for line in page.splitlines()]


def test_the_page_is_what_the_score_writes(scores):
    page = (ROOT / "docs" / "onnx-coverage.md").read_text(encoding="utf-8")
    if f"with onnx {onnx.__version__}." in page:
        command = "python bench/onnx_backend_score.py --on c --table docs/onnx-coverage.md"
        assert without_c(score.table(scores)) == without_c(page), command
    else:
        assert page.startswith(score.TABLE_HEAD.split("{version}")[0])
