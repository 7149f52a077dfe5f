"""How much code a source file has: what the estimate of its machine code is made of."""

from __future__ import annotations

import re
from collections.abc import Collection


def statements(source: str, macros: Collection[str]) -> int:
    """Statements of a C file of edgec's that are compiled where the `macros` are 1: semicolons, those in the heads of
    loops too, and lines of assembly."""
    live = [True]
    count = 0
    for line in re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL).splitlines():
        text = line.lstrip()
        if text.startswith(("#ifdef", "#ifndef")):
            live.append(live[-1] and text.startswith("#ifndef"))
        elif text.startswith("#if"):
            words = set(re.findall(r"\w+", text))
            live.append(live[-1] and bool(words & {"__GNUC__", *macros}))
        elif text.startswith("#else"):
            live[-1] = not live[-1] and all(live[:-1])
        elif text.startswith("#endif"):
            live.pop()
        elif live[-1] and not text.startswith("#"):
            count += text.count(";") + text.endswith('\\n\\t"')
    return count
