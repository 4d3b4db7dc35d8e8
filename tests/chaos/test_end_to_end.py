"""The commands as a person runs them: on real processes, with their exit statuses, and leaving nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHOREOGRAPHY = """
[choreography]
name = "relay"

[services.payment]
command = "{python} relay.py payment"
env = { BROKER_URL = "{broker.url}"GATEWAY }

[services.shipping]
command = "{python} relay.py shipping"
env = { BROKER_URL = "{broker.url}" }

[quiet]
silence = 0.4

[drivers.place_order]
publish = "order.placed"
exchange = "shop"
json = { order = "{correlation}" }
properties = { correlation_id = "{correlation}" }

[sagas.order]
starts = "order.placed"
completes = "order.shipped"
"""
GATEWAY = """
[externals.gateway]
answers = [{ when = "POST /charges", status = 201 }]

[effects.charge]
external = "gateway"
key = "json:order"
times = 1
"""
MISSTEP = [sys.executable, "-c", "from misstep.harness.cli import main; main()"]


@pytest.fixture
def project(tmp_path):
    shutil.copy(Path(__file__).parent / "relay.py", tmp_path)
    (tmp_path / "choreography.toml").write_text(CHOREOGRAPHY.replace("GATEWAY", ""))
    charging = CHOREOGRAPHY.replace("GATEWAY", ', GATEWAY_URL = "{externals.gateway.url}"')
    (tmp_path / "charging.toml").write_text(charging.replace('name = "relay"', 'name = "charging"') + GATEWAY)
    return tmp_path


def misstep(*words, cwd):
    return subprocess.run([*MISSTEP, *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=100)


def living_in(folder):
    """The processes whose working directory is a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if Path(os.readlink(entry / "cwd")) == folder:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_choreography_that_survives_ends_with_0(project):
    done = misstep("explore", "--only", "delivery.redeliver", "--only", "process.crash", "--time", "60", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "relay on embedded: valid (" in done.stdout
    assert "plans of one fault: " in done.stderr
    assert not (project / ".misstep").exists()


def test_a_bug_is_found_saved_and_replayed(project):
    done = misstep(
        "explore", "charging.toml", "--only", "delivery", "--json", "--fail-fast", "--jobs", "1", cwd=project
    )
    assert done.returncode == 1, done.stdout + done.stderr
    result = json.loads(done.stdout)
    (failure,) = result["failures"]
    assert [fault["kind"] for fault in failure["plan"]["faults"]] == ["delivery.redeliver"]
    assert failure["plan"]["faults"][0]["at"]["service"] == "payment"
    assert failure["findings"][0]["checker"] == "effects"
    assert result["not_tried"]

    file = project / ".misstep" / "failures" / f"{failure['digest']}.json"
    again = misstep("replay", str(file), cwd="/")
    assert again.returncode == 1, again.stdout + again.stderr
    assert "fault 1: delivery.redeliver at ack of order.placed by payment" in again.stdout
    assert "charging on embedded: invalid" in again.stdout

    clean = misstep("replay", str(file), "choreography.toml", cwd=project)
    assert clean.returncode == 0, clean.stdout + clean.stderr


def test_an_interrupt_ends_with_130_and_leaves_nothing_running(project):
    command = [*MISSTEP, "explore", "--time", "60"]
    with subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True) as running:
        for line in running.stderr:
            if line.startswith("plans of one fault"):
                break
        assert len(living_in(project)) > 1
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 130
    deadline = time.monotonic() + 20
    while living_in(project):
        assert time.monotonic() < deadline, living_in(project)
        time.sleep(0.01)


def test_a_service_that_does_not_start_is_named_and_leaves_all_unknown(project):
    (project / "relay.py").write_text("raise SystemExit('no database')")
    done = misstep("explore", cwd=project)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no database" in done.stderr
    assert "Traceback" not in done.stderr
