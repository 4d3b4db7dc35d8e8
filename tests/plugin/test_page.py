"""What docs/pytest.md shows works as it is shown."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from .conftest import Project

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "pytest.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def example(project: Project) -> Project:
    shutil.copytree(ROOT / "examples" / "order_saga", project.folder, dirs_exist_ok=True)
    (project.folder / "test_order_saga.py").unlink()
    return project


def test_the_tests_that_are_shown_pass(example: Project) -> None:
    first, faults, search, _ = SNIPPETS
    (example.folder / "test_first.py").write_text(first)
    (example.folder / "test_faults.py").write_text(faults)
    (example.folder / "test_search.py").write_text(search)
    done = example.pytest()
    assert len(done.outcomes) == 4
    assert set(done.outcomes.values()) == {"passed"}, done.output


def test_the_choreography_can_be_chosen(example: Project) -> None:
    test = "\n\ndef test_it(choreography):\n    assert choreography.name.startswith('order saga')\n"
    (example.folder / "test_chosen.py").write_text(SNIPPETS[3] + test)
    done = example.pytest()
    assert done.outcomes == {"test_it[choreography.toml]": "passed", "test_it[postgres.toml]": "passed"}, done.output


def test_options_and_handles_are_all_on_the_page(project: Project) -> None:
    helped = project.pytest("--help").output
    options = set(re.findall(r"--misstep-[a-z]+|misstep_[a-z]+(?= \()", helped))
    assert options == set(re.findall(r"--misstep-[a-z]+|misstep_[a-z]+(?=` \(ini\))", PAGE))
    from misstep.harness.testing import BlockingSaga, BlockingStage, Saga, StageHandle

    for both in ((Saga, BlockingSaga), (StageHandle, BlockingStage)):
        faces = [{name for name in dir(face) if not name.startswith("_")} for face in both]
        assert faces[0] == faces[1], "both faces can do the same"
        assert {name for name in faces[0] if f"`{name}" not in PAGE} == set()
