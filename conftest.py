"""Fixtures and options for misstep's own tests; a user's tests get theirs from the plugins."""

from __future__ import annotations

import pytest

PARTS = ("rabbitmq", "postgres", "node")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-parts", action="store_true", help="fail, rather than skip, a test for which this machine lacks a part"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Turn a skip into a failure where every part is required: a part that is missing hides nothing in CI."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and item.config.getoption("--require-parts") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but --require-parts was given: {report.longrepr}"
