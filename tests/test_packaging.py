"""The wheel, installed into a project that has packages called harness, contracts and chaos of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

THEIR_TEST = """
import chaos
import contracts
import harness
from misstep.chaos import delivery


def test_their_own_packages_are_theirs():
    assert (harness.WHOSE, contracts.WHOSE, chaos.WHOSE) == ("theirs", "theirs", "theirs")


def test_ours_are_ours():
    assert delivery.redeliver("a", to="b").kind == "delivery.redeliver"


def test_a_service_answers(blocking_stage):
    saga = blocking_stage.drive("greet")
    saga.settled(within=10)
    assert saga.completed
"""

THEIR_CHOREOGRAPHY = """
[choreography]
name = "greeting"
broker = "rabbitmq"

[services.greeter]
command = "{python} greeter.py"
env = { RABBITMQ_URL = "{broker.url}" }

[events]
correlation = "property:correlation_id"

[drivers.greet]
publish = "greet"
properties = { correlation_id = "{correlation}" }
json = { name = "{faker.first_name}" }

[sagas.greeting]
starts = "greet"
completes = "greeted"
"""

THEIR_SERVICE = """
import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ_URL"]))
channel = connection.channel()
channel.confirm_delivery()
channel.queue_declare("greet", durable=True)
channel.queue_declare("greeted", durable=True)


def greet(channel, method, properties, body):
    keep = pika.BasicProperties(correlation_id=properties.correlation_id, delivery_mode=2)
    channel.basic_publish("", "greeted", body, keep, mandatory=True)
    channel.basic_ack(method.delivery_tag)


channel.basic_qos(prefetch_count=1)
channel.basic_consume("greet", greet)
channel.start_consuming()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    (found,) = folder.glob("misstep-*.whl")
    return found


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else; what it depends on comes from this environment."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(wheel)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("harness", "contracts", "chaos"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('WHOSE = "theirs"\n')
    (tmp_path / "test_theirs.py").write_text(THEIR_TEST)
    (tmp_path / "choreography.toml").write_text(THEIR_CHOREOGRAPHY)
    (tmp_path / "greeter.py").write_text(THEIR_SERVICE)
    (tmp_path / "conftest.py").write_text("")
    return tmp_path


def run(site: Path, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the installed wheel ahead of this checkout."""
    env = {**os.environ, "PYTHONPATH": str(site)}
    env.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, *arguments], cwd=project, env=env, capture_output=True, text=True, check=False
    )


def test_the_wheel_serves_a_project_with_packages_of_the_same_names(site: Path, project: Path) -> None:
    where = run(site, project, "-c", "import misstep.harness; print(misstep.harness.__file__)")
    assert where.stdout.startswith(str(site)), where.stderr
    done = run(site, project, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_wheel_holds_all_packages_and_nothing_at_its_top_but_misstep(site: Path) -> None:
    assert {each.name for each in site.iterdir() if not each.name.endswith(".dist-info")} <= {"misstep", "bin"}
    ours = {
        str(path.relative_to(ROOT))
        for name in ("harness", "contracts", "chaos")
        for path in (ROOT / name).rglob("*.py")
    }
    theirs = {str(path.relative_to(site / "misstep")) for path in (site / "misstep").rglob("*.py")}
    assert theirs == ours
    assert all((site / "misstep" / name / "py.typed").exists() for name in ("harness", "contracts", "chaos"))
