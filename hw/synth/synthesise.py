"""`edgec synth`: the design of an artefact mapped onto a library, the result beside the artefact's files.

The result is the folder `synth/LIBRARY` inside the artefact, written aside and moved into place. It is no part of what
the build listed: `report.json` names the manifest it belongs to and the hashes of the files beside it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgec.artefact import SYNTHESIS_FOLDER, Artefact, disk_error, exchange, sha256, to_json
from edgec.diagnostics import EdgecError
from edgec.hw.synth.libraries import SynthesisLibrary, load_library
from edgec.hw.synth.mapping import Mapped, map_design
from edgec.hw.synth.models import cell_models
from edgec.hw.synth.report import report
from edgec.hw.synth.table import summary_lines, table_rows
from edgec.hw.synth.timing import module_delays, timing

REPORT = "report.json"


@dataclass(frozen=True)
class Synthesis:
    """A mapped design: its report, the netlist, and the folder where both were written."""

    report: Mapping[str, Any]
    mapped: Mapped
    library: SynthesisLibrary
    folder: Path
    seconds: float

    def table(self) -> list[dict[str, Any]]:
        """Rows for a terminal, the total last."""
        return table_rows(self.report)

    def summary(self) -> list[str]:
        """What the table does not say: library, longest path, equivalence, where it was written."""
        return summary_lines(self.report, self.folder)


def synthesise(
    artefact: Artefact,
    liberty: str | Path | None = None,
    *,
    check: bool = False,
    timeout: float = 1800.0,
    seed: int = 1,
) -> Synthesis:
    """Map the design of `artefact` onto the library `liberty` (see `load_library`); `check` proves it equivalent.

    Raises E0202 and E0213 for the library, E0204 for an artefact without RTL, E06xx for yosys, E0701 for a damaged
    artefact, E0504 when the mapped netlist computes something else."""
    start = time.monotonic()
    library = load_library(liberty)
    library.check()
    artefact.check()
    interface = artefact.manifest.get("interface") or {}
    if artefact.manifest.get("backend") != "rtl":
        raise EdgecError(
            "E0204", f"{artefact.path} has no RTL to synthesise", why=f"backend {artefact.manifest.get('backend')!r}"
        )
    sources = {name: artefact.read(name) for name in interface["files"]}
    mapped = map_design(interface["top"], sources, library, timeout=timeout)
    delays = module_delays(mapped.log, mapped.names)
    found = report(mapped.netlist, library, artefact.manifest["estimates"], timing(mapped.netlist, library, delays))
    models = cell_models(library.cells, mapped.netlist.total(mapped.netlist.top))
    files = {"netlist.json": mapped.json, "netlist.v": mapped.verilog.encode(), "cells.v": models.encode()}
    if check:
        from edgec.hw.synth.equivalence import check_equivalence

        found["equivalence"] = check_equivalence(artefact, sources, mapped, library, timeout=timeout, seed=seed)
    found["manifest_sha256"] = sha256(artefact.read("manifest.json"))
    found["files"] = {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in files.items()}
    folder = artefact.path / SYNTHESIS_FOLDER / library.name
    write_folder(folder, {**files, REPORT: to_json(found)})
    return Synthesis(found, mapped, library, folder, time.monotonic() - start)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` as the folder `path`, whole or not at all; a folder that is there is replaced."""
    staging: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        for name, data in files.items():
            (staging / name).write_bytes(data)
        staging.chmod(0o755)
        if path.exists():
            exchange(staging, path)
        else:
            os.replace(staging, path)
    except OSError as error:
        raise disk_error(error, path) from None
    finally:
        if staging is not None and staging.exists():
            shutil.rmtree(staging, ignore_errors=True)
