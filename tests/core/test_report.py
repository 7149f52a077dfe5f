"""The report page and the CSV: self-contained, escaped, deterministic, complete."""

from __future__ import annotations

import copy
import csv
import io
from html.parser import HTMLParser
from typing import Any

import pytest

from edgec.layers import Layer
from edgec.report import html_report, per_layer_csv
from edgec.report_chart import Bar, bar_chart, number, ticks

EVIL = '<script>alert("1")</script>&'


def figure(nominal: float, unit: str, bar: float = 0.0, basis: str = "analytic") -> dict[str, Any]:
    low, high = nominal * (1 - bar), nominal * (1 + bar)
    return {"low": low, "nominal": nominal, "high": high, "unit": unit, "basis": basis, "source": f"source {EVIL}"}


def kernel(name: str, area: float, energy: float) -> dict[str, Any]:
    figures = {"area_kge": figure(area, "kGE", 0.2), "energy_pj": figure(energy, "pJ", 0.5)}
    return {
        "name": name,
        "layers": [f"/{name}", EVIL],
        "op": "conv",
        "stage": 1,
        "cycles": 1,
        "macs": 12,
        "macs_nominal": 18,
        "cells": {"full_adder": 7},
        "state": {},
        "figures": figures,
    }


def manifest(**changes: Any) -> dict[str, Any]:
    estimates = {
        "clock_mhz": 40.0,
        "voltage_v": None,
        "totals": {"latency_cycles": figure(2, "cycles", basis="exact"), "energy_pj": figure(1234.5, "pJ", 0.5)},
        "kernels": [kernel("net_l0", 3.0, 5.0), kernel("net_l1", 2.0, 7.25)],
        "constants": {"ge.inv": {"low": 0.5, "nominal": 0.75, "high": 1.0, "source": f"a library {EVIL}"}},
        "notes": [f"a note {EVIL}"],
    }
    port = {"name": EVIL, "shape": [1, 4], "format": "fixed<8, 3>", "layout": "row-major"}
    return {
        "edgec": "0.1.0",
        "name": "net",
        "target": "asic65nm",
        "backend": "rtl",
        "config": {"weights": "loaded", "name": EVIL},
        "passes": ["fuse", f"x{{{EVIL}}}"],
        "model": {"producer": EVIL},
        "network_id": "0123456789abcdef",
        "plan_digest": "ab" * 32,
        "io": {
            "inputs": [{**port, "codes": [-128, 127], "scale": [0.03125], "zero_point": [0]}],
            "outputs": [{**port, "codes": None, "scale": None, "zero_point": None}],
        },
        "interface": {
            "registers": [
                {
                    "address": 0,
                    "words": 3,
                    "name": EVIL,
                    "shape": [2, 8],
                    "format": "fixed<6, 1>",
                    "elements": 16,
                    "element_bits": 6,
                }
            ]
        },
        "estimates": estimates,
        "golden": {"frames": 64, "origin": "uniform random codes, seed 0"},
        "diagnostics": [
            {
                "code": "W0001",
                "severity": "warning",
                "layer": EVIL,
                "op": None,
                "what": EVIL,
                "why": EVIL,
                "remedy": EVIL,
            }
        ],
        "tables": {"quantize": [{"layer": EVIL, "sqnr_db": 31.25}, {"layer": "b", "sqnr_db": None}], "empty": []},
        **changes,
    }


ROWS = [
    Layer("conv", "conv", (EVIL,), (1, 8, 4, 4), "fixed<13, 6>", 1152, 80, 480, {"x": "ufixed<8, 1>", "product": EVIL})
]


class Reader(HTMLParser):
    """Collects tags and text, and checks that every element is closed."""

    VOID = ("meta", "br", "line", "rect", "path", "link", "img")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_one_file_without_scripts() -> None:
    page = html_report(manifest(), ROWS)
    read = Reader(page)
    assert "script" not in read.tags and "link" not in read.tags and "img" not in read.tags
    assert not [a for a in read.attributes if a[0] in ("src", "href", "onload", "onclick")]
    assert "http" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "url(" not in page and "@import" not in page
    assert (
        page.startswith("<!doctype html>") and '<html lang="en">' in page and "<title>net on asic65nm</title>" in page
    )


def test_everything_is_escaped_and_nothing_is_lost() -> None:
    page = html_report(manifest(), ROWS)
    assert "<script" not in page and "&amp;amp;" not in page
    text = Reader(page).text
    assert text.count(EVIL) >= 15
    for wanted in ("W0001", "0123456789abcdef", "1,152", "fixed<6, 1>", "31.2", "1,234", "edgec verify", "fuse"):
        assert wanted in text, wanted


def test_the_page_is_deterministic() -> None:
    data = manifest()
    kept = copy.deepcopy(data)
    assert html_report(data, ROWS) == html_report(copy.deepcopy(data), list(ROWS))
    assert data == kept


def test_charts_show_bars_whiskers_and_names_for_screen_readers() -> None:
    read = Reader(html_report(manifest(), ROWS))
    assert read.tags.count("svg") == 2
    assert ("aria-label", "Area by kernel, kGE") in read.attributes and ("role", "img") in read.attributes
    assert read.tags.count("rect") == 4 and read.tags.count("path") == 4
    assert "l0: 3 (2.4 to 3.6) kGE" in read.text


def test_an_estimate_without_error_bars_registers_or_kernels() -> None:
    data = manifest(interface={}, tables={}, diagnostics=[])
    data["estimates"]["kernels"] = []
    read = Reader(html_report(data, []))
    assert "svg" not in read.tags and "Register map" not in read.text and "None." in read.text


def test_many_kernels_are_cut_in_the_chart_and_kept_in_the_table() -> None:
    data = manifest()
    data["estimates"]["kernels"] = [kernel(f"net_l{i}", i + 1.0, 1.0) for i in range(55)]
    page = html_report(data, ROWS)
    assert "The 15 smallest kernels are in the table below only" in page
    assert page.count("<code>l") >= 55


def test_a_chart_is_to_scale() -> None:
    svg = bar_chart("t", "pJ", [Bar("a", 50, 100, 200, "a"), Bar("b", 25, 25, 25, "b & c")])
    assert 'width="240.0"' in svg and 'width="60.0"' in svg  # 480 units are 200 pJ
    assert "M350.0 " in svg and "H710.0" in svg and svg.count('class="whisker"') == 1
    assert "<title>b &amp; c</title>" in svg
    assert bar_chart("t", "pJ", [Bar("a", 0, 0, 0, "")]).count('class="bar"') == 1


def test_numbers() -> None:
    assert [number(v) for v in (0, 1, 1234567, 0.001234, 1234.5, 12.345)] == [
        *("0", "1", "1,234,567", "0.00123", "1,234", "12.3")
    ]
    assert ticks(1.84) == pytest.approx([0, 0.5, 1.0, 1.5]) and ticks(0) == [0.0]
    assert all(len(ticks(10.0**e * m)) <= 8 for e in range(-9, 9) for m in (1, 1.9, 3.3, 7))


def test_tables_of_passes_start_with_the_layer() -> None:
    page = html_report(manifest(), ROWS)
    assert "<th>layer</th><th>sqnr db</th>" in page
    swapped = manifest(tables={"t": [{"worst": True, "sqnr_db": 3, "op": "conv", "layer": "a"}]})
    assert "<th>layer</th><th>op</th><th>worst</th><th>sqnr db</th>" in html_report(swapped, ROWS)


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(per_layer_csv(manifest()["estimates"]).decode())))
    assert [r["kernel"] for r in rows] == ["net_l0", "net_l1"]
    assert rows[1]["energy_pj nominal [pJ]"] == "7.25" and rows[0]["layers"] == f"/net_l0, {EVIL}"
    assert rows[0]["full_adder"] == "7" and float(rows[0]["area_kge low [kGE]"]) == pytest.approx(2.4)
