"""The pytest plugin: a stage for each test that asks for one, and a verdict on what happened there.

A test that asks for ``stage`` (async) or ``blocking_stage`` gets the choreography's real services, running, on the broker
that ``--misstep-stage`` names. When the test has passed, the stage is left alone until it is quiet, every checker is asked,
and a verdict other than valid fails the test, with the plan, the timeline, the evidence and how to replay it.

Light on purpose: nothing but pytest is loaded until a test asks for a stage.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from misstep.harness.choreography.words import Choreography
    from misstep.harness.stage.handles import BlockingStage, StageHandle
    from misstep.harness.testing import Houses, Trial

TRIAL = pytest.StashKey["Trial"]()
DEFAULT_FILE = "choreography.toml"


class Hooks:
    """Hooks that the plugins of misstep ask each other by."""

    @pytest.hookspec(firstresult=True)
    def pytest_misstep_chaos(self, item: pytest.Item) -> tuple[Any, ...] | None:  # type: ignore[empty-body]
        """Return the faults that a test asks for, with what arms them: ``(faults, arm)``; None where it asks for none."""

    @pytest.hookspec
    def pytest_misstep_judged(self, item: pytest.Item, trial: Trial) -> None:
        """A test's clean run was judged valid; whoever has more to try on its stage does it now."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make the hooks known."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of all stages."""
    group = parser.getgroup("misstep", "chaos and contract tests for choreographed services")
    group.addoption(
        "--misstep-stage",
        choices=("embedded", "local", "docker", "remote"),
        default="embedded",
        help="where choreographies run (default: embedded)",
    )
    group.addoption("--misstep-strict", action="store_true", help="let warnings of checkers fail a test")
    parser.addini("misstep_choreography", "the choreography file, relative to the rootdir", default=DEFAULT_FILE)
    parser.addini("misstep_seed", "the seed of generated data", default="0")


@pytest.fixture(scope="session")
def misstep_houses(request: pytest.FixtureRequest) -> Iterator[Houses]:
    """The brokers and warm stages of this session; one broker for each choreography."""
    from misstep.harness.testing import Houses

    worker = getattr(request.config, "workerinput", {})
    with Houses(
        request.config.getoption("--misstep-stage"),
        seed=int(request.config.getini("misstep_seed")),
        label=worker.get("workerid", ""),
        shared_broker=worker.get("misstep_broker", ""),
    ) as houses:
        yield houses


@pytest.fixture
def choreography(request: pytest.FixtureRequest) -> Choreography:
    """The choreography under test, from the file that ``misstep_choreography`` names; override it to choose another."""
    from misstep.harness.choreography.file import load

    return load(_find(request.config.rootpath, request.path.parent, request.config.getini("misstep_choreography")))


@pytest.fixture
def stage(request: pytest.FixtureRequest, choreography: Choreography, misstep_houses: Houses) -> Iterator[StageHandle]:
    """The choreography's services, running; for async tests."""
    with _trial(request, choreography, misstep_houses) as trial:
        yield trial.handle


@pytest.fixture
def blocking_stage(
    request: pytest.FixtureRequest, choreography: Choreography, misstep_houses: Houses
) -> Iterator[BlockingStage]:
    """The choreography's services, running; for tests that block."""
    with _trial(request, choreography, misstep_houses) as trial:
        yield trial.blocking


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Judge what happened on a test's stage once the test itself has passed."""
    result = yield
    trial = item.stash.get(TRIAL, None)
    if trial is not None:
        failure = trial.conclude(strict=item.config.getoption("--misstep-strict"))
        if failure:
            pytest.fail(failure, pytrace=False)
        item.ihook.pytest_misstep_judged(item=item, trial=trial)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Show what happened on the stage with a test that failed by itself."""
    report = yield
    trial = item.stash.get(TRIAL, None)
    if trial is not None and report.when == "call" and report.failed and not trial.concluded:
        report.sections.append(("misstep: what happened", trial.story()))
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every xdist worker the one local broker, which the controller owns."""
    if node.config.getoption("--misstep-stage") == "local":
        from misstep.harness.testing import shared_broker

        node.workerinput["misstep_broker"] = shared_broker(node.config)


def _trial(request: pytest.FixtureRequest, choreography: Choreography, houses: Houses) -> Any:
    """Set up a trial for a test: a stage with its faults armed."""
    from misstep.harness.testing import no_chaos

    item = request.node
    if TRIAL in item.stash:
        raise pytest.UsageError(f"{item.nodeid} asks for stage and blocking_stage; a test has one stage, so ask for one")
    faults, arm = item.ihook.pytest_misstep_chaos(item=item) or no_chaos()
    trial = houses.trial(choreography, faults, arm)
    item.stash[TRIAL] = trial
    return trial


def _find(root: Path, start: Path, name: str) -> Path:
    """Return the choreography file: nearest to the test, going up to the rootdir."""
    for folder in (start, *start.parents):
        if (folder / name).is_file():
            return folder / name
        if folder == root:
            break
    return root / name
