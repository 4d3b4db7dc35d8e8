"""The first file that is written for a new user."""

from __future__ import annotations

import tomllib
from pathlib import Path

from misstep.harness.choreography.file import read
from misstep.harness.choreography.starter import STARTER


def test_it_can_be_used_as_it_stands(tmp_path: Path) -> None:
    choreography = read(STARTER, folder=tmp_path)
    assert set(choreography.services) == {"order", "payment"}
    assert choreography.effects
    assert choreography.views


def test_it_shows_every_section_of_the_file() -> None:
    sections = {"choreography", "services", "stores", "events", "externals", "drivers", "sagas", "effects", "probes"}
    assert sections | {"views", "quiet"} == set(tomllib.loads(STARTER))


def test_the_lines_that_are_commented_out_can_be_used_too(tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text("create table outbox (sent)")
    text = STARTER.replace("# schema", "schema").replace("# outboxes", "outboxes")
    choreography = read(text, folder=tmp_path)
    assert choreography.stores["orders"].schema == "schema.sql"
    assert "orders" in choreography.quiet.outboxes


def test_it_is_narrow_enough_to_read() -> None:
    assert max(map(len, STARTER.splitlines())) <= 120
