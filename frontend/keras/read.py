"""Reading the file: HDF5, zip and JSON, with every size checked before it is used.

Nothing here trusts the file. The architecture is JSON, which is parsed and never run; the weights are HDF5, which
another process reads, and links to other files are refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgec.diagnostics import EdgecError
from edgec.frontend.keras.hdf5 import File, read_hdf5
from edgec.frontend.keras.weights import Legacy, Scope, Variables

MAX_JSON_BYTES = 64 << 20
MAX_FILE_BYTES = 2 << 30
"""A zip member states its size itself; more than this is never unpacked."""


@dataclass
class Source:
    """A model file that parses: the architecture, the Keras version that wrote it, and the weights."""

    name: str
    config: dict[str, Any]
    version: tuple[int, ...]
    weights: Scope


def read_model(path: Path) -> Source:
    """The parsed model file; E0202, E0301, E0302 or E0601 otherwise."""
    data = _bytes(path)
    suffix = path.suffix.lower()
    if suffix == ".keras":
        config, version, weights = _archive(data, path.name)
    elif suffix == ".json":
        config, version, weights = _pair(data, path)
    else:
        config, version, weights = _hdf5(data, path.name)
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise EdgecError("E0301", f"{path.name} describes no Keras model", why="its JSON names no model class")
    numbers = tuple(int(n) for n in re.findall(r"\d{1,6}", version)[:3])
    if numbers[:1] in ((0,), (1,)):
        raise EdgecError(
            "E0301",
            f"{path.name} was written by Keras {version}",
            why="the format of Keras 1 is not read",
            remedy="load it with Keras 2.0 to 2.3 and save it again",
        )
    return Source(path.stem, config, numbers, weights)


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise EdgecError("E0301", f"{path.name} is larger than {MAX_FILE_BYTES >> 30} GiB")
        data = path.read_bytes()
    except OSError as error:
        raise EdgecError("E0202", f"{path} cannot be read", why=error.strerror or str(error)) from None
    if not data:
        raise EdgecError("E0301", f"{path.name} is empty")
    return data


def parse_json(data: str | bytes, what: str) -> Any:
    """The JSON in `data`, which is at most `MAX_JSON_BYTES` long."""
    if len(data) > MAX_JSON_BYTES:
        raise EdgecError("E0301", f"{what} is larger than {MAX_JSON_BYTES >> 20} MiB")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise EdgecError("E0301", f"{what} is no JSON", why=str(error)) from None


def _hdf5(data: bytes, name: str) -> tuple[Any, str, Scope]:
    file = read_hdf5(data, name)
    if file.text is None:
        raise EdgecError(
            "E0301",
            f"{name} holds no architecture, at most weights",
            remedy="save the whole model with model.save(), or put its model.to_json() beside it and give the .json",
        )
    return parse_json(file.text, f"the architecture in {name}"), file.version, scope_of(file)


def scope_of(file: File) -> Scope:
    """The weights of a file, by the layout that it shows."""
    return Variables(file.tree) if "layers" in file.tree.groups and not file.legacy else Legacy(file.tree)


def _archive(data: bytes, name: str) -> tuple[Any, str, Scope]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            config = parse_json(_member(archive, "config.json", MAX_JSON_BYTES, name), f"config.json of {name}")
            meta = parse_json(_member(archive, "metadata.json", 1 << 16, name), f"metadata.json of {name}")
            weights = _member(archive, "model.weights.h5", MAX_FILE_BYTES, name)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError, EOFError) as error:
        raise EdgecError("E0301", f"{name} is no .keras archive, or a damaged one", why=str(error)) from None
    except zipfile.zlib.error as error:  # type: ignore[attr-defined]
        raise EdgecError("E0301", f"{name} is damaged", why=str(error)) from None
    version = meta.get("keras_version") if isinstance(meta, dict) else None
    return (
        config,
        version if isinstance(version, str) else "",
        scope_of(read_hdf5(weights, f"model.weights.h5 of {name}")),
    )


def _member(archive: zipfile.ZipFile, member: str, limit: int, name: str) -> bytes:
    try:
        info = archive.getinfo(member)
    except KeyError:
        raise EdgecError(
            "E0301", f"{name} has no {member}", remedy="save the model with model.save('model.keras')"
        ) from None
    if info.file_size > limit:
        raise EdgecError("E0301", f"{member} of {name} is too large", why=f"{info.file_size} bytes; at most {limit}")
    with archive.open(info) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise EdgecError("E0301", f"{member} of {name} is too large", why=f"more than {limit} bytes")
    return data


def _pair(data: bytes, path: Path) -> tuple[Any, str, Scope]:
    """The architecture alone (`model.to_json()`), with a file of weights of the same name beside it."""
    config = parse_json(data, path.name)
    names = [path.stem + end for end in (".h5", ".hdf5", ".weights.h5", "_weights.h5", "_weights.hdf5")]
    beside = next((f for n in names if (f := path.with_name(n)).is_file()), None)
    if beside is None:
        raise EdgecError(
            "E0301",
            f"{path.name} holds no weights, and no file of weights lies beside it",
            remedy=f"save them as {path.stem}.weights.h5 with model.save_weights()",
        )
    file = read_hdf5(_bytes(beside), beside.name)
    version = config.get("keras_version") if isinstance(config, dict) else None
    return config, version if isinstance(version, str) else file.version, scope_of(file)
