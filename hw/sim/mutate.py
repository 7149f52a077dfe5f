"""Plants faults in generated SystemVerilog: all of them in one simulator, switched on one at a time at run time.

`expression` becomes `((edgec_faults::selected == 7) ? (faulty) : (expression))`, and `+edgec_fault=7` selects number 7;
with 0 the design is as before. Only what simulates is touched: the cells for synthesis (EDGEC_CELLS) are another
text of the same netlist. Expressions, the pins of registers and of banks, and the conditions of clocked statements
can be faulty. Widths stay: a conditional passes the width of its context on to both branches.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

PLUSARG = "edgec_fault"
PACKAGE = "edgec_faults"
# A variable of a package, set before anything runs: functions of other packages can read it. Verilator warns of
# functions that read variables from outside (IMPURE), for it does not run them again when such a variable changes;
# this one never changes.
SELECTOR = f"""package {PACKAGE};
  /* verilator lint_off IMPURE */
  function automatic int number();
    int given;
    if ($value$plusargs("{PLUSARG}=%d", given) == 0) given = 0;
    number = given;
  endfunction
  int selected = number();
endpackage
"""

TOKEN = re.compile(
    r"\s*(?:(?P<constant>\d+'h[0-9a-fA-F]+)|(?P<select>\w+\[\d+(?::\d+)?\])|(?P<name>\$?[A-Za-z_]\w*(?:::\w+)?(?:\[[^][]*\])?)"
    r"|(?P<number>\d+(?:'b[01]+)?|'[01])|(?P<operator>>>>|>>|<<|>=|<=|==|!=|&&|\|\||[-+*&|^~?:{}(),!<>.])"
    r"|(?P<other>\S))"
)
OTHER_OPERATOR = {
    "+": "-",
    "-": "+",
    "&": "|",
    "|": "&",
    "^": "|",
    ">=": ">",
    "<=": "<",
    ">": ">=",
    "<": "<=",
    "==": "!=",
    "!=": "==",
    "&&": "||",
    "||": "&&",
}
OPENING, CLOSING = "({", ")}"
DECLARED = re.compile(r"\b(?:wire|logic|reg)\s+(?:\[(\d+):0\]\s*)?(\w+(?:\s*,\s*\w+)*)\s*(?=[=;,)\n]|$)")
ASSIGNED = re.compile(
    r"^(\s*(?:(?:assign|wire|logic)\s+(?:\[[^\]]*\]\s*)?)?(?!unused\b)\w+\s*=\s*)([^=;].*?)(;)\s*(?://.*)?$"
)
CASE_ARM = re.compile(r"^(\s*\d+'h[0-9a-fA-F]+: \w+ = )(.+?)(;)$")
CLOCKED = re.compile(r"^(\s*(?:else )?if \()(.+?)(\)\s+\w+(?:\[[^\]]*\])? <= .+;)$")
PIN = re.compile(r"(\.(?:d|en|rst|wr_en|wr_addr|wr_data)\()([^()]+)(\))")
CHOICE = 6
"""Lines that are looked at for a rare kind of fault before one is chosen."""
INSTANCE = re.compile(r"^\s*edgec_(?:register|bank)\b")


@dataclass(frozen=True)
class Fault:
    """Fault `number` (from 1) stands in `file` at `line` of the unchanged text; `what` says what it is."""

    number: int
    file: str
    line: int
    what: str


@dataclass(frozen=True)
class Candidate:
    """`text` can stand for the characters `start` .. `end` of a line."""

    kind: str
    what: str
    start: int
    end: int
    text: str


@dataclass
class Section:
    """The lines of one function or module that may be changed, with the widths of its nets."""

    file: str
    owner: str
    package: bool = False
    lines: list[int] = field(default_factory=list)
    widths: dict[str, int] = field(default_factory=dict)


def mutated_sources(
    files: Mapping[str, str], limit: int, generator: np.random.Generator
) -> tuple[dict[str, str], list[Fault]]:
    """At most `limit` faults in `files` (name -> SystemVerilog, in compilation order), one in a line at most.

    Half of them go to functions of packages and half to modules, by turns, and kinds of faults take turns as well.
    Returns the texts that changed (the first file always, for it carries the selector) and the faults.
    """
    lines = {name: text.split("\n") for name, text in files.items()}
    queues: dict[str, deque[Section]] = {}
    for section in _sections(lines):
        section.lines = [int(i) for i in generator.permutation(section.lines)]
        if any(next(candidates(lines[section.file][at], section.widths), None) for at in section.lines):
            queues.setdefault(section.owner, deque()).append(section)
    packages = [owner for owner, queue in queues.items() if queue[0].package]
    turns = [owner for owner in queues for _ in range(max(len(queues) - len(packages), 1) if owner in packages else 1)]
    kinds: Counter[str] = Counter()
    faults: list[Fault] = []
    while len(faults) < limit and any(queues.values()):
        for owner in turns:
            if len(faults) == limit or not queues[owner]:
                continue
            section = queues[owner].popleft()
            found = _choose(section, lines[section.file], kinds, generator)
            if found is None:
                continue
            queues[owner].append(section)
            at, chosen = found
            kinds[chosen.kind] += 1
            number, old = len(faults) + 1, lines[section.file][at]
            guarded = f"(({PACKAGE}::selected == {number}) ? ({chosen.text}) : ({old[chosen.start : chosen.end]}))"
            lines[section.file][at] = old[: chosen.start] + guarded + old[chosen.end :]
            faults.append(Fault(number, section.file, at + 1, chosen.what))
    if not faults:
        return {}, []
    changed = {f.file for f in faults} | {next(iter(files))}
    first = next(iter(files))
    heads = {name: (SELECTOR if name == first else "") + "/* verilator lint_off IMPURE */\n" for name in changed}
    return {name: heads[name] + "\n".join(lines[name]) for name in files if name in changed}, faults


def _choose(
    section: Section, lines: Sequence[str], kinds: Counter[str], generator: np.random.Generator
) -> tuple[int, Candidate] | None:
    """A fault of a rare kind among the next lines of `section`, which loses the line (and those that offer none)."""
    best: tuple[int, int, Candidate] | None = None
    seen = 0
    for at in list(section.lines):
        offers = list(candidates(lines[at], section.widths))
        if not offers:
            section.lines.remove(at)
            continue
        rarest = min(kinds[c.kind] for c in offers)
        chosen = [c for c in offers if kinds[c.kind] == rarest]
        if best is None or rarest < best[0]:
            best = rarest, at, chosen[int(generator.integers(len(chosen)))]
        seen += 1
        if seen == CHOICE:
            break
    if best is None:
        return None
    section.lines.remove(best[1])
    return best[1], best[2]


def _sections(files: Mapping[str, Sequence[str]]) -> list[Section]:
    """The functions and modules below the top, which is in the last file, without what is for synthesis only."""
    sections: list[Section] = []
    words: dict[str, set[str]] = {}  # module or package -> names in its text
    tops: list[str] = []
    top = list(files)[-1]
    for name, lines in files.items():
        owner, package = "", False
        current = Section(name, owner)
        for at, line in _active(lines):
            word = [*line.split(None, 2), "", ""]
            if word[0] in ("module", "package"):
                owner, package = re.match(r"\w+", word[1])[0], word[0] == "package"  # type: ignore[index]
                if name == top:
                    tops.append(owner)
            if word[0] in ("function", "module", "package"):
                current = Section(name, owner, package)
                sections.append(current)
            words.setdefault(owner, set()).update(re.findall(r"\w+", line))
            for high, nets in DECLARED.findall(line):
                for net in nets.split(","):
                    current.widths[net.strip()] = int(high or 0) + 1
            if any(pattern.match(line) for pattern in (ASSIGNED, CASE_ARM, CLOCKED, INSTANCE)):
                current.lines.append(at)
            if word[0] == "endfunction":
                current = Section(name, owner, package)
                sections.append(current)
    used: set[str] = set()
    while tops:
        owner = tops.pop()
        used.add(owner)
        tops += [w for w in words.get(owner, ()) if w in words and w not in used and w not in tops]
    return [s for s in sections if s.owner in used and s.lines]


def _active(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The numbered lines that a simulator sees, for which no macro is defined."""
    active: list[bool] = []
    for at, line in enumerate(lines):
        word = line.split(None, 1)[0] if line.strip() else ""
        if word in ("`ifdef", "`ifndef"):
            active.append(word == "`ifndef")
        elif word == "`else":
            active[-1] = not active[-1]
        elif word == "`endif":
            active.pop()
        elif all(active):
            yield at, line


def candidates(line: str, widths: Mapping[str, int]) -> Iterator[Candidate]:
    """Every fault that one line offers."""
    if INSTANCE.match(line):
        for pin in PIN.finditer(line):
            yield from _pin_faults(pin, widths)
        return
    found = CASE_ARM.match(line) or CLOCKED.match(line) or ASSIGNED.match(line)
    if found and found.re is CLOCKED:
        yield Candidate("condition", f"condition {found[2]} inverted", found.start(2), found.end(2), f"!({found[2]})")
    if found:
        yield from _expression_faults(found[2], found.start(2), widths)


def _pin_faults(pin: re.Match[str], widths: Mapping[str, int]) -> Iterator[Candidate]:
    name, net = pin[1][1:-1], pin[2]
    wide = widths.get(net, 1)
    faults = {
        "d": [("inverted", f"~{net}"), ("stuck at 0", "'0")],
        "en": [("inverted", f"~{net}"), ("stuck at 0", "1'b0")],
        "rst": [("stuck at 1", "1'b1")] if net == "rst" else [],
        "wr_en": [("stuck at 0", "1'b0")],
        "wr_addr": [("lowest bit inverted", f"{net} ^ {wide}'h1")],
        "wr_data": [("lowest bit inverted", f"{net} ^ {wide}'h1")],
    }[name]
    if name == "d" and wide > 1:
        faults.append(("rotated by a bit", f"{{{net}[0], {net}[{wide - 1}:1]}}"))
    for what, text in faults:
        yield Candidate(f"pin {name} {what}", f"pin {name}({net}) {what}", pin.start(2), pin.end(2), text)


def _expression_faults(text: str, offset: int, widths: Mapping[str, int]) -> Iterator[Candidate]:
    """Faults of one expression; each replaces the whole expression, which starts at `offset` of its line."""
    tokens = list(TOKEN.finditer(text))
    if any(t["other"] for t in tokens):
        return
    words = [t[0].strip() for t in tokens]
    starts = [t.end() - len(w) for t, w in zip(tokens, words, strict=True)]

    def whole(kind: str, what: str, start: int, end: int, new: str) -> Candidate:
        return Candidate(kind, what, offset, offset + len(text), text[:start] + new + text[end:])

    for i, (token, word, start) in enumerate(zip(tokens, words, starts, strict=True)):
        end = start + len(word)
        binary = i > 0 and (not tokens[i - 1]["operator"] or words[i - 1] in CLOSING)
        if binary and word in OTHER_OPERATOR:
            other = OTHER_OPERATOR[word]
            yield whole(f"{word} to {other}", f"operator {word} became {other}", start, end, other)
        elif word in "~!" and not binary:
            yield whole("inversion dropped", f"{word} dropped", start, end, "")
        elif word in "|&" and not binary:
            other = OTHER_OPERATOR[word]
            yield whole("reduction", f"reduction {word} became {other}", start, end, other)
        elif token["constant"]:
            size, _, digits = word.partition("'h")
            for bit in range(min(int(size), 64)):
                changed = f"{size}'h{int(digits, 16) ^ 1 << bit:x}"
                yield whole("constant", f"constant {word} became {changed}", start, end, changed)
        elif token["select"]:
            changed = _shifted(word, widths)
            if changed is not None:
                yield whole("slice", f"{word} became {changed}", start, end, changed)
        elif word == "?":
            first, second = _branches(words, i)
            if first and second:
                a, b = (text[starts[r[0]] : starts[r[-1]] + len(words[r[-1]])] for r in (first, second))
                last = starts[second[-1]] + len(words[second[-1]])
                new = f"{b} : {a}"
                yield whole("ternary", "branches of ?: exchanged", starts[first[0]], last, new)
        elif word == "{" and (parts := _parts(words, i)) is not None:
            for left, right in itertools.pairwise(parts):
                a, b = (text[starts[r[0]] : starts[r[-1]] + len(words[r[-1]])] for r in (left, right))
                if a != b:
                    last = starts[right[-1]] + len(words[right[-1]])
                    yield whole("concatenation", f"{a} and {b} exchanged", starts[left[0]], last, f"{b}, {a}")


def _shifted(select: str, widths: Mapping[str, int]) -> str | None:
    """`net[h:l]` a bit lower, or higher where it starts at 0; None when there is no other bit."""
    net, _, where = select[:-1].partition("[")
    high, _, low = where.partition(":")
    h, lo = int(high), int(low or high)
    step = -1 if lo > 0 else 1
    if h + step >= widths.get(net, 0):
        return None
    return f"{net}[{h + step}:{lo + step}]" if low else f"{net}[{h + step}]"


def _branches(words: list[str], question: int) -> tuple[list[int], list[int]]:
    """Token numbers of the two branches of the conditional whose ? is token `question`."""
    depth = nested = 0
    parts: tuple[list[int], list[int]] = ([], [])
    side = 0
    for i in range(question + 1, len(words)):
        word = words[i]
        if depth == 0 and (word in CLOSING or (side and word == ",")):
            break
        depth += (word in OPENING) - (word in CLOSING)
        nested += (word == "?" and depth == 0) - (word == ":" and depth == 0 and nested > 0)
        if word == ":" and depth == 0 and nested == 0 and side == 0:
            side = 1
            continue
        parts[side].append(i)
    return parts


def _parts(words: list[str], opening: int) -> list[list[int]] | None:
    """Token numbers of the operands of the concatenation that opens at token `opening`; None for a replication."""
    depth = 0
    parts: list[list[int]] = [[]]
    for i in range(opening + 1, len(words)):
        word = words[i]
        if word == "}" and depth == 0:
            return parts if len(parts) > 1 and all(parts) else None
        if word == "{" and depth == 0 and parts[-1]:
            return None  # {4{x}}
        depth += (word in OPENING) - (word in CLOSING)
        if word == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(i)
    return None
