"""Every way a child process can end, and that nothing survives it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hw_support import script

from edgec.diagnostics import EdgecError, Exit
from edgec.hw.tools import process
from edgec.hw.tools.process import run, tail


def fails(code: str, *args: object, **kwargs: object) -> EdgecError:
    with pytest.raises(EdgecError) as caught:
        run(*args, **{"timeout": 20.0, **kwargs})  # type: ignore[arg-type]
    assert caught.value.code == code
    assert caught.value.exit == Exit.TOOL
    return caught.value


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie that its new parent has not reaped has)."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_success_gives_both_streams_and_the_exit_status(tmp_path: Path) -> None:
    tool = script(tmp_path, "echo out; echo err >&2; cat; pwd; echo $EXTRA")
    done = run([tool], timeout=20, cwd=tmp_path, env={"EXTRA": "given"}, stdin=b"fed\n", log=tmp_path / "log")
    assert done.status == 0
    assert done.output.split() == ["out", "err", "fed", str(tmp_path), "given"]
    assert (tmp_path / "log").read_text() == done.output


def test_stdout_can_be_a_result_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = script(tmp_path, "printf 'a\\0\\377b'; echo err >&2; exit ${1:-0}")
    done = run([tool], timeout=20, apart=True)
    assert (done.stdout, done.output) == (b"a\0\xffb", "err\n")
    assert "err" in str(fails("E0602", [tool, "1"], apart=True))
    slow = script(tmp_path, "echo the last word; while :; do :; done")
    assert "the last word" in str(fails("E0604", [slow], apart=True, timeout=0.3))
    monkeypatch.setattr(process, "STDOUT_LIMIT", 1000)
    assert len(run([script(tmp_path, "head -c 1000 /dev/zero")], timeout=20, apart=True).stdout) == 1000
    fails("E0602", [script(tmp_path, "head -c 1001 /dev/zero")], apart=True)
    fails("E0602", [script(tmp_path, "head -c 100000 /dev/zero")], apart=True)


def test_the_environment_can_stand_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    tool = script(tmp_path, "echo $OURS $GIVEN $LC_ALL")
    assert run([tool], timeout=20, env={"GIVEN": "2"}, inherit=False).output == "2 C\n"
    assert run([tool], timeout=20, env={"GIVEN": "2"}).output == "1 2 C\n"


def test_accepted_exit_status_is_a_result(tmp_path: Path) -> None:
    assert run([script(tmp_path, "exit 3")], timeout=20, accept=(0, 3)).status == 3


def test_missing_program() -> None:
    error = fails("E0601", ["edgec-no-such-tool"], remedy="get it")
    assert "edgec-no-such-tool" in str(error) and "get it" in str(error)


def test_not_executable(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"\x00\x01 no program")
    path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    fails("E0605", [path])


def test_missing_folder_is_not_a_missing_tool(tmp_path: Path) -> None:
    with pytest.raises(EdgecError) as caught:
        run(["true"], timeout=5, cwd=tmp_path / "no")
    assert caught.value.code == "E0202"


def test_failure_shows_the_end_of_the_output(tmp_path: Path) -> None:
    tool = script(tmp_path, "i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; exit 9")
    error = str(fails("E0602", [tool]))
    assert "exit status 9" in error and "line 99" in error and "line 75" in error and "line 74\n" not in error


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_killed_names_the_signal(tmp_path: Path, name: str) -> None:
    error = fails("E0603", [script(tmp_path, f"echo before; kill -{name[3:]} $$")])
    assert name in str(error) and "before" in str(error)
    assert ("memory" in str(error)) == (name == "SIGKILL")


def test_killed_behind_a_wrapper(tmp_path: Path) -> None:
    assert "SIGKILL" in str(fails("E0603", [script(tmp_path, "sh -c 'kill -KILL $$'; exit $?")]))


@pytest.mark.parametrize(
    ("recipe", "name"), [("@kill -KILL $$$$", "SIGKILL"), ("@sh -c 'kill -SEGV $$$$'; exit $$?", "SIGSEGV")]
)
def test_killed_below_make(tmp_path: Path, recipe: str, name: str) -> None:
    (tmp_path / "Makefile").write_text(f"all:\n\t{recipe}\n")
    error = fails("E0603", ["make"], cwd=tmp_path)
    assert name in str(error) and "started by make" in str(error)


def test_compiler_driver_that_lost_its_compiler(tmp_path: Path) -> None:
    words = "c++: fatal error: Killed signal terminated program cc1plus"
    error = fails("E0603", [script(tmp_path, f"echo '{words}' >&2; exit 1")])
    assert "cc1plus" in str(error) and "memory" in str(error)


def test_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    tool = script(tmp_path, "echo started; sleep 60 & echo $! > child; wait")
    start = time.monotonic()
    error = fails("E0604", [tool], cwd=tmp_path, timeout=0.5)
    assert time.monotonic() - start < 5
    assert "0.5 s" in str(error) and "started" in str(error)
    assert gone(int((tmp_path / "child").read_text()))


def test_timeout_of_a_tool_that_ignores_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.2)
    tool = script(tmp_path, "trap '' TERM; echo $$ > self; while :; do sleep 0.1; done")
    fails("E0604", [tool], cwd=tmp_path, timeout=0.5)
    assert gone(int((tmp_path / "self").read_text()))


def test_children_left_behind_are_ended_too(tmp_path: Path) -> None:
    run([script(tmp_path, "sleep 60 & echo $! > child")], cwd=tmp_path, timeout=20)
    assert gone(int((tmp_path / "child").read_text()))


def test_disk_full_in_the_child(tmp_path: Path) -> None:
    error = fails("E0606", [script(tmp_path, "dd if=/dev/zero of=/dev/full count=1")])
    assert "disk is full" in str(error)


def test_disk_full_for_the_log(tmp_path: Path) -> None:
    fails("E0606", [script(tmp_path, "echo data")], log="/dev/full")


def test_own_writes_on_a_full_disk() -> None:
    with pytest.raises(EdgecError) as caught, process.disk_full_as_error("there"), Path("/dev/full").open("w") as file:
        file.write("data")
        file.flush()
    assert caught.value.code == "E0606" and "there" in str(caught.value)


def test_other_errors_of_own_writes_stay(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), process.disk_full_as_error("there"):
        (tmp_path / "no" / "file").write_text("x")


def test_interrupt_ends_the_children(tmp_path: Path) -> None:
    script(tmp_path, "echo $$ > self; sleep 60 & echo $! > child; wait")
    program = (
        f"from edgec.hw.tools.process import run\nrun([{str(tmp_path / 'tool')!r}], timeout=60, cwd={str(tmp_path)!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 20
    while not ((tmp_path / "child").exists() and (tmp_path / "child").read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(parent.pid, signal.SIGINT)
    _, errors = parent.communicate(timeout=20)
    assert b"KeyboardInterrupt" in errors
    assert parent.returncode == -signal.SIGINT  # what a shell shows as 130
    assert gone(int((tmp_path / "self").read_text())) and gone(int((tmp_path / "child").read_text()))


def test_endless_output_is_bounded(tmp_path: Path) -> None:
    tool = script(tmp_path, "head -c 8000000 /dev/zero | tr '\\0' x; echo; echo end")
    done = run([tool], timeout=20)
    assert len(done.output) <= process.OUTPUT_LIMIT and done.output.endswith("end\n")


def test_tail_cuts_long_lines_and_counts_what_it_drops() -> None:
    shown = tail("\n".join(["x" * 1000] * 30), lines=5).splitlines()
    assert shown[0] == "... (25 lines before)" and len(shown) == 6 and max(map(len, shown)) == 400
