"""The import rules of ARCHITECTURE.md, held against the code itself."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("harness", "contracts", "chaos")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
HEAVY = {
    "aio_pika", "aiokafka", "confluent_kafka", "dask", "docker", "faker", "httpx", "hypothesis", "jsonschema", "nats",
    "opentelemetry", "pact", "psycopg", "redis", "rich", "schemathesis", "sqlalchemy", "testcontainers", "toxiproxy",
}  # fmt: skip
DOES_IO = {"asyncio", "socket", "ssl", "random", "time", "threading", "subprocess"}


def imports(path: Path) -> Iterator[str]:
    """Yield the full names a module imports; those for type checkers alone do not count."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_packages_import_only_what_they_may(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    forbidden = {"harness": {"contracts", "chaos"}, "contracts": {"chaos"}, "chaos": {"contracts"}}[package]
    wrong = [found for found in imports(path) for other in forbidden if found.startswith(f"misstep.{other}")]
    assert not wrong, f"{name(path)} may not import {wrong}"
    bare = [found for found in imports(path) if found.split(".")[0] in PACKAGES]
    assert not bare, f"{name(path)} imports {bare}: our packages are called misstep.*"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_plugins_import_pytest_and_nobody_imports_a_plugin(path: Path) -> None:
    found = set(imports(path))
    if path.name != "plugin.py":
        assert not {each for each in found if each.split(".")[0] in {"pytest", "_pytest"}}
    assert not {each for each in found if each.startswith("misstep.") and each.endswith(".plugin")}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_what_others_send_is_never_executed(path: Path) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert not calls & {"eval", "exec", "pickle.loads", "pickle.load", "yaml.load", "marshal.loads"}


@pytest.mark.parametrize(
    "path",
    [
        *sorted((ROOT / "harness/wire/amqp").rglob("*.py")),
        *sorted((ROOT / "harness/brokers/rabbitmq/model").rglob("*.py")),
    ],
    ids=name,
)
def test_protocol_cores_do_no_io(path: Path) -> None:
    assert not {found.split(".")[0] for found in imports(path)} & DOES_IO


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "harness/checkers").rglob("*.py")), ROOT / "harness/plan.py"], ids=name
)
def test_checkers_and_plans_are_pure(path: Path) -> None:
    found = set(imports(path))
    assert not {each.split(".")[0] for each in found} & DOES_IO
    assert not {
        each for each in found if each.startswith(("misstep.harness.wire.amqp", "misstep.harness.brokers.rabbitmq"))
    }


def loaded_by(module: str) -> set[str]:
    """Import a module in a process of its own and return the names of all modules that came with it."""
    import subprocess

    code = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_and_plugins_stay_light(package: str) -> None:
    for module in (f"misstep.{package}", f"misstep.{package}.plugin"):
        loaded = {each.split(".")[0] for each in loaded_by(module)}
        assert not loaded & (HEAVY | {"click", "pamqp", "msgspec"}), f"{module} loads {loaded & HEAVY}"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 450, f"{name(path)} wants to be two modules"
