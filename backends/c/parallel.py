"""The C of steps in pieces: a function that does one of them, and what hands them to the threads of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgec.backends.c.codes import ctype
from edgec.backends.c.constants import Constants
from edgec.backends.c.pieces import part

if TYPE_CHECKING:
    from edgec.backends.c.schedule import Schedule, Step
    from edgec.backends.c.writer import Writer

TYPE = """\
/* Threads of the caller's. `run` has to call piece(context, i) for every i below count, each once, in any order, in any
   thread and at the same time as others, and to return when all of them have returned. It is called with `pool`. */
typedef struct {
  void (*run)(void *pool, int32_t count, void (*piece)(void *context, int32_t i), void *context);
  void *pool;
} @_threads;
"""

PIECES = """\
static void @_pieces(const @_threads *threads, int32_t count, void (*piece)(void *, int32_t), void *context) {
  if (threads != 0 && threads->run != 0) {
    threads->run(threads->pool, count, piece, context);
  } else {
    for (int32_t i = 0; i < count; i++) { piece(context, i); }
  }
}
"""


def vector_pieces(schedule: Schedule, step: Step, constants: Constants) -> list[str]:
    """Statements of piece `piece` in vector code."""
    layer, family, pieces = step.layer, step.family, step.pieces
    assert layer is not None and family is not None and pieces is not None
    source = "x0" if step.copy is None else "scratch"
    x = layer.image(schedule.views[layer.op.x]) if step.copy is None else step.copy
    y = layer.image(schedule.views[step.result])
    assert x is not None and y is not None
    lines = [f"const {ctype(x.buffer.format)} *from = {source};"]
    if step.room:
        width = x.buffer.format.dtype.itemsize
        lines.append(f"scratch += {step.work // width} + piece * {step.room // width};")
    if pieces.rows:
        _, (down, _), _, _ = layer.window
        lines.append(f"from += piece * {pieces.size * down * x.strides[2]};")
        lines.append(f"y += piece * {pieces.size * y.strides[2]};")
    same = pieces.count if pieces.size == pieces.last else pieces.count - 1
    starts = [0, *([same] * (same < pieces.count))] if pieces.rows else range(pieces.count)
    for k, index in enumerate(starts):
        one, to = part(pieces, index, layer, y)
        following = starts[k + 1] if k + 1 < len(starts) else None
        head = f"if (piece < {following}) {{" if following is not None else "{"
        lines.append(f"{'} else ' if k else ''}{head}")
        lines += ["  " + line for line in family.body(one, x, to, constants, "from", 0)]
    return [*lines, "}"]


def function(
    name: str, about: str, writer: Writer, step: Step, count: int, body: Sequence[str], before: Sequence[str]
) -> str:
    """The function of a step in `count` pieces, with that of one of them in front."""
    members = [f"const {ctype(b.format)} *{n}" for b, n in writer.arguments.items()]  # type: ignore[attr-defined]
    members += [f"{ctype(op.format)} *{made}" for made, op in zip(writer.results, step.results, strict=True)]
    if step.scratch is not None:
        members.append(f"{ctype(step.scratch.format)} *scratch")
    names = [member.rpartition("*")[2] for member in members]
    signature = writer.signature(name, step.scratch is not None)
    return "\n".join(
        [
            "typedef struct {",
            *(f"  {member};" for member in members),
            f"}} {name}_operands;",
            "",
            f"static void {name}_piece(void *context, int32_t piece) {{",
            f"  const {name}_operands *operands = (const {name}_operands *)context;",
            *(f"  {member} = operands->{n};" for member, n in zip(members, names, strict=True)),
            *(f"  (void){n};" for n in names),
            *body,
            "}",
            "",
            about,
            f"{signature[:-1]}, const @threads *threads) {{",
            *before,
            f"  {name}_operands operands = {{{', '.join(names)}}};",
            f"  @pieces(threads, {count}, {name}_piece, &operands);",
            "}",
        ]
    )
