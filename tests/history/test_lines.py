"""A history goes to JSON lines and back, whatever happened in it; a line that is none is named."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, get_args

import pytest
from misstep.harness.errors import MisstepError
from misstep.harness.history.entries import Entry
from misstep.harness.history.history import History
from misstep.harness.plan import Fault

SAMPLES: dict[str, Any] = {
    "float": 1.5,
    "int": 2,
    "bool": True,
    "str": "text",
    "Fault": Fault(kind="link.cut"),
    "str | None": None,
    "Result": "unknown",
    "Outcome": "nack",
    "FaultChange": "fired",
}


def sample(kind: type[Any]) -> Entry:
    """Make an entry of a kind, with something in each field that must be given."""
    given = {}
    for field in fields(kind):
        if field.default is MISSING and field.default_factory is MISSING:
            text = str(field.type)
            given[field.name] = text.split("'")[1] if "[" in text and "'" in text else SAMPLES.get(text, "closed")
    if kind.__name__ == "Process":
        given["what"] = "killed"
    return kind(**given)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", get_args(Entry), ids=lambda kind: kind.__name__)
def test_every_kind_of_entry_comes_back_as_it_was(kind: type[Any]) -> None:
    entry = sample(kind)
    assert list(History.from_lines(History([entry]).to_lines())) == [entry]


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"entry":"Nothing"}', '{"entry":"Lost"}', "null", "7"])
def test_a_line_that_is_no_entry_is_named(line: str) -> None:
    with pytest.raises(MisstepError, match=r"saved\.jsonl, line 2 is no entry of a history"):
        History.from_lines(["", line], source="saved.jsonl")
