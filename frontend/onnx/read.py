"""Reading the file: protobuf, opsets, tensors and external data, with every size checked before it is used.

Nothing here trusts the file. Tensors are checked against their stated shape before any memory is asked for,
and external data may only lie below the model's own folder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, numpy_helper

from edgec.diagnostics import EdgecError

OLDEST_OPSET = 6
MAX_ELEMENTS = 1 << 28
"""No tensor of a model may have more elements (1 GiB of float32); a mutilated shape must not exhaust memory."""

_PACKED_BITS = {"FLOAT4E2M1": 4, "UINT4": 4, "INT4": 4, "UINT2": 2, "INT2": 2, "BOOL": 8}
_UNSUPPORTED = ("STRING", "COMPLEX64", "COMPLEX128", "UNDEFINED")


@dataclass
class Model:
    """A model file that parses: the protobuf, where its external data lies, and its opsets by domain."""

    proto: ModelProto
    name: str
    folder: Path | None
    opsets: dict[str, int] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """Version of the standard operator set."""
        return self.opsets[""]


def read_model(source: str | Path | bytes | ModelProto) -> Model:
    """The parsed model with its opsets checked; E0202, E0301 or E0306 otherwise."""
    folder: Path | None = None
    name = ""
    if isinstance(source, ModelProto):
        proto = source
    else:
        if isinstance(source, bytes):
            data = source
        else:
            path = Path(source)
            try:
                data = path.read_bytes()
            except OSError as error:
                raise EdgecError("E0202", f"{path} cannot be read", why=error.strerror or str(error)) from None
            name, folder = path.stem, path.resolve().parent
        if not data:
            raise EdgecError("E0301", f"{name or 'the model'} is empty")
        proto = ModelProto()
        try:
            proto.ParseFromString(data)
        except (DecodeError, ValueError) as error:
            raise EdgecError(
                "E0301",
                f"{name or 'the data'} is no ONNX file, or a truncated one",
                why=str(error),
                remedy="check the file with its SHA-256, or export it again",
            ) from None
    if not proto.HasField("graph") or not proto.graph.output:
        raise EdgecError("E0301", f"{name or 'the model'} holds no ONNX graph with outputs")
    return Model(proto, name or text(proto.graph.name) or "model", folder, _opsets(proto))


def text(value: object) -> str:
    """A protobuf string, which the parser hands over as bytes when it is no UTF-8."""
    if isinstance(value, bytes):
        raise EdgecError("E0302", f"a name in the model is not UTF-8: {value[:40]!r}")
    return str(value)


def _opsets(proto: ModelProto) -> dict[str, int]:
    opsets: dict[str, int] = {}
    for entry in proto.opset_import:
        domain = text(entry.domain)
        domain = "" if domain == "ai.onnx" else domain
        if domain in opsets and opsets[domain] != entry.version:
            raise EdgecError("E0302", f"two opset versions for domain {domain or 'ai.onnx'!r}")
        opsets[domain] = entry.version
    newest = onnx.defs.onnx_opset_version()
    if "" not in opsets:
        raise EdgecError("E0306", "the model states no version of the standard operator set", remedy="export it again")
    if not OLDEST_OPSET <= opsets[""] <= newest:
        raise EdgecError(
            "E0306",
            f"opset {opsets['']} is outside {OLDEST_OPSET} to {newest}",
            remedy="convert the model with onnx.version_converter, or export it with another opset",
        )
    return opsets


def tensor_array(tensor: TensorProto, folder: Path | None) -> np.ndarray:
    """The numpy array of a TensorProto (read-only, not copied where the file holds raw data); E0301/E0302."""
    name = text(tensor.name) or "(unnamed tensor)"

    def malformed(what: str) -> EdgecError:
        return EdgecError("E0302", f"tensor {name!r}: {what}", layer=name)

    try:
        kind = TensorProto.DataType.Name(tensor.data_type)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (ValueError, KeyError):
        raise malformed(f"unknown element type {tensor.data_type}") from None
    if kind in _UNSUPPORTED:
        raise EdgecError("E0304", f"tensor {name!r} has elements of type {kind}", layer=name)
    dims = list(tensor.dims)
    if any(d < 0 for d in dims):
        raise malformed(f"negative dimension in {dims}")
    size = math.prod(dims)
    if size > MAX_ELEMENTS or len(dims) > 32:
        raise malformed(f"shape {dims} is beyond the limit of {MAX_ELEMENTS} elements and 32 dimensions")
    nbytes = -(-size * _PACKED_BITS.get(kind, dtype.itemsize * 8) // 8)
    if tensor.data_location == TensorProto.EXTERNAL:
        return _external(tensor, name, folder, nbytes, dtype, dims)
    if tensor.HasField("segment"):
        raise EdgecError("E0304", f"tensor {name!r} is stored in segments", layer=name)
    if tensor.HasField("raw_data"):
        if len(tensor.raw_data) != nbytes:
            raise malformed(f"{len(tensor.raw_data)} bytes for shape {dims} of {kind}, needs {nbytes}")
    else:
        stored = _stored_elements(tensor, kind)
        needed = -(-size * 4 // 8) if _PACKED_BITS.get(kind) == 4 else size
        if _PACKED_BITS.get(kind) == 2:
            needed = -(-size // 4)
        if stored != needed:
            raise malformed(f"{stored} elements for shape {dims}")
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise malformed(str(error)) from None
    if array.shape != tuple(dims):
        raise malformed(f"data of shape {list(array.shape)} for {dims}")
    return array


def _stored_elements(tensor: TensorProto, kind: str) -> int:
    field_of = {
        "FLOAT": tensor.float_data,
        "DOUBLE": tensor.double_data,
        "INT64": tensor.int64_data,
        "UINT32": tensor.uint64_data,
        "UINT64": tensor.uint64_data,
    }
    return len(field_of.get(kind, tensor.int32_data))


def _external(
    tensor: TensorProto, name: str, folder: Path | None, nbytes: int, dtype: np.dtype, dims: list[int]
) -> np.ndarray:
    """Data in a file below the model's folder; anything else is refused."""
    entries = {text(e.key): text(e.value) for e in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise EdgecError(
            "E0301",
            f"tensor {name!r} lies in another file ({location!r})",
            layer=name,
            remedy="give the path of the model, so that the file beside it can be found",
        )
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", nbytes))
    except ValueError:
        raise EdgecError("E0302", f"tensor {name!r}: offset or length of its external data is no number") from None
    if "\0" in location:
        raise EdgecError("E0302", f"tensor {name!r}: bad external file name", layer=name)
    try:
        path = (folder / location).resolve()
        inside = bool(location) and path.is_relative_to(folder) and path != folder
    except (OSError, RuntimeError) as error:
        raise EdgecError("E0301", f"tensor {name!r}: {location!r} cannot be read", why=str(error)) from None
    if not inside:
        raise EdgecError(
            "E0302",
            f"tensor {name!r} refers to {location!r}, outside the model's folder",
            layer=name,
            why="external data must lie beside the model or below it",
        )
    if dtype.itemsize * 8 * math.prod(dims) != nbytes * 8:
        raise EdgecError("E0304", f"tensor {name!r}: packed elements in external data", layer=name)
    if offset < 0 or length != nbytes:
        raise EdgecError("E0302", f"tensor {name!r}: {length} external bytes at {offset}, needs {nbytes}", layer=name)
    try:
        if not path.is_file() or path.stat().st_size < offset + nbytes:
            raise EdgecError("E0301", f"tensor {name!r}: {location!r} is missing or too short", layer=name)
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(nbytes)
    except OSError as error:
        raise EdgecError("E0301", f"tensor {name!r}: {location!r} cannot be read", why=str(error)) from None
    if len(data) != nbytes:
        raise EdgecError("E0301", f"tensor {name!r}: {location!r} is too short", layer=name)
    return np.frombuffer(data, dtype).reshape(dims)
