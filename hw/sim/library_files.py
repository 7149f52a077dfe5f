"""Writes the sources of a Verilator library: header, C interface, batch program, Makefile.

The same files go into an artefact's `sim/` folder, where `make` builds them without edgec, and into the build folder of
`edgec.hw.sim.Simulation`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import PurePosixPath

from edgec.hw.sim.ports import Ports, Probe, StreamPorts, words_for
from edgec.hw.sim.tracing import Waves

RESET_CYCLES = 4
HEADERS = (".svh", ".vh")  # included by others: a prerequisite, but not an argument
OPTIONS_FILE = "probes.vlt"
FLIP_FLOPS = ("edgec_register", "edgec_copy", "edgec_scrub_copy")
"""The modules that hold flip-flops, in a variable `q`."""


def library_files(
    top: str,
    ports: Ports | StreamPorts,
    sources: Sequence[str],
    *,
    prefix: str,
    probes: Sequence[Probe] = (),
    defines: Sequence[str] = (),
    waves: Waves = None,
    program: str = "batch",
) -> dict[str, str]:
    """File name -> text for a Verilator library of module `top`.

    `sources` are the SystemVerilog files, in compilation order, as paths relative to the folder these files will lie
    in. `prefix` starts every C name. `defines` are `NAME` or `NAME=VALUE`. `waves` chooses the trace format built in.
    `program` is what becomes of the executable: `batch` streams frames, `faults` also inverts flip-flops on the way (it
    needs the macro EDGEC_FAULTS).
    """
    if not re.fullmatch(r"[A-Za-z]\w*", prefix):
        raise ValueError(f"{prefix!r} cannot start a C name")
    include = sorted({str(PurePosixPath(s).parent) for s in sources})
    flags = [
        # With this optimisation Verilator 5.006 computes wrong sums (trees of exclusive ors over single bits).
        "-fno-const-bit-op-tree",
        "--cc --exe -O3 --assert -Wno-fatal --Mdir obj --timescale 1ns/1ns",
        f"--top-module {top} --prefix V{prefix} -o ../{prefix}_batch",
        # Unwritten flip-flops and 'x get values from a seeded generator at run time: repeatable, and unlike all-zero
        # they do not hide a missing reset.
        "--x-assign unique --x-initial unique",
        '-CFLAGS "-fPIC -fvisibility=hidden -DVL_USER_FATAL" -LDFLAGS -pthread',
        *{"vcd": ["--trace"], "fst": ["--trace-fst"]}.get(waves or "", []),
        *[f"-I{folder}" for folder in include],
        *[f"-D{d}" for d in defines],
    ]
    compiled = [s for s in sources if not s.endswith(HEADERS)]
    streams = isinstance(ports, StreamPorts)
    values: dict[str, object] = {
        "PREFIX": prefix,
        "PREFIX_UPPER": prefix.upper(),
        "TOP": top,
        "INPUT_BITS": ports.input_bits,
        "OUTPUT_BITS": ports.output_bits,
        "INPUT_WORDS": ports.input_words,
        "OUTPUT_WORDS": ports.output_words,
        "ADDRESS_BITS": ports.address_bits,
        "RESET_CYCLES": RESET_CYCLES,
        "CLOCK": ports.clock,
        "RESET": ports.reset,
        "PORT_WORDS": words_for(ports.input_bits),
        **(_stream_values(ports) if streams else _pipeline_values(ports)),
        "PROBE_COUNT": len(probes),
        "PROBES": "".join(f'{{"{_scope(top, p)}", "{_leaf(p)}", {p.words}}}, ' for p in probes),
        "PROBE_DEPTHS": "".join(f"{p.depth}, " for p in probes),
        "SOURCES": " ".join(compiled),
        "HEADERS": " ".join(s for s in sources if s.endswith(HEADERS)),
        "FLAGS": " \\\n    ".join(flags),
        "OPTIONS_FILE": OPTIONS_FILE if probes or program == "faults" else "",
        "LIBRARIES": "-lz" if waves == "fst" else "",
    }
    protocol = "stream" if streams else "pipeline"
    values["COMMON"] = _fill("batch.common.in", values)
    values["PROTOCOL"] = _fill(f"{protocol}.protocol.in", values)
    values["PROTOCOL_API"] = _fill("stream.api.in", values) if streams else ""
    values["PROTOCOL_HEADER"] = _fill("stream.header.in", values) if streams else ""
    values["ABOUT"] = _fill(f"{protocol}.about.in", values)
    if streams:
        program = "stream"
    names = {
        "simulation.h.in": f"{prefix}_sim.h",
        "simulation.cpp.in": f"{prefix}_sim.cpp",
        f"{program}.cpp.in": f"{prefix}_batch.cpp",
        "Makefile.in": "Makefile",
    }
    files = {name: _fill(template, values) for template, name in names.items()}
    if probes or program == "faults":
        files[OPTIONS_FILE] = _options(probes, program == "faults")
    return files


def _fill(template: str, values: dict[str, object]) -> str:
    """Replace every @NAME@; an unknown name is a KeyError."""
    text = (resources.files("edgec.hw.sim") / "native" / template).read_text(encoding="utf-8")
    return re.sub(r"@([A-Z_]+)@", lambda m: str(values[m[1]]), text)


def _pipeline_values(ports: Ports) -> dict[str, object]:
    return {
        "INPUT_VALID": ports.input_valid,
        "INPUT_DATA": ports.input_data,
        "OUTPUT_VALID": ports.output_valid,
        "OUTPUT_DATA": ports.output_data,
        "IDLE": f"        top->{ports.write_enable} = 0;" if ports.address_bits else "",
        "WRITE_REGISTER": _write_register(ports),
    }


def _stream_values(ports: StreamPorts) -> dict[str, object]:
    return {
        "INPUT_VALID": f"{ports.slave}_tvalid",
        "INPUT_DATA": f"{ports.slave}_tdata",
        "SLAVE": ports.slave,
        "MASTER": ports.master,
        "INPUT_BEATS": ports.input_beats,
        "OUTPUT_BEATS": ports.output_beats,
        "OUTPUT_PORT_WORDS": words_for(ports.output_bits),
        "IDLE": f"        top->{ports.slave}_tlast = 0;\n        top->{ports.master}_tready = 0;",
    }


def _write_register(ports: Ports) -> str:
    if not ports.address_bits:
        lines = ["(void)address;", "(void)value;", 'throw std::runtime_error("the design has no register port");']
    else:
        lines = [
            f"if (static_cast<uint64_t>(address) >> {ports.address_bits}) throw std::runtime_error("
            f'"register address beyond {ports.address_bits} bits");',
            "draw_noise();",
            f"put(top->{ports.input_data}, idle.data());",
            f"top->{ports.input_valid} = 0;",
            f"top->{ports.write_enable} = 1;",
            f"put(top->{ports.write_address}, &address);",
            f"put(top->{ports.write_data}, &value);",
            "edge(true);",
            f"top->{ports.write_enable} = 0;",
        ]
    return "\n".join("        " + line for line in lines)


def _scope(top: str, probe: Probe) -> str:
    """Verilator's name of the scope that holds a signal."""
    *instances, _ = probe.signal.split(".")
    return ".".join(["TOP", top, *instances])


def _leaf(probe: Probe) -> str:
    return probe.signal.rpartition(".")[2]


def _options(probes: Sequence[Probe], faults: bool) -> str:
    """Keep signals of these names through Verilator's optimisations; in any module, for instances have no names yet.

    With `faults`, what every register holds is kept, too.
    """
    leaves = sorted({_leaf(p) for p in probes})
    lines = [f'public_flat_rd -module "*" -var "{leaf}"' for leaf in leaves]
    lines += [f'public_flat_rd -module "{module}" -var "q"' for module in FLIP_FLOPS if faults]
    return "`verilator_config\n" + "\n".join(lines) + "\n"
