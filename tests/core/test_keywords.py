"""Names of networks that are keywords of the generated languages."""

from __future__ import annotations

import pytest

from edgec.api import identifier
from edgec.keywords import KEYWORDS


@pytest.mark.parametrize("name", ["small", "table", "Cell", "reg", "while", "double", "s_always"])
def test_keywords_get_a_letter_in_front(name: str) -> None:
    assert name.lower() in KEYWORDS and identifier(name) == f"n{name.lower()}"


@pytest.mark.parametrize(("name", "expected"), [("net", "net"), ("8x8", "n8x8"), ("A b/c", "a_b_c"), ("", "net")])
def test_other_names_stay(name: str, expected: str) -> None:
    assert identifier(name) == expected and expected not in KEYWORDS
