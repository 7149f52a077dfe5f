"""The parser of the text form: a tokenizer with positions and a recursive descent over one line at a time."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import numpy as np

from edgec.diagnostics import EdgecError, nearest
from edgec.format_names import make_format
from edgec.formats import Float, Format, FormatError, Quantizer, TensorType, TupleType
from edgec.graph import Graph
from edgec.ops import OPS, Constant, Input, Op
from edgec.rounding import OVERFLOWS, ROUNDINGS
from edgec.text import operand_names, value_stem

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<number>[+-]?(?:inf|nan|\d+(?:\.\d*)?(?:e[+-]?\d+)?)(?![\w.]))
    | (?P<ref>[%@!][A-Za-z_][\w.]*)
    | (?P<name>[A-Za-z_][\w]*)
    | (?P<sign>[\[\](){}<>,:=])
    | (?P<end>$)
    )""",
    re.VERBOSE,
)
_T = TypeVar("_T")
MAX_NESTING = 32
"""Formats and lists inside each other; deeper text is a mistake."""


class Parser:
    """Parses one file; `graph()` is its only entry."""

    def __init__(self, text: str, arrays: Mapping[str, np.ndarray], source: str) -> None:
        self.lines, self.arrays, self.source = text.split("\n"), arrays, source
        self.formats: dict[str, Format] = {}
        self.values: dict[str, Op] = {}
        self.row = 0
        self.tokens: list[tuple[str, str, int]] = []
        self.at = 0
        self.nesting = 0

    # --- tokens -----------------------------------------------------------------------------------------------

    def fail(self, what: str, column: int | None = None) -> NoReturn:
        line = self.lines[self.row] if self.row < len(self.lines) else ""
        if column is None:
            column = self.tokens[min(self.at, len(self.tokens) - 1)][2] if self.tokens else 0
        raise EdgecError(
            "E0208",
            f"{self.source}:{self.row + 1}:{column + 1}: {what}",
            why=f"{line}\n{' ' * column}^",
        )

    def tokenize(self) -> None:
        line, position, self.tokens, self.at = self.lines[self.row], 0, [], 0
        while True:
            match = _TOKEN.match(line, position)
            if match is None:
                self.tokens = [("end", "", position)]
                blank = len(line[position:]) - len(line[position:].lstrip())
                self.fail(f"unexpected character {line[position + blank]!r}", position + blank)
            kind = match.lastgroup or "end"
            self.tokens.append((kind, match.group(kind), match.start(kind)))
            if kind == "end":
                return
            position = match.end()

    @property
    def kind(self) -> str:
        return self.tokens[self.at][0]

    @property
    def word(self) -> str:
        return self.tokens[self.at][1]

    def take(self) -> str:
        word = self.word
        self.at += self.kind != "end"
        return word

    def expect(self, *, kind: str | None = None, word: str | None = None) -> str:
        if (kind is not None and self.kind != kind) or (word is not None and self.word != word):
            wanted = repr(word) if word else f"a {kind}"
            self.fail(f"expected {wanted}, found {self.word!r}" if self.word else f"expected {wanted} at the end")
        return self.take()

    def sees(self, word: str) -> bool:
        if self.word == word and self.kind in ("sign", "name"):
            self.take()
            return True
        return False

    def string(self) -> str:
        column = self.tokens[self.at][2]
        text = self.expect(kind="string")
        try:
            return json.loads(text)
        except ValueError:
            self.fail("bad string", column)

    def integer(self) -> int:
        column = self.tokens[self.at][2]
        text = self.expect(kind="number")
        try:
            return int(text)
        except ValueError:
            self.fail(f"{text} is no integer", column)

    def listed(self, close: str, item: Callable[[], _T]) -> list[_T]:
        items: list[_T] = []
        if self.sees(close):
            return items
        while True:
            items.append(item())
            if self.sees(close):
                return items
            self.expect(word=",")

    # --- the file ---------------------------------------------------------------------------------------------

    def graph(self) -> Graph:
        name: str | None = None
        meta: dict[str, str] = {}
        inputs: list[Input] = []
        outputs: list[tuple[str, Op]] = []
        for row, line in enumerate(self.lines):
            self.row, stripped = row, line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            self.tokenize()
            if name is None:
                self.expect(word="edge")
                if self.integer() != 1:
                    self.at -= 1
                    self.fail("this version reads version 1 of the text form")
                name = self.string()
            elif self.kind == "ref":
                self.op_line()
            else:
                match self.expect(kind="name"):
                    case "meta":
                        key = self.string()
                        meta[key] = self.string()
                    case "format":
                        reference = self.reference("!")
                        self.expect(word="=")
                        self.formats[reference] = self.format()
                    case "input":
                        input_name = self.string()
                        self.expect(word=":")
                        inputs.append(Input(input_name, type=self.tensor_type()))
                        self.define(_input_name(input_name), inputs[-1])
                    case "output":
                        output_name = self.string()
                        self.expect(word="=")
                        outputs.append((output_name, self.value_ref()))
                    case other:
                        self.at -= 1
                        self.fail(f"unknown line {other!r}: meta, format, input, output or %name = ...")
            self.expect(kind="end")
        if name is None:
            self.row = 0
            self.fail('empty file: the first line is: edge 1 "name"', 0)
        return Graph(name, tuple(inputs), tuple(outputs), meta)

    def reference(self, sigil: str) -> str:
        if self.kind != "ref" or not self.word.startswith(sigil):
            self.fail(f"expected {sigil}name, found {self.word!r}")
        return self.take()[1:]

    def define(self, name: str, op: Op) -> None:
        while name in self.values:
            stem, _, n = name.partition(".")
            name = f"{stem}.{int(n or 1) + 1}"
        self.values[name] = op

    def value_ref(self) -> Op:
        column = self.tokens[self.at][2]
        name = self.reference("%")
        if name not in self.values:
            self.fail(f"%{name} is not defined above; {nearest(name, self.values)}", column)
        return self.values[name]

    def op_line(self) -> None:
        name = self.reference("%")
        if name in self.values:
            self.at -= 1
            self.fail(f"%{name} is defined twice")
        self.expect(word="=")
        column = self.tokens[self.at][2]
        mnemonic = self.expect(kind="name")
        cls = OPS.get(mnemonic)
        if cls is None or cls is Input:
            self.fail(f"unknown op {mnemonic!r}; {nearest(mnemonic, OPS)}", column)
        operands: list[Any] = []
        while self.word not in ("{", ":") and self.kind != "end":
            operands.append(self.operand(cls))
            if not self.sees(","):
                break
        attributes: dict[str, Any] = {}
        if self.sees("{"):
            for key, value in self.listed("}", self.attribute):
                attributes[key] = value
        self.expect(word=":")
        type_ = self.type()
        loc: tuple[str, ...] = ()
        if self.sees("from"):
            names = [self.string()]
            while self.sees(","):
                names.append(self.string())
            loc = tuple(names)
        self.values[name] = self.build(cls, operands, attributes, type_, loc, column)

    def build(
        self,
        cls: type[Op],
        operands: list[Any],
        attributes: dict[str, Any],
        type_: TensorType | TupleType,
        loc: tuple[str, ...],
        column: int,
    ) -> Op:
        if cls is Constant:
            return self.constant(operands, type_, loc, column)
        fields = [f for f in dataclasses.fields(cls) if f.name not in ("type", "loc")]
        operand_fields = operand_names(cls)
        if len(operands) != len(operand_fields):
            self.fail(f"{cls.mnemonic} takes {len(operand_fields)} operands, not {len(operands)}", column)
        known = {f.name for f in fields} - set(operand_fields)
        for key in attributes:
            if key not in known:
                self.fail(f"{cls.mnemonic} has no attribute {key!r}; {nearest(key, known)}", column)
        arguments = dict(zip(operand_fields, operands, strict=True)) | attributes
        try:
            return cls(**arguments, type=type_, loc=loc)
        except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
            self.fail(f"{cls.mnemonic}: an attribute of the wrong kind ({error})", column)
        except EdgecError as error:
            first = error.diagnostics[0]
            raise EdgecError(
                first.code,
                f"{self.source}:{self.row + 1}: {first.what}",
                layer=first.layer,
                op=first.op,
                why=first.why,
            ) from None

    def constant(
        self, operands: list[Any], type_: TensorType | TupleType, loc: tuple[str, ...], column: int
    ) -> Constant:
        if len(operands) != 1 or isinstance(operands[0], Op | None) or not isinstance(type_, TensorType):
            self.fail("a constant is one array and a type", column)
        (data,) = operands
        array = np.asarray(data) if not isinstance(data, list) else self.inline(data, type_, column)
        try:
            type_.format.check(array)
            return Constant(array, type=type_, loc=loc)
        except (FormatError, EdgecError) as error:
            what = error.diagnostics[0].what if isinstance(error, EdgecError) else str(error)
            self.fail(what, column)

    def inline(self, data: list[Any], type_: TensorType, column: int) -> np.ndarray:
        """The elements of a constant written in the line."""
        if len(data) != type_.size:
            self.fail(f"{len(data)} elements for {type_}", column)
        is_float = type_.format.is_float
        if not is_float and any(isinstance(v, float) for v in data):
            self.fail(f"a float among the codes of {type_.format}", column)
        try:
            return np.array(data, type_.format.dtype if is_float else np.int64).reshape(type_.shape)
        except OverflowError:
            self.fail(f"a number too large for {type_.format}", column)

    def operand(self, cls: type[Op]) -> Any:
        if self.sees("_"):
            return None
        if self.word == "[":
            self.take()
            if cls is Constant:
                return self.listed("]", self.scalar)
            return tuple(self.listed("]", self.value_ref))
        if self.word.startswith("@"):
            column = self.tokens[self.at][2]
            name = self.reference("@")
            if name not in self.arrays:
                self.fail(f"no array @{name} in the side file; {nearest(name, self.arrays)}", column)
            return self.arrays[name]
        return self.value_ref()

    def attribute(self) -> tuple[str, Any]:
        name = self.expect(kind="name")
        self.expect(word="=")
        return name, self.value()

    def scalar(self) -> Any:
        column = self.tokens[self.at][2]
        text = self.expect(kind="number")
        try:
            return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
        except ValueError:
            self.fail(f"bad number {text!r}", column)

    def value(self) -> Any:
        if self.kind == "number":
            return self.scalar()
        if self.kind == "string":
            return self.string()
        if self.nesting > MAX_NESTING:
            self.fail("nested too deep")
        if self.sees("["):
            self.nesting += 1
            items = tuple(self.listed("]", self.value))
            self.nesting -= 1
            return items
        for word, constant in (("true", True), ("false", False), ("none", None)):
            if self.sees(word):
                return constant
        fmt = self.format()
        if not self.sees(":"):
            return fmt
        rounding = self.one_of(ROUNDINGS)
        self.expect(word=":")
        return Quantizer(fmt, rounding, self.one_of(OVERFLOWS))  # type: ignore[arg-type]

    def one_of(self, words: tuple[str, ...]) -> str:
        if self.word not in words:
            self.fail(f"expected one of {', '.join(words)}")
        return self.take()

    # --- types ------------------------------------------------------------------------------------------------

    def type(self) -> TensorType | TupleType:
        if self.sees("("):
            return TupleType(tuple(self.listed(")", self.tensor_type)))
        return self.tensor_type()

    def tensor_type(self) -> TensorType:
        column = self.tokens[self.at][2]
        fmt = self.format()
        self.expect(word="[")
        shape = tuple(self.listed("]", self.integer))
        try:
            return TensorType(fmt, shape)
        except FormatError as error:
            self.fail(str(error), column)

    def format(self) -> Format:
        column = self.tokens[self.at][2]
        if self.nesting > MAX_NESTING:
            self.fail("nested too deep")
        if self.word.startswith("!"):
            name = self.reference("!")
            if name not in self.formats:
                self.fail(f"format !{name} is not defined above", column)
            return self.formats[name]
        name = self.expect(kind="name")
        self.nesting += 1
        arguments = self.listed(">", self.format_argument) if self.sees("<") else []
        self.nesting -= 1
        positional = [a for a in arguments if not isinstance(a, dict)]
        named = {k: v for a in arguments if isinstance(a, dict) for k, v in a.items()}
        try:
            return make_format(name, positional, named)
        except FormatError as error:
            self.fail(str(error), column)
        except (TypeError, ValueError, AttributeError, OverflowError):
            self.fail(f"bad arguments for the format {name}", column)

    def format_argument(self) -> Any:
        if self.kind == "number":
            return self.scalar()
        if self.sees("["):
            return tuple(self.listed("]", self.scalar))
        if self.word == "narrow":
            self.take()
            return {"narrow": True}
        if self.word == "axis":
            self.take()
            self.expect(word="=")
            return {"axis": self.integer()}
        return self.format()


def parse_format(text: str) -> Format:
    """A format from its text, as on a command line; raises FormatError."""
    parser = Parser(text, {}, "<format>")
    try:
        parser.tokenize()
        fmt = parser.format()
        parser.expect(kind="end")
    except EdgecError as error:
        raise FormatError(error.diagnostics[0].what.partition(": ")[2]) from None
    return fmt


def _input_name(name: str) -> str:
    return value_stem(Input(name, type=TensorType(Float(32), ())))
