"""Flattening: hierarchy, constants, wires that pass through, and netlists that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_support import library_text
from hypothesis import given, settings
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.hw.liberty import parse_liberty
from edgec.hw.netlist import FlatNetlist, flatten, read_netlist
from edgec.hw.netlist.clocks import clock_network
from edgec.hw.netlist.levels import levels

LIBRARY = parse_liberty(library_text())


def cell(kind: str, **pins: int | str) -> dict[str, Any]:
    return {"type": kind, "connections": {p: [n] for p, n in pins.items()}}


def module(ports: dict[str, list], cells: dict[str, Any], *, outputs: str = "yz", top: bool = False) -> dict[str, Any]:
    described = {n: {"direction": "output" if n[0] in outputs else "input", "bits": b} for n, b in ports.items()}
    return {"attributes": {"top": "1"} if top else {}, "ports": described, "cells": cells, "netnames": {}}


def flat(**modules: dict[str, Any]) -> FlatNetlist:
    return flatten({"modules": modules}, LIBRARY)


def test_hierarchy_with_feedthrough_constants_and_open_outputs() -> None:
    """`pair` inverts a, hands b through, and gives a constant; the top uses it twice, the second behind the first."""
    pair = module(
        {"a": [2], "b": [3], "y": [4], "z": [3], "y1": ["1"]},
        {"i": cell("INV", A=2, Y=4), "open": cell("FA", A=2, B=3, C="1", S=5)},
    )
    inner = {"a": [4], "b": [3], "y": [6], "z": [7], "y1": [8]}
    top = module(
        {"a": [2], "b": [3], "y": [6, 7, 8]},
        {
            "u": {"type": "pair", "connections": {"a": [2], "b": [3], "y": [4]}},
            "v": {"type": "pair", "connections": inner},
        },
        top=True,
    )
    netlist = flat(pair=pair, top=top)
    assert netlist.count_by_type() == {"INV": 2, "FA": 2}
    assert [b.name for b in netlist.blocks] == ["", "u", "v"]
    assert [netlist.cell_name(c) for c in range(4)] == ["u.i", "u.open", "v.i", "v.open"]
    a, b, y = (netlist.ports[n].nets for n in "aby")
    assert y[1] == b[0] and y[2] == 1  # handed through, and the constant
    first, second = (int(netlist.pin_net[netlist.pin_start[c] + 1]) for c in (0, 2))
    assert y[0] == second and netlist.pin_net[netlist.pin_start[2]] == first
    carry = netlist.pin_start[1] + netlist.pins[netlist.cell_type[1]].index("CO")
    assert netlist.pin_net[carry] == -1
    assert netlist.fanout[a[0]] == 2 and netlist.fanout[b[0]] == 2
    assert netlist.pin_name(int(netlist.driver[second])) == "v.i/Y"
    assert levels(netlist).tolist() == [1, 1, 2, 2]


def test_a_replicated_module_has_the_structure_of_its_copies() -> None:
    """The same netlist written flat and with instances: same cells, same fan-outs, same levels."""
    leaf = module({"a": [2, 3], "y": [5]}, {"n": cell("NAND2", A=2, B=3, Y=4), "i": cell("INV", A=4, Y=5)})
    chain = {f"u{k}": {"type": "leaf", "connections": {"a": [k + 2, 100], "y": [k + 3]}} for k in range(20)}
    top = module({"a": [2], "b": [100], "y": [22]}, chain, top=True)
    cells: dict[str, Any] = {}
    for k in range(20):
        cells[f"n{k}"] = cell("NAND2", A=k + 2, B=100, Y=200 + k)
        cells[f"i{k}"] = cell("INV", A=200 + k, Y=k + 3)
    one, two = flat(leaf=leaf, top=top), flat(top=module({"a": [2], "b": [100], "y": [22]}, cells, top=True))
    assert one.count_by_type() == two.count_by_type() == {"NAND2": 20, "INV": 20}
    assert sorted(one.fanout.tolist()) == sorted(two.fanout.tolist())
    assert levels(one).tolist() == levels(two).tolist() == list(range(1, 41))


def test_the_clock_network_ends_at_clock_pins() -> None:
    cells = {
        "inv": cell("INV", A=2, Y=10),
        "inv2": cell("INV", A=10, Y=11),
        "gate": cell("ICG", CK=11, EN=3, G=12),
        "f": cell("DFF", CK=12, D=3, Q=20),
        "g": cell("DFF", CK=2, D=20, Q=21),
        "x": cell("NAND2", A=20, B=21, Y=22),
    }
    netlist = flat(top=module({"clk": [2], "d": [3], "y": [22]}, cells, top=True))
    network = clock_network(netlist)
    assert network.port == "clk"
    names = {netlist.pin_name(int(p)) for p in network.pins}
    assert names == {"gate/CK", "f/CK", "g/CK"}
    assert int(network.nets.sum()) == 4
    assert not clock_network(flat(top=module({"a": [2], "y": [3]}, {"i": cell("INV", A=2, Y=3)}, top=True))).nets.any()
    with pytest.raises(EdgecError) as caught:
        clock_network(netlist, "clock")
    assert caught.value.code == "E0215" and "clk" in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "code", "word"),
    [
        ({"i": cell("INV", A=2, Y=4), "j": cell("INV", A=3, Y=4)}, "E0215", "several drivers"),
        ({"i": cell("INV", A=9, Y=4)}, "E0215", "no driver"),
        ({"i": cell("NAND9", A=2, Y=4)}, "E0214", "NAND9"),
        ({"i": cell("INV", A=2, Q=4)}, "E0214", "no pin Q"),
        ({"i": cell("$_NOT_", A=2, Y=4)}, "E0215", "not mapped"),
        ({"i": {"type": "INV"}}, "E0215", "malformed"),
        ({"i": cell("top", a=2, y=4)}, "E0215", "itself"),
        ({"i": cell("INV", A="q", Y=4)}, "E0215", "malformed"),
    ],
)
def test_what_is_no_netlist_is_refused(cells: dict[str, Any], code: str, word: str) -> None:
    with pytest.raises(EdgecError) as caught:
        flat(top=module({"a": [2], "b": [3], "y": [4]}, cells, top=True))
    assert caught.value.code == code and word in str(caught.value)


def test_loops_and_second_clocks_are_refused() -> None:
    loop = flat(
        top=module({"a": [2], "y": [3]}, {"m": cell("NAND2", A=2, B=4, Y=3), "n": cell("INV", A=3, Y=4)}, top=True)
    )
    with pytest.raises(EdgecError, match="loop"):
        levels(loop)
    two = module(
        {"c": [2], "d": [3], "y": [5]}, {"f": cell("DFF", CK=2, D=3, Q=4), "g": cell("DFF", CK=3, D=4, Q=5)}, top=True
    )
    with pytest.raises(EdgecError, match="one clock"):
        clock_network(flat(top=two))


def test_files(tmp_path: Path) -> None:
    good = {"modules": {"top": module({"a": [2], "y": [3]}, {"i": cell("INV", A=2, Y=3)}, top=True)}}
    (tmp_path / "n.json").write_text(json.dumps(good))
    assert read_netlist(tmp_path / "n.json", LIBRARY).cell_count == 1
    for name, data, code in (("none", None, "E0202"), ("text", b"{", "E0215"), ("list", b"[1, 2]", "E0215")):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(EdgecError) as caught:
            read_netlist(tmp_path / name, LIBRARY)
        assert caught.value.code == code
    with pytest.raises(EdgecError, match="no module 'other'"):
        read_netlist(tmp_path / "n.json", LIBRARY, "other")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_damaged_documents_are_diagnostics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    leaf = module({"a": [2, 3], "y": [5]}, {"n": cell("NAND2", A=2, B=3, Y=4), "i": cell("INV", A=4, Y=5)})
    top = module({"a": [2, 3], "y": [7]}, {"u": {"type": "leaf", "connections": {"a": [2, 3], "y": [7]}}}, top=True)
    document: Any = json.loads(json.dumps({"modules": {"leaf": leaf, "top": top}}))
    for _ in range(int(rng.integers(1, 3))):
        at, parents = document, []
        while isinstance(at, dict | list) and at and rng.random() < 0.9:
            key = list(at)[int(rng.integers(len(at)))] if isinstance(at, dict) else int(rng.integers(len(at)))
            parents.append((at, key))
            at = at[key]
        if parents:
            where, key = parents[-1]
            where[key] = [None, 2, "1", [], {}, -5, [99], "x"][int(rng.integers(8))]
    try:
        flatten(document, LIBRARY)
    except EdgecError as error:
        assert error.code in ("E0214", "E0215")
