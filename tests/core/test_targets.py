"""Target files: the shipped ones load with a source for every constant; bad ones are refused with the right code."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.target import load_target, target_names
from edgec.target_constants import CELL_KINDS, CONSTANTS

HEAD = 'name = "t"\nbackend = "rtl"\ndescription = "test"\npasses = ""\n'


def write(folder: Path, text: str, name: str = "t.toml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def refused(path: str, code: str = "E0206") -> str:
    with pytest.raises(EdgecError) as caught:
        load_target(path)
    assert caught.value.diagnostics[0].code == code, caught.value.diagnostics[0].text()
    return caught.value.diagnostics[0].text()


def test_shipped_targets_are_listed_without_the_base() -> None:
    assert {"asic65nm", "asic130nm", "asic180nm", "gate-equivalents"} <= set(target_names())
    assert not any(name.startswith("_") for name in target_names())
    refused("_asic", "E0205")


@pytest.mark.parametrize("name", [n for n in target_names() if n.startswith(("asic", "gate"))])
def test_shipped_asic_target(name: str) -> None:
    target = load_target(name)
    assert target.name == name and target.backend == "rtl"
    assert target.passes.split(",")[-1] == "integer-io"
    for kind in CELL_KINDS:
        for table in ("ge", "toggle", "delay"):
            assert target.constant(f"{table}.{kind}").nominal > 0
    for key, quantity in target.constants.items():
        assert len(quantity.source) >= 15, f"{key}: the source {quantity.source!r} is no sentence"
        assert not quantity.source.endswith("?")


def test_only_physical_targets_have_physical_units() -> None:
    assert "area.nand2_um2" not in load_target("gate-equivalents").constants
    assert "energy.nand2_fj" not in load_target("gate-equivalents").constants
    assert load_target("asic65nm").constant("area.nand2_um2").nominal == 1.44
    assert load_target("asic65nm").anchors["econ_t"]["area_mm2"] == 3.6


def test_the_pipeline_stands_in_one_place() -> None:
    folder = resources.files("edgec.targets")
    for name in target_names():
        data = tomllib.loads(folder.joinpath(f"{name}.toml").read_text(encoding="utf-8"))
        if data.get("inherits", "").startswith(("_asic", "asic")):
            assert "passes" not in data, name


def test_inheritance_replaces_a_quantity_whole(tmp_path: Path) -> None:
    source = 'source = "measured for this test"'
    path = write(
        tmp_path, f'name = "mine"\ninherits = "asic65nm"\n[constants.area]\ndensity = {{ value = 0.8, {source} }}'
    )
    target = load_target(path)
    assert target.constant("area.density").low == target.constant("area.density").high == 0.8
    assert target.constant("area.nand2_um2").nominal == 1.44
    assert target.options["clock_mhz"] == 40.0
    text = refused(write(tmp_path, 'name = "m"\ninherits = "asic65nm"\n[constants.area.density]\nnominal = 0.8'))
    assert "no source" in text, "a number must not keep the source of the one it replaces"


def test_inheritance_from_a_file_beside(tmp_path: Path) -> None:
    write(tmp_path, 'name = "base"\ninherits = "asic180nm"\n[options]\nclock_mhz = 12', "base.toml")
    target = load_target(write(tmp_path, 'name = "top"\ninherits = "base.toml"'))
    assert target.options["clock_mhz"] == 12 and target.constant("area.nand2_um2").nominal == 24


def test_inheritance_loops(tmp_path: Path) -> None:
    assert "inherits from itself" in refused(write(tmp_path, 'name = "a"\ninherits = "a.toml"', "a.toml"))
    write(tmp_path, 'name = "b"\ninherits = "./c.toml"', "b.toml")
    path = write(tmp_path, f'name = "c"\ninherits = "../{tmp_path.name}/b.toml"', "c.toml")
    assert "c.toml -> b.toml -> c.toml" in refused(path)


def test_missing_files_and_parents(tmp_path: Path) -> None:
    assert "did you mean" in refused("asic66nm", "E0205")
    refused(str(tmp_path / "none.toml"), "E0205")
    refused(write(tmp_path, 'name = "a"\ninherits = "none.toml"'), "E0205")
    assert "asic65nm" in refused(write(tmp_path, 'name = "a"\ninherits = "asic65"'))
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    refused(str(tmp_path / "latin.toml"), "E0205")
    refused("nul\0.toml", "E0205")


BAD = {
    "not TOML": "name = ",
    "duplicate key": HEAD + 'name = "u"',
    "unknown key": HEAD + 'chip = "x"',
    "missing backend": 'name = "t"\ndescription = ""\npasses = ""',
    "name is a number": HEAD.replace('"t"', "3"),
    "inherits a number": 'name = "t"\ninherits = 3',
    "constants is a number": HEAD + "constants = 3",
    "constant is a number": HEAD + "[constants.area]\ndensity = 0.7",
    "no source": HEAD + "[constants.area]\ndensity = { value = 0.7 }",
    "empty source": HEAD + '[constants.area]\ndensity = { value = 0.7, source = " " }',
    "source is a number": HEAD + "[constants.area]\ndensity = { value = 0.7, source = 1 }",
    "no number": HEAD + '[constants.area]\ndensity = { source = "s" }',
    "half a bar": HEAD + '[constants.area]\ndensity = { low = 0.7, nominal = 0.8, source = "s" }',
    "value and bar": HEAD + '[constants.area]\ndensity = { value = 0.7, high = 0.8, source = "s" }',
    "unknown key of a quantity": HEAD + '[constants.area]\ndensity = { value = 0.7, sorce = "s" }',
    "unknown constant": HEAD + '[constants.area]\ndensty = { value = 0.7, source = "s" }',
    "text for a number": HEAD + '[constants.area]\ndensity = { value = "0.7", source = "s" }',
    "boolean": HEAD + '[constants.area]\ndensity = { value = true, source = "s" }',
    "date": HEAD + '[constants.area]\ndensity = { value = 2026-11-01, source = "s" }',
    "NaN": HEAD + '[constants.area]\ndensity = { value = nan, source = "s" }',
    "infinite": HEAD + '[constants.area]\ndensity = { value = inf, source = "s" }',
    "huge integer": HEAD + f'[constants.area]\ndensity = {{ value = 1{"0" * 400}, source = "s" }}',
    "integer of too many digits": HEAD + f'[constants.area]\ndensity = {{ value = 1{"0" * 5000}, source = "s" }}',
    "negative": HEAD + '[constants.area]\ndensity = { value = -0.7, source = "s" }',
    "nominal outside": HEAD + '[constants.area]\ndensity = { low = 0.5, nominal = 0.9, high = 0.8, source = "s" }',
    "density above 1": HEAD + '[constants.area]\ndensity = { value = 1.5, source = "s" }',
    "cell of no area": HEAD + '[constants.ge]\nfull_adder = { value = 0, source = "s" }',
    "NAND2 that is none": HEAD + '[constants.ge]\nnand2 = { value = 1.2, source = "s" }',
    "area in mm2": HEAD + '[constants.area]\nnand2_um2 = { value = 1.44e-6, source = "s" }',
    "bar beyond hardware": HEAD + '[constants.area]\ndensity = { low = 0.5, nominal = 0.7, high = 9, source = "s" }',
    "given twice": HEAD + '[constants]\narea.density = { value = 0.7, source = "s" }\n'
    '"area.density" = { value = 0.8, source = "s" }',
    "options is a number": HEAD + "options = 3",
    "unknown option": HEAD + "[options]\nclock = 40",
    "clock of 0": HEAD + "[options]\nclock_mhz = 0",
    "clock as text": HEAD + '[options]\nclock_mhz = "40"',
    "anchor without source": HEAD + '[anchors.chip]\ndescription = "d"\narea_mm2 = 3.6',
    "unknown figure of an anchor": HEAD + '[anchors.chip]\ndescription = "d"\nsource = "s"\narea = 3.6',
    "anchors is a list": HEAD + "anchors = [1]",
    "nested too deep": HEAD + "constants = " + "[" * 5000,
}  # fmt: skip


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_files_are_refused(tmp_path: Path, text: str) -> None:
    assert "t.toml" in refused(write(tmp_path, text))


SCALARS = st.one_of(
    st.sampled_from(["nan", "inf", "-inf", "true", '""', '"x"', "[]", "{}", "1979-05-27", "0", "-1", "1e308"]),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**30), 10**30).map(str),
)


@given(
    key=st.sampled_from(["area.density", "ge.dff", "energy.nand2_fj", "ge", "area", "nonsense"]),
    fields=st.dictionaries(st.sampled_from(["value", "low", "nominal", "high", "source", "x"]), SCALARS, max_size=5),
)
def test_random_quantities_load_sanely_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, key: str, fields: dict[str, str]
) -> None:
    body = ", ".join(f"{k} = {v}" for k, v in fields.items())
    path = write(tmp_path_factory.mktemp("t"), f'name = "t"\ninherits = "asic65nm"\n[constants]\n{key} = {{ {body} }}')
    try:
        target = load_target(path)
    except EdgecError as error:
        assert error.diagnostics[0].code == "E0206"
        return
    for name, quantity in target.constants.items():
        assert 0 <= quantity.low <= quantity.nominal <= quantity.high < 1e6 and quantity.source
        assert CONSTANTS[name].low <= quantity.nominal <= CONSTANTS[name].high


@given(text=st.text(max_size=200))
def test_random_text_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("t") / "t.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    refused(str(path))


@given(cut=st.integers(0, 4000), put=st.binary(max_size=3))
def test_damaged_shipped_file_never_crashes(tmp_path_factory: pytest.TempPathFactory, cut: int, put: bytes) -> None:
    raw = resources.files("edgec.targets").joinpath("asic65nm.toml").read_bytes()
    path = tmp_path_factory.mktemp("t") / "t.toml"
    path.write_bytes(raw[: cut % len(raw)] + put + raw[cut % len(raw) + len(put) :])
    try:
        load_target(str(path))
    except EdgecError as error:
        assert error.diagnostics[0].code in ("E0205", "E0206")
