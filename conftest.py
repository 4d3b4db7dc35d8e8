"""Fixtures and options for misstep's own tests; a user's tests get theirs from the plugins."""

from __future__ import annotations

from collections.abc import Generator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--require-parts``."""
    parser.addoption(
        "--require-parts",
        action="store_true",
        help="fail, rather than skip, a test for which this machine lacks a part",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where every part is required: a part that is missing hides nothing in CI."""
    report = yield
    if report.skipped and item.config.getoption("--require-parts") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but --require-parts was given: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a pytest that a test starts know nothing of the workers that this one may be run by."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
