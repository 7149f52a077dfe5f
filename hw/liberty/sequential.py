"""The state of flip-flops, latches and clock gates as truth tables."""

from __future__ import annotations

import re

from edgec.hw.liberty.cell import Pin, Sequential
from edgec.hw.liberty.function import truth_table, variables
from edgec.hw.liberty.syntax import Group, malformed

_BOTH = {"L": 0, "H": 1, "N": 0, "T": 0, "X": 0}  # the state while clear and preset act together


def read_sequential(group: Group, pins: dict[str, Pin], sources: dict[str, Group]) -> Sequential | None:
    """The state of a cell; None for a combinational cell and for a state table that is no clock gate."""
    for kind, clock, data in (("ff", "clocked_on", "next_state"), ("latch", "enable", "data_in")):
        found = next(iter(group.each(kind)), None)
        if found is not None:
            return _with_functions(group, found, kind, clock, data, pins)
    if any(group.each("statetable")):
        return _clock_gate(group, pins, sources)
    return None


def without_inverse(text: str, cell: Group) -> str:
    """`text` with the second name of the cell's state (IQN) written as the inverse of the first."""
    for group in cell.each("ff", "latch"):
        if len(group.args) > 1:
            text = re.sub(rf"\b{re.escape(group.args[1])}\b", f"(!{group.args[0]})", text)
    return text


def _with_functions(cell: Group, group: Group, kind: str, clock: str, data: str, pins: dict[str, Pin]) -> Sequential:
    if not group.args:
        raise malformed(f"a group {kind} names no state")
    keys = (clock, data, "clear", "preset")
    texts = {key: without_inverse(group.attributes[key], cell) for key in keys if group.attributes.get(key)}
    used = {name for text in texts.values() for name in variables(text)}
    inputs = tuple(name for name in [*pins, group.args[0]] if name in used)

    def table(key: str) -> int | None:
        text = texts.get(key)
        return truth_table(text, inputs) if text else None

    edge, value = table(clock), table(data)
    if edge is None or value is None:
        # an SR latch has neither; it never appears in mapped netlists of clocked designs
        edge, value = edge or 0, value or 0
    return Sequential(
        kind,
        group.args[0],
        inputs,
        edge,
        value,
        table("clear"),
        table("preset"),
        _BOTH.get(group.attributes.get("clear_preset_var1", "L"), 0),
        tuple(variables(texts.get(clock, ""))),
    )


def _clock_gate(group: Group, pins: dict[str, Pin], sources: dict[str, Group]) -> Sequential | None:
    """A gate with a latch for rising edges: the latch is open while the clock is low, the output is clock and state."""
    if not group.attributes.get("clock_gating_integrated_cell", "").startswith("latch_posedge"):
        return None
    clock = next((p for p, g in sources.items() if g.flag("clock_gate_clock_pin")), None)
    flags = ("clock_gate_enable_pin", "clock_gate_test_pin")
    enables = [p for p, g in sources.items() if any(g.flag(f) for f in flags)]
    state = next((p for p, known in pins.items() if known.direction == "internal"), None)
    if clock is None or not enables or state is None:
        return None
    inputs = tuple(name for name in pins if name == clock or name in enables)
    return Sequential(
        "latch",
        state,
        inputs,
        truth_table(f"!{clock}", inputs),
        truth_table("+".join(enables), inputs),
        None,
        None,
        0,
        (clock,),
        is_clock_gate=True,
    )
