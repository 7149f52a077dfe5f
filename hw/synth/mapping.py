"""From the sources of a design to its mapped netlist."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgec.hw.synth.adders import adder_cells, adder_modules
from edgec.hw.synth.libraries import SynthesisLibrary
from edgec.hw.synth.netlist import Netlist, read_netlist, rename_verilog, to_json
from edgec.hw.synth.script import synthesis_script
from edgec.hw.synth.yosys import run_yosys


@dataclass(frozen=True)
class Mapped:
    """What the flow made: the netlist, the same as Verilog, and yosys' log."""

    netlist: Netlist
    verilog: str
    log: str
    names: Mapping[str, str]
    """yosys' names of modules -> those of the netlist, where they differ."""

    @property
    def json(self) -> bytes:
        return to_json(self.netlist)


def map_design(top: str, sources: Mapping[str, bytes], library: SynthesisLibrary, *, timeout: float) -> Mapped:
    """Map the SystemVerilog `sources` (file name -> text, in the order of reading) onto `library`.

    Raises E06xx when yosys is missing or does not finish."""
    files: dict[str, str | bytes] = {f"source{i}.sv": text for i, text in enumerate(sources.values())}
    adders = "full_adder" in adder_cells(library)
    script = synthesis_script(top, list(files), sorted(library.unwanted), library.flip_flops, adders)
    files |= {"library.lib": library.text, "adders.v": adder_modules(library)}
    with tempfile.TemporaryDirectory(prefix="edgec-synth-") as name:
        folder = Path(name)
        log = run_yosys(script, folder, files, timeout)
        netlist, names = read_netlist(json.loads((folder / "netlist.json").read_bytes()), top)
        verilog = rename_verilog((folder / "netlist.v").read_text(encoding="utf-8"), names)
    return Mapped(netlist, verilog, log, names)
