"""The report of C code: memory over the steps, no figure that only hardware has, no empty part."""

from __future__ import annotations

import copy
import csv
import io
import re
from typing import Any

import pytest
from test_report import EVIL, ROWS, Reader, figure, manifest

from edgec.report import html_report, per_layer_csv
from edgec.report_chart import WIDTH
from edgec.report_memory import HEIGHT, LEFT, memory_chart

PLACES = [
    {"name": "t0", "offset": 0, "bytes": 300, "first_step": 0, "last_step": 1},
    {"name": "t1", "offset": 304, "bytes": 100, "first_step": 1, "last_step": 3},
    {"name": "scratch of s02", "offset": 0, "bytes": 64, "first_step": 2, "last_step": 2},
]


def step(name: str, macs: int, cycles: float | None = None) -> dict[str, Any]:
    figures = {"macs": figure(macs, "", basis="exact"), "weight_bytes": figure(96, "B", basis="exact")}
    figures |= {"activation_bytes": figure(400, "B", basis="exact")}
    figures |= {"cycles": figure(cycles, "cycles", 0.2)} if cycles is not None else {}
    facts = {"name": name, "layers": [f"/{name}", EVIL], "op": "conv", "stage": 7, "cycles": 0, "figures": figures}
    return {**facts, "macs": macs, "macs_nominal": macs, "cells": {}, "state": {}}


def code_manifest(cycles: float | None = None) -> dict[str, Any]:
    memory = {"arena_bytes": 404, "arena_lower_bound": 400, "constant_bytes": 12345, "map": PLACES}
    data = manifest(backend="c", target="host", interface={"name": "net", "memory": memory})
    totals = {"arena_bytes": figure(404, "B", basis="exact"), "constant_bytes": figure(12345, "B", basis="exact")}
    totals |= {"macs": figure(4321, "", basis="exact")}
    totals |= {"cycles": figure(9000, "cycles", 0.2), "latency_us": figure(45, "us", 0.2)} if cycles else {}
    kernels = [step(f"s{k:02d}_conv", 1000 + k, cycles) for k in range(4)]
    data["estimates"] |= {"clock_mhz": 0.0, "totals": totals, "kernels": kernels, "constants": {}}
    return data


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    """x, y, width, height of the boxes of tensors."""
    pattern = r'class="room" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"'
    return [tuple(map(float, m)) for m in re.findall(pattern, svg)]  # type: ignore[misc]


def test_boxes_lie_where_the_plan_says() -> None:
    data = code_manifest()
    svg = memory_chart(data["interface"]["memory"], data["estimates"]["kernels"])
    assert svg is not None
    across, up = (WIDTH - LEFT) / 4, HEIGHT / 404
    found = boxes(svg)
    assert len(found) == len(PLACES)
    for (x, y, width, height), row in zip(found, PLACES, strict=True):
        steps = row["last_step"] - row["first_step"] + 1
        assert x == pytest.approx(LEFT + row["first_step"] * across, abs=0.06)
        assert width == pytest.approx(steps * across, abs=0.06) and height == pytest.approx(row["bytes"] * up, abs=0.06)
        assert y == pytest.approx(HEIGHT - (row["offset"] + row["bytes"]) * up, abs=0.06) and y >= -0.06
    assert "t1: 100 bytes at 304, steps 1 to 3" in svg and "scratch of s02: 64 bytes at 0, step 2" in svg
    assert "<script" not in svg
    for change in ({"map": []}, {"arena_bytes": 0}):
        assert memory_chart({**data["interface"]["memory"], **change}, data["estimates"]["kernels"]) is None


@pytest.mark.parametrize("cycles", [None, 2250.0])
def test_cards_and_tables_are_those_of_code(cycles: float | None) -> None:
    data = code_manifest(cycles)
    kept = copy.deepcopy(data)
    page = html_report(data, ROWS)
    read = Reader(page)
    assert data == kept and "<script" not in page
    cards = re.findall(r'<div class="card"><span>([^<]+)</span><b>([^<]+)', page)
    wanted = [("Arena", "404 "), ("Constants", "12,345 "), ("Multiply-accumulates", "4,321 ")]
    assert cards == wanted + ([("Cycles", "9,000 "), ("Latency", "45 ")] if cycles else [])
    assert read.tags.count("svg") == 2
    title = "Cycles per inference" if cycles else "Multiply-accumulates per inference"
    assert f"<h2>{title}</h2>" in page
    assert ("a whisker runs" in page) == (cycles is not None)
    for word in ("Clock", "Stage", "mm²", "kGE", "plants faults", "constants of the target", "latency_us"):
        assert word not in read.text, word
    for word in (
        "No order of these steps does with less than 400 bytes",
        "edgec bench . --steps",
        "µs" if cycles else "s03",
    ):
        assert word in read.text, word


def test_csv_has_no_columns_of_hardware() -> None:
    rows = list(csv.reader(io.StringIO(per_layer_csv(code_manifest(2250.0)["estimates"]).decode())))
    assert rows[0][:5] == ["kernel", "op", "layers", "macs", "macs_nominal"]
    assert "stage" not in rows[0] and "cycles" not in rows[0] and "cycles nominal [cycles]" in rows[0]
    assert rows[0].count("macs") == 1 and "macs low" not in rows[0]
    assert all(len(r) == len(rows[0]) for r in rows) and [r[3] for r in rows[1:]] == ["1000", "1001", "1002", "1003"]
    hardware = per_layer_csv(manifest()["estimates"]).decode().splitlines()[0]
    assert hardware.startswith("kernel,op,layers,stage,cycles,macs,macs_nominal,")
