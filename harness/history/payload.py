"""Payloads and headers as a history keeps them: plain JSON, bounded in size."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from misstep.harness.choreography.plain import plain, plain_bytes
from misstep.harness.choreography.words import Json

LARGEST = 64 * 1024
SHOWN = 1024


def shown_body(body: bytes) -> Json:
    """Return a payload as a history keeps it: its data where it is JSON, else a text that shows it.

    Args:
        body: The payload; of one above 64 KiB only the first KiB is kept.
    """
    if len(body) > LARGEST:
        return f"{body[:SHOWN].decode(errors='replace')}… ({len(body)} bytes)"
    try:
        data: Json = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return plain_bytes(body)
    return data


def shown_table(table: Mapping[str, object]) -> dict[str, Json]:
    """Return headers, properties or arguments as plain JSON."""
    return {str(name): plain(value) for name, value in table.items()} if table else {}
