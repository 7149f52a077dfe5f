"""The cost records of a folded design: arrays, elementwise parts, and what moves and keeps the words between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from edgec.backend import Kernel
from edgec.backends.rtl.costs import critical_path, kernel_cells
from edgec.backends.rtl.folded.cores import Core
from edgec.backends.rtl.folded.layers import Layer
from edgec.backends.rtl.folded.network import Facts, Fold, Network

REGISTER_BITS = 1024
"""Memories up to this many bits are flip-flops with a multiplexer tree, larger ones SRAM."""


class Costs:
    """Counts of one layer's streams: flip-flops, gates of counters and handshakes, memories and their traffic."""

    def __init__(self) -> None:
        self.cells: Counter[str] = Counter()
        self.data = self.control = 0
        self.memory: Counter[str] = Counter()
        self.accesses: Counter[str] = Counter()
        self.longest = 1

    def counter(self, states: int) -> None:
        """A counter of `states` steps: flip-flops with reset and enable, an incrementer, a comparison."""
        if states > 1:
            bits = (states - 1).bit_length()
            self.control += bits
            self.cells += Counter(half_adder=bits, and2=3 * bits, mux2=bits)
            self.longest = max(self.longest, bits)

    def ring_address(self, states: int) -> None:
        """An address that steps by a constant around a ring: an adder, a comparison, a subtraction."""
        bits = max((states - 1).bit_length(), 1)
        self.control += bits
        self.cells += Counter(full_adder=2 * bits, mux2=3 * bits)
        self.longest = max(self.longest, 2 * bits)

    def store(self, words: int, width: int, written: int, read: int) -> None:
        """A memory; `written` and `read` words a frame."""
        bits = words * width
        if bits <= REGISTER_BITS:
            self.data += bits
            self.cells += Counter(mux2=2 * bits)
        else:
            self.memory["sram"] += bits
            self.accesses["sram"] += (written + read) * width

    def unit(self, unit: Facts, net: Network) -> None:
        """Count one unit of the streams."""
        wires = net.wires[unit["outs"][0]]
        match unit["kind"]:
            case "split":
                held = wires.width * unit["ratio"]
                self.data += held
                self.cells += Counter(mux2=2 * held)
                self.counter(unit["ratio"] + 1)
            case "merge":
                self.data += wires.width
                self.cells += Counter(mux2=wires.width)
                self.counter(unit["ratio"] + 1)
            case "register":
                if not unit["leaf"]:
                    self.data += wires.width
                    self.cells += Counter(mux2=wires.width)
                self.control += 1
                self.cells += Counter(and2=2, or2=1)
            case "pad":
                top, left, bottom, right = unit["pads"]
                rows, columns = unit["size"]
                for states in (unit["groups"], left + columns + right, top + rows + bottom):
                    self.counter(states)
                self.cells += Counter(and2=wires.width + 8)
            case "queue":
                depth = unit["depth"] or 2
                self.data += wires.width
                for _ in range(3):
                    self.counter(depth + 1)
                self.store(depth, wires.width, wires.words, wires.words)
            case "collect":
                self.counter(unit["groups"])
                self.counter(unit["size"])
                self.store(
                    unit["groups"], wires.width, net.wires[unit["ins"][0]].words, net.wires[unit["ins"][0]].words
                )
            case "window":
                self.window(unit, net)

    def window(self, unit: Facts, net: Network) -> None:
        into = net.wires[unit["ins"][0]]
        depth = unit["pixels"] * unit["groups"]
        lines, columns = unit["kernel"]
        for states in (
            depth,
            unit["groups"],
            unit["passes"] * unit["steps"],
            columns * (1 if unit["by_group"] else unit["groups"]),
            lines,
            unit["passes"],
            *unit["out_size"],
        ):
            self.counter(states)
        for _ in range(4):
            self.ring_address(depth)
        bits = unit["pixels"].bit_length() + 1
        self.control += bits + 3
        self.cells += Counter(full_adder=2 * bits, mux2=3 * bits, and2=4 * bits)
        self.data += into.width
        taps = unit["steps"] * unit["passes"] * unit["out_size"][0] * unit["out_size"][1]
        self.store(depth, into.width, into.words, taps)


def array_kernel(core: Core, fold: Fold, unit: Facts, net: Network, stage: int) -> Kernel:
    """The processing elements, their sums, and the memories of weights and start values."""
    array = core.array
    assert array is not None
    collects = unit["kind"] == "collect"
    simd = 1 if array.by_channel else fold.simd
    element = core.element(simd)
    cells = Counter({k: n * fold.pe for k, n in kernel_cells(element.cells).items()})
    sums = net.wires[unit["outs"][0]]
    cells += Counter(mux2=2 * sums.width)  # the start value or the sum; keep or take
    data = sums.width
    memory: Counter[str] = Counter()
    accesses: Counter[str] = Counter()
    if collects:
        active = net.wires[unit["ins"][0]].words
    else:
        active = unit["steps"] * sums.words
        word = fold.pe * simd * array.weight_interval.width if array.weights is not None else 0
        if word:
            data += word
            memory["rom"] += word * unit["steps"] * unit["passes"]
            accesses["rom"] += active * word
        if (array.start != array.start[0]).any():
            data += sums.width
            memory["rom"] += sums.width * unit["passes"]
            accesses["rom"] += active * sums.width
    weights = array.weights.size * array.weight_interval.width if array.weights is not None else 0
    return Kernel(
        name=f"{core.name}_array",
        layers=core.layer.main.loc,
        op=core.layer.main.mnemonic,
        stage=stage,
        cycles=0,
        macs=array.macs,
        macs_nominal=array.macs,
        cells=dict(cells),
        state={"data": data},
        path=critical_path(element),
        weight_bits=weights,
        output_bits=sums.width,
        activations=active,
        memory=dict(memory),
        accesses=dict(accesses),
    )


def lanes_kernel(core: Core, unit: Facts, net: Network, stage: int) -> Kernel:
    """The elementwise part with its register and the channels' numbers."""
    assert core.lane is not None
    wires = net.wires[unit["outs"][0]]
    cells = Counter({k: n * wires.lanes for k, n in kernel_cells(core.lane.cells).items()})
    cells += Counter(mux2=wires.width)
    groups = core.layer.output.channels // wires.lanes
    memory, accesses = {}, {}
    if core.numbers:
        memory["rom"] = core.layer.output.channels * core.number_bits
        accesses["rom"] = wires.words * wires.lanes * core.number_bits if groups > 1 else 0
    layers = tuple(dict.fromkeys(name for op in core.layer.ops for name in op.loc))
    return Kernel(
        name=f"{core.name}_lanes",
        layers=layers,
        op="elementwise",
        stage=stage,
        cycles=0,
        cells=dict(cells),
        state={"data": wires.width, "control": 1 + max(groups - 1, 0).bit_length()},
        path=critical_path(core.lane),
        output_bits=wires.width,
        activations=wires.words,
        memory=memory,
        accesses=accesses,
    )


def kernels(
    layers: Sequence[Layer], cores: Mapping[Layer, Core], folds: Mapping[Layer, Fold], net: Network, interval: int
) -> list[Kernel]:
    """All cost records; `interval` is the number of cycles a frame, in which the counters go on."""
    found = []
    for layer in layers:
        core, costs = cores[layer], Costs()
        units = [u for u in net.units if u["layer"] == layer.index]
        stage = layer.index + 1
        for unit in units:
            costs.unit(unit, net)
            if unit["kind"] in ("window", "collect"):
                found.append(array_kernel(core, folds[layer], unit, net, stage))
            if unit["kind"] == "register" and unit["leaf"]:
                found.append(lanes_kernel(core, unit, net, stage))
        words = max(net.wires[u["ins"][0]].words for u in units)
        found.append(
            Kernel(
                name=f"{core.name}_streams",
                layers=layer.main.loc,
                op="streams",
                stage=stage,
                cycles=0,
                cells=dict(costs.cells),
                state={"data": costs.data, "control": costs.control},
                path={"half_adder": costs.longest, "mux2": 3, "and2": 4},
                activations=min(words, interval),
                memory=dict(costs.memory),
                accesses=dict(costs.accesses),
            )
        )
    return found
