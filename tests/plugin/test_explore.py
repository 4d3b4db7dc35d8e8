"""A test marked ``explore``: once it has passed, every plan with its drives is tried."""

from __future__ import annotations

import re

from .conftest import Project

pytest_plugins = ["pytester"]

EXPLORED = """
@pytest.mark.explore(only=("delivery.redeliver", "payment"))
async def test_order(stage):
    saga = await stage.drive("order", amount=12)
    assert (await saga.settled()).completed
"""

BY_HAND = """
@pytest.mark.explore
def test_by_hand(blocking_stage):
    blocking_stage.kill("shipping")
    saga = blocking_stage.drive("order")
    blocking_stage.start("shipping")
    saga.settled()


@pytest.mark.explore(only="paiment")
def test_no_such_word(blocking_stage):
    blocking_stage.drive("order").settled()
"""


def test_a_failure_is_made_small_and_can_be_pasted(project: Project) -> None:
    project.test(EXPLORED)
    project.naive()
    done = project.pytest()
    text = done.tests["test_order"].text
    assert done.outcomes == {"test_order": "failed"}, done.output
    assert text.startswith("shop on embedded: invalid: 1 failing plan")
    assert "failed 2 of 2 fresh runs on embedded; the smallest plan:" in text
    (file,) = (project.folder / ".misstep" / "failures").iterdir()
    assert f"{file.name}" in text.replace("\n", "")

    pasted = re.search(r"import pytest\n.*?settled\(\)", re.sub("^ {4}|^ {2}", "", text, flags=re.MULTILINE), re.DOTALL)
    assert pasted is not None, text
    (project.folder / "test_shop.py").unlink()
    (project.folder / "test_pasted.py").write_text(indented(pasted[0]) + "\n")
    again = project.pytest("test_pasted.py")
    assert set(again.outcomes.values()) == {"failed"}, again.output
    assert "happened 2 times" in again.output


def test_what_survives_passes_and_what_cannot_be_searched_says_so(project: Project) -> None:
    project.test(EXPLORED + BY_HAND)
    done = project.pytest()
    assert done.outcomes == {"test_order": "passed", "test_by_hand": "failed", "test_no_such_word": "failed"}, (
        done.output
    )
    assert "this one killed shipping by its own hands" in done.tests["test_by_hand"].text
    assert "'paiment' is no kind of fault, service, event or driver" in done.tests["test_no_such_word"].text


def indented(source: str) -> str:
    """Return a pasted test whose body has its four columns again."""
    head, body = re.split(r"(?<=stage\):)\n", source)
    return head + "\n" + "\n".join(f"    {line.strip()}" for line in body.splitlines())
