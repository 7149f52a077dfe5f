"""An HDF5 file as plain groups and arrays, read by another process with a time limit (see unpack.py)."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx.read import MAX_ELEMENTS

SECONDS = 30.0
"""For a file of any size; another second for every 4 MiB."""
SCRIPT = Path(__file__).with_name("unpack.py")


@dataclass
class Array:
    """A stored array, or the reason why it is refused."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: memoryview
    reason: str | None = None

    def read(self, shape: tuple[int, ...]) -> np.ndarray:
        """The array in float32; E0302 when it has not the shape that the layer needs."""
        if self.reason:
            raise EdgecError("E0302", f"weight {self.name!r} cannot be read", why=self.reason)
        if self.shape != shape:
            raise EdgecError("E0302", f"weight {self.name!r} has shape {list(self.shape)}, not {list(shape)}")
        if not self.dtype.startswith("<f"):
            raise EdgecError("E0304", f"weight {self.name!r} holds {self.dtype}, not floats")
        if np.prod(np.array(shape, np.float64)) > MAX_ELEMENTS:
            raise EdgecError("E0302", f"weight {self.name!r} has more than {MAX_ELEMENTS} elements")
        return np.frombuffer(self.data, np.dtype(self.dtype)).astype(np.float32).reshape(shape)


@dataclass
class Group:
    """A group: what it holds, and the list of its weights where Keras 2 wrote one."""

    groups: dict[str, Group] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    names: list[str] | None = None

    def at(self, path: str) -> Group | Array | None:
        """What lies at a path of names; layers can have slashes in theirs."""
        here: Group | Array | None = self
        for part in path.split("/"):
            if not isinstance(here, Group):
                return None
            here = here.groups.get(part) or here.arrays.get(part)
        return here


@dataclass
class File:
    """A file: the architecture if it holds one, who wrote it, and the weights (`legacy`: in the layout of Keras 2)."""

    text: str | None
    version: str
    legacy: bool
    tree: Group


def read_hdf5(data: bytes, name: str) -> File:
    """The HDF5 file in `data`. E0301 when it is none, E0601 without h5py."""
    if not _installed("h5py"):
        raise EdgecError(
            "E0601", "h5py is not installed, and Keras models need it", remedy="pip install 'edgec[keras]'"
        )
    if not data.startswith(b"\x89HDF\r\n\x1a\n"):
        raise EdgecError("E0301", f"{name} is no HDF5 file")
    with tempfile.TemporaryDirectory(prefix="edgec-") as folder:
        source, target = Path(folder, "in.h5"), Path(folder, "out")
        source.write_bytes(data)
        _unpack(source, target, name, SECONDS + len(data) / (4 << 20))
        unpacked = memoryview(target.read_bytes())
    length = int.from_bytes(unpacked[:8], "little")
    index = json.loads(bytes(unpacked[8 : 8 + length]))
    return File(index["text"], index["version"], index["legacy"], _group(index["tree"], unpacked[8 + length :], ""))


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # what stands in sys.modules is no module
        return False


def _unpack(source: Path, target: Path, name: str, seconds: float) -> None:
    from edgec.hw.tools.process import run

    environment = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
    try:
        run([sys.executable, "-P", SCRIPT, source, target], timeout=seconds, env=environment, accept=(0,))
    except EdgecError as error:
        first = error.diagnostics[0]
        if first.code not in ("E0602", "E0603", "E0604"):
            raise
        raise EdgecError(
            "E0301",
            f"{name} is damaged, or no HDF5 file that can be read",
            why=_why(first.code, first.why, seconds),
            remedy="check the file with its SHA-256, or save the model again",
        ) from None


def _why(code: str, said: str | None, seconds: float) -> str:
    if code == "E0604":
        return f"the HDF5 library did not come to an end in {seconds:.0f} s"
    if code == "E0603":
        return "the HDF5 library crashed on it"
    return (said or "").strip().splitlines()[-1] if (said or "").strip() else "the HDF5 library refused it"


def _group(node: dict[str, Any], data: memoryview, path: str) -> Group:
    arrays = {}
    for key, stored in node["arrays"].items():
        if isinstance(stored, str):
            arrays[key] = Array(f"{path}{key}", (), "", data[:0], stored)
        else:
            shape, dtype, offset, size = stored
            arrays[key] = Array(f"{path}{key}", tuple(shape), dtype, data[offset : offset + size])
    groups = {key: _group(inner, data, f"{path}{key}/") for key, inner in node["groups"].items()}
    return Group(groups, arrays, node["names"])
