"""Frames: reading input data files, and turning real values into codes of the graph's inputs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgec.diagnostics import EdgecError, nearest
from edgec.formats import F32, Format, Quantizer, TensorType
from edgec.graph import Graph


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Arrays of a .npz by name, or of a .npy under the empty name; E0202/E0210 when it cannot be read."""
    file = Path(path)
    if not file.is_file():
        raise EdgecError("E0202", f"no such file: {file}")
    try:
        loaded = np.load(io.BytesIO(file.read_bytes()), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError) as error:
        raise EdgecError("E0210", f"{file.name} is no .npy or .npz file of plain arrays", why=str(error)) from None


def match_inputs(arrays: Mapping[str, np.ndarray], graph: Graph) -> dict[str, np.ndarray]:
    """`arrays` under the names of the graph's inputs, each [frames, *shape].

    One nameless array goes to the only input. Arrays without the frame axis, or whose frame axis replaces a batch
    axis of 1, are accepted. Arrays that no input reads are an error unless all inputs are found.
    """
    names = [i.name for i in graph.inputs]
    if set(arrays) == {""} and len(names) == 1:
        arrays = {names[0]: arrays[""]}
    missing = [n for n in names if n not in arrays]
    if missing and len(names) == 1 and len(arrays) == 1:
        raise EdgecError(
            "E0210",
            f"the data file names {next(iter(arrays))!r}, the model's input is {names[0]!r}",
            remedy=f"name the array {names[0]!r}, or give a .npy file",
        )
    if missing:
        raise EdgecError("E0210", f"no data for input {', '.join(missing)}", remedy=nearest(missing[0], arrays))
    return {n: _with_frames(graph, n, arrays[n]) for n in names}


def _with_frames(graph: Graph, name: str, array: np.ndarray) -> np.ndarray:
    shape = graph.input(name).shape
    if array.shape[1:] == shape:
        return array
    if array.shape == shape:
        return array[None]
    if shape[:1] == (1,) and array.shape[1:] == shape[1:]:
        return array[:, None]
    raise EdgecError(
        "E0210",
        f"data for input {name!r} has shape {list(array.shape)}",
        why=f"the input is {list(shape)}: give [frames, {', '.join(map(str, shape))}]",
    )


def encode_frames(graph: Graph, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Codes of real `values` [frames, *shape] for every input.

    Rounding and overflow are those of the model's own quantiser at that input, which `integer-io` recorded in the
    graph's meta (`input.NAME`); without one: nearest with ties to even, saturating.
    """
    frames = {}
    for name, array in match_inputs(values, graph).items():
        fmt = graph.input(name).format
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise EdgecError("E0210", f"data for input {name!r} holds values that are no finite numbers")
        rounding, _, overflow = graph.meta.get(f"input.{name}", "half_even:saturate").partition(":")
        # The model's quantiser works in float32; so does this, or ties would fall differently.
        frames[name] = array.astype(fmt.dtype) if fmt.is_float else encode_as(fmt, array, rounding, overflow)
    return frames


def encode_as(fmt: Format, values: np.ndarray, rounding: str, overflow: str) -> np.ndarray:
    """Codes of `values` as a `Quantize` op computes them."""
    from edgec.interp import evaluate
    from edgec.ops import Input, Quantize

    source = Input("x", type=TensorType(F32, values.shape[1:]))
    quantizer = Quantizer(fmt, rounding, overflow)  # type: ignore[arg-type]
    return evaluate(Quantize(source, quantizer), [values.astype(np.float32)])
