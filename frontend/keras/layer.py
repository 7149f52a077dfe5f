"""What a layer's importer sees: checked settings, weights of the right shape, and the ways to refuse.

Every setting that is present must be read, unless it matters in training only; what is left over after the layer's
importer has run is an error, so that no setting is ever dropped in silence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from edgec.diagnostics import Diagnostic, EdgecError
from edgec.formats import F32
from edgec.frontend.keras.config import LayerSpec
from edgec.frontend.keras.hdf5 import Array
from edgec.frontend.keras.tensor import Tensor
from edgec.frontend.onnx.read import MAX_ELEMENTS
from edgec.frontend.onnx.types import constant_op
from edgec.ops import Constant, Dequantize, Op

_TRAINING = ("_initializer", "_regularizer", "_constraint", "_range")
"""Ends of the names of settings that matter in training only."""
_NOTHING = frozenset(
    ["name", "trainable", "dtype", "autocast", "momentum", "seed", "synchronized", "build_config", "noise_shape"]
    + ["batch_input_shape", "batch_shape", "input_shape", "input_dim", "batch_size", "sparse", "ragged", "optional"]
    + ["fused", "renorm_momentum", "renorm_clipping", "lora_alpha", "dynamic", "shared_object_id", "kernel_range"]
)


class Layer:
    """One layer with its settings and weights; `name` carries the names of the models around it."""

    def __init__(
        self,
        spec: LayerSpec,
        name: str,
        variables: list[Array],
        version: tuple[int, ...],
        shared: dict[int, Constant] | None = None,
    ) -> None:
        self.spec, self.name, self.variables, self.version = spec, name, variables, version
        self.shared = {} if shared is None else shared
        self.class_name, self.config = spec.class_name, spec.config
        self.loc = (name,)
        self.unread = set(self.config)
        self.used = self.made = 0
        self.warnings: list[Diagnostic] = []

    @property
    def keras3(self) -> bool:
        """Whether Keras 3 wrote the model; a few defaults and functions differ from Keras 2."""
        return self.version[:1] >= (3,)

    # --- refusals ---------------------------------------------------------------------------------------------

    def unsupported(self, what: str, *, why: str | None = None, remedy: str | None = None) -> NoReturn:
        raise EdgecError("E0304", what, layer=self.name, op=self.class_name, why=why, remedy=remedy)

    def malformed(self, what: str, *, why: str | None = None) -> NoReturn:
        raise EdgecError("E0302", what, layer=self.name, op=self.class_name, why=why)

    def require(self, ok: bool, what: str, *, remedy: str | None = None) -> None:
        """Refuse the layer (E0304) unless `ok`."""
        if not ok:
            self.unsupported(what, remedy=remedy)

    def warn(self, code: str, what: str, *, why: str | None = None, remedy: str | None = None) -> None:
        self.warnings.append(Diagnostic(code, what, self.name, self.class_name, why, remedy))

    # --- settings ---------------------------------------------------------------------------------------------

    def raw(self, name: str, default: Any = None) -> Any:
        """A setting as the JSON has it."""
        self.unread.discard(name)
        return self.config.get(name, default)

    def integer(self, name: str, default: int | None = None, low: int = 1) -> int:
        value = self.raw(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= MAX_ELEMENTS:
            self.malformed(f"setting {name!r} is {_shown(value)}", why=f"it is an integer from {low} on")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.raw(name, default)
        if value is None:
            return default
        if value not in (0, 1, True, False):
            self.malformed(f"setting {name!r} is {_shown(value)}, not true or false")
        return bool(value)

    def number(self, name: str, default: float | None = None) -> float:
        value = self.raw(name, default)
        return self.as_number(value, name)

    def as_number(self, value: Any, name: str) -> float:
        """A JSON value as a finite number; Keras stores some as arrays or as numbers in quotes."""
        value = _unwrapped(value)
        try:
            number = float(value)
        except (TypeError, ValueError):
            self.malformed(f"setting {name!r} is {_shown(value)}, not a number")
        if not abs(number) <= 1e38:
            self.unsupported(f"setting {name!r} is {number}", why="float32 cannot hold it")
        return number

    def string(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.raw(name, default)
        value = default if value is None else value
        if value not in allowed:
            self.unsupported(f"setting {name} = {_shown(value)}", why=f"supported: {', '.join(allowed)}")
        return value

    def sizes(self, name: str, rank: int, default: Any = None, low: int = 1) -> tuple[int, ...]:
        """One integer an axis; a single one stands for all."""
        value = self.raw(name, default)
        value = default if value is None else value
        values = [value] * rank if isinstance(value, int) else value
        fits = isinstance(values, list | tuple) and len(values) == rank
        if not fits or not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
            self.malformed(f"setting {name!r} is {_shown(value)}", why=f"it is {rank} integers")
        if not all(low <= v <= MAX_ELEMENTS for v in values):
            self.malformed(f"setting {name!r} is {_shown(value)}", why=f"all from {low} on")
        return tuple(values)

    def channels_last(self) -> bool:
        return self.string("data_format", "channels_last", ("channels_last", "channels_first")) == "channels_last"

    def axes(self, name: str, rank: int, default: Any = -1) -> tuple[int, ...]:
        """An axis or a list of them, each in 0 .. rank - 1 and none twice."""
        value = self.raw(name, default)
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(v, int) and not isinstance(v, bool) and -rank <= v < rank for v in values):
            self.malformed(f"setting {name!r} is {_shown(value)}", why=f"the tensor has {rank} dimensions")
        result = tuple(v % rank for v in values)
        if len(set(result)) != len(result):
            self.malformed(f"setting {name!r} names an axis twice")
        return result

    def ignore(self, *names: str) -> None:
        """Settings that change nothing here; the caller says why."""
        self.unread.difference_update(names)

    def finish(self) -> None:
        """Refuse settings that nobody read and that say something, and weights that nobody took."""
        self.finish_settings()
        if self.used < len(self.variables):
            extra = self.variables[self.used].name
            self.malformed(f"the file holds {len(self.variables)} weights, but the layer has {self.used}", why=extra)

    def finish_settings(self) -> None:
        """Refuse settings that nobody read and that say something."""
        for name in sorted(self.unread - _NOTHING):
            if not name.endswith(_TRAINING) and self.config[name] not in (None, False, [], {}, ""):
                self.unsupported(
                    f"setting {name} = {_shown(self.config[name])}", why=f"{self.class_name} is imported without it"
                )

    # --- weights ----------------------------------------------------------------------------------------------

    def weight(self, what: str, *shape: int) -> np.ndarray:
        """The next weight of the layer in float32, which must have this shape."""
        self.limit(*shape, what=f"the {what}")
        if self.used >= len(self.variables):
            self.malformed(f"the file holds no {what} for the layer", why=f"{len(self.variables)} weights are stored")
        self.used += 1
        try:
            return self.variables[self.used - 1].read(shape)
        except EdgecError as error:
            first = error.diagnostics[0]
            raise EdgecError(first.code, first.what, layer=self.name, op=self.class_name, why=first.why) from None

    def limit(self, *sizes: int, what: str = "the result") -> None:
        """Refuse tensors that no memory holds."""
        if math.prod(sizes) > MAX_ELEMENTS:
            self.unsupported(f"{what} has {math.prod(sizes)} elements", why=f"the limit is {MAX_ELEMENTS}")

    def constant(self, array: np.ndarray) -> Constant:
        """A float constant of the layer."""
        return self.keep(constant_op(np.ascontiguousarray(array, np.float32), self.loc))

    def keep(self, constant: Constant) -> Constant:
        """`constant`, or the same one of an earlier call of the layer: shared weights are stored once."""
        before = self.shared.get(self.made)
        self.made += 1
        if before is not None and before.type == constant.type and np.array_equal(before.data, constant.data):
            return before
        self.shared[self.made - 1] = constant
        return constant

    def scalar(self, value: float) -> Constant:
        return self.constant(np.array(value, np.float32))

    # --- operands ---------------------------------------------------------------------------------------------

    def one(self, tensors: Sequence[Tensor], *ranks: int) -> Tensor:
        """The only operand, as floats; `ranks` are the numbers of dimensions that the layer takes."""
        if len(tensors) != 1:
            self.malformed(f"{len(tensors)} operands; {self.class_name} has one")
        x = tensors[0]
        if ranks and x.rank not in ranks:
            self.malformed(f"an operand {list(x.shape)}", why=f"needs {' or '.join(map(str, ranks))} dimensions")
        return self.floats(x)

    def floats(self, x: Tensor) -> Tensor:
        """Integers become floats, as in Keras."""
        if x.op.format.is_float:
            return x
        return x.with_op(Dequantize(x.op, F32, loc=self.loc))

    def channel_axis(self, x: Tensor, last: bool) -> Op:
        """The op [N, C, *S] of a tensor whose channels are last or first in the model."""
        return x.first if last else x.own


def _unwrapped(value: Any) -> Any:
    for _ in range(4):
        if isinstance(value, dict) and "value" in value.get("config", value):
            value = value.get("config", value)["value"]
        elif isinstance(value, list) and len(value) == 1:
            value = value[0]
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
