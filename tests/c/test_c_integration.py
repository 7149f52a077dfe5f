"""The artefact in other people's builds: CMake, pkg-config, make, Zephyr's CMake functions, and the example folders."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from c_nets import DIGITS, INT8, MNIST, ROOT, dot_graph, net
from c_support import need
from test_support import require_tool

import edgec
from edgec.artefact import Artefact
from edgec.backends.c.package import FLAGS, package_files, release
from edgec.cli import main
from edgec.hw.sim.c_program import FLAGS as TESTED_FLAGS
from edgec.options import Options

EXAMPLES = ROOT / "examples"
CMAKE_DIR = ROOT / "edgec" / "cmake"
CLASSES = [f"frame {k}: a {k}" for k in range(10)]


def sh(*words: str | Path, cwd: Path | None = None, ok: bool = True, **environment: str) -> str:
    """Output of a command that has to succeed."""
    done = subprocess.run(
        [str(w) for w in words], capture_output=True, text=True, cwd=cwd, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def cmake(source: Path, build: Path, *options: str, target: str | None = None) -> str:
    need("cmake", "make")
    said = sh("cmake", "-G", "Unix Makefiles", "-S", source, "-B", build, *options)
    return said + sh("cmake", "--build", build, *(["--target", target] if target else []))


@pytest.fixture(scope="module")
def edgec_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as a program, of this checkout."""
    path = tmp_path_factory.mktemp("bin") / "edgec"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m edgec "$@"\n')
    path.chmod(0o755)
    return path


def build(out: Path, target: str = "host", model: str = "mnist_cnn.onnx", **options: object) -> Artefact:
    chosen = Options(**{"quantize": INT8, "name": "digits", "golden": 10, **options})  # type: ignore[arg-type]
    return edgec.build(MNIST / model, target, out, chosen, calibration=DIGITS, golden_frames=DIGITS)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return build(tmp_path_factory.mktemp("digits") / "out")


def test_one_list_of_flags() -> None:
    """The flags that the tests compile with are those of the packages, and of edgec's own CMake package."""
    assert set(FLAGS) <= set(TESTED_FLAGS)
    assert {f for f in TESTED_FLAGS if f.startswith("-f")} == set(FLAGS)
    assert f"PRIVATE {' '.join(FLAGS)})" in (CMAKE_DIR / "edgecConfig.cmake").read_text()
    assert (
        f'set(PACKAGE_VERSION "{release(edgec.__version__)}")' in (CMAKE_DIR / "edgecConfigVersion.cmake").read_text()
    )


def test_package_files_are_pure_and_plain() -> None:
    """The same bytes again; names that CMake or the C library has taken are avoided; libm only where it is needed."""
    made = net("digits")
    for path in ("CMakeLists.txt", "digits.pc.in", "zephyr/module.yml", "zephyr/Kconfig", "zephyr/CMakeLists.txt"):
        assert path in made.files
    for name in ("test", "m", "all"):
        files = package_files({**made.interface, "name": name}, "")
        text = files["CMakeLists.txt"]
        assert f"add_library({name}_model STATIC" in text and f"{name}_model.pc.in" in files
        assert f"include/{name}.h" in text
    plain = package_files(made.interface, "int f(void) { return my_sqrt(2); }")
    mathematical = package_files(made.interface, "double f(void) { return sqrt(2); }")
    assert "PRIVATE m)" not in plain["CMakeLists.txt"] and "PRIVATE m)" in mathematical["CMakeLists.txt"]
    assert "-lm" not in plain["digits.pc.in"] and "-lm" in mathematical["digits.pc.in"]
    assert "REQUIRES_FULL_LIBC" not in plain["zephyr/Kconfig"]
    assert "REQUIRES_FULL_LIBC" in mathematical["zephyr/Kconfig"]
    assert "-mcpu" not in plain["CMakeLists.txt"]
    assert release("1.2.3rc1") == "1.2.3"


def test_the_artefact_is_a_cmake_project(artefact: Artefact, tmp_path: Path) -> None:
    """Built, tested and installed alone; found by find_package and by pkg-config; the install can be moved."""
    cmake(artefact.path, tmp_path / "b")
    assert "100% tests passed" in sh("ctest", "--test-dir", tmp_path / "b")
    sh("cmake", "--install", tmp_path / "b", "--prefix", tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "moved")
    app = tmp_path / "app"
    app.mkdir()
    (app / "main.c").write_text((EXAMPLES / "c_host" / "main.c").read_text())
    (app / "digits_golden.h").write_bytes(artefact.read("sim/digits_golden.h"))
    (app / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.15)\nproject(app C)\nfind_package(digits REQUIRED)\n"
        "add_executable(app main.c)\ntarget_link_libraries(app PRIVATE digits::digits)\n"
    )
    cmake(app, tmp_path / "c", f"-DCMAKE_PREFIX_PATH={tmp_path / 'moved'}")
    assert sh(tmp_path / "c" / "app").splitlines() == CLASSES
    require_tool("pkg-config")
    (found,) = (tmp_path / "moved").rglob("digits.pc")
    flags = sh("pkg-config", "--cflags", "--libs", "digits", PKG_CONFIG_PATH=str(found.parent)).split()
    sh("cc", "main.c", *flags, "-o", "app", cwd=app)
    assert sh(app / "app").splitlines() == CLASSES
    artefact.check()  # nothing was written into it


def test_the_artefact_in_a_project(artefact: Artefact, tmp_path: Path) -> None:
    """As a subfolder: neither tests nor an install of its own, and the flags of the project stay out of its way."""
    (tmp_path / "main.c").write_text((EXAMPLES / "c_host" / "main.c").read_text())
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.15)\nproject(app C)\nadd_compile_options(-Wall -Wextra -Werror)\n"
        f'add_subdirectory("{artefact.path}" digits)\nadd_executable(app main.c)\n'
        f'target_include_directories(app PRIVATE "{artefact.path}/sim")\n'
        "target_link_libraries(app PRIVATE digits::digits)\n"
    )
    said = cmake(tmp_path, tmp_path / "b")
    assert "selftest" not in said
    assert sh(tmp_path / "b" / "app").splitlines() == CLASSES


def test_a_core_is_pinned_when_compiling_for_it(tmp_path: Path) -> None:
    """Code for a Cortex-A76 is compiled for one, dot products and all, and runs there."""
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    made = edgec.build(dot_graph(), "cortex-a76", tmp_path / "out", Options(name="digits", golden=10))
    assert b"DIGITS_DOT" in made.read("src/digits.c")
    cross = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
    cross += ["-DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc", "-DCMAKE_EXE_LINKER_FLAGS=-static"]
    for options, cpu, dot in (([], "cortex-a76", True), (["-DDIGITS_CPU="], "cortex-a53", False)):
        folder = tmp_path / f"b-{cpu}"
        cmake(made.path, folder, *cross, *options)
        listing = sh("aarch64-linux-gnu-objdump", "-d", folder / "libdigits.a")
        assert ("sdot" in listing) == dot
        assert "0 of 10 golden frames wrong" in sh("qemu-aarch64", "-cpu", cpu, folder / "digits_selftest")


def test_a_model_is_compiled_when_the_project_is(tmp_path: Path, edgec_program: Path) -> None:
    """edgec_add_model: once, again when the model or a file of the options changed, at no other time."""
    project, folder = tmp_path / "project", tmp_path / "b"
    project.mkdir()
    for file in (MNIST / "mnist_cnn.onnx", DIGITS, EXAMPLES / "c_host" / "main.c"):
        (project / file.name).write_bytes(file.read_bytes())
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.15)\nproject(app C)\nfind_package(edgec 0.1 REQUIRED)\n"
        f"edgec_add_model(digits mnist_cnn.onnx TARGET host OPTIONS --quantize {INT8} --calibration digits.npz\n"
        "  --golden-frames=digits.npz --golden 10)\n"
        "add_executable(app main.c)\ntarget_link_libraries(app PRIVATE digits_golden)\n"
    )
    options = [f"-Dedgec_DIR={CMAKE_DIR}", f"-DEDGEC_EXECUTABLE={edgec_program}"]
    assert "edgec: digits for host" in cmake(project, folder, *options)
    assert sh(folder / "app").splitlines() == CLASSES
    assert (folder / "edgec/digits/reports/index.html").is_file()
    for changed, runs in ((None, False), ("main.c", False), ("digits.npz", True), (None, False)):
        with newer(project / changed) if changed else contextlib.nullcontext():
            assert ("edgec: digits" in sh("cmake", "--build", folder)) == runs, changed


@contextlib.contextmanager
def newer(file: Path) -> Iterator[None]:
    """`file` as if it had been changed after everything else, without waiting for the clock."""
    now = time.time()
    os.utime(file, (now + 60, now + 60))
    yield
    os.utime(file, (now - 60, now - 60))


@pytest.mark.parametrize(
    "call, message",
    [
        ("edgec_add_model(Digits net.onnx TARGET host)", "lower-case C identifier"),
        ("edgec_add_model(digits net.onnx)", "TARGET is missing"),
        ("edgec_add_model(digits nowhere.onnx TARGET host)", "there is no file"),
        ("edgec_add_model(digits net.onnx TARGET host FORMAT x)", "unknown arguments"),
    ],
)
def test_mistakes_in_a_project(call: str, message: str, tmp_path: Path) -> None:
    need("cmake", "make")
    (tmp_path / "net.onnx").write_bytes(b"")
    head = "cmake_minimum_required(VERSION 3.15)\nproject(app C)\nfind_package(edgec REQUIRED)\n"
    (tmp_path / "CMakeLists.txt").write_text(f"{head}{call}\n")
    options = [f"-Dedgec_DIR={CMAKE_DIR}", "-DEDGEC_EXECUTABLE=/bin/true"]
    said = sh("cmake", "-G", "Unix Makefiles", "-S", tmp_path, "-B", tmp_path / "b", *options, ok=False)
    assert message in " ".join(said.split())


@pytest.mark.parametrize(
    "name, target, message",
    [("nothing", "host", "E03"), ("digits", "asic65nm", "edgec ended with"), ("small", "host", "is a keyword")],
)
def test_a_failed_compilation_stops_the_build(
    name: str, target: str, message: str, tmp_path: Path, edgec_program: Path
) -> None:
    """The diagnostic is shown, the build fails, and a later one tries again."""
    need("cmake", "make")
    model = tmp_path / "net.onnx"
    model.write_bytes(b"no model" if name == "nothing" else (MNIST / "mnist_cnn.onnx").read_bytes())
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.15)\nproject(app C)\nfind_package(edgec REQUIRED)\n"
        f"edgec_add_model({name} net.onnx TARGET {target})\n"
    )
    options = [f"-Dedgec_DIR={CMAKE_DIR}", f"-DEDGEC_EXECUTABLE={edgec_program}"]
    sh("cmake", "-G", "Unix Makefiles", "-S", tmp_path, "-B", tmp_path / "b", *options)
    for _ in range(2 if name == "nothing" else 1):
        assert message in " ".join(sh("cmake", "--build", tmp_path / "b", ok=False).split())


def test_where_the_cmake_package_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--cmake-dir"])
    assert ended.value.code == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder == CMAKE_DIR and (folder / "edgecConfig.cmake").is_file()


def test_example_on_this_machine(tmp_path: Path, edgec_program: Path) -> None:
    """CMake and make give the program that the example's page shows."""
    options = [f"-Dedgec_DIR={CMAKE_DIR}", f"-DEDGEC_EXECUTABLE={edgec_program}"]
    cmake(EXAMPLES / "c_host", tmp_path / "b", *options)
    assert "100% tests passed" in sh("ctest", "--test-dir", tmp_path / "b")
    said = sh(tmp_path / "b" / "app")
    assert said.splitlines() == CLASSES and said in (EXAMPLES / "c_host/README.md").read_text()
    words = ("make", "-C", EXAMPLES / "c_host", f"EDGEC={edgec_program}", f"OUT={tmp_path / 'm'}")
    sh(*words)
    assert sh(tmp_path / "m" / "app").splitlines() == CLASSES
    assert "edgec" not in sh(*words).replace(str(edgec_program.parent), "")  # nothing is left to do


def test_example_of_threads(tmp_path: Path, edgec_program: Path) -> None:
    """make gives the program of the example's page; tests of threads run it with a model that is in pieces."""
    need("make")
    sh("make", "-C", EXAMPLES / "c_threads", f"EDGEC={edgec_program}", f"OUT={tmp_path}")
    for threads in ("1", "4"):
        assert sh(tmp_path / "app", threads) == f"10 frames in {threads} threads, 0 wrong\n"


def test_example_on_a_cortex_m(tmp_path: Path, edgec_program: Path) -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    options = [f"-Dedgec_DIR={CMAKE_DIR}", f"-DEDGEC_EXECUTABLE={edgec_program}"]
    options += ["--toolchain", str(EXAMPLES / "cortex_m" / "arm-none-eabi.cmake")]
    cmake(EXAMPLES / "cortex_m", tmp_path / "b", *options)
    said = sh("cmake", "--build", tmp_path / "b", "--target", "run").splitlines()
    start = next(k for k, line in enumerate(said) if line.startswith("arena"))
    assert said[start] in (EXAMPLES / "cortex_m/README.md").read_text()
    assert said[start + 1 : start + 12] == [*CLASSES, "0 of 10 frames differ from the reference"]


def test_example_for_zephyr_with_a_stand_in(artefact: Artefact, tmp_path: Path) -> None:
    """Module and application against functions of the same names, on the host: what can be checked without Zephyr."""
    stub = f"-DZephyr_DIR={ROOT / 'tests/c/zephyr_stub'}"
    cmake(EXAMPLES / "zephyr", tmp_path / "b", stub, f"-DDIGITS={artefact.path}")
    assert sh(tmp_path / "b" / "app").splitlines() == [*CLASSES, "0 of 10 frames differ from the reference"]
    words = ("cmake", "-S", EXAMPLES / "zephyr", "-B", tmp_path / "c", stub, f"-DDIGITS={tmp_path}")
    assert "is no artefact of C code" in " ".join(sh(*words, ok=False).split())
    assert artefact.read("zephyr/module.yml").decode().splitlines()[1:] == [
        "name: digits", "build:", "  cmake: zephyr", "  kconfig: zephyr/Kconfig",
    ]  # fmt: skip
