"""docs/choreography.md tells of every key that a choreography may have, and what it shows can be used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from misstep.harness.choreography.check import check
from misstep.harness.choreography.file import read
from misstep.harness.choreography.words import Choreography
from misstep.harness.errors import ChoreographyError

PAGE = (Path(__file__).parents[2] / "docs" / "choreography.md").read_text(encoding="utf-8")

# A key that nobody knows in each table there is: the refusal lists the keys that are known there.
STRANGE = """
strange = 0
choreography.strange = 0
services.x = { strange = 0, ready = { strange = 0 } }
stores.x.strange = 0
events.strange = 0
drivers.x.strange = 0
externals.x = { strange = 0, answers = [{ strange = 0 }] }
effects.x = { strange = 0, times = { strange = 0 } }
sagas.x = { strange = 0, steps = [{ strange = 0 }] }
probes.x.strange = 0
views.x.strange = 0
quiet.strange = 0
progress.strange = 0
"""


def known_keys() -> dict[str, set[str]]:
    """Return the keys that each table of a file may have, by the table's place; the file itself is ``""``."""
    with pytest.raises(ChoreographyError) as refused:
        read(STRANGE, folder=Path("nowhere"))
    found = {}
    for problem in refused.value.problems:
        place, strange, _ = problem.place.partition("strange")
        if strange:
            found[place.rstrip(".")] = set(problem.expected.removeprefix("one of the keys ").split(", "))
    return found


KEYS = known_keys()


def chapter(section: str) -> str:
    """Return what the page says under a section's heading."""
    (found,) = re.findall(rf"^## \[{section}\b.*?(?=^## )", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def blocks(language: str) -> list[str]:
    """Return the page's blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_every_table_was_asked_for_its_keys() -> None:
    assert {place.partition(".")[0] for place in KEYS} - {""} == KEYS[""]
    assert len(KEYS) == STRANGE.count("strange")


@pytest.mark.parametrize("place", sorted(KEYS))
def test_every_key_stands_in_the_chapter_of_its_section(place: str) -> None:
    told = chapter(place.partition(".")[0]) if place else PAGE
    assert {key for key in KEYS[place] if f"`{key}`" not in told} == set()


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_file_that_is_shown_can_be_used(block: str, tmp_path: Path) -> None:
    assert isinstance(read(block, folder=tmp_path), Choreography)


def test_the_choreography_that_is_shown_in_python_can_be_used() -> None:
    (block,) = blocks("python")
    names: dict[str, object] = {"__file__": __file__}
    exec(compile(block, "docs/choreography.md", "exec"), names)
    (shown,) = [each for each in names.values() if isinstance(each, Choreography)]
    assert check(shown) == ()
