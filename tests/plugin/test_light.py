"""Installed and not used, the plugins cost next to nothing: what they load is counted, since a clock would lie."""

from __future__ import annotations

import json

from .conftest import Project

pytest_plugins = ["pytester"]

LOADED = """
import json
import sys


def pytest_unconfigure(config):
    with open("loaded.json", "w") as file:
        json.dump(sorted(sys.modules), file)
"""

OURS = {
    "misstep",
    "misstep.harness",
    "misstep.harness.plugin",
    "misstep.contracts",
    "misstep.contracts.plugin",
    "misstep.chaos",
    "misstep.chaos.plugin",
}
WITHOUT = ("-p", "no:misstep", "-p", "no:misstep-contracts", "-p", "no:misstep-chaos")


def loaded(project: Project, *arguments: str) -> set[str]:
    """Return all modules that a pytest run had loaded at its end."""
    done = project.pytest(*arguments)
    assert set(done.outcomes.values()) == {"passed"}, done.output
    return set(json.loads((project.folder / "loaded.json").read_text()))


def test_what_is_not_used_is_not_loaded(project: Project) -> None:
    (project.folder / "conftest.py").write_text((project.folder / "conftest.py").read_text() + LOADED)
    (project.folder / "test_unused.py").write_text(
        "import pytest\n\nasync def coroutine(): ...\n\ndef test_it(tmp_path): coroutine().close()\n"
    )
    assert loaded(project) - loaded(project, *WITHOUT) <= OURS
