"""On which line of a TOML file something stands: tomllib keeps no positions, so headers and keys are found again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")
FENCE = re.compile(r'"""|\'\'\'')


def lines_of(text: str) -> dict[str, int]:
    """Return the line of each table and key, by dotted place; entries of an array of tables are ``place[0]`` and so on.

    Best effort, for messages alone: what it cannot find is left out.
    """
    found: dict[str, int] = {}
    counts: Counter[str] = Counter()
    table, fence = "", ""
    for number, line in enumerate(text.splitlines(), 1):
        outside = not fence
        for mark in FENCE.findall(line):
            fence = mark if not fence else ("" if fence == mark else fence)
        if not outside:
            continue
        if header := HEADER.match(line):
            table = place_of(header[2])
            if header[1] == "[[":
                counts[table] += 1
                table = f"{table}[{counts[table] - 1}]"
            for end, mark in enumerate(f"{table}."):
                if mark == ".":
                    found.setdefault(table[:end], number)
        elif key := KEY.match(line):
            place = place_of(key[1])
            found.setdefault(f"{table}.{place}" if table else place, number)
    return found


def place_of(key: str) -> str:
    """Return a dotted key without its quotes and blanks."""
    return ".".join(part.strip("\"'") for part in PART.findall(key))


def line_of(place: str, lines: Mapping[str, int]) -> int:
    """Return the line of a place, or of the nearest thing around it that has one; 0 where there is none."""
    while place:
        if place in lines:
            return lines[place]
        place = place[: max(place.rfind("."), place.rfind("["), 0)]
    return 0
