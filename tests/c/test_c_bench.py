"""`edgec bench`: counts that are counts, times that are times, refusals, and sizes read from objects."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from c_nets import DIGITS, INT8, MNIST, ROOT
from c_support import need

import edgec
from edgec.artefact import Artefact
from edgec.backends.c.statements import statements
from edgec.cli import main
from edgec.diagnostics import EdgecError
from edgec.driver import npz
from edgec.hw.sim.c_bench import host_times
from edgec.hw.sim.c_program import run_program
from edgec.hw.tools.elf import read_elf
from edgec.options import Options


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    out = tmp_path_factory.mktemp("bench") / "digits"
    options = Options(quantize=INT8, name="digits", golden=6)
    return edgec.build(MNIST / "mnist_cnn.onnx", "cortex-m4", out, options, calibration=DIGITS, golden_frames=DIGITS)


def test_steps_add_up_on_a_cortex_m(artefact: Artefact) -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    (row,) = edgec.bench(artefact, cores=["cortex-m4"], steps=True)["cores"]
    kernels = artefact.manifest["estimates"]["kernels"]
    assert [s["step"] for s in row["steps"]] == [k["name"] for k in kernels]
    total = sum(s["instructions"] for s in row["steps"])
    # a call of the marker behind every step, and what the compiler does otherwise around it
    assert abs(total - row["instructions"]) <= 20 * len(kernels) + total // 200
    largest = max(row["steps"], key=lambda s: s["instructions"])
    assert largest["layers"][0].startswith("conv") and 0.3 < largest["instructions"] / total < 0.9
    # the first convolution has one channel, short runs: it takes the most instructions for a product
    assert largest["layers"][0] == "conv1" and largest["instructions"] >= 2 * largest["macs"]
    assert all(s["instructions"] >= s["macs"] for s in row["steps"])
    again = edgec.bench(artefact, cores=["cortex-m4"])["cores"][0]
    assert again["instructions"] == row["instructions"] and "steps" not in again
    assert row["data_bytes"] == 0 and 2300 <= row["constant_bytes"] < 2450 and 300 < row["code_bytes"] < 3000


def test_flash_is_estimated_beforehand(artefact: Artefact) -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    row = edgec.bench(artefact, cores=["cortex-m4"])["cores"][0]
    code, flash = (artefact.manifest["estimates"]["totals"][n] for n in ("code_bytes", "flash_bytes"))
    assert code["low"] <= row["code_bytes"] <= code["high"]
    assert flash["low"] <= row["code_bytes"] + row["constant_bytes"] <= flash["high"]


def test_only_statements_that_are_compiled_count() -> None:
    source = "int a; /* b; */\n#if NET_DOT\nint b; int c;\n#else\nint d;\n#endif\n"
    source += "#ifndef X\n#define X\n#if defined(__GNUC__)\n"
    source += "for (;;) { }\n#else\nint e;\n#endif\n#endif\n"
    assert statements(source, ["NET_DOT"]) == 1 + 2 + 2
    assert statements(source, []) == 1 + 1 + 2


def test_time_on_this_machine_grows_with_the_work(artefact: Artefact) -> None:
    row = edgec.bench(artefact, cores=["host"])["cores"][0]
    assert row["ns_low"] <= row["ns"] <= row["ns_high"] and row["runs"] == 9
    # 7840 multiply-accumulates take more than 100 ns and less than 10 ms anywhere
    assert 100 < row["ns"] < 1e7
    assert "instructions" not in row


def test_command_in_words_and_json(artefact: Artefact, capsys: pytest.CaptureFixture[str]) -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    with pytest.raises(SystemExit) as ended:
        main(["bench", str(artefact.path), "--steps"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert said.splitlines()[1].startswith("cortex-m4") and said.splitlines()[2].startswith("host")
    assert "cortex-m4, step by step" in said and "the median of 9 runs on this machine" in said
    with pytest.raises(SystemExit) as ended:
        main(["bench", str(artefact.path), "--core", "cortex-m4", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0 and document["command"] == "bench" and document["ok"]
    assert document["result"]["cores"][0]["instructions"] > 10_000


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["--core", "cortex-q9"], 2, "unknown core 'cortex-q9'"),
        (["--core", ","], 2, "no core"),
        (["--compiler", "tcc"], 2, "tcc"),
    ],
)
def test_refusals(
    artefact: Artefact, arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", str(artefact.path), *arguments])
    assert ended.value.code == status
    assert words in capsys.readouterr().err


def test_hardware_has_no_instructions(tmp_path: Path) -> None:
    made = edgec.build(ROOT / "examples/econ_t/econ_t_4x4x3.onnx", "asic65nm", tmp_path / "rtl", Options(golden=2))
    with pytest.raises(EdgecError, match="no C code") as refused:
        edgec.bench(made)
    assert refused.value.code == "E0201"


def test_wrong_code_is_not_measured(artefact: Artefact, tmp_path: Path) -> None:
    """Outputs that are not the golden ones end in E0501, damage in E0701."""
    from edgec.artefact import write_artefact

    copy = shutil.copytree(artefact.path, tmp_path / "damaged")
    (copy / "src" / "digits.c").write_text("int x;")
    with pytest.raises(EdgecError) as damaged:
        edgec.bench(copy, cores=["host"])
    assert damaged.value.code == "E0701"
    files = {name: artefact.read(name) for name in artefact.manifest["files"]}
    golden = dict(np.load(artefact.path / "golden/outputs.npz"))
    golden["scores"][1, 0, 3] ^= 1
    files["golden/outputs.npz"] = npz(golden)
    write_artefact(tmp_path / "wrong", files, dict(artefact.manifest))
    with pytest.raises(EdgecError, match="1 of 20 words") as wrong:
        edgec.bench(tmp_path / "wrong", cores=["host"])
    assert wrong.value.code == "E0501"


def test_a_timing_program_that_says_something_else(artefact: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    source = 'int puts(const char *); int main(void) { puts("soon"); return 0; }'
    monkeypatch.setattr("edgec.hw.sim.c_bench.timing_source", lambda interface: source)
    frames = dict(np.load(artefact.path / "golden/inputs.npz"))
    with pytest.raises(EdgecError) as wrong:
        host_times(artefact.path, artefact.manifest["interface"], frames, 60.0)
    assert wrong.value.code == "E0506"


def test_counting_leaves_layers_and_results_alone(artefact: Artefact) -> None:
    """The markers of steps stand in the function that writes layers for verification."""
    frames = dict(np.load(artefact.path / "golden/inputs.npz"))
    found = run_program(artefact, frames)
    assert (found.outputs["scores"] == np.load(artefact.path / "golden/outputs.npz")["scores"]).all()
    assert len(found.layers) == len(artefact.manifest["interface"]["probes"])


def test_damaged_objects_are_refused(tmp_path: Path) -> None:
    """Bounded reading: nothing but a diagnostic comes of a file that is no object, cut off or scrambled."""
    from edgec.hw.arm.toolchain import compile_c

    (tmp_path / "a.c").write_text("int f(int x) { return x; }")
    data = compile_c([tmp_path / "a.c"], tmp_path / "a.o", core="host", link=False).read_bytes()
    assert read_elf(tmp_path / "a.o").undefined == frozenset()
    rng = np.random.default_rng(0)
    broken = [b"", b"\x7fELF", data[:40], data[:70], data[:-200], b"\x7fELF\x03\x01" + data[6:]]
    for _ in range(60):
        changed = bytearray(data)
        for at in rng.integers(4, len(data), 6):
            changed[at] = rng.integers(0, 256)
        struct.pack_into("<Q", changed, 40, int(rng.integers(0, 2 * len(data))))
        broken.append(bytes(changed))
    refused = 0
    for case in broken:
        (tmp_path / "b.o").write_bytes(case)
        try:
            read_elf(tmp_path / "b.o")
        except EdgecError as error:
            assert error.code == "E0701"
            refused += 1
    assert refused > 40
    with pytest.raises(EdgecError) as missing:
        read_elf(tmp_path / "c.o")
    assert missing.value.code == "E0202"
