"""One standard cell: pins, functions, delays, energies; in ps, fF, fJ and nW."""

from __future__ import annotations

from dataclasses import dataclass

from edgec.hw.liberty.table import Table


@dataclass(frozen=True)
class Pin:
    """A logic pin. `capacitance` is the load it puts on its net; `max_capacitance` the largest load it may drive."""

    name: str
    direction: str  # input, output, inout, internal
    capacitance: float
    max_capacitance: float | None = None
    is_clock: bool = False


@dataclass(frozen=True)
class Output:
    """What an output shows: `table` over `inputs` (see function.py).

    In a sequential cell the name of the state variable may stand among the inputs.
    """

    pin: str
    inputs: tuple[str, ...]
    table: int


@dataclass(frozen=True)
class Sequential:
    """The state of a flip-flop or latch, all tables over the input pins `inputs`.

    With an enable the state itself is one of the inputs, the last one.
    A flip-flop takes `data` where `clock` goes from 0 to 1; a latch follows `data` while `clock` is 1. `clear` and
    `preset` act while they are 1 (None: the cell has none); `both` is the state while both act.
    """

    kind: str  # "ff" or "latch"
    state: str
    inputs: tuple[str, ...]
    clock: int
    data: int
    clear: int | None
    preset: int | None
    both: int
    clock_pins: tuple[str, ...]
    is_clock_gate: bool = False


@dataclass(frozen=True, eq=False)
class Arc:
    """A delay from `related` to `pin`. `sense`: positive, negative or non (unate); `kind`: Liberty's timing_type."""

    pin: str
    related: str
    sense: str
    kind: str
    when: str | None
    rise: Table | None
    fall: Table | None
    rise_slew: Table | None
    fall_slew: Table | None


@dataclass(frozen=True, eq=False)
class Constraint:
    """Set-up or hold of `pin` against the clock `related`: `rise`/`fall` by (clock slew, data slew), in ps."""

    pin: str
    related: str
    kind: str
    rise: Table | None
    fall: Table | None


@dataclass(frozen=True, eq=False)
class PowerArc:
    """Energy inside the cell when `pin` rises or falls because of `related` (None: whatever the cause), in fJ.

    The energy of charging the load (C V^2 / 2 an edge) comes on top.
    """

    pin: str
    related: str | None
    when: str | None
    rise: Table | None
    fall: Table | None


@dataclass(frozen=True, eq=False)
class Cell:
    """A cell of a library; `area` in the library's unit (um2 as a rule), `leakage` in nW."""

    name: str
    area: float
    leakage: float
    pins: dict[str, Pin]
    outputs: dict[str, Output]
    sequential: Sequential | None
    arcs: tuple[Arc, ...]
    constraints: tuple[Constraint, ...]
    power: tuple[PowerArc, ...]
    dont_use: bool = False
    unsupported: str | None = None  # why it cannot be simulated, if so

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(name for name, pin in self.pins.items() if pin.direction == "input")

    def energy_of_clock(self, slew: float) -> float:
        """Energy inside the cell for one whole clock cycle (both edges) at its clock pins, outputs still, in fJ."""
        pins = self.sequential.clock_pins if self.sequential else ()
        arcs = [arc for arc in self.power if arc.pin in pins and arc.related is None]
        return sum(float(t.at(slew)) / _same(arcs, arc) for arc in arcs for t in (arc.rise, arc.fall) if t is not None)


def _same(arcs: list[PowerArc], arc: PowerArc) -> int:
    """How many alternatives (`when` conditions) there are of an arc: they are averaged."""
    return sum(a.pin == arc.pin for a in arcs)
