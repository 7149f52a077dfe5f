"""The text form of a graph: one line an op, arrays by `@name` in a safetensors file beside it.

Grammar (docs/ir.md explains it with an example):

    file    := 'edge' '1' STRING NEWLINE line*
    line    := 'meta' STRING STRING
             | 'format' '!'NAME '=' FORMAT
             | 'input' STRING ':' TYPE                          -> defines %NAME by order of appearance
             | '%'NAME '=' MNEMONIC operands attrs? ':' TYPE loc?
             | 'output' STRING '=' '%'NAME
    operands:= ('%'NAME | '_' | '[' '%'NAME,... ']' | ARRAY),...
    attrs   := '{' NAME '=' VALUE,... '}'
    loc     := 'from' STRING,...
    TYPE    := FORMAT '[' INT,... ']' | '(' TYPE,... ')'
    VALUE   := INT | FLOAT | STRING | 'true' | 'false' | 'none' | '[' VALUE,... ']' | FORMAT | QUANTIZER
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgec.formats import Format, Quantizer, TensorType, TupleType
from edgec.graph import Graph
from edgec.ops import Constant, Input, Op

INLINE_ELEMENTS = 8
"""Constants up to this size are written in the line; larger ones go to the side file."""
LONG_FORMAT = 48
"""A format whose text is longer gets a name of its own."""


class Printer:
    """Names values and formats while a graph is printed; collects the arrays of the side file."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names: dict[Op, str] = {}
        self.formats: dict[str, str] = {}
        self.arrays: dict[str, np.ndarray] = {}
        taken: set[str] = set()
        for op in graph.ops:
            self.names[op] = _unique(value_stem(op), taken)

    def text(self) -> str:
        lines = [f"input {json.dumps(i.name)} : {self.type(i.type)}" for i in self.graph.inputs]
        lines += [self.line(op) for op in self.graph.ops if not isinstance(op, Input)]
        lines += [f"output {json.dumps(n)} = %{self.names[o]}" for n, o in self.graph.outputs]
        head = [f"edge 1 {json.dumps(self.graph.name)}"]
        head += [f"meta {json.dumps(k)} {json.dumps(v)}" for k, v in sorted(self.graph.meta.items())]
        head += [f"format !{name} = {text}" for text, name in self.formats.items()]
        return "\n".join(head + lines) + "\n"

    def line(self, op: Op) -> str:
        if isinstance(op, Constant):
            operands, attributes = self.array(op), ""
        else:
            operands, attributes = self.operands(op), self.attributes(op)
        loc = " from " + ", ".join(json.dumps(n) for n in op.loc) if op.loc else ""
        return f"%{self.names[op]} = {op.mnemonic} {operands}{attributes} : {self.type(op.type)}{loc}"

    def array(self, op: Constant) -> str:
        if op.data.size <= INLINE_ELEMENTS:
            return "[" + ", ".join(_scalar(v) for v in op.data.ravel().tolist()) + "]"
        name = self.names[op]
        self.arrays[name] = op.data
        return f"@{name}"

    def operands(self, op: Op) -> str:
        shown = []
        operand_fields = operand_names(type(op))
        for name, value in op.fields():
            if isinstance(value, Op):
                shown.append(f"%{self.names[value]}")
            elif isinstance(value, tuple) and value and isinstance(value[0], Op):
                shown.append("[" + ", ".join(f"%{self.names[v]}" for v in value) + "]")
            elif value is None and name in operand_fields:
                shown.append("_")
        return ", ".join(shown)

    def attributes(self, op: Op) -> str:
        shown = []
        defaults = {f.name: f.default for f in dataclasses.fields(op)}
        operand_fields = operand_names(type(op))
        for name, value in op.fields():
            if name not in operand_fields and value != defaults[name]:
                shown.append(f"{name}={self.value(value)}")
        return " {" + ", ".join(shown) + "}" if shown else ""

    def value(self, value: Any) -> str:
        if isinstance(value, Quantizer):
            return f"{self.format(value.format)}:{value.rounding}:{value.overflow}"
        if isinstance(value, Format):
            return self.format(value)
        if isinstance(value, tuple | list):
            return "[" + ", ".join(self.value(v) for v in value) + "]"
        return _scalar(value)

    def format(self, fmt: Format) -> str:
        text = str(fmt)
        if len(text) <= LONG_FORMAT:
            return text
        return "!" + self.formats.setdefault(text, f"f{len(self.formats)}")

    def type(self, type_: TensorType | TupleType) -> str:
        if isinstance(type_, TupleType):
            return "(" + ", ".join(self.type(t) for t in type_.elements) + ")"
        return f"{self.format(type_.format)}[{', '.join(map(str, type_.shape))}]"


def operand_names(cls: type[Op]) -> list[str]:
    """The fields of an op class that hold operands, by their annotations."""
    return [
        f.name for f in dataclasses.fields(cls) if re.search(r"\bOp\b", str(f.type)) and f.name not in ("type", "loc")
    ]


def print_graph(graph: Graph) -> tuple[str, dict[str, np.ndarray]]:
    """The text of `graph` and the arrays of its side file."""
    printer = Printer(graph)
    return printer.text(), printer.arrays


def save_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The side file: safetensors, whose bytes depend on names and contents only."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)})


def parse_graph(text: str, arrays: Mapping[str, np.ndarray], source: str = "<text>") -> Graph:
    """The graph of `text`; raises E0208 with line, column and caret, E0102 for lines whose types do not fit."""
    from edgec.text_parser import Parser

    return Parser(text, arrays, source).graph()


def value_stem(op: Op) -> str:
    """The name an op gets in the text form, before it is made unique."""
    if isinstance(op, Input):
        stem = op.name
    elif op.loc:
        stem = op.loc[-1]
    else:
        stem = op.mnemonic
    stem = re.sub(r"[^A-Za-z0-9_]+", "_", stem).strip("_") or op.mnemonic
    return f"v{stem}" if stem[0].isdigit() else stem


def _unique(stem: str, taken: set[str]) -> str:
    name, n = stem, 1
    while name in taken:
        n += 1
        name = f"{stem}.{n}"
    taken.add(name)
    return name


def _scalar(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, float):
        text = repr(float(value))
        return text if any(c in text for c in ".einf") else text + ".0"
    return str(int(value))
