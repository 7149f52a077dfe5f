"""What gets installed: every package folder, its data files, one version, and the licence."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import edgec

ROOT = Path(__file__).parents[2]
MAPPED = ("frontend", "passes", "backends", "targets", "hw")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def package_folders() -> dict[str, str]:
    """Dotted name -> folder, for every folder with an __init__.py below edgec/ and the root folders it maps."""
    found = {}
    for top in ("edgec", *MAPPED):
        for init in (ROOT / top).rglob("__init__.py"):
            folder = init.parent
            if any(p.is_symlink() for p in (folder, *folder.parents)):
                continue
            relative = folder.relative_to(ROOT).as_posix()
            dotted = relative.replace("/", ".")
            found[dotted if top == "edgec" else f"edgec.{dotted}"] = relative
    return found


def test_every_package_folder_is_listed() -> None:
    folders = package_folders()
    assert len(folders) >= 12
    assert sorted(SETUPTOOLS["packages"]) == sorted(folders)
    for name, folder in SETUPTOOLS["package-dir"].items():
        assert folders.get(name) == folder, name
    for name in folders:
        parent = next((p for p in (name, *_parents(name)) if p in SETUPTOOLS["package-dir"]), None)
        assert parent is not None, f"{name} has no entry in package-dir"
        rest = name.removeprefix(parent).replace(".", "/")
        assert SETUPTOOLS["package-dir"][parent] + rest == folders[name]


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]


@pytest.mark.parametrize("name", MAPPED)
def test_symlinks_resolve(name: str) -> None:
    link = ROOT / "edgec" / name
    assert link.is_symlink() and link.resolve() == ROOT / name
    assert link.readlink() == Path("..") / name  # relative, so that a clone can live anywhere


def test_every_data_file_is_listed() -> None:
    """A file that is neither Python nor documentation has to be in package-data, or a wheel lacks it."""
    globs = SETUPTOOLS["package-data"]
    missing = []
    for name, folder in package_folders().items():
        subfolders = {f for f in package_folders().values() if f.startswith(folder + "/")}
        listed = {f for g in globs.get(name, []) for f in (ROOT / folder).glob(g)}
        for file in (ROOT / folder).rglob("*"):
            inside = file.relative_to(ROOT).as_posix()
            if (
                not file.is_file()
                or file.suffix in (".py", ".pyc", ".md")
                or any(inside.startswith(s + "/") for s in subfolders)
                or any(p.is_symlink() for p in file.parents)
            ):
                continue
            if file not in listed:
                missing.append(inside)
    assert not missing


def test_one_version() -> None:
    assert PROJECT["project"]["version"] == edgec.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(?:[a-z]+\d+)?", edgec.__version__)


def test_licence_files_are_there() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    for name in PROJECT["project"]["license-files"]:
        assert (ROOT / name).is_file(), name
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "without any condition" in (ROOT / "NOTICE").read_text(encoding="utf-8")


def test_root_folders_are_imported_below_edgec_only() -> None:
    pattern = re.compile(rf"^\s*(?:from|import)\s+(?:{'|'.join(MAPPED)})(?:\.|\s|$)", re.MULTILINE)
    for top in ("edgec", *MAPPED, "tests", "examples", "bench"):
        for file in (ROOT / top).rglob("*.py"):
            if not any(p.is_symlink() for p in file.parents):
                assert not pattern.search(file.read_text(encoding="utf-8")), file


def test_make_describes_its_commands() -> None:
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    for command in ("setup", "check", "lint", "types", "test", "test-long", "bench", "docs", "clean"):
        assert re.search(rf"^  make {command} +\w", done.stdout, re.MULTILINE), command


def test_continuous_integration_runs_the_readme_command() -> None:
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111
    text = script.read_text(encoding="utf-8")
    assert "make test" in text and "export CI=true" in text
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert subprocess.run(["bash", "-n", str(script)], timeout=30).returncode == 0
