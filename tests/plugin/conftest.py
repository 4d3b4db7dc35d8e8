"""A small project of its own for each test: two services, a choreography, and a pytest that tells what it reported."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

SHOP = Path(__file__).with_name("shop")
DEADLINE = 90.0
OTHERS = ("-p", "no:hypothesispytest", "-p", "no:faker")
"""Plugins that happen to be here, cost a second at each start, and have no part in these tests."""

INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
asyncio_default_test_loop_scope = function
filterwarnings = error
addopts = --strict-markers
"""

TELL = """
import json
import os


def pytest_runtest_logreport(report):
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    told = {
        "name": report.nodeid.split("::", 1)[-1],
        "when": report.when,
        "outcome": report.outcome,
        "text": report.longreprtext,
        "sections": dict(report.sections),
        "worker": getattr(report, "worker_id", ""),
    }
    with open("reports.jsonl", "a") as file:
        file.write(json.dumps(told) + "\\n")
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What pytest reported of one test.

    Attributes:
        outcome: ``passed``, ``failed``, or ``error`` where a fixture failed.
        text: Why.
        sections: What was shown beside.
        worker: Which worker of xdist ran it.
    """

    outcome: str
    text: str = ""
    sections: dict[str, str] = field(default_factory=dict)
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """A pytest run, at its end."""

    status: int
    output: str
    tests: dict[str, Told]

    @property
    def outcomes(self) -> dict[str, str]:
        """What each test came to."""
        return {name: told.outcome for name, told in self.tests.items()}


class Project:
    """A project with a shop, in a folder of its own."""

    def __init__(self, pytester: pytest.Pytester, mark: str) -> None:
        self.pytester = pytester
        self.folder = pytester.path
        self.mark = mark
        shutil.copytree(SHOP, self.folder, dirs_exist_ok=True)
        (self.folder / "pytest.ini").write_text(INI)
        (self.folder / "conftest.py").write_text(TELL)

    def naive(self) -> None:
        """Let payment charge an order each time that it is told of it."""
        self.edit("choreography.toml", "payment correct", "payment naive")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file."""
        file = self.folder / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def test(self, source: str, name: str = "test_shop.py") -> None:
        """Write a test file."""
        header = "import os, sys, time\nimport pytest\nfrom misstep.chaos import delivery, process\n\n"
        (self.folder / name).write_text(header + source)

    def pytest(self, *arguments: str) -> Done:
        """Run pytest."""
        reports = self.folder / "reports.jsonl"
        reports.unlink(missing_ok=True)
        done = self.pytester.run(sys.executable, "-m", "pytest", *OTHERS, *arguments, timeout=DEADLINE)
        output = "\n".join((*done.outlines, *done.errlines))
        return Done(int(done.ret), output, told(reports.read_text().splitlines() if reports.is_file() else ()))

    def misstep(self, *arguments: str) -> pytest.RunResult:
        """Run the command."""
        return self.pytester.run(sys.executable, "-m", "misstep.harness", *arguments, timeout=DEADLINE)

    def left(self) -> dict[int, str]:
        """Return the processes that pytest's own environment was handed on to, with their commands."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if self.mark.encode() in (entry / "environ").read_bytes():
                        found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
        return found


def told(lines: Sequence[str]) -> dict[str, Told]:
    """Gather what was reported of each test; what failed outweighs what passed."""
    tests: dict[str, Told] = {}
    for line in lines:
        report = json.loads(line)
        failed = report["outcome"] != "passed"
        if failed or report["when"] == "call":
            outcome = "error" if failed and report["when"] != "call" else report["outcome"]
            name = report["name"] if report["name"] not in tests else f"{report['name']} ({report['when']})"
            tests[name] = Told(outcome, report["text"], report["sections"], report["worker"])
    return tests


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    mark = f"misstep-test-{uuid4()}"
    monkeypatch.setenv("MISSTEP_TEST_MARK", mark)
    return Project(pytester, mark)
