"""The artefact: written whole or not at all, checked against its hashes, never over something else."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgec.artefact import MANIFEST, SUMS, Artefact, sha256, to_json, write_artefact, write_aside
from edgec.diagnostics import EdgecError

FILES = {"rtl/net.sv": b"module net; endmodule\n", "model/graph.edge": b'edge 1 "g"\n', "golden/a.npz": bytes(9000)}
MANIFEST_DATA = {"name": "net", "edgec": "0.1.0"}
ROOT = Path(__file__).parents[2]


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def written(folder: Path) -> Path:
    path = folder / "out"
    write_artefact(path, FILES, MANIFEST_DATA)
    return path


def code_of(build: Callable[[], Any]) -> str:
    with pytest.raises(EdgecError) as caught:
        build()
    return caught.value.code


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    artefact = Artefact.open(path)
    artefact.check()
    assert {k: v for k, v in tree(path).items() if k in FILES} == FILES
    assert artefact.manifest["files"]["rtl/net.sv"] == {"bytes": 22, "sha256": sha256(FILES["rtl/net.sv"])}
    assert artefact.read("rtl/net.sv") == FILES["rtl/net.sv"]
    assert list(tmp_path.iterdir()) == [path]
    assert (path.stat().st_mode & 0o777) == 0o755


def test_sums_are_those_of_sha256sum(tmp_path: Path) -> None:
    path = written(tmp_path)
    done = subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": OK") == len(FILES) + 1


def test_twice_is_byte_identical(tmp_path: Path) -> None:
    first = tree(written(tmp_path / "a"))
    write_artefact(tmp_path / "b/c/out", dict(reversed(FILES.items())), dict(reversed(MANIFEST_DATA.items())))
    assert tree(tmp_path / "b/c/out") == first


def test_an_artefact_is_replaced_whole(tmp_path: Path) -> None:
    path = written(tmp_path)
    write_artefact(path, {"only.txt": b"1"}, {})
    assert set(tree(path)) == {"only.txt", MANIFEST, SUMS}
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    written(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "file", "link", "half"])
def test_anything_else_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    if kind == "file":
        path.write_text("mine")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.mkdir()
        (path / ("thesis.tex" if kind == "folder" else MANIFEST)).write_text("mine")
    before = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*"))
    assert code_of(lambda: written(tmp_path)) == "E0209"
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_no_file_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="leaves the folder"):
        write_artefact(tmp_path / "out", {name: b"x"}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_failing_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, old: bool, at: int
) -> None:
    path = tmp_path / "out"
    if old:
        written(tmp_path)
    before = tree(tmp_path)
    count = 0
    real = Path.open

    def failing(self: Path, *arguments: Any, **named: Any) -> Any:
        nonlocal count
        if arguments and "w" in arguments[0]:
            count += 1
            if count == at:
                raise OSError(number, os.strerror(number))
        return real(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", failing)
    with pytest.raises(EdgecError) as caught:
        write_artefact(path, {**FILES, "new": b"1"}, MANIFEST_DATA)
    monkeypatch.undo()
    assert caught.value.code == "E0212" and caught.value.exit == 2
    assert ("no space left" in str(caught.value)) == (number != errno.EIO)
    assert tree(tmp_path) == before and (path.exists() == old)
    assert [p.name for p in tmp_path.iterdir()] == (["out"] if old else [])


def test_a_failing_rename_puts_the_old_artefact_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    before = tree(path)
    real, calls = os.replace, []

    def failing(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "broken")
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    assert code_of(lambda: write_artefact(path, {"x": b"1"}, {})) == "E0212"
    assert tree(path) == before and list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def interrupted(self: Path, *arguments: Any, **named: Any) -> Any:
        if self.name == "net.sv":
            raise KeyboardInterrupt
        return real(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_real_limit_on_file_size(tmp_path: Path) -> None:
    """The system itself refuses to write more: the kernel's limit on file size stands in for a full disk."""
    program = """
        import resource, signal, sys
        from pathlib import Path
        from edgec.artefact import write_artefact
        from edgec.diagnostics import EdgecError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            write_artefact(Path(sys.argv[1]), {"a": b"1", "big": bytes(1_000_000), "z": b"2"}, {})
        except EdgecError as error:
            print(error)
            sys.exit(int(error.exit))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2 and "E0212" in done.stdout, done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


def test_paths_that_the_system_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for bad in (tmp_path / ("n" * 300), tmp_path / "file/out", Path("/proc/no/out")):
        assert code_of(lambda bad=bad: write_artefact(bad, FILES, {})) == "E0212"
    assert code_of(lambda: Artefact.open(tmp_path / ("n" * 300))) == "E0704"


def damage(kind: str, path: Path) -> str:
    """Damage an artefact; returns what the message must name."""
    target = path / "rtl/net.sv"
    match kind:
        case "flipped bit":
            data = bytearray(target.read_bytes())
            data[3] ^= 1
            target.write_bytes(data)
            return "rtl/net.sv: content differs"
        case "missing":
            target.unlink()
            return "rtl/net.sv: missing"
        case "unlisted":
            (path / "rtl/extra.sv").write_text("")
            return "rtl/extra.sv: not listed"
        case "emptied":
            target.write_bytes(b"")
            return "rtl/net.sv: content differs"
        case "manifest edited":
            file = path / MANIFEST
            file.write_bytes(file.read_bytes().replace(b"net", b"ten"))
            return "manifest.json: content differs"
        case "sums edited":
            file = path / SUMS
            lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join(line for line in lines if "net.sv" not in line))
            return "rtl/net.sv: not listed"
        case "file and sums replaced":
            target.write_bytes(b"evil")
            file = path / SUMS
            lines = file.read_text().splitlines()
            file.write_text(
                "".join(f"{sha256(b'evil')}  rtl/net.sv\n" if "net.sv" in line else line + "\n" for line in lines)
            )
            return "rtl/net.sv: content differs"
        case "sums unreadable":
            (path / SUMS).write_bytes(b"\xff\xfe")
            return "cannot be read"
        case "sums garbled":
            (path / SUMS).write_text("hello\n")
            return "is damaged"
        case "sums missing":
            (path / SUMS).unlink()
            return "cannot be read"
        case "a folder in place of a file":
            target.unlink()
            target.mkdir()
            return "rtl/net.sv: missing"
    raise AssertionError(kind)


KINDS = (
    *("flipped bit", "missing", "unlisted", "emptied", "manifest edited"),
    *("sums edited", "file and sums replaced", "sums unreadable"),
    *("sums garbled", "sums missing", "a folder in place of a file"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_and_named(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path)
    wanted = damage(kind, path)
    with pytest.raises(EdgecError) as caught:
        Artefact.open(path).check()
    assert caught.value.code == "E0701" and caught.value.exit == 7
    assert wanted in str(caught.value)


def test_many_damaged_files_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_artefact(path, {f"f{i:02d}": b"x" for i in range(30)}, {})
    for i in range(30):
        (path / f"f{i:02d}").write_bytes(b"y")
    with pytest.raises(EdgecError, match="30 damaged files") as caught:
        Artefact.open(path).check()
    assert "and 20 more" in str(caught.value)


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        (None, "E0704"),
        (b"{", "E0701"),
        (b"\xff", "E0701"),
        (b"[]", "E0704"),
        (b'{"schema_version": 99, "files": {}}', "E0704"),
        (b'{"schema_version": 1, "files": []}', "E0701"),
        (b'{"schema_version": 1, "files": {"a": 3}}', "E0701"),
        (b'{"schema_version": 1}', "E0701"),
        (b"[" * 100_000, "E0701"),
    ],
)
def test_manifests_that_are_none(tmp_path: Path, manifest: bytes | None, code: str) -> None:
    path = written(tmp_path)
    if manifest is None:
        (path / MANIFEST).unlink()
    else:
        (path / MANIFEST).write_bytes(manifest)
    assert code_of(lambda: Artefact.open(path).check()) == code


def test_verification_results_may_be_added_later(tmp_path: Path) -> None:
    path = written(tmp_path)
    write_aside(path / "verify.json", b"{}")
    Artefact.open(path).check()


def test_single_files_are_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    write_aside(file, b"1")
    write_aside(file, b"2")
    assert file.read_bytes() == b"2" and list(tmp_path.iterdir()) == [file]
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    assert code_of(lambda: write_aside(file, b"3")) == "E0212"
    monkeypatch.undo()
    assert file.read_bytes() == b"2" and list(tmp_path.iterdir()) == [file]
    assert code_of(lambda: write_aside(tmp_path / "missing/a", b"3")) == "E0212"


def test_json_is_canonical() -> None:
    assert to_json({"b": 1, "a": ["ä"]}) == '{\n  "a": [\n    "ä"\n  ],\n  "b": 1\n}\n'.encode()
    assert json.loads(to_json({"x": 0.1})) == {"x": 0.1}
    with pytest.raises(ValueError, match="Out of range"):
        to_json(float("nan"))


def test_products_of_make_in_sim_are_let_pass(tmp_path: Path) -> None:
    """The Makefile of `sim/` builds in place; only there may files appear that nobody listed."""
    write_artefact(tmp_path / "out", {"sim/Makefile": b"all:\n", "a.txt": b"a"}, {"name": "x"})
    artefact = Artefact.open(tmp_path / "out")
    (tmp_path / "out" / "sim" / "model.so").write_bytes(b"x")
    artefact.check()
    (tmp_path / "out" / "sim" / "Makefile").write_bytes(b"changed")
    with pytest.raises(EdgecError, match="1 damaged file"):
        artefact.check()
