"""Between codes in memory and levels or numbers in registers, as C."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgec.backends.c.scalar import FLOATS, Body, Scalar, integer, integer_type
from edgec.formats import Affine, Fixed, Format, FormatError, Integer
from edgec.formats_compressed import Binary as BinaryFormat
from edgec.formats_compressed import Sparse, Ternary
from edgec.ops import Constant

if TYPE_CHECKING:
    from edgec.backends.c.constants import Constants

CTYPES = {
    "int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t",
    "uint32": "uint32_t", "int64": "int64_t", "float16": "uint16_t", "float32": "float", "float64": "double",
}  # fmt: skip
"""How numpy's types are stored; binary16 as its bits, because C99 has no such type."""


def ctype(fmt: Format) -> str:
    """The C type of one code in memory."""
    return CTYPES[fmt.dtype.name]


def base_of(fmt: Format) -> Format:
    """The format of the codes without scales and zero points."""
    fmt = fmt.base if isinstance(fmt, Affine) else fmt
    return base_of(fmt.element) if isinstance(fmt, Sparse) else fmt


def plain(fmt: Format) -> bool:
    """Whether every code is its own level."""
    return isinstance(base_of(fmt), Integer | Fixed | Ternary)


def load(body: Body, fmt: Format, element: str, constants: Constants) -> Scalar:
    """The level (zero point not subtracted) or the number of the code at `element`."""
    if fmt.is_float:
        kind = FLOATS[fmt.dtype.name]
        name = body.name()
        value = f"@from_half({element})" if kind == "half" else element
        body.lines.append(f"const {'double' if kind == 'double' else 'float'} {name} = {value};")
        return Scalar(name, kind)  # type: ignore[arg-type]
    lo, hi = fmt.level_range
    if plain(fmt):
        made = body.let(f"@TYPE@{element}", lo, hi)
        body.lines[-1] = body.lines[-1].replace("@TYPE@", f"({made.ctype})" if made.ctype != ctype(fmt) else "")
        return made
    if isinstance(base_of(fmt), BinaryFormat):
        return body.let(f"2 * (int32_t){element} - 1", lo, hi)
    first, last = fmt.code_range
    table = constants.array(fmt.levels(np.arange(first, last + 1, dtype=fmt.dtype)))
    kind = integer_type(lo, hi)  # not a variable: where the code is passed on nothing reads the level
    return Scalar(f"(({kind}){table}[(int32_t){element} - {integer(first)}])", "int", lo, hi, element)


def store(fmt: Format, value: Scalar) -> str:
    """The code of a level or number, as an expression of `ctype(fmt)`."""
    if fmt.is_float:
        return f"@to_half({value.code})" if value.kind == "half" else value.code
    if plain(fmt):
        return value.code if value.ctype == ctype(fmt) else f"({ctype(fmt)}){value.code}"
    if isinstance(base_of(fmt), BinaryFormat):
        return f"(uint8_t)({value.code} > 0)"
    if value.stored:
        return value.stored
    raise FormatError(f"results in {fmt} are not written by C code")


def levels_of(op: Constant) -> np.ndarray:
    """Levels of a constant with the zero points in them, int64: what `load` gives for computed tensors."""
    return op.format.levels(op.data)
