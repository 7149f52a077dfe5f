"""Groups the ops of a graph into steps, and gives every tensor a place.

A step is one loop nest: an anchor that gathers (a convolution, a pooling, a reduction, ...) with the elementwise ops
behind it, or elementwise ops alone. What lies between the ops of a step is never stored: wide sums of integers stay in
registers. Steps run in the order of their last op.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgec.backends.c.family import Family, matched, other, sized
from edgec.backends.c.lowbit.codebook import Codebook
from edgec.backends.c.lowbit.decode import book_of
from edgec.backends.c.mac_weights import codes_of
from edgec.backends.c.memory import ALIGNMENT, Allocation, MemoryPlan, pack
from edgec.backends.c.pieces import LARGE, Pieces, part, pieces_of
from edgec.backends.c.single import without_integers
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.order import room_of
from edgec.backends.c.vector.place import reads_as_it_is, scratch, suits
from edgec.backends.c.vector.winograd import SIDE
from edgec.backends.c.view import MOVES, SLACK, Buffer, View, before, channels_last, dense, image, moved
from edgec.formats import F16, F32, TensorType, TupleType
from edgec.graph import Graph
from edgec.ops import (
    Add,
    ArgMax,
    AvgPool,
    BatchNorm,
    Binary,
    Cast,
    Clip,
    Constant,
    Conv,
    ConvTranspose,
    Cumulate,
    DecodeFloat,
    Dense,
    Dequantize,
    EncodeFloat,
    Gather,
    Get,
    Gru,
    Input,
    Lstm,
    Lut,
    MatMul,
    MaxPool,
    Mul,
    MultiThreshold,
    Normalize,
    Op,
    Pad,
    PRelu,
    Quantize,
    Reduce,
    Relu,
    Requantize,
    RequantizeFloat,
    Reshape,
    Resize,
    Rnn,
    Softmax,
    Split,
    Sub,
    Take,
    Transpose,
    Unary,
    Where,
)

ELEMENTWISE = (
    Add, Sub, Mul, Relu, Clip, PRelu, Unary, Binary, Where, BatchNorm, Quantize, Dequantize, Cast, Requantize,
    RequantizeFloat, MultiThreshold, Lut, DecodeFloat, EncodeFloat,
)  # fmt: skip
"""Ops whose result at one place depends on their operands at that place."""
WITH_EPILOGUE = (
    Dense, Conv, ConvTranspose, MatMul, MaxPool, AvgPool, Reduce, ArgMax, Softmax, Normalize, Pad, Gather, Resize,
    Take, Cumulate,
)  # fmt: skip
"""Anchors that hand every finished element to the elementwise ops behind them."""
SPATIAL = (Conv, ConvTranspose, MaxPool, AvgPool)
"""Ops whose results lie channels last."""
RECURRENT = (Rnn, Gru, Lstm)
VECTORS = (np.int8, np.int16, np.float16, np.float32)
"""Types of tensors that vector code reads."""


@dataclass(eq=False)
class Step:
    """`ops` in order; the last one is what is stored. `reads` are the computed tensors that it takes.

    Of an op with several results every one is stored: `results` are the `Get`s of all, by index."""

    ops: tuple[Op, ...]
    name: str = ""
    results: tuple[Op, ...] = ()
    reads: tuple[Op, ...] = ()
    in_place: Op | None = None
    """The operand whose memory the result takes over."""
    layer: Layer | None = None
    """What vector code needs to know, where it does the step."""
    family: Family | None = None
    """Which vector code that is."""
    copy: View | None = None
    """Where that code copies its operand first."""
    scratch: Buffer | None = None
    """Its memory: the copy, then from byte `work` on what the code needs besides."""
    work: int = 0
    codes: Codebook | None = None
    """How portable code finds the weights of the anchor, where they are not stored as they are."""
    pieces: Pieces | None = None
    """How vector code does the step in pieces, each with `room` bytes of the memory behind byte `work`."""
    room: int = 0

    def __post_init__(self) -> None:
        self.results = self.results or self.ops[-1:]

    @property
    def result(self) -> Op:
        """The (first) tensor that is stored."""
        return self.results[0]

    @property
    def anchor(self) -> Op | None:
        return None if isinstance(self.ops[0], ELEMENTWISE) else self.ops[0]

    @property
    def chain(self) -> tuple[Op, ...]:
        """The elementwise ops, in order."""
        return self.ops if self.anchor is None else self.ops[1:]


@dataclass(eq=False)
class Schedule:
    """Steps in order, where every tensor lies, and how the arena is shared. `copies`: outputs that are copied last."""

    graph: Graph
    steps: tuple[Step, ...]
    views: dict[Op, View]
    memory: MemoryPlan
    inputs: dict[str, View] = field(default_factory=dict)
    outputs: dict[str, View] = field(default_factory=dict)
    copies: tuple[tuple[View, View], ...] = ()
    single: frozenset[Op] = frozenset()
    """Ops whose functions may be computed in single precision."""
    threads: int = 1

    @property
    def families(self) -> tuple[Family, ...]:
        """Those that do a step, each guard once."""
        found = {step.family.guard: step.family for step in self.steps if step.family is not None}
        return tuple(found.values())


def grouped(graph: Graph, families: Sequence[Family] = ()) -> list[tuple[Op, ...]]:
    """The ops of every step, those of one step in order. What vector code of `families` does is joined by no more."""
    group: dict[Op, list[Op]] = {}
    position = {op: i for i, op in enumerate(graph.ops)}
    for op in graph.ops:
        if isinstance(op, Constant | Input) or (isinstance(op, MOVES) and not isinstance(op, Reshape)):
            continue
        mine = [op]
        if isinstance(op, ELEMENTWISE):
            anchored = None
            for operand in sorted(dict.fromkeys(op.operands), key=lambda o: -position[o]):
                theirs = group.get(operand)
                if theirs is None or graph.use_count(operand) != 1:
                    continue
                if operand.shape != op.shape or theirs[-1] is not operand:
                    continue
                with_anchor = not isinstance(theirs[0], ELEMENTWISE)
                if with_anchor and (anchored is not None or not isinstance(theirs[0], WITH_EPILOGUE)):
                    continue
                if with_anchor and matched(families, tuple(theirs)) and not matched(families, (*theirs, *mine)):
                    continue
                if with_anchor and other(families, tuple(theirs)) and not other(families, (*theirs, *mine)):
                    continue
                if with_anchor:
                    anchored = theirs
                    mine = [*theirs, *mine]
                else:
                    start = len(anchored) if anchored is not None else 0
                    mine = [*mine[:start], *theirs, *mine[start:]]
        for member in mine:
            group[member] = mine
    found = dict.fromkeys(id(g) for g in group.values())
    by_id = {id(g): g for g in group.values()}
    return sorted((tuple(by_id[i]) for i in found), key=lambda g: position[g[-1]])


def scheduled(
    graph: Graph,
    name: str,
    families: Sequence[Family] = (),
    functions: str = "single",
    winograd: str = "auto",
    threads: int = 1,
    packed: Collection[Op] = (),
) -> Schedule:
    """The schedule of `graph`; `name` is the prefix of all C names, `families` those of vector code, `functions` the
    precision of exp, tanh and the like where only floats depend on them, `winograd` one of `edgec.options.WINOGRAD`.
    Large layers are done in pieces for `threads`. Weights of the layers `packed` are stored as codes, in plain C where
    the family that would do them cannot read these."""
    views: dict[Op, View] = {}
    inputs = {}
    for i, op in enumerate(graph.inputs):
        view = View(Buffer(f"input{i}", "input", op.format, op.tensor.size), op.shape, dense(op.shape))
        views[op] = inputs[op.name] = view
    outputs = {}
    for i, (label, op) in enumerate(graph.outputs):
        outputs[label] = View(Buffer(f"output{i}", "output", op.format, op.tensor.size), op.shape, dense(op.shape))
    direct = _direct(graph, outputs)
    groups = {g[-1]: g for g in grouped(graph, families)}
    chosen = {g[-1]: found for g in groups.values() if (found := matched(families, g)) is not None}
    for last in [last for last, (_, layer) in chosen.items() if layer.op in packed]:
        coded = matched([family for family in families if family.codes], groups[last])
        if coded is not None:
            chosen[last] = coded[0], replace(coded[1], codes=book_of(coded[1]))
        else:
            del chosen[last]
    chosen = sized(chosen, winograd, room_of(graph, len(groups)))
    halos = _halos(layer for _, layer in chosen.values())
    inside = {op for g in groups.values() for op in g[:-1]}
    steps: list[Step] = []
    for op in graph.ops:
        if op in inside or op in views or isinstance(op, Split):
            continue
        if not isinstance(op.type, TensorType):
            steps.append(_several(graph, op, len(steps), views, direct, families))
            continue
        if isinstance(op, Constant):
            number = sum(v.buffer.place == "constant" for v in views.values())
            buffer = Buffer(f"{name}_k{number}", "constant", op.format, op.tensor.size)
            views[op] = View(buffer, op.shape, dense(op.shape))
            continue
        if isinstance(op, MOVES) and (view := as_view(op, views)) is not None:
            views[op] = view
            continue
        ops = groups[op]
        outside = dict.fromkeys(o for member in ops for o in member.operands if o not in ops)
        reads = tuple(o for o in outside if not isinstance(o, Constant))
        step = Step(ops, f"s{len(steps):02d}_{op_name(ops)}", reads=reads)
        if ops[0] in packed:
            step.codes = codes_of(ops[0])
        if op in direct and _writes(step, direct[op], chosen[op][1] if op in chosen else None):
            views[op] = direct[op]
        elif op in halos:
            views[op] = image(f"t{len(steps)}", op.format, op.shape, *halos[op])
        else:
            buffer = Buffer(f"t{len(steps)}", "arena", op.format, room(op.type, bool(families)))
            views[op] = View(buffer, op.shape, dense(op.shape, layout(step, views)))
        if op in chosen and suits(chosen[op][1], views[op]):
            _vectorised(step, *chosen[op], views, threads)
        elif (family := other(families, ops)) is not None:
            module = family.others[type(ops[0])]
            # large elementwise steps are shared by threads, in plain C
            if module.suits(ops, views) and (step.anchor is not None or threads == 1 or weight(step) <= LARGE):
                step.family = family
                if elements := module.room(ops, views):
                    step.scratch = Buffer("scratch", "arena", op.format, elements)
        steps.append(step)
    pairs = ((views[op], outputs[label]) for label, op in graph.outputs)
    copies = tuple((view, output) for view, output in pairs if view.buffer is not output.buffer)
    memory = planned(steps, views, copies)
    single = frozenset(without_integers(graph) if functions == "single" else ())
    return Schedule(graph, tuple(steps), views, memory, inputs, outputs, copies, single, threads)


def _direct(graph: Graph, outputs: Mapping[str, View]) -> dict[Op, View]:
    """Where results may be written at once: the memory of the outputs, as it looks in front of the moves that lead
    there."""
    direct: dict[Op, View] = {}
    for label, op in graph.outputs:
        view: View | None = outputs[label]
        while view is not None:
            direct.setdefault(op, view)
            if not isinstance(op, Reshape | Transpose) or isinstance(op.x, Get) or graph.use_count(op.x) > 1:
                break
            view, op = before(op, view), op.x
    return direct


def _writes(step: Step, view: View, layer: Layer | None) -> bool:
    """Whether a step can write its result there: what often lies channels last in any order, others in their own."""
    if layer is not None:
        return suits(layer, view)
    return view.row_major or step.anchor is None or isinstance(step.anchor, SPATIAL)


def _vectorised(step: Step, family: Family, layer: Layer, views: dict[Op, View], threads: int) -> None:
    """Let vector code do a step, with the memory that it needs."""
    if family.packs and layer.image(views[layer.op.x]) is None:
        return
    step.layer, step.family = layer, family
    x = views[layer.op.x]
    step.copy = None if family.packs or reads_as_it_is(layer, x) else scratch(layer, x)
    copied = 0 if step.copy is None else step.copy.buffer.bytes
    step.work = -(-copied // ALIGNMENT) * ALIGNMENT
    y = layer.image(views[step.result])
    assert y is not None  # `suits`
    if threads > 1 and weight(step) > LARGE and family.header == "arm_neon.h":  # Cortex-M runs one
        step.pieces = pieces_of(layer, y, threads, SIDE if layer.winograd is not None else 1)  # whole patches
    if step.pieces is None:
        work = family.workspace(layer, y)
    else:
        most = max(family.workspace(*part(step.pieces, k, layer, y)) for k in range(step.pieces.count))
        step.room = -(-most // ALIGNMENT) * ALIGNMENT
        work = step.room * step.pieces.count
    if work:
        fmt = layer.op.x.format
        step.scratch = Buffer("scratch", "arena", fmt, -(-(step.work + work) // fmt.dtype.itemsize))
    elif step.copy is not None:
        step.scratch = step.copy.buffer


def weight(step: Step) -> float:
    """Instructions that a step takes, roughly."""
    anchor = step.anchor
    if isinstance(anchor, Conv | Dense):
        return anchor.tensor.size * anchor.terms / (8 if step.layer is not None else 1)
    if isinstance(anchor, MatMul):
        return anchor.tensor.size * anchor.x.shape[-1]
    return 4.0 * max((op.tensor.size for op in (*step.results, *step.reads)), default=0)


def room(kind: TensorType, vector: bool) -> int:
    """Elements of the buffer of a tensor, with those that `vector` loads may read behind it."""
    return kind.size + (SLACK if vector and kind.format.dtype in VECTORS else 0)


def _several(
    graph: Graph, op: Op, number: int, views: dict[Op, View], outputs: Mapping[Op, View], families: Sequence[Family]
) -> Step:
    """The step of an op with several results. What nobody takes has a place too, which its code may need."""
    assert isinstance(op.type, TupleType)
    vector = bool(families)
    taken: dict[int, list[Op]] = {}
    for user in graph.ops:
        if isinstance(user, Get) and user.x is op:
            taken.setdefault(user.index, []).append(user)
    results = []
    for i, kind in enumerate(op.type.elements):
        gets = taken.get(i) or [Get(op, i, loc=op.loc)]
        gets.sort(key=lambda g: g not in outputs)
        if gets[0] in outputs:
            view = outputs[gets[0]]
        elif i == 0 and i not in taken and isinstance(op, RECURRENT):  # every step at the place of the last
            last = TensorType(kind.format, kind.shape[1:])
            buffer = Buffer(f"t{number}", "arena", kind.format, room(last, vector))
            view = View(buffer, kind.shape, (0, *dense(last.shape)))
        else:
            name = f"t{number}_{i}" if i else f"t{number}"
            view = View(Buffer(name, "arena", kind.format, room(kind, vector)), kind.shape, dense(kind.shape))
        views |= dict.fromkeys(gets, view)
        results.append(gets[0])
    reads = tuple(o for o in dict.fromkeys(op.operands) if not isinstance(o, Constant))
    step = Step((op,), f"s{number:02d}_{op.mnemonic}", tuple(results), reads)
    step.family = other(families, (op,))
    if step.family is not None:
        step.scratch = Buffer("scratch", "arena", F32, step.family.others[type(op)].room((op,), views))
    elif isinstance(op, Gru) and op.rb is None:  # update gates, and states times reset gates, of one sequence
        units = op.h.shape[1]
        fmt = op.h.format if op.h.format != F16 else F32
        step.scratch = Buffer("scratch", "arena", fmt, 2 * units)
    return step


def _halos(layers: Iterable[Layer]) -> dict[Op, tuple[tuple[int, int, int, int], int]]:
    """How much padding the convolutions that read a tensor want around it, and the code that stands there."""
    found: dict[Op, tuple[tuple[int, int, int, int], int]] = {}
    for layer in layers:
        pads = layer.halo
        if any(pads):
            known, _ = found.get(layer.op.x, ((0, 0, 0, 0), 0))
            most = (max(known[0], pads[0]), max(known[1], pads[1]), max(known[2], pads[2]), max(known[3], pads[3]))
            found[layer.op.x] = most, layer.pad
    return found


def op_name(ops: tuple[Op, ...]) -> str:
    """The mnemonic that says most: that of the anchor, else of the last op."""
    return ops[0].mnemonic if not isinstance(ops[0], ELEMENTWISE) else ops[-1].mnemonic


def as_view(op: Op, views: dict[Op, View]) -> View | None:
    """A move as a view of its operand, where that is one."""
    if isinstance(op, Get):
        (split,) = op.operands
        (x,) = split.operands[:1]
        return moved(split, views[x], op.index) if isinstance(split, MOVES) else None
    return moved(op, views[op.operands[0]])


def layout(step: Step, views: dict[Op, View]) -> tuple[int, ...]:
    """The order of the axes of a step's result in memory."""
    rank = len(step.result.shape)
    if isinstance(step.anchor, SPATIAL):
        return channels_last(rank)
    if isinstance(step.anchor, Reshape | Dense | MatMul):
        return tuple(range(rank))
    for operand in step.reads:  # as the first operand of that rank lies
        view = views[operand]
        if len(view.shape) == rank and view.size > 1:
            return view.order
    return tuple(range(rank))


def planned(steps: list[Step], views: dict[Op, View], copies: tuple[tuple[View, View], ...]) -> MemoryPlan:
    """Lifetimes of the buffers in the arena, what is reused in place, and offsets."""
    last: dict[Buffer, int] = {}
    for t, step in enumerate(steps):
        for op in step.reads:
            last[views[op].buffer] = t
    for source, _ in copies:
        last[source.buffer] = len(steps)
    allocation: dict[Buffer, Allocation] = {}
    for t, step in enumerate(steps):
        if step.scratch is not None:
            allocation[step.scratch] = Allocation(f"scratch of {step.name}", step.scratch.bytes, t, t)
        for result in step.results:
            view = views[result]
            if view.buffer.place != "arena":
                continue
            until = max(last.get(view.buffer, t), t)
            taken = in_place(step, views, last, t) if len(step.results) == 1 else None
            if taken is not None and views[taken].buffer in allocation:
                shared = allocation[views[taken].buffer]
                step.in_place = taken
                shared.end = until
                allocation[view.buffer] = shared
            else:
                allocation[view.buffer] = Allocation(view.buffer.name, view.buffer.bytes, t, until)
    return pack(allocation)


def in_place(step: Step, views: dict[Op, View], last: dict[Buffer, int], t: int) -> Op | None:
    """An operand that is read element by element, for the last time, and lies as the result will."""
    result = views[step.result]
    anchored = set(step.anchor.operands) if step.anchor is not None else set()
    used: dict[Buffer, int] = {}
    for op in step.reads:
        used[views[op].buffer] = used.get(views[op].buffer, 0) + 1
    for op in step.reads:
        view = views[op]
        if op in anchored or view.buffer.place != "arena" or last[view.buffer] != t or used[view.buffer] > 1:
            continue
        same = view.shape == result.shape and view.strides == result.strides and view.offset == result.offset
        whole = view.buffer.elements == result.buffer.elements and view.buffer.halo == result.buffer.halo
        # an element of another width would overwrite its neighbours
        width = view.buffer.format.dtype.itemsize
        if same and whole and result.buffer.format.dtype.itemsize == width:
            return op
    return None
