"""The effective configuration of a build: flags and an optional TOML file, strict about unknown keys."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgec.compression import read_recipe, recipe_of
from edgec.diagnostics import EdgecError, nearest
from edgec.hardening import parse_hardening

SHARING = ("auto", "none", "shared", "mst")
"""What the outputs of a layer of constant weights share; `auto` takes the cheapest."""
WINOGRAD = ("auto", "stored", "computed", "off")
"""Where C code has the transformed weights of Winograd's method: stored where the model stays small by `auto`."""


LOW_BITS = ("auto", "size", "speed", "none")
"""What decides whether C code keeps weights of few different values as packed codes."""


@dataclass(frozen=True)
class Options:
    """Everything that decides the bytes of an artefact besides the model, the target and the data files.

    `weights_format`, `prune` and `compress` are the compression of the weights (docs/compression.md; `compress` a table
    as in a recipe file). `constant_sharing` says what outputs of constant weights share in RTL (docs/constants.md),
    `winograd` whether C code stores transformed weights (docs/arm-kernels.md), `low_bits` when it keeps weights as
    codes of 1, 2 or 4 bits (docs/arm-low-bits.md).
    `quantize` holds the options of the pass of that name ("bits=8,format=affine"), `passes` replaces the pipeline,
    `golden` is the number of golden frames, `max_area_kge` the refusal limit of the target, `harden` the protection of
    registers against radiation (docs/hardening.md), `ranking` the file that a budget of it needs, `functions` the
    precision in which C code computes exp, tanh and the like where no integer depends on them (docs/numerics.md),
    `threads` for how many its large steps are split (docs/c.md), `precision` fp16 turns binary32 into half precision.
    """

    name: str | None = None
    mode: str = "spatial"
    weights: str = "fixed"
    constant_sharing: str = "auto"
    low_bits: str = "auto"
    winograd: str = "auto"
    numerics: str = "exact"
    quantize: str | None = None
    weights_format: str | None = None
    prune: float | None = None
    compress: dict[str, Any] = field(default_factory=dict)
    passes: str | None = None
    input_format: str | None = None
    strip_softmax: bool = False
    cut_float_tail: bool = False
    batch: int | None = None
    dims: dict[str, int] = field(default_factory=dict)
    clock_mhz: float | None = None
    fps: float | None = None
    folding: dict[str, str] = field(default_factory=dict)
    max_area_kge: float | None = None
    harden: str | None = None
    ranking: str | None = None
    functions: str = "single"
    threads: int | None = None
    precision: str | None = None
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
        check(self.mode in ("spatial", "folded"), "mode", "spatial or folded")
        check(self.fps is None or 0 < self.fps < 1e12, "fps", "positive")
        check(all(isinstance(v, str) for v in self.folding.values()), "folding", "a table of PExSIMD by layer")
        folded = self.mode == "folded"
        check(folded or self.fps is None, "fps", "left out without mode = folded")
        check(folded or not self.folding, "folding", "left out without mode = folded")
        check(self.weights in ("fixed", "loaded"), "weights", "fixed or loaded")
        check(self.constant_sharing in SHARING, "constant_sharing", " or ".join(SHARING))
        check(self.low_bits in LOW_BITS, "low_bits", " or ".join(LOW_BITS))
        check(self.winograd in WINOGRAD, "winograd", " or ".join(WINOGRAD))
        check(self.functions in ("single", "double"), "functions", "single or double")
        check(self.batch is None or self.batch >= 1, "batch", "at least 1")
        check(self.clock_mhz is None or 0 < self.clock_mhz < 1e5, "clock_mhz", "between 0 and 100000")
        check(self.max_area_kge is None or 0 < self.max_area_kge < math.inf, "max_area_kge", "positive and finite")
        check(1 <= self.golden <= 1_000_000, "golden", "between 1 and 1000000")
        check(self.threads is None or 1 <= self.threads <= 64, "threads", "between 1 and 64")
        check(self.precision in (None, "fp16"), "precision", "fp16")
        hardening = parse_hardening(self.harden)
        hardening.check(self.weights == "loaded")
        if hardening.budget is not None and self.ranking is None:
            why = "a budget needs to know which weight bits matter most"
            remedy = "edgec faults OUT --rank FILE on a build without protection, then --ranking FILE"
            raise EdgecError("E0204", f"harden: budget={hardening.budget}", why=why, remedy=remedy)
        if self.ranking is not None and hardening.budget is None:
            raise EdgecError("E0204", "a ranking without a budget", remedy="--harden weight=full-tmr-scrub,budget=20%")
        recipe_of(self.compress, self.weights_format, self.prune)
        check(self.seed >= 0, "seed", "non-negative")
        check(all(isinstance(v, int) and v >= 1 for v in self.dims.values()), "dims", "positive integers")

    def as_dict(self) -> dict[str, Any]:
        """What was set, for the manifest: of files only their names, which say nothing of this machine."""
        found = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return found | ({"ranking": Path(self.ranking).name} if self.ranking is not None else {})


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
    if not isinstance(table, dict):
        raise EdgecError("E0204", f"{file.name}: build is no table", remedy="the table is [build]")
    for key in ("dims", "folding"):  # flags are merged into them
        if not isinstance(table.get(key, {}), dict):
            raise EdgecError("E0204", f"{file.name}: {key} = {table[key]!r}", why=f"{key} must be a table")
    if isinstance(table.get("compress"), str):  # beside the configuration file
        table["compress"] = read_recipe(file.parent / table["compress"])
    known = {f.name for f in dataclasses.fields(Options)} | {"target", "calibration", "golden_frames"}
    for key in table:
        if key not in known:
            raise EdgecError("E0203", f"{file.name}: unknown key {key!r} in [build]", remedy=nearest(key, known))
    return table
