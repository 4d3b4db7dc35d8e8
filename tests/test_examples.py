"""The examples, as a reader would run them: the good ones are valid everywhere, the naive one is caught everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
STAGES = ("embedded", "local")


def misstep(*words: str) -> tuple[int, dict[str, Any]]:
    """Run a command that answers in JSON; return its exit status and what it answered."""
    command = [sys.executable, "-m", "misstep.harness", *words, "--json"]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, check=False, timeout=115)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def unwell(found: dict[str, Any]) -> list[Any]:
    """Return what is not valid in an answer, for a failure's message."""
    return [
        verdict
        for run in found.get("runs", ())
        for verdict in run["verdicts"]
        if verdict["answer"] in ("invalid", "unknown")
    ]


@pytest.mark.parametrize("kind", STAGES)
@pytest.mark.parametrize("name", ["order_saga", "order_saga/naive.toml", "node_signup"])
def test_every_example_is_valid_without_faults(name: str, kind: str) -> None:
    status, found = misstep("inspect", name, "--stage", kind)
    assert (status, found["answer"]) == (0, "valid"), unwell(found)


def test_the_example_is_valid_on_postgresql() -> None:
    status, found = misstep("inspect", "order_saga/postgres.toml")
    assert (status, found["answer"]) == (0, "valid"), unwell(found)


def test_every_checker_is_asked_about_the_example() -> None:
    _, found = misstep("explore", "order_saga", "--only", "place_order", "--only", "delivery.redeliver", "--no-save")
    assert found["exit_status"] == 0, found
    _, clean = misstep("inspect", "order_saga", "--only", "place_order")
    (run,) = clean["runs"]
    silent = {verdict["checker"] for verdict in run["verdicts"] if verdict["answer"] == "not asked"}
    assert silent <= {"parity"}, "parity has nothing to compare a first clean run with; all others are asked"


def test_the_naive_payment_fails_by_the_same_plan_on_every_stage() -> None:
    plans = {}
    for kind in STAGES:
        status, found = misstep(
            "explore", "order_saga/naive.toml", "--stage", kind, "--only", "place_order", "--fail-fast", "--no-save"
        )
        assert status == 1, found
        plans[kind] = found["failures"][0]["plan"]
    assert len(plans["embedded"]["faults"]) == 1
    assert plans["embedded"] == plans["local"]


@pytest.mark.parametrize("kind", STAGES)
def test_the_good_services_survive_the_most_suspicious_faults(kind: str) -> None:
    status, found = misstep("explore", "order_saga", "--stage", kind, "--time", "30s", "--seed", "1", "--no-save")
    assert status == 0, [trial for trial in found["trials"] if trial["answer"] != "valid"]
    assert found["counts"]["valid"] == len(found["trials"]) > 0


@pytest.mark.parametrize("kind", STAGES)
def test_services_in_node_are_disturbed_as_well(kind: str) -> None:
    status, found = misstep("explore", "node_signup", "--stage", kind, "--time", "20s", "--no-save")
    assert status == 0, [trial for trial in found["trials"] if trial["answer"] != "valid"]
    assert found["trials"]
