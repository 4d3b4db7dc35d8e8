"""How answers and errors of others are shown in a message: short, and on one line."""

from __future__ import annotations

from misstep.harness.choreography.bodies import read_text

LONGEST = 300


def reason(error: BaseException) -> str:
    """Return what an error says, or at least what it is."""
    return str(error) or type(error).__name__


def excerpt(body: bytes) -> str:
    """Return the beginning of a body, on one line; ``nothing`` where it is empty."""
    text = " ".join(read_text(body[: 4 * LONGEST]).split())
    return text[:LONGEST] + "…" if len(text) > LONGEST else text or "nothing"


def ending(output: bytes) -> str:
    """Return the end of an output, on one line, since that is where a program says what went wrong."""
    text = " ".join(read_text(output[-4 * LONGEST :]).split())
    return "…" + text[-LONGEST:] if len(text) > LONGEST else text or "nothing"
