from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from misstep.harness.checkers.judge import judge
from misstep.harness.checkers.own import checkers_of
from misstep.harness.checkers.registry import BUILT_IN
from misstep.harness.choreography.file import read
from misstep.harness.choreography.words import Choreography
from misstep.harness.errors import ChoreographyError

from .stories import WHOLE, Story, case, completed

PAGE = (Path(__file__).parents[2] / "docs" / "checkers.md").read_text()


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Forget the modules that a test imported."""
    known, path = set(sys.modules), list(sys.path)
    yield
    assert sys.path == path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def naming(folder: Path, *checkers: str) -> Choreography:
    return replace(WHOLE, folder=folder, checkers=checkers)


def test_the_one_that_is_documented_judges_beside_the_built_in_ones(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "checks.py").write_text(snippet)
    (toml,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    checkers = checkers_of(replace(WHOLE, folder=tmp_path, checkers=read(toml, folder=tmp_path).checkers))
    assert checkers[:-1] == BUILT_IN

    free, paid = Story().stage(), Story().stage()
    free.publish("order", "order.placed", body={"order_id": 7})
    paid.publish("order", "order.placed", body={"order_id": 7, "amount": 1999})
    answers = [judge(case(story), checkers[-1:])[0] for story in (free, paid, Story())]
    assert [verdict.answer for verdict in answers] == ["invalid", "valid", "unknown"]
    assert answers[0].findings[0].text == "1:order.placed has no amount"


def test_it_may_import_what_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "__init__.py").write_text("")
    (tmp_path / "rules" / "orders.py").write_text("from limits import MOST\ndef few(case): return MOST\n")
    (tmp_path / "limits.py").write_text("MOST = 3\n")
    *_, few = checkers_of(naming(tmp_path, "rules.orders:few"))
    assert few(case(completed())) == 3
    assert checkers_of(naming(tmp_path, "rules.orders:few"))[-1] is few


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere_at_all:few", "No module named 'nowhere_at_all'"),
        ("broken:few", "RuntimeError: no luck"),
        ("checks:fwe", "it has few, many"),
        ("checks:MOST", "a function Case -> Verdict"),
        ("json:few", "json/__init__.py is called so, too"),
    ],
)
def test_one_that_cannot_be_had_is_told_with_its_place(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "checks.py").write_text("MOST = 3\ndef few(case): ...\ndef many(case): ...\n")
    (tmp_path / "broken.py").write_text("raise RuntimeError('no luck')\n")
    (tmp_path / "json.py").write_text("def few(case): ...\n")
    with pytest.raises(ChoreographyError) as caught:
        checkers_of(naming(tmp_path, name))
    (problem,) = caught.value.problems
    assert (problem.place, problem.value) == ("choreography.checkers[0]", repr(name))
    assert said in str(problem)


@pytest.mark.parametrize(
    "name", ["checks", "checks.few", "checks:", ":few", "checks.py:few()", "../checks:few", "a..b:c"]
)
def test_what_names_no_function_is_told_with_its_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ChoreographyError, match=r"choreography.checkers\[0\] \(line 2\).*expected module:function"):
        read(f'[choreography]\ncheckers = ["{name}"]', folder=tmp_path)
