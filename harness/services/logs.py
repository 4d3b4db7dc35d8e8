"""What processes wrote: the last lines for people, and a watch for the line that means "ready"."""

from __future__ import annotations

import os
import re
from pathlib import Path

TAIL_BYTES = 64 * 1024


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log; none when there is no such file. Bytes that are no UTF-8 are shown escaped."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            text = file.read().decode(errors="backslashreplace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []


class LogWatch:
    """Looks for a pattern in the lines of a growing log, reading each byte once."""

    def __init__(self, path: Path, pattern: str) -> None:
        self.path = path
        self.pattern = re.compile(pattern)
        self._offset = 0
        self._partial = b""

    def found(self) -> bool:
        """Read what is new, and say whether a line of it matches; an unfinished last line counts as well."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                piece = file.read()
        except FileNotFoundError:
            return False
        self._offset += len(piece)
        lines = (self._partial + piece).split(b"\n")
        self._partial = lines[-1]
        return any(self.pattern.search(line.decode(errors="replace")) for line in lines)
