"""The folder of compiled helpers, and a compilation that is done once.

What is compiled is kept under a digest of sources, flags and compiler, and appears there whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgec.diagnostics import EdgecError
from edgec.hw.tools.process import disk_full_as_error, run
from edgec.hw.tools.tool import Tool

BUILD_TIMEOUT = 300.0  # seconds


def cache_folder(name: str) -> Path:
    """`$EDGEC_CACHE/edgec/NAME` (default ~/.cache), made if it is not there; raises E0212 if it cannot be."""
    root = os.environ.get("EDGEC_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(root).expanduser() / "edgec" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgecError(
            "E0212", f"{folder} cannot be made", why=str(error), remedy="set EDGEC_CACHE to a folder"
        ) from None
    return folder


def compile_once(
    compiler: Tool, folder: str, name: str, sources: Sequence[Path], flags: Sequence[str], libraries: Sequence[str] = ()
) -> Path:
    """The shared library NAME-DIGEST.so in the cache's `folder`, compiled by `compiler` if it is not there.

    Only the first of `sources` is given to the compiler; the others are what it includes. Raises E0212, E06xx.
    """
    texts = [path.read_bytes() for path in sources]
    words = [*flags, *libraries, str(compiler.version)]
    digest = hashlib.sha256(b"\0".join([*texts, *(w.encode() for w in words)]))
    place = cache_folder(folder)
    final = place / f"{name}-{digest.hexdigest()[:16]}.so"
    if not final.is_file():
        with disk_full_as_error(place), tempfile.TemporaryDirectory(prefix="build-", dir=place) as scratch:
            made = Path(scratch) / f"{name}.so"
            run([compiler.executable(), *flags, "-o", made, sources[0], *libraries], timeout=BUILD_TIMEOUT)
            os.replace(made, final)
    return final
