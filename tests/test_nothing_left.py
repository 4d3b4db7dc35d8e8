"""Kill -9 of the command or of pytest in mid-run: no process, no port, no trace; and the next run is not disturbed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DEADLINE = 60.0

CHOREOGRAPHY = """
[choreography]
name = "daemons"
broker = "rabbitmq"

[services.pings]
command = "{python} pings.py"
env = { RABBITMQ_URL = "{broker.url}", MARK = "MARK_VALUE" }

[events]
correlation = "property:correlation_id"

[drivers.ping]
publish = "ping"
properties = { correlation_id = "{correlation}" }

[sagas.ping]
starts = "ping"
completes = "pong"
"""

SERVICE = """
import os
import subprocess
import sys

import pika

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "600"])
    os._exit(0)

connection = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ_URL"]))
channel = connection.channel()
channel.confirm_delivery()
channel.queue_declare("ping", durable=True)
channel.queue_declare("pong", durable=True)


def pong(channel, method, properties, body):
    keep = pika.BasicProperties(correlation_id=properties.correlation_id, delivery_mode=2)
    channel.basic_publish("", "pong", body, keep)
    channel.basic_ack(method.delivery_tag)


channel.basic_qos(prefetch_count=1)
channel.basic_consume("ping", pong)
channel.start_consuming()
"""

TEST = """
def test_ping(blocking_stage):
    blocking_stage.drive("ping").settled(within=30)
    print("waiting for the kill", flush=True)
    input()
"""


@pytest.fixture
def mark() -> str:
    return f"misstep-test-{os.getpid()}-{time.monotonic_ns()}"


@pytest.fixture
def project(tmp_path: Path, mark: str) -> Path:
    (tmp_path / "choreography.toml").write_text(CHOREOGRAPHY.replace("MARK_VALUE", mark))
    (tmp_path / "pings.py").write_text(SERVICE)
    (tmp_path / "test_ping.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def marked(mark: str) -> dict[int, str]:
    """Return all processes whose environment holds the mark, with their commands."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
    return found


def until(true: Callable[[], object]) -> None:
    """Wait until something is so; the reason it is not shows in the assertion that follows."""
    deadline = time.monotonic() + DEADLINE
    while not true() and time.monotonic() < deadline:
        select.select([], [], [], 0.02)


@pytest.fixture
def running(project: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """The command or pytest, in a session of its own, up to the point where it says a line that holds ``word``."""
    arguments, word = request.param
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        said = []
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if word in line:
                break
        else:
            pytest.fail("".join(said))
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


CASES = [
    pytest.param((["misstep.harness", "up", "."], "runs on"), id="command"),
    pytest.param(
        (["pytest", "-q", "-s", "-p", "no:cacheprovider", "test_ping.py"], "waiting for the kill\n"), id="pytest"
    ),
]


@pytest.mark.parametrize("running", CASES, indirect=True)
def test_nothing_outlives_a_kill(running: subprocess.Popen[str], mark: str) -> None:
    alive = marked(mark)
    assert any("sleep 600" in command for command in alive.values()), "the service's daemonised child should run"
    assert any("pings.py" in command for command in alive.values())
    os.kill(running.pid, signal.SIGKILL)
    until(lambda: not marked(mark))
    assert marked(mark) == {}


@pytest.mark.parametrize("running", CASES[:1], indirect=True)
def test_an_interrupt_ends_the_command_in_order(running: subprocess.Popen[str], mark: str) -> None:
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(DEADLINE) == 130
    assert marked(mark) == {}
