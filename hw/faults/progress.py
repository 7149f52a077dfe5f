"""The progress of a campaign: one line of JSON for every finished chunk, appended safely.

The first line says which campaign it is. A line counts only when it is complete and its checksum is right, so that a
run that was killed in the middle of a write loses one chunk and nothing else.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from edgec.artefact import disk_error
from edgec.diagnostics import EdgecError

Key = tuple[str, int]


class Progress:
    """Finished chunks by (kind, number). Opening with `resume` takes up what is there for the same `campaign`."""

    def __init__(self, path: Path, campaign: Mapping[str, Any], *, resume: bool) -> None:
        self.path = path
        self.chunks: dict[Key, Any] = {}
        head = _line({"campaign": dict(campaign)})
        good = head
        if resume and path.exists():
            good = self._read(head)
        try:
            # What is complete stays; anything behind it is cut off before more is appended.
            with path.open("r+b" if path.exists() and len(good) > len(head) else "wb") as stream:
                if len(good) > len(head):
                    stream.truncate(len(good))
                else:
                    stream.write(head)
                stream.flush()
                os.fsync(stream.fileno())
            self._stream = path.open("ab", buffering=0)
        except OSError as error:
            raise disk_error(error, path) from None

    def _read(self, head: bytes) -> bytes:
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise EdgecError("E0202", f"{self.path} cannot be read", why=error.strerror) from None
        if not data.startswith(head):
            if len(data) < len(head):  # killed while it wrote its first line
                return head
            raise EdgecError(
                "E0204",
                f"{self.path.name} is the progress of another campaign",
                why="samples, classes, seed, frames and the artefact must be those it was started with",
                remedy="give the same options, or leave out --resume to start anew",
            )
        at = len(head)
        while True:
            end = data.find(b"\n", at)
            record = _parse(data[at:end]) if end >= 0 else None
            if record is None:
                return data[:at]
            self.chunks[record["kind"], record["chunk"]] = record["data"]
            at = end + 1

    def add(self, kind: str, chunk: int, data: Any) -> None:
        """Append a finished chunk; it is on the disk when this returns."""
        try:
            self._stream.write(_line({"kind": kind, "chunk": chunk, "data": data}))
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise disk_error(error, self.path) from None
        self.chunks[kind, chunk] = data

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(record: Mapping[str, Any]) -> bytes:
    body = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _parse(line: bytes) -> dict[str, Any] | None:
    """The record of a line, or None where it is damaged."""
    sum_, _, body = line.partition(b" ")
    try:
        if int(sum_, 16) != zlib.crc32(body):
            return None
        record = json.loads(body)
    except ValueError:
        return None
    return record if isinstance(record, dict) and {"kind", "chunk", "data"} <= set(record) else None
