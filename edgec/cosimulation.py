"""Co-simulation: the RTL of an artefact driven with frames, its words and cycles brought back to the graph's terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgec.artefact import Artefact
from edgec.diagnostics import EdgecError
from edgec.frames import encode_frames, read_arrays
from edgec.graph import Graph
from edgec.interp import random_frames
from edgec.text import parse_graph
from edgec.weight_image import read_image

WEIGHTS = "rtl/weights.img"


@dataclass(frozen=True)
class RtlRun:
    """What the simulation of N frames gave: codes per output [N, *shape] and per probed layer, and the cycles."""

    outputs: dict[str, np.ndarray]
    layers: dict[str, np.ndarray]
    latency: int
    initiation_interval: int
    cycles: int
    seconds: float
    crossings: Any = None
    """Of a folded design: `edgec.streaming.Crossings`."""


def load_graph(artefact: Artefact) -> Graph:
    """The graph that the artefact was built from, out of its model folder."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(artefact.read("model/weights.safetensors"))
    except SafetensorError as error:
        raise EdgecError("E0701", "model/weights.safetensors is damaged", why=str(error)) from None
    try:
        text = artefact.read("model/graph.edge").decode()
    except UnicodeDecodeError as error:
        raise EdgecError("E0701", "model/graph.edge is damaged", why=str(error)) from None
    return parse_graph(text, arrays, "model/graph.edge")


def choose_frames(
    graph: Graph, frames: Mapping[str, np.ndarray] | str | Path | None, vectors: int, seed: int
) -> dict[str, np.ndarray]:
    """Codes of given real values, else of `vectors` seeded random frames; E0204 for a bad seed, E0210 for no frames."""
    if frames is None:
        if seed < 0:
            raise EdgecError("E0204", f"seed = {seed}", why="seed must be non-negative")
        return random_frames(graph, vectors, seed)
    codes = encode_frames(graph, read_arrays(frames) if isinstance(frames, str | Path) else frames)
    if not len(next(iter(codes.values()))):
        raise EdgecError("E0210", "there are no frames")
    return codes


def cache_folder() -> Path:
    """Where compiled simulators are kept, one folder for each content of the sources; artefacts stay as they are."""
    from edgec.hw.tools import cache

    return cache.cache_folder("verilator")


def design_files(artefact: Artefact, overlay: Mapping[str, bytes] | None, folder: Path) -> list[Path]:
    """The sources of the design; those in `overlay` are written to `folder` and stand in for the artefact's."""
    if artefact.manifest.get("backend") != "rtl":
        raise EdgecError("E0310", f"{artefact.path} holds no RTL", why=f"backend {artefact.manifest.get('backend')}")
    files = [artefact.path / f for f in artefact.manifest["interface"]["files"]]
    for name, data in (overlay or {}).items():
        replaced = folder / Path(name).name
        replaced.write_bytes(data)
        files = [replaced if f == artefact.path / name else f for f in files]
    return files


def rtl_simulation(artefact: Artefact, **options: Any) -> Any:
    """The simulation of an artefact: `RtlSimulation`, or `edgec.streaming.StreamSimulation` for a folded design."""
    if artefact.manifest.get("interface", {}).get("mode") == "folded":
        from edgec.streaming import StreamSimulation

        return StreamSimulation(artefact, **options)
    return RtlSimulation(artefact, **options)


class RtlSimulation:
    """The Verilator model of an artefact."""

    stalled_frames = 1000
    """How many frames a run with stalls should have."""

    def __init__(
        self,
        artefact: Artefact,
        *,
        probes: bool = True,
        waves: bool = False,
        timeout: float = 1800.0,
        overlay: Mapping[str, bytes] | None = None,
        workdir: Path | None = None,
    ) -> None:
        """`probes`: record the inner layers (the compiled model is the same without, and runs a little faster).

        `overlay` replaces files of the design (a self-test plants faults so); it then needs its own `workdir`.
        """
        from edgec.hw.sim.ports import Ports, Probe
        from edgec.hw.sim.verilator_lib import Simulation

        interface = artefact.manifest.get("interface", {})
        self.artefact, self.interface = artefact, interface
        self.probes = list(interface["probes"]) if probes else []
        folder = workdir or cache_folder()
        files = design_files(artefact, overlay, folder)
        self.simulation = Simulation(
            files,
            interface["top"],
            Ports(**interface["ports"]),
            workdir=folder,
            probes=[Probe(p["signal"], p["bits"], p["depth"]) for p in interface["probes"]],
            trace=waves,
            timeout=timeout,
        )

    def load_weights(self, words: np.ndarray) -> None:
        """Write the register bank, one word a cycle, before every batch."""
        self.simulation.write_registers(range(len(words)), [int(w) for w in words])

    def run(
        self,
        frames: Mapping[str, np.ndarray],
        *,
        stalls: float = 0.0,
        seed: int = 1,
        waves: str | Path | None = None,
        fault: int = 0,
    ) -> RtlRun:
        """Stream frames of codes; raises E0502 when the design's latency is not fixed.

        `fault` switches on one of the faults in sources of `edgec.hw.sim.mutate`; the design itself has none.
        """
        from edgec.hw.sim.batch import Stalls
        from edgec.hw.sim.mutate import PLUSARG
        from edgec.hw.sim.words import Field, pack_fields, unpack_fields

        count = len(next(iter(frames.values())))
        parts = [
            (np.asarray(frames[i["name"]]).reshape(count, -1).astype(np.int64), i["bits"])
            for i in self.interface["inputs"]
        ]
        result = self.simulation.run_batch(
            pack_fields(parts),
            stalls=Stalls(seed, stalls) if stalls else None,
            waves=waves,
            plusargs={PLUSARG: fault} if fault else None,
            record=bool(self.probes),
        )
        fields = [Field(o["elements"], o["bits"], o["signed"]) for o in self.interface["outputs"]]
        outputs = {
            o["name"]: values.reshape(count, *o["shape"])
            for o, values in zip(self.interface["outputs"], unpack_fields(result.outputs, fields), strict=True)
        }
        layers = {}
        for p in self.probes:
            field = Field(p["elements"], p["element_bits"], p["signed"])
            (values,) = unpack_fields(result.probes[p["signal"]], [field])
            layers[p["layer"]] = values.reshape(count, *p["shape"])
        cycles = int(result.out_cycles[-1] - result.in_cycles[0]) if count else 0
        return RtlRun(outputs, layers, result.latency, result.initiation_interval, cycles, result.seconds)


def image_words(artefact: Artefact, image: str | Path | None) -> np.ndarray | None:
    """The checked words of `image` (or of the artefact's own), None for a design with constant weights."""
    bank = artefact.manifest["interface"].get("register_words", 0)
    if not bank:
        if image is not None:
            raise EdgecError("E0703", "this hardware has no register bank", why="it was built with --weights fixed")
        return None
    if image is None:
        return read_image(artefact.read(WEIGHTS), artefact.manifest["network_id"], bank, WEIGHTS)
    try:
        data = Path(image).read_bytes()
    except OSError as error:
        raise EdgecError("E0202", f"{image} cannot be read", why=error.strerror) from None
    return read_image(data, artefact.manifest["network_id"], bank, str(image))


def cosimulate(
    artefact: Artefact,
    frames: Mapping[str, np.ndarray] | str | Path | None,
    *,
    vectors: int | None = None,
    seed: int = 1,
    stalls: float = 0.0,
    weights: str | Path | None = None,
    waves: str | Path | None = None,
    timeout: float = 1800.0,
) -> dict[str, Any]:
    """Drive the RTL; the outputs (codes), the cycles beside the estimate, and a summary in sentences."""
    artefact.check()
    words = image_words(artefact, weights)
    graph = load_graph(artefact)
    folded = artefact.manifest["interface"].get("mode") == "folded"
    codes = choose_frames(graph, frames, vectors or (8 if folded else 256), seed)
    simulation = rtl_simulation(artefact, probes=False, waves=waves is not None, timeout=timeout)
    if words is not None:
        simulation.load_weights(words)
    result = simulation.run(codes, stalls=stalls, seed=seed, waves=waves)
    check_cycles(artefact, result, stalled=stalls > 0)
    count = len(next(iter(codes.values())))
    clock = artefact.manifest["estimates"]["clock_mhz"]
    return {
        "frames": count,
        "latency": result.latency,
        "initiation_interval": result.initiation_interval,
        "cycles": result.cycles,
        "estimated_latency": artefact.manifest["interface"]["latency"],
        "seconds": result.seconds,
        "outputs": result.outputs,
        "summary": [
            f"{count} frames in {result.cycles} cycles; latency {result.latency} cycles "
            f"({1e3 * result.latency / clock:.4g} ns at {clock:g} MHz), initiation interval "
            f"{result.initiation_interval}: as estimated"
        ],
    }


def check_cycles(artefact: Artefact, result: RtlRun, *, stalled: bool) -> None:
    """Compare simulated cycles with the schedule; E0502 when they differ."""
    if result.crossings is not None:
        from edgec.streaming import check_stream_cycles

        check_stream_cycles(artefact, result)
        return
    interface = artefact.manifest["interface"]
    wanted = interface["latency"]
    if result.latency != wanted:
        raise EdgecError("E0502", f"latency {result.latency} cycles, the estimate says {wanted}")
    interval = interface["initiation_interval"]
    if not stalled and result.initiation_interval not in (0, interval):
        raise EdgecError(
            "E0502", f"initiation interval {result.initiation_interval} cycles, the estimate says {interval}"
        )
