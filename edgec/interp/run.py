"""Run a graph, or one op, on frames of codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgec.diagnostics import EdgecError, nearest
from edgec.formats import FormatError
from edgec.formats_compressed import Sparse
from edgec.graph import Graph
from edgec.interp import elementwise, indexed, mac, move, pool, quant, recurrent, resample  # noqa: F401  (they register the evaluators)
from edgec.interp.registry import EVALUATORS
from edgec.ops import Constant, Input, Op

Observer = Callable[[Op, np.ndarray], None]


def evaluate(op: Op, operands: list[np.ndarray]) -> np.ndarray:
    """The codes of one op from those of its operands, all with a leading frame axis."""
    if isinstance(op, Constant):
        return op.data[None]
    function = EVALUATORS.get(type(op))
    if function is None:
        raise op.error(f"the interpreter has no function for {op.mnemonic}")
    with np.errstate(all="ignore"):
        return function(op, *operands)


def run(
    graph: Graph,
    frames: Mapping[str, np.ndarray],
    *,
    observe: Observer | None = None,
    given: Mapping[Op, np.ndarray] | None = None,
    max_bytes: int = 1 << 28,
) -> dict[str, np.ndarray]:
    """Outputs of `graph` for `frames`: input name -> codes [F, *shape]; result name -> codes [F, *shape].

    Float inputs hold numbers. `observe(op, array)` sees every computed op with one result. Frames are worked through
    in chunks so that no single tensor needs more than `max_bytes`; with an observer each chunk is reported in turn.
    `given` holds codes [F, *shape] of some ops, which their users read instead of what was computed and observed.
    Raises E0210 for inputs that do not fit.
    """
    arrays = {name: check_frames(graph, name, array) for name, array in frames.items()}
    missing = [i.name for i in graph.inputs if i.name not in arrays]
    if missing:
        raise EdgecError("E0210", f"no data for input {', '.join(missing)}", remedy="name every input of the model")
    counts = {a.shape[0] for a in arrays.values()}
    if len(counts) > 1:
        raise EdgecError("E0210", f"inputs with different numbers of frames: {sorted(counts)}")
    total = counts.pop() if counts else 1
    widest = max((op.tensor.size for op in graph.ops if _has_one_result(op)), default=1)
    step = max(1, min(total, max_bytes // (8 * max(widest, 1))))
    parts = []
    for start in range(0, max(total, 1), step):
        chunk = {name: a[start : start + step] for name, a in arrays.items()}
        stated = {op: a[start : start + step] for op, a in (given or {}).items()}
        parts.append(_run_chunk(graph, chunk, min(step, total - start), observe, stated))
    return {name: np.concatenate([p[name] for p in parts]) for name, _ in graph.outputs}


def _has_one_result(op: Op) -> bool:
    return hasattr(op.type, "shape")


def _run_chunk(
    graph: Graph,
    frames: Mapping[str, np.ndarray],
    count: int,
    observe: Observer | None,
    given: Mapping[Op, np.ndarray],
) -> dict[str, np.ndarray]:
    values: dict[Op, np.ndarray] = {}
    remaining = {op: graph.use_count(op) for op in graph.ops}
    for op in graph.ops:
        if isinstance(op, Input):
            values[op] = frames[op.name]
            continue
        values[op] = evaluate(op, [values[o] for o in op.operands])
        if observe is not None and not isinstance(op, Constant) and _has_one_result(op):
            observe(op, values[op])
        if op in given:
            values[op] = given[op]
        for operand in dict.fromkeys(op.operands):
            remaining[operand] -= 1
            if not remaining[operand]:
                del values[operand]
    return {name: np.array(np.broadcast_to(values[op], (count, *op.shape))) for name, op in graph.outputs}


def check_frames(graph: Graph, name: str, array: np.ndarray) -> np.ndarray:
    """`array` as codes of input `name`, or E0210 with the reason."""
    try:
        wanted = graph.input(name)
    except KeyError:
        raise EdgecError(
            "E0210", f"the model has no input {name!r}", remedy=nearest(name, [i.name for i in graph.inputs])
        ) from None
    array = np.asarray(array)
    shape = wanted.shape
    if array.shape[1:] != shape:
        raise EdgecError(
            "E0210",
            f"input {name!r} has shape {list(array.shape)}",
            why=f"frames of {list(shape)} need [frames, {', '.join(map(str, shape))}]",
        )
    fmt = wanted.format
    if fmt.is_float:
        if array.dtype.kind not in "fiu":
            raise EdgecError("E0210", f"input {name!r} holds {array.dtype}, not numbers")
        return array.astype(fmt.dtype)
    if array.dtype.kind not in "iub":
        raise EdgecError(
            "E0210",
            f"input {name!r} holds {array.dtype}, but {fmt} takes integer codes",
            remedy="encode real values first (edgec.encode_frames, or --real on the command line)",
        )
    try:
        fmt.check(array)
    except FormatError as error:
        raise EdgecError("E0210", f"input {name!r}: {error}") from None
    return array.astype(fmt.dtype)


def random_frames(graph: Graph, count: int, seed: int) -> dict[str, np.ndarray]:
    """Seeded frames: codes uniform over each integer format, normal numbers for floats."""
    generator = np.random.default_rng(seed)
    frames = {}
    for wanted in graph.inputs:
        shape = (count, *wanted.shape)
        fmt = wanted.format
        if fmt.is_float:
            frames[wanted.name] = generator.standard_normal(shape).astype(fmt.dtype)
        else:
            lo, hi = fmt.code_range
            drawn = generator.integers(lo, hi, shape, endpoint=True).astype(fmt.dtype)
            frames[wanted.name] = fmt.encode(fmt.decode(drawn)) if isinstance(fmt, Sparse) else drawn
    return frames
