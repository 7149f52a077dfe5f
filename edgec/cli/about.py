"""About the installation: tools, diagnostic codes."""

from __future__ import annotations

import click

from edgec.cli.common import common
from edgec.console import Console, guarded


@click.command()
@common
@guarded
def doctor(console: Console) -> None:
    """Which external tools are there, and how to get those that are not."""
    from edgec.hw.tools.doctor import doctor as examine

    rows = [t.as_dict() for t in examine()]
    console.table(rows, ["name", "version", "source", "purpose"])
    for row in rows:
        if not row["usable"]:
            console.say(f"\n{row['name']} cannot be used: {row['problem']}\n  fix: {row['remedy']}")
    console.finish({"tools": rows})


@click.command()
@click.argument("code", required=False)
@common
@guarded
def explain(console: Console, code: str | None) -> None:
    """Explain a diagnostic code, or list all of them."""
    from edgec.codes import CODES
    from edgec.diagnostics import EdgecError, nearest

    if code is None:
        console.table([{"code": k, "title": v.title} for k, v in CODES.items()])
        console.finish({"codes": {k: v.title for k, v in CODES.items()}})
        return
    entry = CODES.get(code.upper())
    if entry is None:
        raise EdgecError("E0211", f"unknown code {code!r}", remedy=nearest(code.upper(), CODES))
    status = f" (exit status {int(code[1:3])})" if code.upper().startswith("E") else ""
    console.say(f"{code.upper()}: {entry.title}{status}\n\n{entry.explanation}")
    console.finish({"code": code.upper(), "title": entry.title, "explanation": entry.explanation})
