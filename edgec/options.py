"""The effective configuration of a build: flags and an optional TOML file, strict about unknown keys."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgec.diagnostics import EdgecError, nearest


@dataclass(frozen=True)
class Options:
    """Everything that decides the bytes of an artefact besides the model, the target and the data files.

    `quantize` holds the options of the pass of that name ("bits=8,format=affine"), `passes` replaces the whole
    pipeline, `golden` is the number of golden frames, `max_area_kge` the refusal limit of the target.
    """

    name: str | None = None
    weights: str = "fixed"
    numerics: str = "exact"
    quantize: str | None = None
    passes: str | None = None
    input_format: str | None = None
    strip_softmax: bool = False
    cut_float_tail: bool = False
    batch: int | None = None
    dims: dict[str, int] = field(default_factory=dict)
    clock_mhz: float | None = None
    max_area_kge: float | None = None
    golden: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        def check(ok: bool, key: str, wanted: str) -> None:
            if not ok:
                raise EdgecError("E0204", f"{key} = {getattr(self, key)!r}", why=f"{key} must be {wanted}")

        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if value is None and "None" in str(f.type):
                continue
            kind = {"str": str, "int": int, "bool": bool, "float": (int, float), "dict": dict}[
                str(f.type).partition("[")[0].partition(" |")[0]
            ]
            right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
            check(right, f.name, f"of type {f.type}")
        check(self.weights in ("fixed", "loaded"), "weights", "fixed or loaded")
        check(self.batch is None or self.batch >= 1, "batch", "at least 1")
        check(self.clock_mhz is None or 0 < self.clock_mhz < 1e5, "clock_mhz", "between 0 and 100000")
        check(self.max_area_kge is None or self.max_area_kge > 0, "max_area_kge", "positive")
        check(1 <= self.golden <= 1_000_000, "golden", "between 1 and 1000000")
        check(self.seed >= 0, "seed", "non-negative")
        check(all(isinstance(v, int) and v >= 1 for v in self.dims.values()), "dims", "positive integers")

    def as_dict(self) -> dict[str, Any]:
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}


def read_config(path: str | Path) -> dict[str, Any]:
    """The [build] table of a configuration file; E0203 for unknown keys."""
    file = Path(path)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise EdgecError("E0202", f"configuration file {file} cannot be read", why=str(error)) from None
    except tomllib.TOMLDecodeError as error:
        raise EdgecError("E0204", f"{file.name} is not valid TOML", why=str(error)) from None
    for key in data:
        if key != "build":
            raise EdgecError("E0203", f"{file.name}: unknown table {key!r}", remedy="the table is [build]")
    table = data.get("build", {})
    known = {f.name for f in dataclasses.fields(Options)} | {"target", "calibration", "golden_frames"}
    for key in table:
        if key not in known:
            raise EdgecError("E0203", f"{file.name}: unknown key {key!r} in [build]", remedy=nearest(key, known))
    return table
