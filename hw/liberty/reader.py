"""Reads Liberty files into cells with uniform units."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

from edgec.diagnostics import EdgecError
from edgec.hw.liberty.cell import Arc, Cell, Constraint, Output, Pin, PowerArc
from edgec.hw.liberty.function import truth_table, variables
from edgec.hw.liberty.library import Library, Units
from edgec.hw.liberty.sequential import read_sequential, without_inverse
from edgec.hw.liberty.syntax import Group, malformed, outline, parse_body, strip
from edgec.hw.liberty.table import Table, read_table

MAX_INPUTS = 12  # of one function: its table has 2**n bits
_SENSES = {"positive_unate": "positive", "negative_unate": "negative", "non_unate": "non"}
_QUANTITY = re.compile(r"\s*([\d.eE+-]+)\s*([munpfak]?)(s|v|w|a|f|ohm)\s*$", re.IGNORECASE)
_PREFIX = {"": 1.0, "k": 1e3, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18}


def read_liberty(path: str | Path) -> Library:
    """The library in a .lib or .lib.gz file.

    Raises EdgecError: E0202 for a file that cannot be read, E0213 for one that is no Liberty library.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EdgecError("E0202", f"cannot read the Liberty library {path}", why=reason) from error
    try:
        return parse_liberty(data.decode("utf-8", "replace"), source=path.name)
    except EdgecError as error:
        first = error.diagnostics[0]
        raise EdgecError(first.code, f"{path}: {first.what}", why=first.why, remedy=first.remedy) from error


def parse_liberty(text: str, *, source: str = "") -> Library:
    """The library in `text`; its cells are parsed when they are used."""
    name, rest, bodies = outline(strip(text))
    header = parse_body(rest, "library", [name])
    units = _units(header)
    voltage = header.number("nom_voltage")
    temperature = header.number("nom_temperature")
    chosen = header.attributes.get("default_operating_conditions")
    for conditions in header.each("operating_conditions"):
        if chosen is None or conditions.args == [chosen]:
            voltage = conditions.number("voltage", voltage)
            temperature = conditions.number("temperature", temperature)
    if voltage is None:
        raise malformed("it states no voltage (nom_voltage)")
    templates = {g.args[0]: g for g in header.each("lu_table_template", "power_lut_template") if g.args}
    return Library(name, voltage * units.voltage, temperature, units, header, bodies, source, templates)


def read_cell(library: Library, name: str) -> Cell:
    """Parse one cell of `library`; E0213 where its text is damaged."""
    group = parse_body(library.bodies[name], "cell", [name])
    pins: dict[str, Pin] = {}
    sources: dict[str, Group] = {}
    for pin_group in group.each("pin"):
        for pin in pin_group.args:
            pins[pin] = _pin(library, pin, pin_group)
            sources[pin] = pin_group
    unsupported = None
    if any(group.each("bus", "bundle")):
        unsupported = "it has buses or bundles of pins"
    elif any(group.each("ff_bank", "latch_bank")):
        unsupported = "it is a bank of flip-flops or latches"
    sequential = read_sequential(group, pins, sources) if unsupported is None else None
    if unsupported is None and sequential is None and any(group.each("ff", "latch", "statetable")):
        unsupported = "its state table or flip-flop has no simple form"
    outputs: dict[str, Output] = {}
    for pin, pin_group in sources.items():
        text = pin_group.attributes.get("function") or pin_group.attributes.get("state_function")
        if pins[pin].direction != "output" or not text or unsupported is not None:
            continue
        if "three_state" in pin_group.attributes:
            unsupported = "it has a three-state output"
            continue
        outputs[pin] = _output(pin, text, pins, group, name)
    return Cell(
        name,
        group.number("area", 0.0) or 0.0,
        _leakage(library, group),
        pins,
        outputs,
        sequential,
        tuple(arc for pin, g in sources.items() for arc in _arcs(library, pin, g)),
        tuple(c for pin, g in sources.items() for c in _constraints(library, pin, g)),
        tuple(arc for pin, g in sources.items() for arc in _power(library, pin, g)),
        group.flag("dont_use"),
        unsupported,
    )


def _units(header: Group) -> Units:
    time = _plain(_quantity(header, "time_unit", "s", 1e-9) / 1e-12)
    voltage = _quantity(header, "voltage_unit", "v", 1.0)
    leakage = _plain(_quantity(header, "leakage_power_unit", "w", 1e-9) / 1e-9)
    load = header.complex.get("capacitive_load_unit", ["1", "pf"])
    try:
        capacitance = float(load[0]) * {"ff": 1.0, "pf": 1e3}[load[1].lower()]
    except (ValueError, KeyError, IndexError):
        raise malformed(f"capacitive_load_unit ({', '.join(load)}) is no capacitance") from None
    return Units(time, capacitance, voltage, leakage)


def _plain(value: float) -> float:
    """1000.0000000000001 is 1000."""
    return float(f"{value:.12g}")


def _quantity(header: Group, name: str, unit: str, default: float) -> float:
    text = header.attributes.get(name)
    if text is None:
        return default
    found = _QUANTITY.match(text)
    if found is None or found[3].lower() != unit:
        raise malformed(f"{name} : {text!r} is no unit")
    try:
        return float(found[1]) * _PREFIX[found[2].lower()]
    except ValueError:
        raise malformed(f"{name} : {text!r} is no unit") from None


def _pin(library: Library, name: str, group: Group) -> Pin:
    direction = group.attributes.get("direction", "input")
    scale = library.units.capacitance
    default = library.header.number("default_input_pin_cap", 0.0) if direction == "input" else 0.0
    capacitance = group.number("capacitance")
    if capacitance is None:
        edges = [v for v in (group.number("rise_capacitance"), group.number("fall_capacitance")) if v is not None]
        capacitance = sum(edges) / len(edges) if edges else default
    largest = group.number("max_capacitance")
    return Pin(
        name, direction, (capacitance or 0.0) * scale, None if largest is None else largest * scale, group.flag("clock")
    )


def _output(pin: str, text: str, pins: dict[str, Pin], group: Group, name: str) -> Output:
    states = [g.args[0] for g in group.each("ff", "latch") if g.args]
    if not states:
        states = [p for p, known in pins.items() if known.direction == "internal"]
    text = without_inverse(text, group)
    names = variables(text)
    used = tuple(n for n in [*pins, *states] if n in names)
    used = tuple(dict.fromkeys(used))
    if len(used) > MAX_INPUTS:
        raise malformed(f"the function of {name}/{pin} has {len(used)} inputs; {MAX_INPUTS} are supported")
    return Output(pin, used, truth_table(text, used))


def _leakage(library: Library, group: Group) -> float:
    """The cell's own figure, else the mean over its states, else the library's default."""
    scale = library.units.leakage
    value = group.number("cell_leakage_power")
    if value is not None:
        return value * scale
    states = [g.number("value", 0.0) or 0.0 for g in group.each("leakage_power")]
    if states:
        return sum(states) / len(states) * scale
    return (library.header.number("default_cell_leakage_power", 0.0) or 0.0) * scale


def _table(library: Library, group: Group, name: str, scale: float) -> Table | None:
    inner = next(iter(group.each(name)), None)
    if inner is None:
        return None
    units = library.units
    return read_table(inner, library.templates, scale, units.time, units.capacitance)


def _related(group: Group, name: str = "related_pin") -> list[str]:
    return group.attributes.get(name, "").replace(",", " ").split()


def _arcs(library: Library, pin: str, group: Group) -> list[Arc]:
    arcs = []
    for timing in group.each("timing"):
        names = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
        tables = [_table(library, timing, n, library.units.time) for n in names]
        if not any(tables):
            tables = _linear(library, timing)
        if not any(tables):
            continue
        sense = _SENSES.get(timing.attributes.get("timing_sense", ""), "non")
        kind = timing.attributes.get("timing_type", "combinational")
        when = timing.attributes.get("when")
        arcs += [Arc(pin, related, sense, kind, when, *tables) for related in _related(timing)]
    return arcs


def _linear(library: Library, timing: Group) -> list[Table | None]:
    """The older linear model, intrinsic delay + resistance x load, as tables of two points."""
    import numpy as np

    units = library.units
    tables: list[Table | None] = []
    for edge in ("rise", "fall"):
        intrinsic = timing.number(f"intrinsic_{edge}")
        if intrinsic is None:
            tables.append(None)
            continue
        resistance = timing.number(f"{edge}_resistance", 0.0) or 0.0
        loads = np.array([0.0, 1.0]) * units.capacitance
        values = np.array([[intrinsic, intrinsic + resistance]]) * units.time
        tables.append(Table(np.zeros(1), loads, values))
    return [*tables, None, None]


def _constraints(library: Library, pin: str, group: Group) -> list[Constraint]:
    found = []
    for timing in group.each("timing"):
        kind = timing.attributes.get("timing_type", "")
        if kind.startswith(("setup", "hold")):
            tables = [_table(library, timing, f"{edge}_constraint", library.units.time) for edge in ("rise", "fall")]
            found += [Constraint(pin, related, kind, *tables) for related in _related(timing)]
    return found


def _power(library: Library, pin: str, group: Group) -> list[PowerArc]:
    arcs = []
    for power in group.each("internal_power"):
        both = _table(library, power, "power", library.units.energy)
        rise = _table(library, power, "rise_power", library.units.energy) or both
        fall = _table(library, power, "fall_power", library.units.energy) or both
        when = power.attributes.get("when")
        if rise is not None or fall is not None:
            arcs += [PowerArc(pin, related, when, rise, fall) for related in _related(power) or [None]]
    return arcs
