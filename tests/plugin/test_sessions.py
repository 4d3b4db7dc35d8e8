"""Many tests at once, some of them, and a session that ends early: one broker, and nothing left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from .conftest import OTHERS, Project

pytest_plugins = ["pytester"]

PASSES = """
@pytest.mark.parametrize("amount", range(2))
def test_passes(blocking_stage, amount, request):
    saga = blocking_stage.drive("order", amount=amount)
    assert saga.settled().completed
    space = request.getfixturevalue("misstep_trial").performance.stage.means.space
    with open("spaces", "a") as file:
        file.write(f"{space.endpoint.port} {space.name}\\n")
"""

THREE = """
def test_first(blocking_stage):
    saga = blocking_stage.drive("order")
    assert saga.settled().completed, os.environ.get("HEAL")


def test_second(blocking_stage):
    saga = blocking_stage.drive("order")
    assert saga.settled().compensated or os.environ.get("HEAL")


def test_third(blocking_stage):
    blocking_stage.drive("order").settled()
"""

HANGS = """
def test_hangs(blocking_stage):
    blocking_stage.drive("order")
    with open("reached", "w"):
        time.sleep(600)


def test_after(blocking_stage):
    blocking_stage.drive("order").settled()
"""


def until(true: Callable[[], object]) -> None:
    """Wait until something is so; the reason it is not shows in the assertion that follows."""
    deadline = time.monotonic() + 60
    while not true() and time.monotonic() < deadline:
        select.select([], [], [], 0.02)


def test_workers_share_the_local_broker_of_their_controller(project: Project) -> None:
    project.test(PASSES)
    project.test(PASSES.replace("test_passes", "test_more"), "test_more.py")
    done = project.pytest("-n", "2", "--dist", "loadfile", "--misstep-stage", "local")
    assert set(done.outcomes.values()) == {"passed"}, done.output
    assert {told.worker for told in done.tests.values()} == {"gw0", "gw1"}
    spaces = [line.split() for line in (project.folder / "spaces").read_text().splitlines()]
    assert len({port for port, _ in spaces}) == 1, "one broker"
    assert {name.split("-")[2] for _, name in spaces} == {"gw0", "gw1"}, "a space is named by its worker"
    assert project.left() == {}


def test_some_of_the_tests_and_the_last_that_failed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.test(THREE)
    assert project.pytest("-x").outcomes == {"test_first": "passed", "test_second": "failed"}
    assert project.pytest("-k", "third or first").outcomes == {"test_first": "passed", "test_third": "passed"}
    monkeypatch.setenv("HEAL", "1")
    assert project.pytest("--lf").outcomes == {"test_second": "passed"}
    assert project.left() == {}


def test_a_timeout_by_signal_fails_one_test(project: Project) -> None:
    project.test(HANGS)
    done = project.pytest("-o", "timeout_method=signal", "-o", "timeout=5", "-o", "timeout_func_only=true")
    assert done.outcomes == {"test_hangs": "failed", "test_after": "passed"}, done.output
    assert "Timeout" in done.tests["test_hangs"].text
    assert "timeline of saga 1" in done.tests["test_hangs"].sections["misstep: what happened"]
    assert project.left() == {}


def test_a_timeout_by_thread_ends_pytest_and_the_guard_ends_the_rest(project: Project) -> None:
    project.test(HANGS)
    done = project.pytest("-o", "timeout_method=thread", "-o", "timeout=5", "-o", "timeout_func_only=true")
    assert "Timeout" in done.output
    assert done.outcomes == {}, "pytest is gone before it reports anything"
    until(lambda: not project.left())
    assert project.left() == {}


def test_an_interrupt_ends_the_session_in_order(project: Project) -> None:
    project.test(HANGS)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *OTHERS],
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
    )
    until((project.folder / "reached").exists)
    assert "shop.py payment" in "".join(project.left().values())
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "KeyboardInterrupt" in output
    assert project.left() == {}
