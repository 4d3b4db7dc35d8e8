"""The pytest plugin: a stage for each test that asks for one, and a verdict on what happened there.

A test that asks for ``stage`` (async) or ``blocking_stage`` gets the choreography's real services, running, on the
broker that ``--misstep-stage`` names. When the test has passed, the stage is left alone until it is quiet, every
checker is asked, and a verdict other than valid fails the test, with the plan, the timeline, the evidence and how to
replay it.

Light on purpose: nothing but pytest is loaded until a test asks for a stage.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from misstep.harness.choreography.words import Choreography
    from misstep.harness.stage.handles import BlockingStage, StageHandle
    from misstep.harness.testing import Houses, SharedBroker, Trial

TRIAL = pytest.StashKey["Trial"]()
SHARED = pytest.StashKey["SharedBroker | None"]()
DEFAULT_FILE = "choreography.toml"

WRONG_STAGE = """{name} is no async test, and `stage` is awaited:
    def {name}(stage): …              # wrong
    async def {name}(stage): …        # right
    def {name}(blocking_stage): …     # right: the same stage, for a test that blocks"""

NO_ASYNCIO = """{name} awaits `stage`, and nothing here runs async tests:
    pytest -p no:asyncio                          # wrong, unless the test has @pytest.mark.anyio
    def {name}(blocking_stage): …     # right: the same stage, for a test that blocks"""


class Hooks:
    """Hooks that the plugins of misstep ask each other by."""

    @pytest.hookspec(firstresult=True)
    def pytest_misstep_chaos(self, item: pytest.Item) -> tuple[Any, ...] | None:
        """Return the faults that a test asks for, with what arms them: ``(faults, arm)``; None where there are none."""

    @pytest.hookspec
    def pytest_misstep_judged(self, item: pytest.Item, trial: Trial) -> None:
        """A test's run was judged valid; whoever has more to try on its stage does it now."""


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
    parser.addini("misstep_choreography", "the choreography file, looked for from a test upwards", default=DEFAULT_FILE)
    parser.addini("misstep_seed", "the seed of generated data: a whole number", default="0")


# -- fixtures


@pytest.fixture(scope="session")
def misstep_houses(request: pytest.FixtureRequest) -> Iterator[Houses]:
    """The brokers and warm stages of this session; one broker for each choreography."""
    from misstep.harness.testing import Houses

    worker = getattr(request.config, "workerinput", {})
    with Houses(
        request.config.getoption("--misstep-stage"),
        seed=_seed(request.config),
        label="-".join(filter(None, (worker.get("testrunuid", "")[:6], worker.get("workerid", "")))),
        shared_broker=worker.get("misstep_broker", ""),
    ) as houses:
        yield houses


@pytest.fixture
def choreography(request: pytest.FixtureRequest) -> Choreography:
    """The choreography under test, from the file that ``misstep_choreography`` names; override it to choose another."""
    from misstep.harness.choreography.file import load
    from misstep.harness.errors import ChoreographyError

    file = _find(request.config.rootpath, request.path.parent, request.config.getini("misstep_choreography"))
    try:
        return load(file)
    except ChoreographyError as error:
        raise _failed(str(error)) from None


@pytest.fixture
def misstep_trial(
    request: pytest.FixtureRequest, choreography: Choreography, misstep_houses: Houses
) -> Iterator[Trial]:
    """The run that one test is; what ``stage`` and ``blocking_stage`` of that test both look at."""
    from misstep.harness.errors import MisstepError

    item = request.node
    if _asks_for_stage(item):
        _must_await(item)
    try:
        trial = misstep_houses.trial(choreography, *(item.ihook.pytest_misstep_chaos(item=item) or ()))
    except MisstepError as error:
        raise _failed(str(error)) from None
    with trial:
        item.stash[TRIAL] = trial
        try:
            yield trial
        finally:
            del item.stash[TRIAL]


@pytest.fixture
def stage(misstep_trial: Trial) -> StageHandle:
    """The choreography's services, running; for async tests."""
    return misstep_trial.handle


@pytest.fixture
def blocking_stage(misstep_trial: Trial) -> BlockingStage:
    """The choreography's services, running; for tests that block."""
    return misstep_trial.blocking


# -- async tests


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None, None, None]:
    """Have pytest-asyncio run the async tests that ask for ``stage``: in strict mode, it collects marked ones alone.

    This is the first moment at which all fixtures of a test are known, and the last before pytest-asyncio looks at its
    markers: it does so here as well, for its loop factories. A test that anyio runs, or that has a marker of its own,
    is left alone.
    """
    definition = metafunc.definition
    plugins = metafunc.config.pluginmanager
    if plugins.hasplugin("asyncio") and _is_async(definition) and _asks_for_stage(definition):
        ours = pytest.mark.asyncio
        taken = ("asyncio", "anyio", "trio")
        if not any(definition.get_closest_marker(name) for name in taken) and not _is_anyios(definition):
            definition.add_marker(ours)
            ours(getattr(metafunc.function, "__func__", metafunc.function))
    yield


def _is_async(item: pytest.Function) -> bool:
    """Say whether a test is a coroutine function, also below what Hypothesis makes of it."""
    function = item.function
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return inspect.iscoroutinefunction(inner)


def _asks_for_stage(item: pytest.Function) -> bool:
    """Say whether a test asks, by itself or by other fixtures, for our ``stage``, rather than for its project's own."""
    for fixture in reversed(item._fixtureinfo.name2fixturedefs.get("stage", ())):
        if fixture.func.__module__ == __name__:
            return True
        if "stage" not in fixture.argnames:
            return False
    return False


def _is_anyios(item: pytest.Function) -> bool:
    """Say whether anyio's plugin runs a test, because it runs all async ones."""
    if not item.config.pluginmanager.hasplugin("anyio"):
        return False
    return "anyio_backend" in item.fixturenames


def _must_await(item: pytest.Function) -> None:
    """Fail a test that asks for ``stage`` and could never await it."""
    if not _is_async(item):
        raise _failed(WRONG_STAGE.format(name=item.originalname))
    runners = ("asyncio", "anyio", "trio")
    if not any(item.get_closest_marker(name) for name in runners) and not _is_anyios(item):
        raise _failed(NO_ASYNCIO.format(name=item.originalname))


# -- verdicts


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Judge what happened on a test's stage once the test itself has passed."""
    result = yield
    trial = item.stash.get(TRIAL, None)
    if trial is not None:
        failure = _concluded(trial, strict=item.config.getoption("--misstep-strict"))
        if failure:
            raise _failed(failure)
        item.ihook.pytest_misstep_judged(item=item, trial=trial)
    return result


def _concluded(trial: Trial, *, strict: bool) -> str:
    """Return why a trial fails; also where our own stage is what failed it."""
    from misstep.harness.errors import MisstepError

    try:
        return trial.conclude(strict=strict)
    except MisstepError as error:
        return f"unknown: the run could not be judged: {error}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Show what happened on the stage with a test that failed by itself."""
    report = yield
    trial = item.stash.get(TRIAL, None)
    if trial is not None and report.when == "call" and report.failed and trial.run is None:
        report.sections.append(("misstep: what happened", trial.story()))
    return report


# -- many workers, one broker


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every worker of pytest-xdist the one local broker, which the controller starts with the first and owns."""
    config = node.config
    if config.getoption("--misstep-stage") != "local":
        return
    if SHARED not in config.stash:
        config.stash[SHARED] = _shared_broker()
    shared = config.stash[SHARED]
    if shared is not None:
        node.workerinput["misstep_broker"] = shared.address


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the broker that the workers shared."""
    shared = config.stash.get(SHARED, None)
    if shared is not None:
        shared.close()


def _shared_broker() -> SharedBroker | None:
    """Start a broker for all workers; where this machine has none, each test that wants one will say so."""
    from misstep.harness.errors import MisstepError, PartMissing
    from misstep.harness.testing import SharedBroker

    try:
        return SharedBroker()
    except PartMissing:
        return None
    except MisstepError as error:
        raise pytest.UsageError(f"--misstep-stage local: {error}") from error


# -- settings and failures


def _failed(why: str) -> BaseException:
    """Return the failure of a test whose text says all, so that no traceback of ours is shown with it."""
    return pytest.fail.Exception(why, pytrace=False)


def _seed(config: pytest.Config) -> int:
    """Return the seed of generated data."""
    text: str = config.getini("misstep_seed")
    try:
        return int(text)
    except ValueError:
        raise pytest.UsageError(f"misstep_seed is {text!r}: expected a whole number, such as 7") from None


def _find(root: Path, start: Path, name: str) -> Path:
    """Return the choreography file: nearest to the test, going up to the rootdir."""
    for folder in (start, *start.parents):
        if (folder / name).is_file():
            return folder / name
        if folder == root:
            break
    return root / name
