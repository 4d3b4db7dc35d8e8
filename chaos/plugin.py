"""The pytest plugin of chaos: the markers ``chaos`` and ``explore``.

``@pytest.mark.chaos(*faults)`` makes faults while a test runs. ``@pytest.mark.explore(faults=1, seconds=60)`` takes the
drives that a test makes and, once its clean run has passed, tries every plan of so many faults with them.

Light on purpose: nothing but pytest is loaded until a test has one of these markers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from misstep.harness.testing import Trial


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    config.addinivalue_line("markers", "chaos(*faults): make these faults while the test runs on its stage")
    config.addinivalue_line(
        "markers",
        "explore(faults=1, seconds=None, only=()): once the test has passed, try every plan of so many faults "
        "with the drives that it made",
    )


def pytest_misstep_chaos(item: pytest.Item) -> tuple[Any, ...] | None:
    """Return the faults of a test's ``chaos`` markers; a marker that is wrong is told before anything runs."""
    chaos = list(item.iter_markers("chaos"))
    explore = item.get_closest_marker("explore")
    if explore is not None:
        from misstep.chaos.testing import check_options

        if chaos:
            pytest.fail(
                f"{item.nodeid} is marked chaos and explore: a search begins with a run without faults, so mark it "
                "with one of them",
                pytrace=False,
            )
        _fail(item, check_options(explore.args, explore.kwargs))
    if not chaos:
        return None
    from misstep.chaos.faults.arm import arm
    from misstep.chaos.testing import check_faults

    for marker in chaos:
        _fail(item, check_faults(marker.args, marker.kwargs))
    return tuple(fault for marker in chaos for fault in marker.args), arm


def pytest_misstep_judged(item: pytest.Item, trial: Trial) -> None:
    """Explore, where a test asks for it."""
    marker = item.get_closest_marker("explore")
    if marker is None:
        return
    from misstep.chaos.testing import explore

    failure = explore(trial, **marker.kwargs)
    if failure:
        pytest.fail(failure, pytrace=False)


def _fail(item: pytest.Item, wrong: str) -> None:
    """Fail a test whose marker is wrong."""
    if wrong:
        pytest.fail(f"{item.nodeid}: {wrong}", pytrace=False)
