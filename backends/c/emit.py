"""The C sources of a model: one function a step, one that runs them in the arena, the constants, the header."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgec import __version__
from edgec.backends.c import half, parallel, single
from edgec.backends.c.codes import ctype
from edgec.backends.c.constants import Constants
from edgec.backends.c.family import Family
from edgec.backends.c.pieces import LARGE, SHARED, shared
from edgec.backends.c.schedule import Schedule, Step, weight
from edgec.backends.c.vector.place import copied as copied_operand
from edgec.backends.c.vector.place import fill
from edgec.backends.c.view import Buffer, View
from edgec.backends.c.writer import Writer, copied
from edgec.formats import FormatError
from edgec.keywords import KEYWORDS
from edgec.ops import Op

EMITTERS: Mapping[str, str] = {
    "dense": "mac:mac", "conv": "mac:mac", "conv_transpose": "mac:conv_transpose", "mat_mul": "mac:matmul",
    "max_pool": "pool:max_pool", "avg_pool": "pool:avg_pool", "reduce": "rows:reduce", "arg_max": "rows:arg_max",
    "softmax": "rows:softmax", "normalize": "rows:normalize", "concat": "moves:concat", "reshape": "moves:reshape",
    "pad": "moves:pad", "normalize_pow2": "detector:normalize_pow2",
    "pack_bits": "detector:pack_bits", "gather": "moves:gather", "resize": "resample:resize", "take": "indexed:take",
    "scatter": "indexed:scatter", "top_k": "indexed:top_k", "cumulate": "indexed:cumulate", "rnn": "recurrent:rnn",
    "gru": "recurrent:gru", "lstm": "recurrent:lstm",
}  # fmt: skip
"""Mnemonic of an anchor -> module and function that write the body of its step."""


@dataclass(frozen=True, eq=False)
class Function:
    """The C function of a step: its text, its name, the buffers that are passed, and the step's arguments."""

    name: str
    text: str
    arguments: tuple[Buffer, ...]
    scratch: tuple[Buffer, ...] = ()
    pieces: int = 1


def emitter(op: Op) -> Callable[[Writer, Op], list[str]]:
    """What writes the loops around an anchor; FormatError where nothing does."""
    if op.mnemonic not in EMITTERS:
        raise FormatError(f"{op.mnemonic} has no C code")
    module, function = EMITTERS[op.mnemonic].split(":")
    return getattr(importlib.import_module(f"edgec.backends.c.{module}"), function)


def function(schedule: Schedule, step: Step, constants: Constants, prefix: str) -> Function:
    """The function of one step. Raises FormatError for what has no C code."""
    writer = Writer(schedule, step, constants)
    guard = "" if step.family is None else f"{prefix.upper()}_{step.family.guard}"
    constants.guard = f"!{guard}" if guard else ""
    if any(op.tensor.size for op in step.results):
        lines = writer.elementwise() if step.anchor is None else emitter(step.anchor)(writer, step.anchor)
    else:
        lines = []  # nothing to compute
    count = pieces_count(schedule, step, lines)
    if count > 1:
        return in_pieces(schedule, step, constants, prefix, writer, lines, count)
    if guard:
        constants.guard = guard
        if step.layer is not None:
            fast = vector_body(schedule, step, constants)
        else:
            assert step.family is not None
            fast = step.family.others[type(step.ops[0])].body(writer)
        unused = [] if step.scratch is None else ["  (void)scratch;"]
        lines = [f"#if {guard}", *("  " + line for line in fast), "#else", *unused, *lines, "#endif"]
        constants.guard = ""
    written = set(re.findall(r"\w+", "\n".join(lines)))
    lines = [*(f"  (void){x};" for x in writer.names if x not in written), *filled(writer.result), *lines]
    name, about = f"{prefix}_{step.name}", summary(step)
    text = "\n".join([about, writer.signature(name, step.scratch is not None) + " {", *lines, "}"])
    room = () if step.scratch is None else (step.scratch,)
    return Function(name, text.replace("@", f"{prefix}_"), tuple(writer.buffers), room)  # type: ignore[arg-type]


def summary(step: Step) -> str:
    """The comment in front of the function of a step."""
    layers = ", ".join(dict.fromkeys(n for op in step.ops for n in op.loc))
    return comment(f"{layers or step.result.label}: {' '.join(str(o.mnemonic) for o in step.ops)}")


def pieces_count(schedule: Schedule, step: Step, lines: list[str]) -> int:
    """In how many pieces a step is done whose plain code is `lines`."""
    if step.pieces is not None:
        return step.pieces.count
    plain = step.family is None and (step.anchor is None or isinstance(step.anchor, SHARED))
    if schedule.threads == 1 or not plain or weight(step) <= LARGE or shared(lines, schedule.threads) is None:
        return 1
    return schedule.threads


def in_pieces(
    schedule: Schedule, step: Step, constants: Constants, prefix: str, writer: Writer, lines: list[str], count: int
) -> Function:
    """The function of a step whose plain code is `lines`, in `count` pieces."""
    name = f"{prefix}_{step.name}"
    guard = constants.guard = "" if step.family is None else f"{prefix.upper()}_{step.family.guard}"
    body = shared(lines, count) or ["  if (piece == 0) {", *("  " + line for line in lines), "  }"]
    before = filled(writer.result)
    if guard:
        fast = parallel.vector_pieces(schedule, step, constants)
        body = [f"#if {guard}", *("  " + line for line in fast), "#else", *body, "#endif"]
        if step.copy is not None:
            assert step.layer is not None
            copying = copied_operand(step.layer, schedule.views[step.layer.op.x], step.copy)
            before += [f"#if {guard}", *("  " + line for line in copying), "#endif"]
        constants.guard = ""
    text = parallel.function(name, summary(step), writer, step, count, body, before)
    room = () if step.scratch is None else (step.scratch,)
    return Function(name, text.replace("@", f"{prefix}_"), tuple(writer.buffers), room, count)  # type: ignore[arg-type]


def vector_body(schedule: Schedule, step: Step, constants: Constants) -> list[str]:
    """The statements of a step in vector code, its operand copied first where that has to be."""
    layer, family = step.layer, step.family
    assert layer is not None and family is not None
    x, y = schedule.views[layer.op.x], layer.image(schedule.views[step.result])
    assert y is not None
    if step.copy is None:
        lies = layer.image(x)
        assert lies is not None
        return family.body(layer, lies, y, constants, "x0", step.work)
    lines = copied_operand(layer, x, step.copy)
    return lines + family.body(layer, step.copy, y, constants, "scratch", step.work)


def filled(y: View) -> list[str]:
    """Statements that write the halo of a result."""
    if not any(y.buffer.halo):
        return []
    channels, width = y.shape[1], y.shape[-1]
    height, row = (y.shape[2], y.strides[2]) if len(y.shape) == 4 else (1, 0)
    _, left, _, right = y.buffer.halo
    size, code = y.buffer.format.dtype.itemsize, y.buffer.fill
    lines = ["  " + fill("y", code, y.offset, size)] if y.offset else []
    gap, start = (left + right) * channels, y.offset + width * channels
    if gap and height > 1:
        inside = "    " + fill(f"y + {start} + r * {row}", code, gap, size)
        lines += [f"  for (int32_t r = 0; r < {height - 1}; r++) {{", inside, "  }"]
    behind = y.offset + (height - 1) * row + width * channels
    return [*lines, "  " + fill(f"y + {behind}", code, y.buffer.elements - behind, size)]


def comment(text: str) -> str:
    """`text` as one comment, whatever it holds."""
    clean = "".join(ch if ch.isprintable() and ch.isascii() else "?" for ch in text)
    return f"/* {clean[:300].replace('*/', '* /').replace('/*', '/ *')} */"


ALIGNED = """\
/* For the definition of an arena: `static @_ALIGNED uint8_t arena[@_ARENA_BYTES];` */
#if defined(__GNUC__)
#define @_ALIGNED __attribute__((aligned(16)))
#elif defined(_MSC_VER)
#define @_ALIGNED __declspec(align(16))
#else
#define @_ALIGNED _Alignas(16)
#endif
"""


def place(buffer: Buffer, schedule: Schedule, labels: Mapping[Buffer, str], *, const: bool) -> str:
    """The expression of a buffer inside the function that runs the model."""
    if buffer.place != "arena":
        return labels[buffer]
    offset = schedule.memory.allocation[buffer].offset
    return f"({'const ' if const else ''}{ctype(buffer.format)} *)(void *)(base + {offset})"


def identifiers(names: list[str], taken: set[str]) -> list[str]:
    """Distinct C identifiers for `names`."""
    made = []
    for name in names:
        text = "".join(ch if ch.isascii() and ch.isalnum() else "_" for ch in name).strip("_") or "tensor"
        text = text if text[0].isalpha() else f"t{text}"
        text = f"{text}_" if text in KEYWORDS else text
        unique, k = text, 1
        while unique in taken:
            k += 1
            unique = f"{text}_{k}"
        taken.add(unique)
        made.append(unique)
    return made


class Sources:
    """Everything that is written for one schedule."""

    def __init__(self, schedule: Schedule, name: str) -> None:
        self.schedule, self.name = schedule, name
        self.constants = Constants(name)
        self.functions = [function(schedule, step, self.constants, name) for step in schedule.steps]
        taken = {"base", "arena", "threads"} if schedule.threads > 1 else {"base", "arena"}
        self.inputs = dict(zip(schedule.inputs, identifiers(list(schedule.inputs), taken), strict=True))
        self.outputs = dict(zip(schedule.outputs, identifiers(list(schedule.outputs), taken), strict=True))
        self.labels: dict[Buffer, str] = {v.buffer: self.inputs[n] for n, v in schedule.inputs.items()}
        self.labels |= {v.buffer: self.outputs[n] for n, v in schedule.outputs.items()}

    @property
    def constant_bytes(self) -> int:
        """Bytes of the constants in the code for the target."""
        return self.constants.bytes(self.guards)

    @property
    def guards(self) -> list[str]:
        """The macros that are 1 in the code for the target."""
        return [self.guard(family) for family in self.schedule.families]

    def guard(self, family: Family) -> str:
        """The macro that says whether vector code of a family is compiled."""
        return f"{self.name.upper()}_{family.guard}"

    def parameters(self) -> str:
        parts = [f"const {ctype(v.buffer.format)} *{self.inputs[n]}" for n, v in self.schedule.inputs.items()]
        parts += [f"{ctype(v.buffer.format)} *{self.outputs[n]}" for n, v in self.schedule.outputs.items()]
        return ", ".join([*parts, "void *arena"])

    def header(self) -> str:
        upper, s = self.name.upper(), self.schedule
        lines = [
            f"/* The model `{self.name}`, written by edgec {__version__}. Tensors are dense, in row-major order. */",
            f"#ifndef {upper}_H",
            f"#define {upper}_H",
            "",
            "#include <stdint.h>",
            "",
            f"#define {upper}_ARENA_BYTES {max(s.memory.arena, 1)}",
            f"#define {upper}_ARENA_ALIGNMENT 16",
            f"#define {upper}_CONSTANT_BYTES {self.constant_bytes}",
            *ALIGNED.replace("@", upper).splitlines(),
        ]
        for which, views, labels in (("INPUT", s.inputs, self.inputs), ("OUTPUT", s.outputs, self.outputs)):
            for label, view in views.items():
                lines.append(f"#define {upper}_{which}_{labels[label].upper()}_ELEMENTS {view.size}")
        lines += ["", "#ifdef __cplusplus", 'extern "C" {', "#endif", ""]
        for which, views, labels in (("in", s.inputs, self.inputs), ("out", s.outputs, self.outputs)):
            for label, view in views.items():
                shape = ", ".join(map(str, view.shape))
                fmt = str(view.buffer.format)
                lines.append(comment(f"{which:>3} {labels[label]}: {fmt}[{shape}], {label}"))
        lines += [
            "",
            "/* One inference. `arena` is scratch memory of ARENA_BYTES bytes, aligned to ARENA_ALIGNMENT; nothing in",
            "   it outlives the call. Returns 0, or 1 without doing anything if the arena is null or not aligned. */",
            f"int {self.name}_run({self.parameters()});",
            "",
            *(self.parallel() if s.threads > 1 else []),
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
            f"#endif /* {upper}_H */",
        ]
        return "\n".join(lines) + "\n"

    def parallel(self) -> list[str]:
        """Declarations for threads."""
        return [
            *parallel.TYPE.replace("@", self.name).splitlines(),
            "",
            f"/* The same, large steps in up to {self.schedule.threads} pieces each, by `threads` or, if that is null,",
            "   one after the other. The results do not depend on it. */",
            f"int {self.entry};",
            "",
        ]

    def constants_header(self) -> str:
        guard = f"{self.name.upper()}_CONSTANTS_H"
        lines = [f"#ifndef {guard}", f"#define {guard}", "", "#include <stdint.h>", ""]
        for family in self.schedule.families:
            arm, macro = f"{family.condition} && !defined({self.name.upper()}_PORTABLE)", self.guard(family)
            lines += [f"#if {arm}", f"#define {macro} 1", "#else", f"#define {macro} 0", "#endif", ""]
        return "\n".join([*lines, *self.constants.declarations(), "", f"#endif /* {guard} */"]) + "\n"

    def constants_source(self) -> str:
        head = [f'#include "{self.name}_constants.h"', "", "#include <math.h>", ""]
        return "\n".join([*head, *self.constants.definitions()]) + "\n"

    def model_source(self) -> str:
        bodies = "\n\n".join(f.text for f in self.functions)
        head = [f'#include "{self.name}.h"', "", "#include <math.h>", "", f'#include "{self.name}_constants.h"', ""]
        head += [
            f"#ifndef {self.name.upper()}_TRACE",
            "/* Called after every step with each tensor that it made, for tests. */",
        ]
        head += [f"#define {self.name.upper()}_TRACE(tensor, data)", "#else"]
        head += [f"void {self.name.upper()}_TRACE(int tensor, const void *data);", "#endif", ""]
        helpers = (*half.helpers(bodies, self.name), *single.helpers(bodies))
        head += [text.replace("@", f"{self.name}_") for text in helpers]
        shared = self.constants.function_lines()
        if shared:
            head += [*self.vector_headers(), *shared]
        if any(made.pieces > 1 for made in self.functions):
            head += [*parallel.PIECES.replace("@", self.name).splitlines(), ""]
        run = self.run()
        if "memset(" in bodies or any("memcpy(" in text for text in (bodies, *shared, *run)):
            head[4:4] = ["#include <string.h>"]
        return "\n".join([*head, bodies, "", *run, ""])

    def vector_headers(self) -> list[str]:
        """What vector code includes, under the guards of its families."""
        lines = []
        for header in dict.fromkeys(family.header for family in self.schedule.families):
            guards = [self.guard(family) for family in self.schedule.families if family.header == header]
            lines += [f"#if {' || '.join(guards)}", f"#include <{header}>", "#include <stddef.h>", "#endif", ""]
        return lines

    def run(self) -> list[str]:
        s, upper = self.schedule, self.name.upper()
        lines = [f"int {self.entry} {{", "  uint8_t *base = (uint8_t *)arena;"]
        lines.append(f"  if (base == 0 || ((uintptr_t)base & {15}u) != 0) {{ return 1; }}")
        passed = [*self.inputs.values(), *self.outputs.values()]
        used = {a.buffer for step in s.steps for op in (*step.reads, *step.results) for a in [s.views[op]]}
        used |= {v.buffer for pair in s.copies for v in pair}
        unused = [name for buffer, name in self.labels.items() if buffer not in used and name in passed]
        lines += [f"  (void){name};" for name in unused]
        probe, known = 0, set(s.graph.ops)
        for step, made in zip(s.steps, self.functions, strict=True):
            arguments = [place(b, s, self.labels, const=True) for b in made.arguments]
            targets = [place(s.views[op].buffer, s, self.labels, const=False) for op in step.results]
            room = [place(b, s, self.labels, const=False) for b in made.scratch]
            pool = ["threads"] * (made.pieces > 1)
            lines.append(f"  {made.name}({', '.join([*arguments, *targets, *room, *pool])});")
            for op, target in zip(step.results, targets, strict=True):
                if op in known:
                    lines.append(f"  {upper}_TRACE({probe}, {target});")
                    probe += 1
        for k, (source, target) in enumerate(s.copies):
            lines += self._copy(k, source, target)
        lines += ["  return 0;", "}"]
        if s.threads == 1:
            return lines
        if all(made.pieces == 1 for made in self.functions):
            lines[1:1] = ["  (void)threads;"]
        return [*lines, "", *self.run_alone()]

    @property
    def entry(self) -> str:
        """Name and parameters of the function that runs all steps."""
        if self.schedule.threads == 1:
            return f"{self.name}_run({self.parameters()})"
        return f"{self.name}_run_parallel({self.parameters()}, const {self.name}_threads *threads)"

    def run_alone(self) -> list[str]:
        """The function without threads."""
        passed = ", ".join([*self.inputs.values(), *self.outputs.values(), "arena"])
        return [f"int {self.name}_run({self.parameters()}) {{", f"  return {self.name}_run_parallel({passed}, 0);", "}"]

    def _copy(self, k: int, source: View, target: View) -> list[str]:
        kind = ctype(source.buffer.format)
        if source.buffer.place == "constant":
            data = next(op.data for op, v in self.schedule.views.items() if v.buffer is source.buffer)  # type: ignore[attr-defined]
            pointer = self.constants.array(data, as_is=True)
        else:
            pointer = place(source.buffer, self.schedule, self.labels, const=True)
        lines = ["  {", f"    const {kind} *from_ = {pointer};", f"    {kind} *to_ = {self.labels[target.buffer]};"]
        return [*lines, *("  " + line for line in copied(source, target)), "  }"]
