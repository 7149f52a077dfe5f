"""Reading a `.pt2` archive without PyTorch: a zip of one JSON graph and the raw bytes of every weight.

Nothing here trusts the file, and nothing is ever unpickled. PyTorch stores its entries uncompressed, so anything
compressed is refused and no entry can be larger than the file: there is nothing to inflate.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx.read import MAX_ELEMENTS
from edgec.frontend.torch.schema import Payload, PayloadConfig, Program, TensorMeta
from edgec.frontend.torch.types import DTYPES, dtype_name

MAX_JSON = 1 << 28
"""Bytes of one JSON file of an archive; a graph of 50 000 nodes has about a tenth."""
MAX_ENTRIES = 100_000
SCHEMA_MAJOR = 8
"""The version of the graph's schema that PyTorch writes since the archive format exists."""

_SAVE = "save the program with torch.export.save(torch.export.export(model.eval(), inputs), 'model.pt2')"
T = TypeVar("T")


@dataclass
class Archive:
    """A `.pt2` file that parses: the program, and its weights by name, read when they are asked for."""

    name: str
    program: Program
    weights: Mapping[str, Payload]
    constants: Mapping[str, Payload]
    _zip: zipfile.ZipFile
    _root: str

    def weight(self, name: str) -> np.ndarray:
        """Parameter or buffer `name`, shape and type as stated; E0302 or E0304."""
        return self._tensor(name, self.weights, "data/weights")

    def constant(self, name: str) -> np.ndarray:
        """Tensor `name` that `forward` holds as a literal."""
        return self._tensor(name, self.constants, "data/constants")

    def _tensor(self, name: str, table: Mapping[str, Payload], folder: str) -> np.ndarray:
        payload = table.get(name)
        if payload is None:
            raise EdgecError("E0302", f"the archive holds no tensor {name!r}", layer=name)
        if payload.use_pickle or payload.tensor_meta is None:
            raise EdgecError(
                "E0304",
                f"tensor {name!r} is stored as a pickled object",
                layer=name,
                why="unpickling a file can run any program, so edgec never does it",
                remedy="replace tensor subclasses by plain tensors before the export",
            )
        data = _read(self._zip, f"{self._root}{folder}/{payload.path_name}", MAX_ELEMENTS * 8)
        return _strided(name, payload.tensor_meta, data)


def read_archive(source: str | Path | bytes, name: str = "") -> Archive:
    """The parsed archive; E0202 (file), E0301 (no archive), E0302 (malformed), E0306 (version)."""
    data: bytes
    if isinstance(source, bytes):
        data = source
    else:
        path = Path(source)
        name = name or path.stem
        try:
            data = path.read_bytes()
        except OSError as error:
            raise EdgecError("E0202", f"{path} cannot be read", why=error.strerror or str(error)) from None
    name = name or "model"
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as error:
        raise EdgecError(
            "E0301", f"{name} is no .pt2 archive, or a truncated one", why=str(error), remedy=_SAVE
        ) from None
    names = _check_entries(name, entries, len(data))
    root = next(
        (n.removesuffix("archive_format") for n in names if n.count("/") <= 1 and n.endswith("archive_format")), None
    )
    if root is None or _read(archive, root + "archive_format", 64).strip() != b"pt2":
        raise _not_pt2(name, names)
    if f"{root}byteorder" in names and _read(archive, f"{root}byteorder", 64).strip() != b"little":
        raise EdgecError("E0304", f"{name} holds big-endian weights", remedy="save it on a little-endian machine")
    models = [n for n in names if n.startswith(f"{root}models/") and n.endswith(".json")]
    if len(models) != 1:
        raise EdgecError("E0304", f"{name} holds {len(models)} programs", why="one is imported", remedy=_SAVE)
    stem = models[0].removeprefix(f"{root}models/").removesuffix(".json")
    program = _json(archive, models[0], Program)
    if program.schema_version.get("major") != SCHEMA_MAJOR:
        raise EdgecError(
            "E0306",
            f"{name} has schema version {program.schema_version.get('major')}.{program.schema_version.get('minor')}",
            why=f"version {SCHEMA_MAJOR} is known; this one is of PyTorch {program.torch_version or '(unknown)'}",
            remedy="save the program again with PyTorch 2.13",
        )
    tables = [
        _json(archive, n, PayloadConfig).config
        if (n := f"{root}data/{kind}/{stem}_{kind}_config.json") in names
        else {}
        for kind in ("weights", "constants")
    ]
    return Archive(name, program, tables[0], tables[1], archive, root)


def _check_entries(name: str, entries: list[zipfile.ZipInfo], size: int) -> dict[str, zipfile.ZipInfo]:
    names = {e.filename: e for e in entries}
    why = None
    if len(entries) > MAX_ENTRIES:
        why = f"{len(entries)} entries; at most {MAX_ENTRIES}"
    elif len(names) != len(entries):
        why = "two entries of one name"
    elif any(e.compress_type != zipfile.ZIP_STORED or e.file_size != e.compress_size for e in entries):
        why = "a compressed entry; PyTorch stores them as they are"
    elif sum(e.file_size for e in entries) > size:
        why = "entries that are larger than the file"
    elif any(e.flag_bits & 1 for e in entries):
        why = "an encrypted entry"
    if why is not None:
        raise EdgecError("E0301", f"{name} is not an archive as PyTorch writes it", why=why, remedy=_SAVE)
    return names


def _not_pt2(name: str, names: Mapping[str, Any]) -> EdgecError:
    if any(n.endswith("serialized_exported_program.json") for n in names):
        return EdgecError("E0306", f"{name} was saved by an old PyTorch", remedy="save it again with PyTorch 2.13")
    if any(n.endswith("data.pkl") for n in names):
        return EdgecError(
            "E0301",
            f"{name} holds pickled objects, no exported program",
            why="weights alone do not say what is computed",
            remedy="build the module, load the weights into it, and " + _SAVE,
        )
    return EdgecError("E0301", f"{name} is a zip file, but no .pt2 archive", remedy=_SAVE)


def _read(archive: zipfile.ZipFile, entry: str, limit: int) -> bytes:
    try:
        info = archive.getinfo(entry)
        if info.file_size > limit:
            raise EdgecError("E0302", f"{entry} has {info.file_size} bytes", why=f"the limit is {limit}")
        return archive.read(info)  # checks the CRC
    except KeyError:
        raise EdgecError("E0302", f"the archive holds no entry {entry!r}") from None
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError, EOFError) as error:
        raise EdgecError("E0301", f"entry {entry!r} of the archive is damaged", why=str(error)) from None


def _json(archive: zipfile.ZipFile, entry: str, kind: type[T]) -> T:
    data = _read(archive, entry, MAX_JSON)
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise EdgecError("E0302", f"{entry} does not parse", why=str(error)) from None
    except RecursionError:
        raise EdgecError("E0302", f"{entry} does not parse", why="it is nested too deeply") from None


def static(union: object) -> int | None:
    """The number of `{"as_int": n}`, None for anything else."""
    value = union.get("as_int") if isinstance(union, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _strided(name: str, meta: TensorMeta, data: bytes) -> np.ndarray:
    """The tensor inside its storage `data`: one storage may hold several tensors, as tied weights do."""

    def malformed(what: str) -> EdgecError:
        return EdgecError("E0302", f"tensor {name!r}: {what}", layer=name)

    dtype = DTYPES.get(meta.dtype)
    if dtype is None:
        raise EdgecError("E0304", f"tensor {name!r} has elements of type {dtype_name(meta.dtype)}", layer=name)
    numbers = [static(u) for u in (*meta.sizes, *meta.strides, meta.storage_offset)]
    if any(n is None or n < 0 for n in numbers) or len(meta.sizes) != len(meta.strides) or len(meta.sizes) > 32:
        raise malformed("sizes, strides or offset are no plain numbers")
    rank = len(meta.sizes)
    known = [n for n in numbers if n is not None]
    sizes, strides, offset = known[:rank], known[rank : 2 * rank], known[-1]
    if math.prod(sizes) > MAX_ELEMENTS:
        raise malformed(f"shape {sizes} is beyond the limit of {MAX_ELEMENTS} elements")
    if len(data) % dtype.itemsize:
        raise malformed(f"{len(data)} bytes of {dtype.name}")
    if 0 in sizes:
        return np.zeros(sizes, dtype)
    flat = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False)
    last = offset + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    if last >= flat.size:
        raise malformed(f"shape {sizes} with strides {strides} does not fit {flat.size} elements")
    if dtype.kind == "b":
        flat = np.frombuffer(data, np.uint8) != 0
    view = np.lib.stride_tricks.as_strided(flat[offset:], sizes, [s * dtype.itemsize for s in strides], writeable=False)
    return np.asarray(view, order="C")
